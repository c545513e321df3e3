"""What a step costs, against a bare loop that does the same work: ``python -m tests.benchmarks --output logs/bench.json``.

The real program runs in a Trainer, with its TensorBoard entries; every few steps a callback stops the clock and runs as
many steps of the bare loop. So both see the same machine, whatever else it does, and the ratio of two blocks side by side
says more than either time. The first block of each is a warm-up and not counted.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import resource
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from rich.table import Table

from nst_lightning import ImagePair, StyleTransfer, VGGFeatures
from nst_lightning.callbacks import RunLog
from nst_lightning.layers import find_layer
from tests.benchmarks.bare import Bare

TARGET = 1.15  # times the bare loop
BLOCK = 5  # steps between two looks at the clock
ROOT = Path(__file__).parents[2]
PICTURES = (str(ROOT / "images/content/chenonceau.jpg"), str(ROOT / "images/style/starry_night.jpg"))
OBJECTIVES: dict[str, dict[str, Any]] = {
    "assignment": {
        "content_layers": ["conv_4"],
        "style_layers": ["conv_1", "conv_2", "conv_3", "conv_4", "conv_5"],
        "optimizer": "lbfgs",
    },
    "transfer.yaml": yaml.safe_load((ROOT / "configs/transfer.yaml").read_text(encoding="utf-8"))["model"],
}


class Interleave(Callback):
    """Times blocks of the Trainer's steps, each followed by as many bare ones. The last of the callbacks."""

    def __init__(self, size: int, precision: str) -> None:
        self.size = size
        self.precision = precision
        self.ours: list[float] = []
        self.bare: list[float] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, StyleTransfer)
        self.loop = Bare(pl_module, PICTURES, self.size, self.precision)
        self.clock = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any) -> None:
        if trainer.global_step % BLOCK:
            return
        self.ours.append((time.perf_counter() - self.clock) / BLOCK)
        start = time.perf_counter()
        for _step in range(BLOCK):
            self.loop.step()
        self.clock = time.perf_counter()
        self.bare.append((self.clock - start) / BLOCK)
        self.losses = float(outputs["total"]), self.loop.loss


def measure(objective: str, size: int, precision: str, steps: int) -> dict[str, Any]:
    """Seconds per step of the program and of the bare loop."""
    module, pair, interleave = (
        StyleTransfer(**OBJECTIVES[objective]),
        ImagePair(*PICTURES, size),
        Interleave(size, precision),
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="cpu",
            precision=precision,  # type: ignore[arg-type]
            max_steps=BLOCK + steps + 1,  # what is done once at the last step is in no block
            max_epochs=-1,
            limit_val_batches=0,
            logger=TensorBoardLogger(folder, default_hp_metric=False),
            callbacks=[RunLog(), interleave],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=pair)
    ours, bare = interleave.ours[1:], interleave.bare[1:]
    return {
        "objective": objective,
        "size": size,
        "pixels": list(module.image.shape[-2:]),
        "precision": precision,
        "ours": statistics.median(ours),
        "bare": statistics.median(bare),
        "ratio": statistics.median(a / b for a, b in zip(ours, bare, strict=True)),
        "ratio_of_totals": sum(ours) / sum(bare),
        "loss_ours": interleave.losses[0],
        "loss_bare": interleave.losses[1],
        "blocks_ours": ours,
        "blocks_bare": bare,
    }


def measure_network(size: int, precision: str, steps: int) -> dict[str, Any]:
    """Seconds for the VGG alone: forward to conv4_2 and backward to the image."""
    deepest = find_layer("conv4_2", "vgg16")
    features, pair, seconds = VGGFeatures([deepest]), ImagePair(PICTURES[0], None, size), []
    pair.setup("fit")
    assert pair.content_image is not None
    for _step in range(1 + steps):
        image = pair.content_image.clone().requires_grad_()
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            output = features(image)[deepest]
        output.backward(torch.ones_like(output))
        seconds.append(time.perf_counter() - start)
    return {"size": size, "precision": precision, "seconds": statistics.median(seconds[1:])}


def cpu_name() -> str:
    """The processor as Linux names it, or else as Python knows it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("logs/bench.json"), help="file for all numbers, JSON")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="longer sides in pixels")
    parser.add_argument("--steps", type=int, default=50, help=f"timed steps of each, a multiple of {BLOCK}")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    args = parser.parse_args()
    if args.steps < BLOCK or args.steps % BLOCK:
        parser.error(f"--steps {args.steps}: a multiple of {BLOCK}")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    precisions = ["32-true", "bf16-mixed"] if native else ["32-true"]

    table = Table(
        "objective", "size", "precision", "ours", "bare", "ratio", "with log", "target", "ok", title="seconds a step"
    )
    steps, networks = [], []
    for size in args.sizes:
        for precision in precisions:
            networks.append(network := measure_network(size, precision, args.steps // 2))
            table.add_row("network alone", str(size), precision, "", f"{network['seconds']:.4f}", "", "", "", "")
            for objective in OBJECTIVES:
                steps.append(row := measure(objective, size, precision, args.steps))
                times = [f"{row['ours']:.4f}", f"{row['bare']:.4f}", f"{row['ratio']:.3f}", f"{row['ratio_of_totals']:.3f}"]
                table.add_row(
                    objective, str(size), precision, *times, str(TARGET), "yes" if row["ratio"] <= TARGET else "NO"
                )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    machine = {"torch": torch.__version__, "threads": torch.get_num_threads(), "cpu": cpu_name()}
    found = {**machine, "target": TARGET, "peak_bytes": peak, "steps": steps, "networks": networks}
    console = Console()
    console.width = max(console.width, 100)
    console.print(table)
    print(f"{machine['cpu']}, {machine['threads']} threads, torch {machine['torch']}; peak memory {peak / 2**20:.0f} MiB")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    part = args.output.with_name(args.output.name + ".part")
    part.write_text(json.dumps(found, indent=1), encoding="utf-8")
    part.replace(args.output)
    print(f"all numbers: {args.output}")


if __name__ == "__main__":
    main()
