"""Runs beside other work: how much longer than alone, where every thread has to share its core.

``python -m nst_lightning fit`` at 128 px, 20 steps, as a person starts it: two at once, one beside a process that keeps a
core busy, and one alone against one alone whose waiting threads spin (as OpenMP's do unless somebody says otherwise). All
in turn, so that whatever else the machine does falls on all of them; the worst turn counts.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from nst_lightning.threads import SLEEP_SOON
from tests.benchmarks.steps import PICTURES, ROOT

TURNS = 5
TWO_TARGET = 2.6  # times one alone
BUSY_TARGET = 2.5  # likewise
ALONE_TARGET = 1.05  # times one alone with threads that spin
SPINNING = {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}  # the libraries' own
SETTINGS = (*SLEEP_SOON, "OMP_WAIT_POLICY", "OMP_NUM_THREADS")


def seconds_of(count: int, settings: dict[str, str]) -> float:
    """The seconds of the longest of several runs at once, as their last lines give them: loading Python is not in it."""
    words = [*PICTURES, "--data.size", "128", "--trainer.max_steps", "20", "--trainer.accelerator", "cpu"]
    command = [sys.executable, "-m", "nst_lightning", "fit", *words, "--trainer.enable_progress_bar", "false"]
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment |= {"PYTHONPATH": str(ROOT)} | settings
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder) / str(number) for number in range(count)]
        for home in homes:
            home.mkdir()
        runs = [subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True) for home in homes]
        said = [run.communicate()[0] for run in runs]
    found = [re.search(r"· ([\d.]+) s\b", text) for text in said]
    assert all(found), said
    return max(float(match.group(1)) for match in found if match)


@contextmanager
def busy_core() -> Iterator[None]:
    """Inside, another process computes without a pause."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def report(console: Console) -> dict[str, Any]:
    """Measure in turn, print the worst of the turns."""
    kinds: dict[str, list[float]] = {name: [] for name in ("alone", "spinning", "two at once", "beside a busy core")}
    alone, spinning, two, busy = kinds.values()
    seconds_of(1, {})  # files come into the cache
    for _turn in range(TURNS):
        alone.append(seconds_of(1, {}))
        spinning.append(seconds_of(1, SPINNING))
        two.append(seconds_of(2, {}))
        with busy_core():
            busy.append(seconds_of(1, {}))
        turn = (f"{name} {times[-1]:.1f} s" for name, times in kinds.items())
        console.print(", ".join(turn))
    found: dict[str, Any] = dict(kinds)
    middle = statistics.median(alone)
    for name, seconds, base, target in (
        ("two at once", two, middle, TWO_TARGET),
        ("beside a busy core", busy, middle, BUSY_TARGET),
        ("alone, against threads that spin", alone, max(spinning), ALONE_TARGET),  # the worst against the worst
    ):
        found[f"ratio: {name}"] = ratio = max(seconds) / base
        times = ", ".join(f"{value:.1f}" for value in seconds)
        verdict = "yes" if ratio <= target else "NO"
        console.print(f"{name}: {times} s; at worst {ratio:.2f} times {base:.1f} s (target {target}): {verdict}")
    return found
