"""How much of a step only one thread works at, and how far more threads can help.

The standard preset at 512 px on two threads: in the serial part of a step only the first works, elsewhere both do. So what
the first has computed more than the other is the serial part, whatever else the machine does meanwhile; the sum of both is
the work of a step. By Amdahl's law n threads make a step 1 / (s + (1 - s) / n) times as fast for a serial share s. Threads
that wait for work would spin for a moment and count as working: they are told to sleep at once.

Beside it, the seconds of a step with one and with two threads in turn. They say less of more cores: two that share a cache
and a memory cannot be twice as fast where these are the limit.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks.steps import PICTURES, ROOT

SIZE = 512
STEPS = 16  # in blocks of two, with two threads and one in turn
WARM = 4
TARGET = 0.05  # of the work of a step
SPEEDUPS = {4: 3.2, 8: 5.5}
ASLEEP = {"GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0", "OMP_NUM_THREADS": "2"}


def seconds_of_threads() -> dict[str, float]:
    """The seconds that each thread of this process has computed, as Linux counts them."""
    return {task.name: int((task / "schedstat").read_text().split()[0]) / 1e9 for task in Path("/proc/self/task").iterdir()}


def measure() -> dict[str, Any]:
    """The steps, in this process."""
    import torch
    from lightning.pytorch.callbacks import Callback

    from nst_lightning import ImagePair, StyleTransfer, preset
    from nst_lightning.training.precision import choose_precision
    from tests.benchmarks.steps import trainer_for

    blocks: dict[int, list[tuple[float, float, float]]] = {2: [], 1: []}

    class Count(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx >= WARM and batch_idx % 2 == 0:
                self.threads = 2 if batch_idx // 2 % 2 == 0 else 1
                torch.set_num_threads(self.threads)
                self.before, self.start = seconds_of_threads(), time.perf_counter()

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx >= WARM and batch_idx % 2:
                wall = (time.perf_counter() - self.start) / 2
                now = seconds_of_threads()
                busy = sorted(((now[name] - self.before.get(name, 0.0)) / 2 for name in now), reverse=True)
                blocks[self.threads].append((wall, busy[0], busy[1]))

    model = preset()["model"] | {"scales": "none", "tile": "none"}
    trainer = trainer_for(choose_precision(None)[0], WARM + 2 * STEPS, callbacks=[Count()])
    trainer.fit(StyleTransfer(**model), datamodule=ImagePair(*PICTURES, SIZE))
    first, second = (statistics.median(block[number] for block in blocks[2]) for number in (1, 2))
    walls = {count: statistics.median(block[0] for block in found) for count, found in blocks.items()}
    return {"first": first, "second": second, "one": walls[1], "two": walls[2]}


def report(console: Console) -> dict[str, Any]:
    """Measure in a process of its own, since threads learn at its start how to wait; print what it means."""
    if not Path("/proc/self/task").exists():
        console.print("the time of each thread is known on Linux only")
        return {}
    command = [sys.executable, "-m", "tests.benchmarks.serial"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ASLEEP, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    work = found["first"] + found["second"]
    share = found["share"] = (found["first"] - found["second"]) / work
    said = f"{work * 1e3:.0f} ms that two threads work at a step of {SIZE} px, {share * work * 1e3:.0f} ms are one's alone"
    console.print(f"of {said}: {share:.1%} (target {TARGET:.0%}): {'yes' if share <= TARGET else 'NO'}")
    for count, target in SPEEDUPS.items():
        faster = 1 / (share + (1 - share) / count)
        reached = "yes" if faster >= target else "NO"
        console.print(f"on {count} threads a step is {faster:.1f} times as fast (target {target}): {reached}")
    times = found["one"] / found["two"]
    console.print(f"seconds a step, one thread {found['one']:.2f}, two {found['two']:.2f}: {times:.2f} times as fast")
    return found


if __name__ == "__main__":
    print(json.dumps(measure()))
