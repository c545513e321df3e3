"""The page to paint on, as a person uses it: the real command, in a real browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
PHOTO, PAINTING = str(IMAGES / "content/chenonceau.jpg"), str(IMAGES / "style/starry_night.jpg")
OTHER = str(IMAGES / "style/harvest.jpg")
# of the library that draws the brush, when it is loaded, and of a stream that a reload ends
HARMLESS = (
    "Method not implemented.",
    "Pixi",
    "console.group",
    "    at ",
    "GL Driver Message",
    "AbortError: signal is aborted",
    "Connection errored out",
)


class Server:
    """``nst ui`` in a process of its own; may be started again in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""

    def start(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "GOMP_SPINCOUNT": "1000"}
        words = ["ui", "--folder", str(self.folder), "--port", "7900"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nst_lightning", *words], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.address = found[0]
                return
        raise AssertionError("the page did not start")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=90)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("ui") / "pictures")
    made.start()
    yield made
    assert made.stop() == 0


@pytest.fixture
def open_ui(visits, server) -> Iterator[Any]:
    """Open the page; at the end nothing was said on the console, and no other host was asked."""

    def open_page(**options: Any) -> Any:
        wanted = {"viewport": {"width": 1280, "height": 1200}, "accept_downloads": True} | options
        page = visits.open(server.address, **wanted)
        page.wait_for_selector("#go")
        return page

    yield open_page
    visits.close()
    unknown = [text for text in visits.said if not any(known in text for known in HARMLESS)]
    assert not unknown, unknown
    assert all(url.startswith((server.address, "data:", "blob:")) for url in visits.asked), visits.asked


def drop(page, photo: str = PHOTO, *paintings: str) -> None:
    page.set_input_files("#photo input[type=file]", photo)
    page.set_input_files("#painting input[type=file]", list(paintings or [PAINTING]))
    page.locator("#size label", has_text="256").click()
    page.wait_for_function("document.querySelector('#cost').innerText.includes('This will take')")
    page.wait_for_function("document.querySelectorAll('#painting img').length > 0")


def wait_for(page, word: str, seconds: int = 120) -> str:
    page.wait_for_function(f"document.querySelector('#status').innerText.includes({word!r})", timeout=1000 * seconds)
    return page.inner_text("#status")


def shown(page) -> np.ndarray:
    """The painted half of the slider."""
    import io

    seen = Image.open(io.BytesIO(page.locator("#result").screenshot())).convert("RGB")
    return np.asarray(seen.crop((seen.width * 6 // 10, seen.height // 5, seen.width, seen.height * 4 // 5)), dtype=int)


def test_drop_paint_and_keep(open_ui, keep, server):
    """If this fails, a person who drops two pictures and presses Paint gets no painting, or cannot keep it."""
    page = open_ui()
    keep(page, "empty")
    drop(page)
    assert re.search(r"This will take about \d+ (seconds|minutes) and \d\.\d GB\.", page.inner_text("#cost"))
    page.click("#go")
    page.wait_for_selector("#result img", timeout=60_000)
    keep(page, "forming")
    assert "256 x 192 · draft" in wait_for(page, "Done")
    keep(page, "done", full_page=True)
    page.wait_for_selector("#history img")
    page.locator("#history img").first.click()
    page.wait_for_function("document.querySelector('#command textarea').value.startsWith('nst fit')")
    assert "--preset draft" in page.input_value("#command textarea") and "style_weight" in page.input_value(
        "#config textarea"
    )
    with page.expect_download() as download:
        page.locator("#files a").first.click()
    assert Image.open(download.value.path()).size == (256, 192)
    keep(page, "kept", full_page=True)


def test_steer_stop_and_continue(open_ui, keep):
    """If this fails, a dial does nothing while it paints, or a stop loses the picture."""
    page = open_ui()
    drop(page)
    page.click("#go")
    wait_for(page, "step")
    page.locator("#color label", has_text="the photograph's").click()
    time.sleep(2)
    grey = shown(page)
    keep(page)
    page.click("#stop")
    assert "stopped at step" in wait_for(page, "Stopped", 30)
    photo = np.asarray(Image.open(PHOTO).convert("RGB").resize((64, 48)), dtype=int)
    # the photograph's colours: its mean colour, not the painting's blue
    assert np.abs(grey.mean(axis=(0, 1)) - photo.mean(axis=(0, 1))).max() < 45
    page.click("#continue")
    wait_for(page, "step")
    assert "Done" in wait_for(page, "Done")


def test_reload_in_mid_run_and_a_second_tab(open_ui):
    """If this fails, whoever reloads the page has lost the picture, or two tabs paint into each other."""
    page, other = open_ui(), open_ui()
    drop(page)
    drop(other, PHOTO, OTHER)
    page.click("#go")
    wait_for(page, "step")
    other.click("#go")
    wait_for(other, "Waiting: 1 before this one")
    page.reload()
    page.wait_for_selector("#go")
    wait_for(page, "step")
    wait_for(page, "Done")
    wait_for(other, "Done")


def test_brush_leaves_a_part(open_ui, keep, server):
    """If this fails, what was painted over is not left as it is."""
    page = open_ui()
    drop(page)
    page.get_by_text("Brush: leave a part").click()
    page.click("#take")
    canvas = page.locator("#brush canvas").first
    canvas.wait_for()
    time.sleep(2)
    page.locator("#brush button[title=Brush]").click()
    time.sleep(1)
    box = canvas.bounding_box()
    for share in np.linspace(0.3, 0.7, 5):
        page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + share * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + share * box["height"], steps=12)
        page.mouse.up()
    keep(page, "painted", full_page=True)
    page.click("#go")
    wait_for(page, "Done")
    newest = sorted(path for path in server.folder.iterdir() if (path / "painting.json").exists())[-1]
    assert (newest / "mask.png").exists() and (newest / "cut.png").exists()
    mask = np.asarray(Image.open(newest / "mask.png").convert("L").resize((256, 192))) > 127
    assert 0.03 < mask.mean() < 0.9
    photo = np.asarray(Image.open(PHOTO).convert("RGB").resize((256, 192), Image.Resampling.LANCZOS), dtype=int)
    difference = np.abs(np.asarray(Image.open(newest / "result.png").convert("RGB"), dtype=int) - photo).mean(axis=2)
    assert difference[mask].mean() < difference[~mask].mean() / 2
    keep(page, "done")


def test_variants(open_ui, keep):
    """If this fails, there are not four to choose from, or choosing one turns no dial."""
    page = open_ui()
    drop(page)
    page.get_by_text("Variants: four small ones").click()
    page.click("#four")
    page.wait_for_function("document.querySelectorAll('#variants img').length === 4", timeout=200_000)
    keep(page, full_page=True)
    page.locator("#variants img").first.click()
    page.wait_for_function("document.querySelector('#balance input[type=number]').value === '1.5'")


def test_a_text_file_is_refused_in_words(open_ui, tmp_path):
    """If this fails, a wrong file breaks the page, or is taken for a picture."""
    (tmp_path / "notes.jpg").write_text("no picture")
    page = open_ui()
    page.set_input_files("#photo input[type=file]", str(tmp_path / "notes.jpg"))
    page.wait_for_function("document.querySelector('#cost').innerText.includes('cannot be used')")
    page.click("#go")
    page.get_by_text("Drop a painting first").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(open_ui, keep, scheme):
    """If this fails, the page is wider than a phone, or white on white."""
    page = open_ui(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    keep(page, scheme, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 392
    box = page.locator("#go").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["height"] >= 30


def test_history_after_a_restart(open_ui, server):
    """If this fails, what was painted is gone when the program is started again."""
    before = len([path for path in server.folder.iterdir() if (path / "painting.json").exists()])
    assert before and server.stop() == 0
    server.start()
    page = open_ui()
    page.wait_for_function(f"document.querySelectorAll('#history img').length === {before}")
