"""Where the time of a step goes: convolutions, moments, distances, content loss, optimiser, and the rest.

Each part is timed alone, in turn with the others and with whole steps of the program in a Trainer, so that all see the same
machine. What is left is the Trainer's and the module's own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.table import Table

from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.losses.content import content_loss
from nst_lightning.losses.moments import moments
from nst_lightning.training.optimizers import adam
from tests.benchmarks.steps import PICTURES, model_of, trainer_for

TARGET = 1.05  # times the network and the statistics' own arithmetic
WARM = 3


class Parts(Callback):
    """After each step of the program, each part once."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._note("step", time.perf_counter() - self._start)
        assert isinstance(pl_module, StyleTransfer)
        with torch.enable_grad(), trainer.precision_plugin.forward_context():
            self._parts(pl_module)

    def _note(self, name: str, seconds: float) -> None:
        self.seconds.setdefault(name, []).append(seconds)

    def _timed(self, name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        self._note(name, time.perf_counter() - start)
        return result

    def _parts(self, module: StyleTransfer) -> None:
        objective = module.objective
        image = module.image.detach().clone().requires_grad_()
        layers = [*objective.style_layers, *objective.content_layers]
        pulls: dict[Any, torch.Tensor] = {}

        def convolutions() -> dict[Any, torch.Tensor]:
            features = objective.features(image)
            for layer in layers:
                pulls.setdefault(layer, torch.ones_like(features[layer]))
            torch.autograd.grad([features[layer] for layer in layers], image, [pulls[layer] for layer in layers])
            return {layer: features[layer].detach() for layer in layers}

        objective.features(image.detach())
        for layer, features in objective.features(image.detach()).items():
            pulls[layer] = torch.ones_like(features)
        features = self._timed("convolutions", convolutions)
        seen: dict[Any, Any] = {}

        def statistics_of() -> None:
            for layer in objective.style_layers:
                part = features[layer].requires_grad_()
                found = moments(part)
                torch.autograd.grad([found.mean, found.second], part, [found.mean.detach(), found.second.detach()])
                seen[layer] = found._replace(mean=found.mean.detach(), second=found.second.detach())

        self._timed("moments", statistics_of)

        def distances() -> None:
            leaves = [part.requires_grad_() for one in seen.values() for part in (one.mean, one.second)]
            values = objective.style_values({layer: [{"moments": one}] for layer, one in seen.items()}, 0, torch.zeros(()))
            torch.autograd.grad(sum(values.values()), leaves)

        self._timed("distances", distances)

        def content() -> None:
            for layer, target in objective.content_targets.items():
                part = features[layer].detach().requires_grad_()
                torch.autograd.grad(content_loss(part, target), part)

        self._timed("content loss", content)
        parameter = torch.nn.Parameter(image.detach().clone())
        optimizer = adam([parameter])
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        self._timed("optimiser", optimizer.step)


def report(console: Console, size: int, precision: str, steps: int) -> dict[str, Any]:
    """Measure and print the breakdown of a step of the recipe wasserstein."""
    parts = Parts()
    model = model_of("recipes/wasserstein.yaml") | {"scales": "none", "tile": "none"}
    pair = ImagePair(*PICTURES, size)
    trainer_for(precision, steps + WARM, callbacks=[parts]).fit(StyleTransfer(**model), datamodule=pair)
    median = {name: statistics.median(values[WARM:]) for name, values in parts.seconds.items()}
    step = median.pop("step")
    arithmetic = sum(seconds for name, seconds in median.items() if name != "optimiser")
    median["Trainer and the rest"] = step - sum(median.values())
    table = Table(
        "part", "ms", "of the step", title=f"a step of wasserstein at {size} px, {precision}: {step * 1e3:.0f} ms"
    )
    for name, seconds in median.items():
        table.add_row(name, f"{seconds * 1e3:.1f}", f"{seconds / step:.1%}")
    console.print(table)
    ratio = step / arithmetic
    reached = "yes" if ratio <= TARGET else "NO"
    console.print(f"step / network and statistics alone: {ratio:.3f} (target {TARGET}): {reached}")
    return {"size": size, "precision": precision, "step": step, "parts": median, "ratio": ratio}
