"""Loss curves: where they are, how they look, and what cannot be drawn."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from nst_lightning.study.plots import chart, plottable, stroke


def drawn(*curves: list[tuple[float, float]], unit: str = "seconds") -> ElementTree.Element:
    kept = {n: (f"curve <{n}>", plottable(points)) for n, points in enumerate(curves)}
    return ElementTree.fromstring(chart(kept, unit))


def axis(svg: ElementTree.Element, anchor: str, coordinate: str) -> list[tuple[float, float]]:
    """Value and place of an axis' labels."""
    texts = [text for text in svg.iter("text") if text.get("text-anchor") == anchor and text.text[0].isdigit()]
    return [(float(text.text), float(text.get(coordinate))) for text in texts]


def path(svg: ElementTree.Element, number: int = 0) -> str:
    group = next(g for g in svg.iter("g") if g.get("data-curve") == str(number))
    return next(group.iter("path")).get("d")


@pytest.mark.parametrize("last", [9.0, 9000.0])
def test_curves_are_where_they_belong(last):
    """If this fails, a point of a curve is not where the labels of both axes say it is."""
    curve = [(0.0, 2.0e7), (last / 6, 3.0e5), (last / 2, 1.0e4), (last, 250.0)]
    svg = drawn(curve, [(last / 3, 7.0)])
    (v0, y0), *_, (v1, y1) = axis(svg, "end", "y")
    (u0, x0), *_, (u1, x1) = axis(svg, "middle", "x")
    points = [tuple(map(float, pair)) for pair in re.findall(r"[ML] (\S+) ([\d.]+)", path(svg))]
    # the lines of the grid are at the labels; a label's own place is that of its base line
    lines = [float(g[0].get("d").split()[2]) for g in svg.iter("g") if g.get("class") == "grid"]
    y0, y1 = lines[0], lines[-1]
    assert len(points) == 4
    for (x, y), (moment, loss) in zip(points, curve, strict=True):
        assert x == pytest.approx(x0 + (moment - u0) / (u1 - u0) * (x1 - x0), abs=0.3)
        assert y == pytest.approx(y0 + math.log(loss / v0) / math.log(v1 / v0) * (y1 - y0), abs=0.3)


@pytest.mark.parametrize(
    ("losses", "moves", "lines"),
    [
        ([5.0, math.nan, 3.0, 2.0], 2, 1),
        ([math.inf, 4.0, -1.0, 0.0], 1, 0),
        ([7.0] * 5, 1, 4),
        ([1e-310, 1e-7, 1e308], 1, 0),
        ([1.0, 1.0001, 1.0002], 1, 2),
        ([1e-250, 1.0, 1e250], 1, 2),
    ],
)
def test_unusual_curves(losses, moves, lines):
    """If this fails, a value that cannot be drawn breaks the page, or is drawn; or a constant curve is not."""
    svg = drawn(list(enumerate(losses)), unit="steps")
    d = path(svg)
    assert (d.count("M"), d.count("L")) == (moves, lines)
    numbers = [float(number) for number in re.findall(r"[\d.]+", d.replace("h0", ""))]
    assert all(0 <= number <= 720 for number in numbers)
    labels = [text.text for text in svg.iter("text") if text.get("text-anchor") == "end"]
    assert 2 <= len(labels) == len(set(labels)) <= 12


def test_nothing_to_draw():
    """If this fails, a run that never had a finite loss gets a curve."""
    assert plottable([(0, math.nan), (1, 0.0)]) == [] and plottable([]) == []


def test_names_are_text():
    """If this fails, a label brings in markup, or a curve has lost its name."""
    assert [title.text for title in drawn([(0, 1.0), (1, 2.0)]).iter("title")] == ["curve <0>"]


def test_sixty_curves_look_different():
    """If this fails, two of 60 curves look alike."""
    svg = drawn(*([(0, n + 1.0), (1, n + 2.0)] for n in range(60)))
    looks = {(g.get("stroke"), g.get("stroke-dasharray")) for g in svg.iter("g") if g.get("class") == "curve"}
    assert len(looks) == 60 and stroke(60) == stroke(0)
