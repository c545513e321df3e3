"""A real study in a real browser: Chromium of the system, driven by Playwright. Its pictures are kept in logs/browser/."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nst_lightning.main import main

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "logs" / "browser"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "no Chromium: make test-browser says how to get it"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Iterator[Path]:
    """Where two studies were run: a grid of two styles and three photographs, and one in which a cell fails."""
    here = tmp_path_factory.mktemp("browser")
    (here / "images").symlink_to(ROOT / "images")
    (here / "grid.yaml").write_text(
        "title: Styles × photographs\nbase: [transfer, wasserstein]\ntext: What to see.\n"
        "rows: {setting: data.style, values: [images/style/starry_night.jpg, images/style/great_wave.jpg]}\n"
        "columns: {setting: data.content, values: [images/content/chenonceau.jpg, images/content/astronaut.jpg,"
        " images/content/kitten.jpg]}\n"
    )
    (here / "other.yaml").write_text(
        "title: Two noises\nbase: [transfer, wasserstein]\nshow: [start, result]\ndifference: columns\n"
        "columns: {setting: model.init, values: [noise, images/missing.jpg]}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        words = ["--data.size", "96", "--trainer.max_steps", "8", "--trainer.precision", "32-true"]
        assert main(["study", "grid.yaml", "other.yaml", *words, "--report", "report"]) == 1  # a cell fails
        yield here


class Visits:
    """Pages that were opened in a browser, what they said on the console and which addresses they asked for."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.contexts: list[Any] = []
        self.said: list[str] = []
        self.asked: list[str] = []

    def open(self, address: str, **options: Any) -> Any:
        """A page, in a context of its own."""
        context = self.browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(address)
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()


@pytest.fixture
def visits(browser) -> Iterator[Visits]:
    """For the pages of one test."""
    made = Visits(browser)
    yield made
    made.close()


@pytest.fixture
def visit(visits, folder) -> Iterator[Any]:
    """Open a page of the studies; at the end, nothing was said on the console and nothing asked of any host."""
    yield lambda name="logs/studies/grid/index.html", **options: visits.open((folder / name).as_uri(), **options)
    visits.close()
    assert not visits.said, visits.said
    assert all(url.startswith(("file:", "data:")) for url in visits.asked), visits.asked
    assert sum(url.startswith("file:") for url in visits.asked) == len(visits.contexts), visits.asked


@pytest.fixture
def keep(request) -> Any:
    """Keep a picture of a page, named after the test, to be looked at."""
    KEPT.mkdir(parents=True, exist_ok=True)

    def shoot(page: Any, name: str = "", **options: Any) -> Path:
        path = KEPT / f"{request.node.name.removeprefix('test_')}{name and '-' + name}.png"
        page.screenshot(path=path, **options)
        return path

    return shoot
