"""Curves for a page, drawn by matplotlib: losses over time, and one distance against another."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from nst_lightning.pictures.sheet import plain_matplotlib
from nst_lightning.wording import digits

COLORS = ("#2f72d6", "#d2551f", "#239a58", "#a04fc4", "#bd8500", "#d43d79", "#1796a8", "#8a6d58", "#7f8c1c", "#7d8591")
DASHES = ("", "7 3", "2 3", "10 3 2 3", "4 4", "12 5")  # with the colours: 60 curves that differ
SVG = "{http://www.w3.org/2000/svg}"

Point = tuple[float, float]


def stroke(number: int) -> dict[str, str]:
    """The look of a curve, as attributes of SVG.

    >>> stroke(1), stroke(11)
    ({'stroke': '#d2551f'}, {'stroke': '#d2551f', 'stroke-dasharray': '7 3'})
    """
    dash = DASHES[number // len(COLORS) % len(DASHES)]
    return {"stroke": COLORS[number % len(COLORS)]} | ({"stroke-dasharray": dash} if dash else {})


def plottable(points: Sequence[Point]) -> list[Point]:
    """Points with a gap for each that a logarithmic axis cannot show; none if there is nothing to draw."""
    shown = [(x, y if math.isfinite(y) and 1e-300 < y < 1e300 else math.nan) for x, y in points]
    return shown if any(y > 0 for _, y in shown) else []


def chart(curves: Mapping[int, tuple[str, Sequence[Point]]], unit: str) -> str:
    """An ``svg`` element with the curves over steps or seconds, on a logarithmic scale.

    Args:
        curves: label and points of each, by number; with :func:`plottable` points. ``data-curve`` has the number.
        unit: ``seconds`` or ``steps``, of the horizontal axis.
    """
    from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator

    with plain_matplotlib():
        figure, axes = _axes(unit, yscale="log")
        for number, (_, points) in curves.items():
            axes.plot(*zip(*points, strict=True), clip_on=False, gid=f"curve-{number}")
        axes.set_xlim(0, None)
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1,) if high > 1000 * low else (1, 2, 5), numticks=9))
        if high < 5 * low:
            axes.yaxis.set_major_locator(AutoLocator())
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: digits(value, 7)))
        svg = _written(figure, "svg").decode()
    labels = {f"curve-{number}": (number, label) for number, (label, _) in curves.items()}
    return _for_page(svg, labels, f"Loss of {len(curves)} runs")


def scatter(curves: Mapping[int, tuple[str, Sequence[Point]]], across: str, up: str) -> tuple[str, bytes]:
    """Curves of points, each a picture or a mean of several: as an ``svg`` element, and as a PNG with a legend.

    Args:
        curves: label and points of each, by number, in the order in which they are joined.
        across: what the horizontal axis is.
        up: what the vertical one is.
    """
    with plain_matplotlib():
        figure, axes = _axes(across, ylabel=up)
        for number, (label, points) in curves.items():
            look = {"color": COLORS[number % len(COLORS)], "label": label}
            axes.plot(*zip(*points, strict=True), clip_on=False, gid=f"series-{number}", **look)
            apart = [one for point in points for one in (point, (math.nan, math.nan))]
            axes.plot(*zip(*apart, strict=True), clip_on=False, gid=f"dots-{number}", color=look["color"])
        for name in ("xlim", "ylim"):  # distances: what counts is how far from 0
            getattr(axes, f"set_{name}")(min(0, getattr(axes, f"get_{name}")()[0]), None)
        svg = _written(figure, "svg").decode()
        for line in axes.get_lines():
            if str(line.get_gid()).startswith("dots"):
                line.set(marker="o", linestyle="none", label="_dots")
        figure.patch.set_facecolor("white")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        png = _written(figure, "png")
    labels = {f"{kind}-{number}": (number, label) for number, (label, _) in curves.items() for kind in ("series", "dots")}
    return _for_page(svg, labels, f"{up} against {across}, {len(curves)} curves"), png


def _axes(across: str, **settings: Any) -> tuple[Any, Any]:
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams.update({"svg.fonttype": "none", "font.size": 12})
    figure = Figure(figsize=(10, 4.7), layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none", xlabel=across, **settings)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.grid(axis="y", gid="grid", clip_on=False)
    for name, spine in axes.spines.items():
        spine.set(visible=name in ("left", "bottom"), gid="axis")
    return figure, axes


def _written(figure: Any, kind: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind)
    return file.getvalue()


def _for_page(svg: str, curves: Mapping[str, tuple[int, str]], what: str) -> str:
    """The drawing as an element of a page that forbids styles in attributes: with classes, and as small as can be."""
    root = ElementTree.fromstring(svg)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": what}
    for element in list(root.iter()):
        element.tag = element.tag.removeprefix(SVG)
        element.text, element.tail = (element.text or "").strip(), None
        for child in list(element):
            if child.tag in (f"{SVG}metadata", f"{SVG}defs"):
                element.remove(child)
        anchor = re.search(r"text-anchor: (\w+)", element.attrib.pop("style", ""))
        if anchor:
            element.attrib["text-anchor"] = anchor.group(1)
        if "d" in element.attrib:  # a point alone is a line of no length, with round ends a dot
            d = re.sub(r"\.(\d)\d*", r".\1", " ".join(element.attrib["d"].split()))
            element.attrib["d"] = re.sub(r"(M [\d.]+ [\d.]+)(?= M|$)", r"\1 h0", d)
        name = element.attrib.pop("id", "")
        if name in curves:
            number, label = curves[name]
            kind = name.partition("-")[0]
            element.attrib |= {"class": kind} | ({"data-curve": str(number)} if kind == "curve" else {}) | stroke(number)
            ElementTree.SubElement(element, "title").text = label
        elif name in ("grid", "axis"):
            element.attrib["class"] = name
    return ElementTree.tostring(root, encoding="unicode")
