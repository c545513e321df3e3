"""The page of a study: valid, complete, escaped, with curves that are where they belong."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from nst_lightning.study import page as module
from nst_lightning.study.cells import Outcome
from nst_lightning.study.page import MEASURED, SHEET, Results, page
from nst_lightning.study.plan import Plan

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


def png(width: int = 60, height: int = 40, color: str = "navy") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, "PNG")
    return file.getvalue()


def outcome(number: int = 0, **changes) -> Outcome:
    """What a cell may leave."""
    curve = [(10 * k, 0.5 * k, 1000.0 * (number + 1) / (k + 1)) for k in range(20)]
    measured = {"total": 1234.5 / (number + 1), "steps": 190.0, "seconds": 9.5}
    files = {"result.png": png(color="red"), "start.png": png(color="green")}
    made = {
        "files": files,
        "measured": measured,
        "curve": curve,
        "version": "1.2.3",
        "date": f"2026-01-0{number + 1} 10:20:30",
    }
    return Outcome(**(made | changes))


def failed(error: str) -> Outcome:
    return Outcome(error=error)


@pytest.fixture(scope="module")
def planned(tmp_path_factory, pictures):
    """From what a study file says to its plan; each is made once, as that takes a moment."""
    folder, made = tmp_path_factory.mktemp("studies"), {}

    def plan(**study) -> Plan:
        key = json.dumps(study)
        if key not in made:
            path = folder / f"study_{len(made)}.yaml"
            base = {"data.content": str(pictures[0]), "data.style": str(pictures[1])}
            path.write_text(json.dumps({"title": "Weights", "text": "First.\n\nSecond\nline.", "settings": base} | study))
            made[key] = Plan(str(path), [], folder / "out", {})
        return made[key]

    return plan


THREE = {"columns": {"setting": "model.style_weight", "values": [1, 10, 100], "labels": ["one", "ten", "hundred"]}}
FOUR = {
    "rows": {"setting": "model.init", "values": ["noise", "content"]},
    "columns": {"setting": "model.style_weight", "values": [1, 2]},
}


@pytest.fixture
def three(planned) -> Results:
    return Results(planned(**THREE), [outcome(0), outcome(1), failed("out of memory")], ["weights", "--data.size", "64"])


def document(*studies: Results, title: str = "Study") -> str:
    return page(title, studies, studies[0].plan.folder)


def pictures_in(node: Node) -> list[Image.Image]:
    """The pictures in data: addresses below a node; no other addresses are there."""
    sources = [image.attributes["src"] for image in node.all("img") if "src" in image.attributes]
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    return [Image.open(io.BytesIO(base64.b64decode(source.split(",")[1], validate=True))) for source in sources]


def test_document_stands_alone(three):
    """If this fails, the page is not well-formed, loads something from elsewhere, or a name in it is given twice."""
    text = document(three, three)
    root = parse(text)
    assert text.startswith("<!DOCTYPE html>")
    nodes = [root]
    for node in nodes:
        nodes += node.children
        for name in ("src", "xlink:href", "action", "srcset", "data"):
            assert node.attributes.get(name, "#").startswith(("#", "data:image/")), (node.tag, name)
        assert "//" not in node.attributes.get("href", ""), "a link to another host"
        assert "style" not in node.attributes and not any(name.startswith("on") for name in node.attributes)
    assert "@import" not in text and "url(" not in text
    ids = [node.attributes["id"] for node in nodes if "id" in node.attributes]
    assert len(set(ids)) == len(ids)
    for node in nodes:
        for name in ("for", "aria-labelledby", "data-before"):
            assert not node.attributes.get(name) or node.attributes[name] in ids
        if node.attributes.get("href", "").startswith("#"):
            assert node.attributes["href"][1:] in ids


def test_policy_lets_the_own_script_run(three):
    """If this fails, the browser would refuse the page's own style or script: the hashes are not theirs."""
    root = parse(document(three))
    policy = next(m.attributes["content"] for m in root.all("meta") if "http-equiv" in m.attributes)
    for tag in ("style", "script"):
        (node,) = root.all(tag)
        digest = base64.b64encode(hashlib.sha256(node.text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_everything_is_escaped(planned):
    """If this fails, a title, label, setting, name or error can bring in markup, or is changed on its way."""
    columns = {"setting": "model.style_weight", "values": [1, 2], "labels": [HOSTILE, HOSTILE + "!"]}
    plan = planned(title=HOSTILE, text=HOSTILE, columns=columns)
    one = Results(plan, [outcome(), failed(HOSTILE)], [HOSTILE])
    root = parse(document(one, one, title=HOSTILE))
    assert len(root.all("script")) == 1
    assert root.all("h1")[0].text == root.all("h2")[0].text == root.all("title")[0].text == HOSTILE
    assert root.all("section")[0].all("p")[0].text == HOSTILE
    assert [th.text for th in root.all("table", class_="sheet")[0].all("th")] == [HOSTILE, HOSTILE + "!"]
    assert [span.text for span in root.all("span", class_="error")] == [HOSTILE] * 2
    assert [b.attributes["data-label"] for b in root.all("button") if "data-cell" in b.attributes][:1] == [HOSTILE]
    assert root.all("tbody")[1].all("tr")[1].all("td")[-1].text == HOSTILE


def test_pictures_stand_in_the_grid(planned, pictures):
    """If this fails, a cell's picture is not in its row and column, or not the cell's own."""
    colors = ["red", "lime", "blue", "yellow"]
    outcomes = [outcome(n, files={"result.png": png(200, 100, c), "start.png": png()}) for n, c in enumerate(colors)]
    root = parse(document(Results(planned(**FOUR), outcomes)))
    (table,) = root.all("table", class_="sheet")
    assert [th.text for th in table.all("thead")[0].all("th")] == ["1", "2"]
    rows = table.all("tbody")[0].all("tr")
    assert [row.all("th")[0].text for row in rows] == ["noise", "content"]
    found = [[pictures_in(td)[0].resize((1, 1)).getpixel((0, 0)) for td in row.all("td")] for row in rows]
    expected = [(254, 0, 0), (0, 255, 1), (0, 0, 254), (255, 255, 0)]
    assert all(
        sum(abs(a - b) for a, b in zip(x, y, strict=True)) < 9 for x, y in zip(found[0] + found[1], expected, strict=True)
    )
    labels = [button.attributes["data-label"] for button in table.all("button")]
    assert labels == ["noise · 1", "noise · 2", "content · 1", "content · 2"]
    strip = root.all("ul", class_="inputs")[0]
    assert [span.text for span in strip.all("span")] == ["content: chenonceau", "style: starry night"]


def test_difference_and_several_pictures(planned):
    """If this fails, what the figure shows beside the results is not in the page, or a difference is taken for a cell."""
    plan = planned(**FOUR, show=["start", "content"], difference="columns")
    outcomes = [
        outcome(n, files={"result.png": png(64, 48, c), "start.png": png(64, 48, c)})
        for n, c in enumerate(["red", "lime"] * 2)
    ]
    (table,) = parse(document(Results(plan, outcomes))).all("table", class_="sheet")
    assert [th.text for th in table.all("thead")[0].all("th")] == ["1", "2", "difference"]
    row = table.all("tbody")[0].all("tr")[0]
    assert [span.text for span in row.all("span", class_="label")] == [
        *["start", "content", "result"] * 2,
        "start 170.0 of 255",
        "result 170.0 of 255",
    ]
    assert [button.attributes["data-cell"] for button in table.all("button")] == ["0", "1", "2", "3"]


def test_large_and_small_pictures(planned):
    """If this fails, a picture is too large for a page, too small to be seen, stretched, or many times in it."""
    outcomes = [
        outcome(n, files={"result.png": png(*size), "start.png": png()})
        for n, size in enumerate([(1500, 1000), (50, 30), (300, 200)])
    ]
    root = parse(document(Results(planned(**THREE), outcomes)))
    shown = [button.all("img")[0] for button in root.all("button") if "data-cell" in button.attributes]
    assert [(int(i.attributes["width"]), int(i.attributes["height"])) for i in shown] == [
        (1024, 683),
        (150, 90),
        (300, 200),
    ]
    assert [i.attributes.get("class") for i in shown] == [None, "small", None]
    assert next(i.attributes["id"] for i in root.all("img") if "id" in i.attributes) == "before-0"
    assert {b.attributes["data-before"] for b in root.all("button") if "data-before" in b.attributes} == {"before-0"}


def test_failed_cells_say_why(planned, three):
    """If this fails, the message of a failed cell is not in the page, or a study of failures breaks it."""
    root = parse(document(three))
    assert [span.text for span in root.all("span", class_="error")] == ["out of memory"]
    nothing = parse(document(Results(planned(**THREE), [failed("x")] * 3)))
    assert "No run has recorded its loss" in nothing.text and "no cell has been run" in nothing.text


def test_what_a_reader_needs_to_know(three):
    """If this fails, size, steps, seed, version, date, the command or a link is missing or wrong."""
    root = parse(document(three))
    (facts,) = root.all("p", class_="note facts")
    assert facts.text == "60 px · 190 steps · seed 0 · nst_lightning 1.2.3 · 2026-01-02 10:20"
    assert "python -m nst_lightning study weights --data.size 64" in [code.text for code in root.all("code")]
    links = [a.attributes["href"] for a in root.all("section")[0].all("a")]
    assert links[:3] == ["./figure.png", "./table.csv", "./cells/"]
    assert links[3:] == ["./cells/one/config.yaml", "./cells/ten/config.yaml"]
    first, _, last = [b.attributes for b in root.all("button") if "data-cell" in b.attributes]
    config = three.plan.folder / "cells" / "one" / "config.yaml"
    assert first["data-command"] == f"python -m nst_lightning fit --config {config} --output one.png"
    assert last["data-command"] == last["data-config"] == ""
    settings = {
        pair.all("dt")[0].text: pair.all("dd")[0].text for pair in root.all("dl", class_="pairs settings")[0].children
    }
    assert settings["seed_everything"] == "0" and settings["model.features.arch"] == "vgg16"
    assert "model.style_weight" not in settings


def test_links_of_a_report_lead_to_the_studies(three):
    """If this fails, the links of a page about several studies lead to files that are not there."""
    text = page("All", [three, three], three.plan.folder.parent / "report")
    links = [a.attributes["href"] for a in parse(text).all("section")[0].all("a")]
    assert links[0] == f"../{three.plan.name}/figure.png"


def test_every_column_is_explained(three):
    """If this fails, a column of the table has a name and nobody says what it means."""
    root = parse(document(three))
    heads = root.all("div", class_="table")[0].all("thead")[0].all("th")
    pairs = {pair.all("dt")[0].text: pair.all("dd")[0].text for pair in root.all("dl", class_="pairs meanings")[0].children}
    assert list(pairs) == [head.text for head in heads][1:]
    assert all(len(meaning) > 10 for meaning in pairs.values())
    for name in MEASURED:
        assert f'"{name}":' in SCRIPT.with_name("page.html").read_text(), f"{name} is not explained"


def test_text_and_contents(three):
    """If this fails, paragraphs run together, or the table of contents is missing or superfluous."""
    one = parse(document(three, title="Weights"))
    assert [p.text for p in one.all("section")[0].all("p")][:2] == ["First.", "Second\nline."]
    assert not one.all("nav", aria_label="Contents") and not one.all("section")[0].all("h2")
    two = parse(document(three, three))
    assert [a.text for a in two.all("nav", aria_label="Contents")[0].all("a")] == ["Weights", "Weights"]


def test_table(three):
    """If this fails, a row or column is missing, a number cannot be sorted, or is shown with no or too many digits."""
    three.outcomes[1].measured |= {"psnr": math.nan, "ssim": math.inf}
    root = parse(document(three))
    (table,) = root.all("div", class_="table")
    heads = [th.text for th in table.all("thead")[0].all("th")]
    assert heads == ["cell", "model.style_weight", "total", "psnr", "ssim", "steps", "seconds", "seconds_to_worst", "error"]
    rows = [[c.text for c in tr.children] for tr in table.all("tbody")[0].all("tr")]
    assert rows[0] == ["one", "1", "1234", "–", "–", "190", "9.5", "4.5", "–"]
    assert rows[1][:5] == ["ten", "10", "617.2", "nan", "inf"] and rows[2][-1] == "out of memory"
    assert [float(c.attributes["data-number"]) for c in table.all("td", class_="number")][:2] == [1.0, 1234.5]


def test_loss_over_seconds_and_over_steps(three):
    """If this fails, the page lacks a chart or a curve, or its axis is not what the choice says."""
    (plot,) = parse(document(three)).all("div", class_="plot")
    for unit, last in (("seconds", 9.5), ("steps", 190)):
        (svg,) = plot.all("div", class_=f"scroll by-{unit}")[0].all("svg")
        texts = [text.text for text in svg.all("text")]
        assert unit in texts and 0.7 * last <= max(float(t) for t in texts[: texts.index(unit)]) <= 1.2 * last
        assert [curve.attributes["data-curve"] for curve in svg.all("g", class_="curve")] == ["0", "1"]
    assert [button.text for button in plot.all("ul")[0].all("button")] == ["one", "ten"]


def test_many_cells_make_no_huge_page(planned):
    """If this fails, long curves or many cells make a page that no browser likes."""
    curve = [(k, k / 10, 1e6 / (k + 1)) for k in range(250)]
    columns = {"setting": "model.style_weight", "values": list(range(1, 25))}
    text = document(Results(planned(columns=columns), [outcome(k % 9, curve=curve) for k in range(24)]))
    assert len(text) < 600_000 and len(parse(text).all("ul", class_="legend")[0].all("button")) == 24


@pytest.mark.parametrize(("rows", "columns"), [(1, 2 * SHEET), (30, 30), (2, 2 * SHEET)])
def test_a_figure_of_many_cells_shows_the_first(planned, rows, columns):
    """If this fails, the figure of ten thousand pictures takes the night, or has labels of other cells."""
    axes = {"columns": {"setting": "model.style_weight", "values": list(range(1, columns + 1))}}
    axes |= {"rows": {"setting": "seed_everything", "values": list(range(rows))}} if rows > 1 else {}
    results = Results(planned(**axes), [outcome(0)] * (rows * columns))
    sheet = results.sheet(["result"])
    shown = sum(len(line) for line in sheet.cells)
    assert SHEET / 2 <= shown <= SHEET and f"of {rows * columns} cells" in sheet.title
    assert len(sheet.rows) == len(sheet.cells) and all(len(line) <= len(sheet.columns) for line in sheet.cells)
    if rows == 30:
        assert [panel.text for panel in sheet.rows] == [mark.label for mark in results.plan.rows[: len(sheet.rows)]]


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_script_is_valid():
    """If this fails, the browser would refuse the script for its syntax."""
    subprocess.run([NODE, "--check", str(SCRIPT)], check=True, timeout=60)


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_sorting():
    """If this fails, numbers are sorted as words, or empty cells do not come last in both directions."""
    stub = "globalThis.document={getElementById:()=>({addEventListener(){}}),querySelectorAll:()=>[]};"
    show = 'for(const d of [1,-1])console.log(JSON.stringify([10,"",9,"b10",NaN,"b9",-1].sort((a,b)=>order(a,b,d))));'
    script = stub + SCRIPT.read_text() + show
    done = subprocess.run([NODE, "-e", script], check=True, timeout=60, capture_output=True, text=True)
    up, down = (json.loads(line) for line in done.stdout.splitlines())
    assert up == [-1, 9, 10, "b9", "b10", "", None] and down == ["b10", "b9", 10, 9, -1, "", None]
