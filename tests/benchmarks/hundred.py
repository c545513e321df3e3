"""The default objective up to 100 million pixels: its memory, from the files to the written picture."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from rich.console import Console

from tests.benchmarks.steps import ROOT

SIZE = 11585  # 11585 x 8689 pixels
MOST = 7e9  # bytes of the whole process
IMAGES = ROOT / "images"
WORDS = [
    "fit",
    str(IMAGES / "content/chenonceau.jpg"),
    f"--data.style=[{IMAGES}/style/starry_night.jpg,{IMAGES}/style/harvest.jpg]",
    f"--data.content_mask={IMAGES}/masks/chenonceau.png",
    f"--data.style_mask=[{IMAGES}/masks/starry_night.png,{IMAGES}/masks/harvest.png]",
    *("--data.color=oklab", "--data.style_size=2048", "--model.tile=512"),
    # from 512 px by doublings, a step at each: the last one keeps what the others made
    *("--model.scales=[{size: 1.0, steps: 1, most: 512}]", "--model.neighbors.axes=32", "--trainer.max_steps=6"),
    *("--trainer.enable_progress_bar=false", "--output=large.png"),
]
PROGRAM = (
    "import sys; from nst_lightning.threads import let_threads_sleep; let_threads_sleep()\n"
    "from nst_lightning.main import main; from nst_lightning.objective.memory import peak_memory\n"
    "code = main(sys.argv[1:]); print(peak_memory()); sys.exit(code)"
)


def report(console: Console, size: int = SIZE) -> dict[str, Any]:
    """A step a scale, with neighbours, moments, layers by themselves, regions and hues: over an hour on two cores.

    Raises:
        RuntimeError: if the command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        command = [sys.executable, "-c", PROGRAM, *WORDS, f"--data.size={size}"]
        done = subprocess.run(
            command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
    *_, line, peak = done.stdout.splitlines()
    seconds = time.monotonic() - start
    verdict = "yes" if int(peak) <= MOST else "NO"
    console.print(
        f"{line}\npeak of the process {int(peak) / 1e9:.2f} GB (target {MOST / 1e9:g}): {verdict}; {seconds:.0f} s"
    )
    return {"size": size, "peak": int(peak), "seconds": seconds, "target": MOST}
