"""The page of a study as a person uses it."""

from __future__ import annotations

import csv
import io
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

KEPT = Path(__file__).parents[2] / "logs" / "browser"
CELLS = [f"{style}-{photo}" for style in ("starry_night", "great_wave") for photo in ("chenonceau", "astronaut", "kitten")]


def boxes(page, selector: str) -> list[dict[str, float]]:
    return [one.bounding_box() for one in page.query_selector_all(selector)]


def shown(page) -> Image.Image:
    return Image.open(io.BytesIO(page.locator("#viewer-stage").screenshot())).convert("RGB")


def like(seen: Image.Image, picture: Path, left: float, right: float) -> float:
    """How far a part of what is seen is from the same part of a picture, in levels of 255; below the names."""
    width, height = seen.size
    area = (int(left * width), height // 4, int(right * width), height * 9 // 10)
    expected = Image.open(picture).convert("RGB").resize(seen.size).crop(area).resize((8, 8), Image.Resampling.BOX)
    got = seen.crop(area).resize((8, 8), Image.Resampling.BOX)
    return float(np.abs(np.asarray(expected, float) - np.asarray(got, float)).mean())


def slide(page, share: float) -> None:
    """Drag the line to a share of the picture's width."""
    box = page.locator("#viewer-stage").bounding_box()
    now = page.locator("#viewer-line").bounding_box()
    page.mouse.move(now["x"] + 1, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()


def column(page, number: int) -> list[str]:
    return page.locator(".table tbody tr").evaluate_all("(rows, n) => rows.map((row) => row.cells[n].textContent)", number)


def test_open(visit, keep):
    """If this fails, a picture is missing or not in its row and column, or the page says nothing of how it was made."""
    page = visit()
    keep(page, full_page=True)
    assert page.title() == "Styles × photographs"
    loaded = "(images) => images.every((image) => image.complete && image.naturalWidth > 0)"
    assert page.locator("main img").evaluate_all(loaded)
    found = boxes(page, ".sheet td img")
    middles = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in found]
    assert len(middles) == 6
    for first, second in zip(middles[:3], middles[3:], strict=True):
        assert abs(first[0] - second[0]) < 2 and first[1] < second[1], "not in one column"
    for row in (middles[:3], middles[3:]):
        assert all(left[0] < right[0] and abs(left[1] - right[1]) < 2 for left, right in pairwise(row)), "not in one row"
    heads = boxes(page, ".sheet thead th")
    assert all(abs(h["x"] + h["width"] / 2 - m[0]) < 2 for h, m in zip(heads, middles, strict=False)), (
        "labels are elsewhere"
    )
    facts = page.locator(".facts").inner_text()
    assert facts.startswith("96 px · 8 steps · seed 0 · nst_lightning ")
    assert page.locator(".links a").evaluate_all("(links) => links.map((a) => a.textContent)") == [
        "figure.png",
        "table.csv",
        "cells/",
    ]


def test_links_lead_somewhere(visit, folder):
    """If this fails, a link of the page, or of the page about several studies, leads to nothing."""
    for name in ("logs/studies/grid/index.html", "report/index.html"):
        page = visit(name)
        links = page.locator("main a").evaluate_all("(links) => links.map((link) => link.href)")
        paths = [Path(link.removeprefix("file://").split("#")[0]) for link in links]
        assert len(paths) >= 9 and all(path.exists() for path in paths)
        assert folder / "logs/studies/grid/table.csv" in paths
        assert folder / f"logs/studies/grid/cells/{CELLS[0]}/config.yaml" in paths


def test_enlarge(visit, keep, folder):
    """If this fails, a click does not show the cell that was clicked, large, with its numbers, or there is no way back."""
    page = visit()
    for number in (0, 4):
        thumb = page.locator("button[data-cell]").nth(number)
        thumb.click()
        assert page.locator("#viewer-label").inner_text() == CELLS[number].replace("_", " ").replace("-", " · ")
        assert page.locator("#viewer-count").inner_text() == f"{number + 1} of 6"
        assert like(shown(page), folder / f"logs/studies/grid/cells/{CELLS[number]}/result.png", 0.2, 1) < 4
        page.keyboard.press("Escape")
        assert not page.locator("#viewer").is_visible()
        assert thumb.evaluate("(node) => node === document.activeElement"), "the keyboard has lost its place"
    page.locator("button[data-cell]").first.click()
    keep(page)
    stage, thumb = page.locator("#viewer-stage").bounding_box(), boxes(page, ".sheet td img")[0]
    assert stage["width"] >= thumb["width"]
    page.keyboard.press("ArrowRight")
    page.locator("#viewer-next").click()
    assert page.locator("#viewer-label").inner_text() == "starry night · kitten"
    page.keyboard.press("ArrowLeft")
    assert page.locator("#viewer-label").inner_text() == "starry night · astronaut"
    with (folder / "logs/studies/grid/table.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["cell"] == "starry_night-astronaut")
    settings = dict(zip(*(page.locator(f"#viewer-settings {tag}").all_inner_texts() for tag in ("dt", "dd")), strict=True))
    assert float(settings["total"]) == pytest.approx(float(row["total"]), rel=1e-3) and settings["steps"] == "8"
    page.mouse.click(5, 5)
    assert not page.locator("#viewer").is_visible()


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_slide_before_and_after(visit, keep, folder, share):
    """If this fails, a side of the line shows another picture than its name says."""
    page = visit()
    page.locator("button[data-cell]").first.click()
    slide(page, share)
    keep(page)
    stage, line = page.locator("#viewer-stage").bounding_box(), page.locator("#viewer-line").bounding_box()
    at = (line["x"] + line["width"] / 2 - stage["x"]) / stage["width"]
    assert at == pytest.approx(share, abs=0.06)
    seen, result = shown(page), folder / f"logs/studies/grid/cells/{CELLS[0]}/result.png"
    content = folder / "images/content/chenonceau.jpg"
    assert like(seen, content, 0, at - 0.1) < 6 < like(seen, result, 0, at - 0.1)
    assert like(seen, result, at + 0.1, 1) < 6 < like(seen, content, at + 0.1, 1)
    for name, text, left, right in (("left", "content image", 0, at), ("right", "starry night · chenonceau", at, 1)):
        label = page.locator(f"#viewer-{name}")
        box = label.bounding_box()
        assert label.inner_text() == text
        assert box["x"] >= stage["x"] + left * stage["width"] - 2
        assert box["x"] + box["width"] <= stage["x"] + right * stage["width"] + 2, f"{text} is not on its side"


def test_slide_cell_against_cell(visit, keep, folder):
    """If this fails, two cells cannot be compared, or the choice is lost on the way to the next cell."""
    page = visit()
    page.locator("button[data-cell]").first.click()
    page.locator("#viewer-choice").select_option(label="great wave · chenonceau")
    keep(page)
    first, other = (folder / f"logs/studies/grid/cells/{CELLS[n]}/result.png" for n in (0, 3))
    seen = shown(page)
    assert like(seen, other, 0, 0.4) < 4 < like(seen, first, 0, 0.4)
    assert like(seen, first, 0.6, 1) < 4 < like(seen, other, 0.6, 1)
    assert page.locator("#viewer-left").inner_text() == "great wave · chenonceau"
    page.locator("#viewer-range").focus()
    page.keyboard.press("End")
    assert like(shown(page), other, 0, 0.9) < 4, "the keyboard does not move the line"
    page.locator("#viewer-next").click()
    assert page.locator("#viewer-choice").evaluate("(node) => node.selectedOptions[0].text") == "great wave · chenonceau"
    options = page.locator("#viewer-choice option").all_inner_texts()
    assert options[0] == "content image" and len(options) == 6, "a cell is compared with itself"


def test_the_command_makes_the_cell(visit, folder):
    """If this fails, the command that is copied does not make the picture that is shown."""
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.locator("button[data-cell]").nth(5).click()
    page.locator("#viewer-copy").click()
    page.get_by_text("copied").wait_for()
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert words[:4] == ["python", "-m", "nst_lightning", "fit"]
    subprocess.run([sys.executable, *words[1:]], cwd=folder, check=True, capture_output=True, timeout=120)
    again = np.asarray(Image.open(folder / f"{CELLS[5]}.png"), float)
    cell = np.asarray(Image.open(folder / f"logs/studies/grid/cells/{CELLS[5]}/result.png"), float)
    assert np.abs(again - cell).max() <= 8 and np.abs(again - cell).mean() < 0.1  # another number of threads


def test_sort(visit, keep):
    """If this fails, the table is not sorted by numbers, or there is no way back to the order of the grid."""
    page = visit()
    names = page.locator(".table thead th").all_inner_texts()
    number = [name.strip().rstrip("↑↓") for name in names].index("total")
    button = page.locator(".table thead th button").nth(number)
    first = column(page, 0)
    assert first == CELLS
    orders = []
    for _ in range(3):
        button.click()
        orders.append([float(value) for value in column(page, number)])
        assert page.locator("[aria-sort]").count() == (1 if len(orders) < 3 else 0)
    keep(page)
    assert orders[0] == sorted(orders[0]) and orders[1] == sorted(orders[0], reverse=True)
    assert column(page, 0) == first


def test_columns_are_explained(visit):
    """If this fails, a column has no explanation where the mouse is, or none below the table."""
    page = visit()
    heads = page.locator(".table thead th").evaluate_all("(heads) => heads.slice(1).map((th) => th.title)")
    below = page.locator(".meanings dd").all_inner_texts()
    assert heads == below and all(len(text) > 10 for text in heads)


def test_curves(visit, keep):
    """If this fails, the curves cannot be told apart, seen over steps, or lead to their pictures."""
    page = visit()
    assert page.locator(".by-seconds").is_visible() and not page.locator(".by-steps").is_visible()
    page.locator(".plot label").nth(1).click()
    assert page.locator(".by-steps").is_visible() and not page.locator(".by-seconds").is_visible()
    page.locator(".legend button").nth(4).hover()
    keep(page)
    faded = "(curves) => curves.map((curve) => getComputedStyle(curve.querySelector('path')).opacity < 0.5)"
    assert page.locator(".by-steps .curve").evaluate_all(faded) == [True, True, True, True, False, True]
    page.locator(".legend button").nth(4).click()
    assert page.locator("#viewer-label").inner_text() == "great wave · astronaut"


def test_a_failed_cell(visit, keep):
    """If this fails, a failed cell is not in its place with its message, or the viewer breaks on it."""
    page = visit("logs/studies/other/index.html")
    keep(page, full_page=True)
    page.locator("button[data-cell]").nth(1).click()
    keep(page, "viewer")
    assert "no such file" in page.locator("#viewer-error").inner_text()
    assert not page.locator("#viewer-stage").is_visible() and not page.locator("#viewer-made").is_visible()
    page.locator("#viewer-next").click()
    assert page.locator("#viewer-stage").is_visible()


@pytest.mark.parametrize("width", [320, 390])
def test_phone(visit, keep, width):
    """If this fails, a phone has to scroll sideways, or does not show a whole picture when it is tapped."""
    page = visit(viewport={"width": width, "height": 720}, device_scale_factor=2, has_touch=True, is_mobile=True)
    keep(page, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("button[data-cell]").nth(1).tap()
    keep(page, "viewer")
    dialog, stage = page.locator("#viewer").bounding_box(), page.locator("#viewer-stage").bounding_box()
    for box in (dialog, stage):
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert page.locator("#viewer").evaluate("(node) => node.scrollWidth <= node.clientWidth")
    page.touchscreen.tap(stage["x"] + 0.7 * stage["width"], stage["y"] + stage["height"] / 2)
    assert 55 <= int(page.locator("#viewer-range").input_value()) <= 85


def luminance(color: str) -> float:
    channels = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(visit, keep, scheme):
    """If this fails, text cannot be read by day or at night (WCAG: 4.5 to 1)."""
    page = visit("logs/studies/other/index.html", color_scheme=scheme)
    keep(page, full_page=True)
    style = "(node, name) => getComputedStyle(node)[name]"
    paper = luminance(page.locator("body").evaluate(style, "backgroundColor"))
    assert (paper < 0.1) == (scheme == "dark")
    for selector in ("h1", "p.note", "main a", ".meanings dt", ".sheet .label", ".plot text", "thead button"):
        node = page.locator(selector).first
        ink = luminance(node.evaluate(style, "fill" if selector == ".plot text" else "color"))
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5, selector
    page.locator("button[data-cell]").first.click()
    keep(page, "viewer")


def squeezed(text: str) -> str:
    """Without what lines of a PDF end in."""
    return re.sub(r"[\s\-\x02\xad\ufffe]", "", text)


def test_print(visit, folder):
    """If this fails, a printed page lacks a row, a column, a picture, a curve or a setting, or is black."""
    import pypdfium2

    page = visit(color_scheme="dark")
    data = page.pdf(prefer_css_page_size=True, print_background=True)
    document = pypdfium2.PdfDocument(data)
    KEPT.mkdir(parents=True, exist_ok=True)
    text, pictures = "", 0
    for number in range(len(document)):
        sheet = document[number]
        image = sheet.render(scale=1.5).to_pil().convert("L")
        image.save(KEPT / f"print-{number + 1}.png")
        assert image.getpixel((3, 3)) > 250, "the paper is not white"
        words = sheet.get_textpage()
        text += squeezed(words.get_text_bounded())
        width = sheet.get_size()[0]
        for found in sheet.get_objects():
            left, _, right, _ = found.get_bounds() if found.type == 3 else (0, 0, width, 0)
            assert left >= 0 and right <= width + 1, "a picture leaves the paper"
            pictures += found.type == 3
    assert pictures >= 6 + 3 + 2, "cells, and labels of rows and columns"
    with (folder / "logs/studies/grid/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert squeezed(row["cell"]) in text and squeezed(row["data.content"]) in text
    heads = page.locator(".table thead th").evaluate_all("(heads) => heads.map((th) => th.textContent)")
    values = page.locator(".table td").evaluate_all("(cells) => cells.map((td) => td.textContent)")
    meanings = page.locator("dd").evaluate_all("(cells) => cells.map((dd) => dd.textContent)")
    for expected in [*heads, *values, *meanings]:
        assert squeezed(expected) in text, expected
    for label in page.locator(".legend span").all_inner_texts():
        assert squeezed(label) in text
    assert "seconds" in text and "steps" in text


def test_without_javascript(visit, keep):
    """If this fails, somebody who forbids scripts sees no pictures, no curves or no numbers."""
    page = visit(java_script_enabled=False)
    keep(page, full_page=True)
    for selector in (".sheet td img", ".by-seconds svg", ".table td", ".meanings dd"):
        assert page.locator(selector).first.is_visible()


def test_report(visit, keep):
    """If this fails, the page about several studies mixes them up."""
    page = visit("report/index.html")
    keep(page, full_page=True)
    page.locator("nav a", has_text="Two noises").click()
    section = page.locator("section").nth(1)
    section.locator("button[data-cell]").first.click()
    assert page.locator("#viewer-count").inner_text() == "1 of 2"
    assert page.locator("#viewer-label").inner_text() == "noise"
