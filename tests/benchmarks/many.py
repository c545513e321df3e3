"""Several processes: at the cells of a study, and at one image.

``cells``: cells an hour of the engines, and what Ray costs a cell. ``ranks``: a run on two processes that share the tiles
of one image, against one process with as many threads as each of those.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from nst_lightning.engines.cluster import RayCluster
from nst_lightning.engines.engine import Engine
from nst_lightning.engines.local import Processes, Sequential
from nst_lightning.study.cells import run_cell
from nst_lightning.study.plan import Plan
from tests.benchmarks.steps import PICTURES, ROOT

CELLS = 8
SMALL_CELLS, OVERHEAD = 60, 0.05  # cells of next to no work, seconds that Ray may cost each
RANKS_TARGET = 1.6
RANKS_SIZE = 1024


def report_cells(console: Console, threads: int) -> dict[str, Any]:
    """Cells an hour: one after the other with all threads, and two workers with one thread each."""
    flags = ["--data.size", "128", "--trainer.max_steps", "60"]
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(str(ROOT / "configs/studies/gallery.yaml"), flags, Path(folder), {})
    jobs = [plan.job(number, packs=False) for number in range(CELLS)]
    found: dict[str, Any] = {}
    engines: list[tuple[str, Engine]] = [
        (f"sequential, {threads} threads", Sequential()),
        ("2 workers, 1 thread", Processes(2)),
    ]
    for name, engine in engines:
        with closing(engine):
            list(engine.map(run_cell, jobs[:2]))  # workers start, the network is loaded
            start = time.perf_counter()
            list(engine.map(run_cell, jobs))
            found[name] = CELLS / (time.perf_counter() - start) * 3600
        console.print(f"{name}: {found[name]:.0f} cells an hour (128 px, 60 steps)")
    return found | report_overhead(console)


def report_overhead(console: Console) -> dict[str, float]:
    """Seconds a cell on one worker of Ray beyond those of the same cell in this process, one thread each."""
    if find_spec("ray") is None:
        console.print("overhead of a cell: needs Ray, pip install '.[ray]'")
        return {}
    flags = ["--data.size", "32", "--trainer.max_steps", "2", "--model.scales", "none", "--trainer.accelerator", "cpu"]
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(str(ROOT / "configs/studies/gallery.yaml"), flags, Path(folder), {})
        jobs = [plan.job(number % len(plan.cells), packs=True) for number in range(SMALL_CELLS)]
    found: dict[str, float] = {}
    for name, make in (("here", Sequential), ("ray", partial(RayCluster, workers=1))):
        with closing(make()) as engine:
            list(engine.map(run_cell, [replace(job, threads=1) for job in jobs[:3]]))  # the network is loaded
            start = time.perf_counter()
            list(engine.map(run_cell, [replace(job, threads=1) for job in jobs]))
            found[name] = (time.perf_counter() - start) / SMALL_CELLS
    overhead = found["ray"] - found["here"]
    console.print(
        f"a cell of 32 px and 2 steps: {found['here']:.3f} s here, {found['ray']:.3f} s on Ray, {overhead * 1000:.0f} ms "
        f"more (target {OVERHEAD * 1000:.0f}): {'yes' if overhead <= OVERHEAD else 'NO'}"
    )
    return {"overhead": overhead, "cell_here": found["here"], "cell_ray": found["ray"]}


def seconds_of(steps: int, *flags: str) -> float:
    """The seconds of a run of the command line with one thread for each process, as its last line gives them."""
    words = [*PICTURES, "--data.size", str(RANKS_SIZE), "--model.scales", "none", "--trainer.max_steps", str(steps)]
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.limit_val_batches", "0"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "nst_lightning", "fit", *words, *quiet, *flags]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    found = re.search(r"· ([\d.]+) s\b", done.stdout)
    assert found, done.stdout
    return float(found.group(1))


def report_ranks(console: Console) -> dict[str, Any]:
    """Seconds a step at 1024 px, as the difference of a longer and a shorter run."""
    tile = ["--model.tile", "512"]
    found = {}
    for name, flags in (("one", tile), ("two", [*tile, "--trainer.devices", "2", "--trainer.strategy", "tiles"])):
        found[name] = (seconds_of(6, *flags) - seconds_of(2, *flags)) / 4
    whole = (seconds_of(6, "--model.tile", "none") - seconds_of(2, "--model.tile", "none")) / 4
    ratio = found["one"] / found["two"]
    console.print(f"{RANKS_SIZE} px, one thread each: one process {found['one']:.2f} s a step, two {found['two']:.2f} s")
    console.print(f"(one process, whole image: {whole:.2f} s)")
    verdict = "yes" if ratio >= RANKS_TARGET else "NO"
    console.print(f"two processes are {ratio:.2f} times faster (target {RANKS_TARGET}): {verdict}")
    return {**found, "whole": whole, "ratio": ratio}
