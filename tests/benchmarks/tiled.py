"""What tiles cost in time and save in memory: steps of the recipe wasserstein at sizes from 256 to 4096 px, square.

Each size has a Trainer of its own in this process; the peak is that of the whole process, Python and torch included.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from PIL import Image
from rich.console import Console
from rich.table import Table

from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.objective.memory import peak_memory, reset_peak_memory
from tests.benchmarks.steps import ROOT, model_of, trainer_for

WHOLE, TILED = 1024, 2048
SIZES: tuple[tuple[int, int | str], ...] = ((256, "none"), (512, "none"), (1024, "none"), (2048, 512), (4096, 256))
TIME_TARGET = 1.5  # times the time a pixel of 1024 px whole, at 2048 px in tiles
MEMORY_TARGET = 1.2  # times the memory of 1024 px whole, at 2048 px in tiles, beside image and optimiser
MOST = 3 << 30  # bytes, at 4096 px
# float32: the image, its gradient, Adam's two moments, the average, the last good image
IMAGES = 6


class Clock(Callback):
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def measure(size: int, tile: int | str, precision: str, steps: int) -> dict[str, Any]:
    """One size: seconds a step (without the first) and the peak of memory."""
    clock = Clock()
    model = model_of("recipes/wasserstein.yaml") | {"scales": "none", "tile": tile}
    with tempfile.TemporaryDirectory() as folder:
        square = Path(folder) / "content.png"  # of every side the same number of pixels
        Image.open(ROOT / "images/content/astronaut.jpg").save(square)
        pair = ImagePair(str(square), str(ROOT / "images/style/starry_night.jpg"), size)
        gc.collect()
        reset_peak_memory()
        trainer_for(precision, steps, callbacks=[clock]).fit(StyleTransfer(**model), datamodule=pair)
    seconds = statistics.median(clock.seconds[1:])
    return {"size": size, "tile": tile, "seconds": seconds, "peak": peak_memory(), "precision": precision}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds a step and memory over the size, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    sizes = [row["size"] for row in rows]
    for axis, values, name in (
        (axes[0], [row["seconds"] for row in rows], "seconds a step"),
        (axes[1], [row["peak"] / 2**30 for row in rows], "peak memory of the process, GiB"),
    ):
        axis.loglog(sizes, values, "o-", color="#1f5a99", base=2)
        axis.set(xlabel="size in pixels, square", ylabel=name)
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(alpha=0.3)
        axis.margins(x=0.28, y=0.15)  # room for the labels
        for size, value, row in zip(sizes, values, rows, strict=True):
            tile = "whole" if row["tile"] == "none" else f"tiles of {row['tile']}"
            axis.annotate(f"{value:.3g}\n{tile}", (size, value), textcoords="offset points", xytext=(4, -18), fontsize=7)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def report(console: Console, precision: str, steps: int, picture: Path) -> dict[str, Any]:
    """Measure, print a table, draw the curves."""
    rows = [measure(size, tile, precision, steps) for size, tile in SIZES]
    table = Table("size", "tile", "s a step", "µs a pixel", "peak MiB", title=f"tiles, {precision}")
    for row in rows:
        pixel = row["seconds"] / row["size"] ** 2 * 1e6
        numbers = (f"{row['seconds']:.3f}", f"{pixel:.3f}", f"{row['peak'] / 2**20:.0f}")
        table.add_row(str(row["size"]), str(row["tile"]), *numbers)
    console.print(table)
    by_size = {row["size"]: row for row in rows}
    whole, tiled = by_size[WHOLE], by_size[TILED]
    ratio = tiled["seconds"] / whole["seconds"] * (WHOLE / TILED) ** 2
    images = IMAGES * 12 * (TILED**2 - WHOLE**2)
    memory = (tiled["peak"] - images) / whole["peak"]
    largest = rows[-1]
    checks = [
        (
            f"time a pixel at {TILED} px in tiles / {WHOLE} px whole: {ratio:.2f} (target {TIME_TARGET})",
            ratio <= TIME_TARGET,
        ),
        (
            f"memory at {TILED} px in tiles beside image and optimiser / {WHOLE} px whole: {memory:.2f} "
            f"(target {MEMORY_TARGET})",
            memory <= MEMORY_TARGET,
        ),
        (f"peak at {largest['size']} px: {largest['peak'] / 2**30:.2f} GiB (target 3)", largest["peak"] <= MOST),
    ]
    for line, reached in checks:
        console.print(f"{line}: {'yes' if reached else 'NO'}")
    draw(rows, picture)
    console.print(f"curves: {picture}")
    return {"rows": rows, "time_ratio": ratio, "memory_ratio": memory}
