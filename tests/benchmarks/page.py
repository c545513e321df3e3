"""The page to paint on: how soon it is there, how soon the first picture, and what painting through it costs.

Through Gradio's own client, in turn with ``fit``: the same pictures, preset and size. ``fit`` is what a person waits for
who types it, start-up included, as the page's time goes from the press of the button to the finished picture, with its PNG
and TIFF in the history. Its own last line, which counts from the reading of the pictures on, is shown beside it.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks.steps import PICTURES, ROOT

FIRST, THERE, RATIO = 2.0, 3.0, 1.1  # seconds to the first picture, to the page; times the seconds of fit
TURNS = 3
SIZE = 384


def fit_seconds(folder: str) -> tuple[float, float]:
    """Of one run of the command: in all, and as its last line has them."""
    words = [*PICTURES, "--preset", "draft", "--size", str(SIZE), "-o", "a.png", "--trainer.enable_progress_bar", "false"]
    command = [sys.executable, "-m", "nst_lightning", "fit", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    said = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    whole = time.perf_counter() - start
    found = re.search(r"· ([\d.]+) s\b", said)
    assert found, said
    return whole, float(found[1])


def page_seconds(client: Any) -> tuple[float, float]:
    """Until the first picture, and in all, of one painting through the page."""
    from gradio_client import handle_file

    photo, painting = (handle_file(path) for path in PICTURES)
    dials = ["draft", str(SIZE), 0, 1, "the painting's", 0]
    start, first = time.perf_counter(), None
    job = client.submit(photo, [{"image": painting, "caption": None}], None, "leave as it is", *dials, api_name="/paint")
    while not job.done():
        if first is None and any("Painting: step" in str(one[1]) for one in job.outputs()):
            first = time.perf_counter() - start
        time.sleep(0.02)
    said = str(job.result()[1])
    found = re.search(r"draft · (\d+) s", said)
    assert found and first is not None, said
    return first, time.perf_counter() - start


def report(console: Console) -> dict[str, Any]:
    """Measure in turn, and print."""
    if find_spec("gradio") is None:
        console.print("page: needs Gradio, pip install '.[ui]'")
        return {}
    import httpx
    from gradio_client import Client

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "nst_lightning", "ui", "--folder", f"{folder}/ui", "--port", "7930"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address
            start = time.perf_counter()
            httpx.get(address[0], timeout=30).raise_for_status()
            there = time.perf_counter() - start
            client = Client(address[0], verbose=False)
            rows: dict[str, list[float]] = {"first": [], "page": [], "fit": [], "fit_said": []}
            for _ in range(TURNS):
                first, whole = page_seconds(client)
                rows["first"].append(first)
                rows["page"].append(whole)
                whole, said = fit_seconds(folder)
                rows["fit"].append(whole)
                rows["fit_said"].append(said)
            records = [json.loads(path.read_text()) for path in Path(folder).glob("ui/*/painting.json")]
            assert len(records) == TURNS
            process.terminate()
    ratio, said_ratio = (
        statistics.median(a / b for a, b in zip(rows["page"], rows[name], strict=True)) for name in ("fit", "fit_said")
    )
    first = statistics.median(rows["first"])
    for name, value, target in (("the page is there", there, THERE), ("the first picture", first, FIRST)):
        console.print(f"{name}: {value:.2f} s (target {target}): {'yes' if value <= target else 'NO'}")
    console.print(f"painting through the page: {ratio:.2f} times fit (target {RATIO}): {'yes' if ratio <= RATIO else 'NO'}")
    console.print(f"{said_ratio:.2f} times what fit takes without its start-up")
    return {"there": there, "ratio": ratio, "ratio_without_startup": said_ratio, **rows}
