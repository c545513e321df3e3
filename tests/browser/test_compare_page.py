"""The page that asks people which results they prefer, as a person uses it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFilter, ImageOps, ImageStat

from nst_lightning.main import main

IMAGES = Path(__file__).parents[2] / "images"
NAMES = ("kitten_great_wave", "chenonceau_starry_night")
SHOWN = ["photograph", "left", "right"]
LOADED = "(images) => images.every((image) => image.complete && image.naturalWidth > 0)"


@pytest.fixture(scope="module")
def judging(folder) -> Path:
    """Two methods over two pairs, as a page: one blurs the photograph, the other inverts it."""
    for method, change in (("blurred", ImageFilter.GaussianBlur(3)), ("inverse", None)):
        (folder / method).mkdir()
        for name in NAMES:
            photo = Image.open(IMAGES / "content" / f"{name.split('_')[0]}.jpg").convert("RGB")
            photo.thumbnail((320, 320))
            made = photo.filter(change) if change else ImageOps.invert(photo)
            made.save(folder / method / f"{name}.png")
    words = ["blurred", "inverse", "--content", "images/content", "--style", "images/style", "--output", "cmp"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["compare", *words]) == 0
    return folder / "cmp"


@pytest.fixture
def visit_judge(visits, judging):
    """Open the page alone, without the key; at the end nothing was said on the console and no host was asked."""
    alone = judging.parent / "sent"
    shutil.rmtree(alone, ignore_errors=True)
    shutil.copytree(judging / "judge", alone)
    yield lambda **options: visits.open((alone / "index.html").as_uri(), **options)
    visits.close()
    assert not visits.said, visits.said
    assert all(url.startswith(("file:", "data:", "blob:")) for url in visits.asked), visits.asked


def test_judge_by_keyboard(visit_judge, judging, keep, capsys, monkeypatch):
    """If this fails, somebody's answers are lost, or counted for the other method."""
    page = visit_judge(accept_downloads=True)
    assert page.locator("#asking img").evaluate_all(LOADED)
    keep(page)
    pairs = json.loads(page.locator("main").get_attribute("data-pairs"))
    questions = list(json.loads(page.locator("main").get_attribute("data-questions")))
    assert len(pairs) == 2 and len(questions) == 3
    key = json.loads((judging / "key.json").read_text())
    text = json.dumps(key)
    assert "blurred" in text and "blurred" not in page.content(), "the page gives away what made which picture"
    for number in range(len(pairs) * len(questions)):
        assert f"question {number % 3 + 1} of 3" in page.locator("#place").inner_text()
        left = Image.open(judging / "judge" / f"{pairs[number // 3]['left']}.png").convert("RGB")
        photo = Image.open(judging / "judge" / f"{pairs[number // 3]['photograph']}.png").convert("RGB").resize(left.size)
        likeness = max(ImageStat.Stat(ImageChops.difference(left, photo)).mean)
        page.keyboard.press("ArrowLeft" if likeness < 30 else "ArrowRight")  # the blurred one, wherever it is
    assert page.locator("#done").is_visible() and not page.locator("#asking").is_visible()
    keep(page, "done")
    with page.expect_download() as download:
        page.locator("#done .save").click()
    answers = judging / "answers-test.csv"
    download.value.save_as(answers)
    rows = list(csv.DictReader(answers.open()))
    assert len(rows) == 6 and {row["answer"] for row in rows} <= {"left", "right"}
    monkeypatch.chdir(judging.parent)
    capsys.readouterr()
    assert main(["compare", "--tally", str(answers), "--key", "cmp/key.json", "--output", "tally.csv"]) == 0
    said = capsys.readouterr().out
    assert "blurred" in said and "inverse" in said
    tally = list(csv.DictReader((judging.parent / "tally.csv").open()))
    best = [row for row in tally if "blurred" in row.values()]
    assert best, tally


def test_back_and_reload(visit_judge):
    """If this fails, a slip of the finger stays, or a reload forgets an hour of work."""
    page = visit_judge()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.locator("#progress").get_attribute("value") == "2"
    page.keyboard.press("Backspace")
    assert page.locator("[data-answer=right]").get_attribute("aria-pressed") == "true"
    page.keyboard.press("ArrowLeft")
    page.reload()
    assert page.locator("#progress").get_attribute("value") == "2"
    rows = list(csv.DictReader(page.locator("#csv").input_value().splitlines()))
    assert [row["answer"] for row in rows] == ["none", "left"]


def test_enlarge(visit_judge, keep):
    """If this fails, nobody can see strokes."""
    page = visit_judge()
    page.keyboard.press("z")
    assert page.locator("#viewer").is_visible() and "left" in page.locator("#viewer-name").inner_text()
    seen = page.locator("#viewer-picture").get_attribute("src")
    page.keyboard.press("ArrowRight")
    assert page.locator("#viewer-picture").get_attribute("src") != seen
    page.keyboard.press("ArrowDown")
    assert "painting" in page.locator("#viewer-name").inner_text()
    keep(page)
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(visit_judge, keep, scheme):
    """If this fails, the page is wider than a phone, or its answers are out of reach."""
    page = visit_judge(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    keep(page, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("left", "none", "right"):
        box = page.locator(f"[data-answer={name}]").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["height"] >= 30
    page.locator("[data-answer=right]").click()
    assert page.locator("#progress").get_attribute("value") == "1"
