"""The README's picture of the page to paint on: ``python -m tests.browser.picture``, near the end of a run."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from pathlib import Path

from PIL import Image

from tests.browser.test_ui_page import PAINTING, PHOTO, ROOT, Server, wait_for

SHARE = 0.93  # of the steps: the last sizes take most of the time


def main() -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder) / "pictures")
        server.start()
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.goto(server.address)
        page.set_input_files("#photo input[type=file]", PHOTO)
        page.set_input_files("#painting input[type=file]", PAINTING)
        page.locator("#preset label", has_text="standard").click()
        page.click("#go")
        wait_for(page, "step")
        while True:
            found = re.search(r"step (\d+) of (\d+)", page.inner_text("#status"))
            if found is None or int(found[1]) > SHARE * int(found[2]):
                break
            time.sleep(0.3)
        page.screenshot(path=f"{folder}/page.png")
        picture = Image.open(f"{folder}/page.png").convert("RGB")
        picture.save(ROOT / "images" / "results" / "ui.jpg", quality=85, optimize=True)
        browser.close()
        server.stop()


if __name__ == "__main__":
    main()
