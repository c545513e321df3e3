"""The page of a study: valid, complete, escaped, with curves that are where they belong."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from nst_lightning.study import page as module
from nst_lightning.study.page import CellView, Section, log_ticks, page, ticks_of

VOID = {"meta", "img", "input", "br", "link", "hr"}
NODE = shutil.which("node")
SCRIPT = Path(module.__file__).with_name("page.js")
HOSTILE = "<script>alert(\"1\")</script> & $title 'x'"


class Node:
    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes, self.children, self.own = tag, attributes, [], ""

    def all(self, tag: str, **wanted: str) -> list[Node]:
        """The elements below that have this tag and these attributes, in order."""
        found = []
        for child in self.children:
            if child.tag == tag and all(
                child.attributes.get(k.strip("_").replace("_", "-")) == v for k, v in wanted.items()
            ):
                found.append(child)
            found += child.all(tag, **wanted)
        return found

    @property
    def text(self) -> str:
        return self.own + "".join(child.text for child in self.children)


class Parser(HTMLParser):
    """The tree of a document; complains of tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of {tag} is given twice"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.open[-1].own += data


def parse(document: str) -> Node:
    parser = Parser()
    parser.feed(document)
    parser.close()
    assert len(parser.open) == 1, f"{parser.open[-1].tag} is not closed"
    return parser.root


def png(width: int = 60, height: int = 40, color: str = "navy", kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, kind)
    return file.getvalue()


def cell(number: int = 0, **changes: object) -> CellView:
    curve = [(0.5 * k, 1000.0 * (number + 1) / (k + 1)) for k in range(20)]
    row = {"style_weight": 10.0**number, "init": "noise", "loss": 1234.5 / (number + 1), "psnr": None}
    view = CellView(
        f"cell-{number}", f"weight {number}", png(), png(color="red"), None, row, curve, list(range(0, 200, 10))
    )
    return dataclasses.replace(view, **changes)


def section(*cells: CellView, **changes: str) -> Section:
    texts = {"name": "weights", "title": "Weights", "text": "First.\n\nSecond\nline."} | changes
    return Section(**texts, figure=png(300, 200), cells=cells)


def pictures(node: Node) -> list[Image.Image]:
    """The pictures in data: addresses below a node; no other addresses are there."""
    sources = [image.attributes["src"] for image in node.all("img") if "src" in image.attributes]
    assert all(re.match(r"data:image/(png|jpeg);base64,", source) for source in sources)
    return [Image.open(io.BytesIO(base64.b64decode(source.split(",")[1], validate=True))) for source in sources]


def test_document_stands_alone():
    """Fails if the page is not well-formed, loads something from elsewhere, or a name in it is given twice."""
    document = page("Study", [section(cell(0), cell(1)), section(cell(0), title="Other")], "Hello.")
    root = parse(document)
    assert document.startswith("<!DOCTYPE html>")
    nodes = [root]
    for node in nodes:
        nodes += node.children
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            value = node.attributes.get(name, "#")
            assert value.startswith(("#", "data:image/")), (node.tag, name, value[:80])
        assert "style" not in node.attributes and not any(name.startswith("on") for name in node.attributes)
    assert "@import" not in document and "url(" not in document
    ids = [node.attributes["id"] for node in nodes if "id" in node.attributes]
    assert len(set(ids)) == len(ids)
    for node in nodes:
        for name in ("for", "aria-labelledby", "data-before"):
            assert node.attributes.get(name, ids[0]) in ids
        if node.attributes.get("href", "").startswith("#"):
            assert node.attributes["href"][1:] in ids


def test_policy_lets_the_own_script_run():
    """Fails if the browser would refuse the page's own style or script: the hashes are not theirs."""
    root = parse(page("Study", [section(cell())]))
    policy = next(m.attributes["content"] for m in root.all("meta") if "http-equiv" in m.attributes)
    for tag in ("style", "script"):
        (node,) = root.all(tag)
        digest = base64.b64encode(hashlib.sha256(node.text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_everything_is_escaped():
    """Fails if a title, label, setting, name or error can bring in markup, or is changed on its way."""
    row = {HOSTILE: HOSTILE}
    view = cell(label=HOSTILE, name=HOSTILE, row=row)
    failed = cell(1, label=HOSTILE, error=HOSTILE, picture=None, row={HOSTILE: None})
    one = section(view, failed, title=HOSTILE, text=HOSTILE, name=HOSTILE)
    root = parse(page(HOSTILE, [one, one], HOSTILE))
    assert len(root.all("script")) == 1
    assert root.all("h1")[0].text == root.all("h2")[0].text == root.all("title")[0].text == HOSTILE
    assert [span.text for span in root.all("span", class_="label")] == [HOSTILE] * 4
    assert [span.text for span in root.all("span", class_="error")] == [HOSTILE] * 2
    assert root.all("thead")[0].all("th")[-1].text == HOSTILE
    assert root.all("tbody")[0].all("tr")[0].all("td")[0].text == HOSTILE


def test_pictures():
    """Fails if a picture is missing, too large, stretched, broken, or the same one is in the page many times."""
    cells = [cell(k, picture=png(1500, 1000)) for k in range(5)]
    root = parse(page("Study", [section(*cells)]))
    assert [p.size for p in pictures(root.all("ul", class_="thumbs")[0])] == [(1024, 683)] * 5
    assert all(p.format == "JPEG" for p in pictures(root.all("ul", class_="thumbs")[0]))
    assert pictures(root.all("figure")[0])[0].size == (300, 200)
    (other,) = [node for node in root.all("img") if node.attributes.get("id", "").startswith("before-")]
    assert {b.attributes["data-before"] for b in root.all("button") if "data-before" in b.attributes} == {"before-0"}
    images = [image.attributes for image in root.all("img") if "src" in image.attributes]
    assert [(int(a["width"]), int(a["height"])) for a in images] == [picture.size for picture in pictures(root)]
    red = pictures(root)[[a.get("id") for a in images].index(other.attributes["id"])]
    assert red.getpixel((5, 5))[0] > 240


def test_failed_cells_say_why():
    """Fails if the message of a failed cell is not in the page, or a cell without curve and picture breaks it."""
    view = cell(error="out of memory", picture=None, curve=[], steps=[])
    root = parse(page("Study", [section(view)]))
    assert root.all("span", class_="error")[0].text == "out of memory"
    assert "No run has recorded its loss" in root.text
    parse(page("Study", [section()]))
    parse(page("Study", []))


def test_text_and_contents():
    """Fails if paragraphs run together, or the table of contents is missing or superfluous."""
    one = parse(page("Study", [section(cell())], "Intro."))
    assert [p.text for p in one.all("section")[0].all("p")][:2] == ["First.", "Second\nline."]
    assert one.all("header")[0].all("p")[0].text == "Intro."
    assert not one.all("nav", aria_label="Contents")
    two = parse(page("Study", [section(cell()), section(cell(), title="Other")]))
    assert [a.text for a in two.all("nav", aria_label="Contents")[0].all("a")] == ["Weights", "Other"]


def test_table():
    """Fails if a row or column is missing, a number cannot be sorted, or is shown with no or too many digits."""
    root = parse(page("Study", [section(cell(0), cell(1), cell(2))]))
    (table,) = root.all("table")
    assert [th.text for th in table.all("thead")[0].all("th")] == ["run", "style_weight", "init", "loss", "psnr"]
    rows = [[c.text for c in tr.children] for tr in table.all("tbody")[0].all("tr")]
    assert rows[1] == ["weight 1", "10", "noise", "617.2", "–"]
    assert [row[0] for row in rows] == ["weight 0", "weight 1", "weight 2"]
    assert [float(c.attributes["data-number"]) for c in table.all("td", class_="number")][:2] == [1.0, 1234.5]
    named = cell(row={"cell": "cell-0", "x": math.nan, "y": math.inf, "z": True})
    table = parse(page("Study", [section(named)])).all("table")[0]
    assert [th.text for th in table.all("th")] == ["cell", "x", "y", "z", "cell-0"]


def axis(root: Node, anchor: str, coordinate: str) -> list[tuple[float, float]]:
    """Value and place of an axis' ticks."""
    ticks = []
    for text in root.all("text", text_anchor=anchor):
        if text.text[0].isdigit():
            number = text.text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
            number = re.sub(r"^(?:(.*)×)?10(-?\d+)$", r"\1e\2", number) if number != text.text else number
            ticks.append((float("1" * number.startswith("e") + number), float(text.attributes[coordinate])))
    return ticks


@pytest.mark.parametrize(("unit", "which"), [("seconds", 0), ("steps", 1)])
def test_curves_are_where_they_belong(unit, which):
    """Fails if a point of a curve is not where the labels of both axes say it is."""
    curve = [(0.0, 2.0e7), (1.5, 3.0e5), (4.0, 1.0e4), (9.0, 250.0)]
    root = parse(page("Study", [section(cell(curve=curve, steps=[0, 100, 250, 700]), cell(1))]))
    (svg,) = [node for node in root.all("svg") if node.attributes.get("role")]
    (group,) = svg.all("g", class_=f"by-{unit}")
    (v0, y0), *_, (v1, y1) = axis(svg, "end", "y")
    (u0, x0), *_, (u1, x1) = axis(group, "middle", "x")
    drawn = group.all("g", data_curve="0")[0].all("path")[0].attributes["d"]
    points = [tuple(map(float, pair)) for pair in re.findall(r"[ML](\S+?) ([\d.]+)", drawn)]
    assert len(points) == 4 and u0 == 0
    for (x, y), (seconds, loss), step in zip(points, curve, (0, 100, 250, 700), strict=True):
        value = (seconds, step)[which]
        assert x == pytest.approx(x0 + (value - u0) / (u1 - u0) * (x1 - x0), abs=0.3)
        expected = y0 + math.log(loss / v0) / math.log(v1 / v0) * (y1 - y0) - 4  # text stands 4 below its tick
        assert y == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize(
    ("losses", "moves", "lines"),
    [
        ([5.0, math.nan, 3.0, 2.0], 2, 1),
        ([math.inf, 4.0, -1.0, 0.0], 1, 0),
        ([7.0] * 5, 1, 4),
        ([1e-310, 1e-7, 1e308], 1, 0),
        ([1.0, 1.0001, 1.0002], 1, 2),
    ],
)
def test_unusual_curves(losses, moves, lines):
    """Fails if a value that cannot be drawn breaks the page, or is drawn; or a constant curve is."""
    curve = [(float(k), loss) for k, loss in enumerate(losses)]
    root = parse(page("Study", [section(cell(curve=curve, steps=range(len(losses))))]))
    drawn = root.all("g", data_curve="0")[0].all("path")[0].attributes["d"]
    assert (drawn.count("M"), drawn.count("L")) == (moves, lines)
    assert "nan" not in drawn and "inf" not in drawn
    numbers = [float(number) for number in re.findall(r"[\d.]+", drawn.replace("h0", ""))]
    assert all(0 <= number <= module.WIDTH for number in numbers)
    svg = next(node for node in root.all("svg") if node.attributes.get("role"))
    assert len(svg.all("text", text_anchor="end")) >= 2


def test_sixty_curves():
    """Fails if two of 60 curves look alike, one has no legend, or long ones make the page huge."""
    curve = [(k / 10, 1e6 / (k + 1) * (2 if k == 7777 else 1)) for k in range(10000)]
    cells = [cell(k, curve=curve, steps=range(10000), picture=None, error="x") for k in range(60)]
    document = page("Study", [section(*cells)])
    root = parse(document)
    group = root.all("g", class_="by-steps")[0]
    looks = {(p.attributes.get("stroke"), p.attributes.get("stroke-dasharray")) for p in group.all("path")}
    assert len(looks) == 61  # and the invisible ones that catch the mouse
    assert len(root.all("ul", class_="legend")[0].all("button")) == 60
    assert len(document) < 2_500_000
    drawn = group.all("path")[0].attributes["d"]
    x = 7777 / 9999 * (module.WIDTH - module.LEFT - module.RIGHT) + module.LEFT
    assert f"L{x:.1f} " in drawn, "the peak of the curve is gone"


def test_ticks():
    """Fails if an axis has too few or too many labels, or one outside of it."""
    for low, high in ((0, 1), (0, 300), (-3, -2.9), (4.0, 4.0001), (-12, 30), (2.1, 4.2)):
        ticks = log_ticks(low, high)
        assert 3 <= len(ticks) <= 12 and all(low - 1e-6 <= math.log10(tick) <= high + 1e-6 for tick in ticks)
    for high in (1e-5, 0.7, 1, 59, 3600, 123456):
        ticks = ticks_of(0, high)
        assert 4 <= len(ticks) <= 11 and ticks[0] == 0 and 0.7 * high <= ticks[-1] <= high * 1.000001


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_script_is_valid():
    """Fails if the browser would refuse the script for its syntax."""
    subprocess.run([NODE, "--check", str(SCRIPT)], check=True, timeout=60)


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_sorting():
    """Fails if numbers are sorted as words, or empty cells do not come last in both directions."""
    stub = "globalThis.document={getElementById:()=>({addEventListener(){}}),querySelectorAll:()=>[]};"
    show = 'for(const d of [1,-1])console.log(JSON.stringify([10,"",9,"b10",NaN,"b9",-1].sort((a,b)=>order(a,b,d))));'
    script = stub + SCRIPT.read_text() + show
    done = subprocess.run([NODE, "-e", script], check=True, timeout=60, capture_output=True, text=True)
    up, down = (json.loads(line) for line in done.stdout.splitlines())
    assert up == [-1, 9, 10, "b9", "b10", "", None] and down == ["b10", "b9", 10, 9, -1, "", None]
