"""What a step costs, against a bare loop that does the same work.

The real program runs in a Trainer, with its TensorBoard entries; every few steps a callback stops the clock and runs as
many steps of the bare loop. So both see the same machine, whatever else it does, and the ratio of two blocks side by side
says more than either time. The first block of each is a warm-up and not counted.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from nst_lightning import ImagePair, StyleTransfer, VGGFeatures
from nst_lightning.callbacks import RunLog
from nst_lightning.network.layers import find_layer
from nst_lightning.pictures.picture import fit_size, resize
from nst_lightning.pictures.read import read_image
from tests.benchmarks.bare import Bare

TARGET = 1.15  # times the bare loop
BLOCK = 5  # steps between two looks at the clock
ROOT = Path(__file__).parents[2]
PICTURES = (str(ROOT / "images/content/chenonceau.jpg"), str(ROOT / "images/style/starry_night.jpg"))


def model_of(*configs: str) -> dict[str, Any]:
    """The model's arguments in one config, or in several, later ones first."""
    merged: dict[str, Any] = {}
    for config in configs:
        model = yaml.safe_load((ROOT / "configs" / config).read_text(encoding="utf-8"))["model"]
        features = merged.get("features", {}) | model.get("features", {})
        merged = merged | model | {"features": features}
    return merged


OBJECTIVES: dict[str, dict[str, Any]] = {
    "assignment": {
        "content_layers": ["conv_4"],
        "style_layers": ["conv_1", "conv_2", "conv_3", "conv_4", "conv_5"],
        "style_loss": "gram",
        "average_decay": 0.0,
        "optimizer": "lbfgs",
        "scales": "none",
    },
    "wasserstein": model_of("recipes/wasserstein.yaml") | {"scales": "none"},  # a step at the size that is asked for
}


def read_pair(pictures: tuple[str, str], size: int) -> tuple[Tensor, Tensor]:
    """Content and style image, each ``(1, 3, H, W)`` with ``size`` as its longer side."""
    content, style = (read_image(path).rgb[None] for path in pictures)
    return resize(content, fit_size(content.shape[2], content.shape[3], size)), resize(
        style, fit_size(style.shape[2], style.shape[3], size)
    )


def trainer_for(precision: str, steps: int, **settings: Any) -> L.Trainer:
    """A Trainer on the CPU that shows nothing and keeps nothing."""
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    clock: dict[str, Any] = {"max_steps": steps, "max_epochs": -1, "limit_val_batches": 0}
    return L.Trainer(**({"accelerator": "cpu", "precision": precision} | quiet | clock | settings))


class Loop(Protocol):
    """What is timed beside the Trainer."""

    loss: float

    def step(self) -> None: ...


class Interleave(Callback):
    """Times blocks of the Trainer's steps, each followed by as many of another loop. The last of the callbacks.

    Args:
        make: the other loop, for a module whose training starts.
        block: steps between two looks at the clock.
    """

    def __init__(self, make: Callable[[StyleTransfer], Loop], block: int = BLOCK) -> None:
        self.make = make
        self.block = block
        self.ours: list[float] = []
        self.other: list[float] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, StyleTransfer)
        self.loop = self.make(pl_module)
        self.clock = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any) -> None:
        if trainer.global_step % self.block:
            return
        self.ours.append((time.perf_counter() - self.clock) / self.block)
        start = time.perf_counter()
        for _step in range(self.block):
            self.loop.step()
        self.clock = time.perf_counter()
        self.other.append((self.clock - start) / self.block)
        self.losses = float(outputs["total"]), self.loop.loss


def measure(objective: str, size: int, precision: str, steps: int) -> dict[str, Any]:
    """Seconds per step of the program and of the bare loop."""
    module, pair = StyleTransfer(**OBJECTIVES[objective]), ImagePair(*PICTURES, size)
    interleave = Interleave(lambda module: Bare(module, read_pair(PICTURES, size), precision))
    with tempfile.TemporaryDirectory() as folder:
        logger = TensorBoardLogger(folder, default_hp_metric=False)
        # what is done once at the last step is in no block
        trainer = trainer_for(precision, BLOCK + steps + 1, logger=logger, callbacks=[RunLog(), interleave])
        trainer.fit(module, datamodule=pair)
    ours, bare = interleave.ours[1:], interleave.other[1:]
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
    features, seconds = VGGFeatures([deepest]), []
    content, _style = read_pair(PICTURES, size)
    for _step in range(1 + steps):
        image = content.clone().requires_grad_()
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            output = features(image)[deepest]
        output.backward(torch.ones_like(output))
        seconds.append(time.perf_counter() - start)
    return {"size": size, "precision": precision, "seconds": statistics.median(seconds[1:])}
