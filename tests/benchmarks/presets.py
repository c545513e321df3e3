"""What the presets cost: seconds beyond start-up, in steps of the bare network too, and the memory of the whole process.

Each is a command as a person types it, at 512 px and full length; and the standard at 2048 px in tiles, two steps of its
last scale, which has all that needs memory: targets, matches, a step in tiles.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from typing import Any

from rich.console import Console
from rich.table import Table

from nst_lightning.presets import PRESETS
from tests.benchmarks.steps import PICTURES, ROOT, measure_network

SIZE = 512
SECONDS = {"draft": 15.0, "standard": 90.0, "fine": 240.0}  # with bf16; without at most twice that
GIB = {SIZE: 2.0, 2048: 4.0}
LARGE = ["--data.size=2048", "--model.tile=512", "--model.scales=[{size: 1.0, steps: 1}]", "--steps=2"]


def measure(words: list[str]) -> dict[str, float]:
    """A command's own seconds, and the most memory that its process had, in GiB."""
    command = [sys.executable, "-m", "nst_lightning", *PICTURES, "-o", "a.png", *words]
    command += ["--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = process.stdout.read()
            _, code, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(code)
        found = re.search(r"· ([\d.]+) s\b", said)
        assert found, said
    unit = 1 if sys.platform == "darwin" else 1024
    return {"seconds": float(found[1]), "gib": usage.ru_maxrss * unit / 2**30}


def report(console: Console, precision: str) -> dict[str, Any]:
    """Measure and print."""
    step = measure_network(SIZE, precision, 10)["seconds"]
    factor = 1.0 if precision == "bf16-mixed" else 2.0
    table = Table("preset", "px", "s", "target", "ok", "steps of the bare network", "GiB", "target", "ok", title=precision)
    rows: dict[str, Any] = {}
    for name in PRESETS:
        rows[name] = found = measure([f"--preset={name}", f"--data.size={SIZE}", f"--trainer.precision={precision}"])
        seconds = SECONDS[name] * factor
        ok = ["yes" if found[key] <= most else "NO" for key, most in (("seconds", seconds), ("gib", GIB[SIZE]))]
        times = [f"{found['seconds']:.1f}", f"{seconds:.0f}", ok[0], f"{found['seconds'] / step:.0f}"]
        table.add_row(name, str(SIZE), *times, f"{found['gib']:.2f}", f"{GIB[SIZE]:.1f}", ok[1])
    rows["2048"] = found = measure([*LARGE, f"--trainer.precision={precision}"])
    ok = ["yes" if found["gib"] <= GIB[2048] else "NO"]
    table.add_row("standard, 2 steps", "2048", f"{found['seconds']:.1f}", "", "", "", f"{found['gib']:.2f}", "4.0", *ok)
    console.print(table)
    return {"bare_step": step, "precision": precision, **rows}
