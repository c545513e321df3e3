"""How long a person waits: for an answer that needs no torch, and for the first step of a run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import lightning as L
from rich.console import Console

from tests.benchmarks.steps import PICTURES, ROOT

ANSWERS = {
    "--help": ["--help"],
    "fit --help": ["fit", "--help"],
    "study --help": ["study", "--help"],
    "--version": ["--version"],
    "a mistyped path": [PICTURES[0], "nope.jpg", "-o", "a.png"],
    "a mistyped flag": [*PICTURES, "--sise", "3"],
}
ANSWER_TARGET = 1.5  # seconds
FIRST_TARGET = 5.0
RUNS = 5


class FirstStep(L.Callback):
    """Ends the process after the first step: its time is the time until then."""

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        os._exit(0)


def seconds_of(words: list[str], program: Sequence[str] = ("-m", "nst_lightning")) -> float:
    """The median over some runs of a command, in seconds."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(RUNS):
            start = time.perf_counter()
            command = [sys.executable, *program, *words]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True)
            times.append(time.perf_counter() - start)
            assert done.returncode in (0, 2), done.stderr
    return median(times)


def report(console: Console) -> dict[str, Any]:
    """Print and return the times."""
    found = {name: seconds_of(words) for name, words in ANSWERS.items()}
    first = ["--trainer.callbacks", "tests.benchmarks.startup.FirstStep", "--output", "a.png"]
    found["the first step"] = seconds_of([*PICTURES, *first, "--trainer.enable_progress_bar", "false"])
    for name, seconds in found.items():
        target = FIRST_TARGET if name == "the first step" else ANSWER_TARGET
        verdict = "yes" if seconds <= target else "NO"
        console.print(f"{name}: {seconds:.2f} s (target {target}): {verdict}")
    # torchmetrics loads scipy where it is: here for the tests, not with a user, whose first step comes a second earlier
    found["import lightning"] = seconds_of([], ["-c", "import lightning"])
    console.print(f"of the first step, {found['import lightning']:.2f} s are those of `import lightning`")
    return found
