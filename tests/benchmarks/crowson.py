"""Whole pictures, against the schedule and objective of crowsonkb/style-transfer-pytorch run as its source does it.

The other loop is written from its description: float32 in the plain memory format, 12 Newton–Schulz iterations for each
matrix root, Adam with a clamp after each step, sizes 256/2^(i/2) down to 128, averaged iterates. Ours has the same
objective, network, weights and optimiser, and differs in the schedule and in how a step is computed. Both results are
judged by one function, the objective in float32 at the final size.
"""

from __future__ import annotations

import copy
import statistics
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning import ImagePair, StyleTransfer, VGGFeatures
from nst_lightning.data import StyleImage
from nst_lightning.losses import make_style_losses
from nst_lightning.losses.moments import Moments
from nst_lightning.losses.variation import total_variation
from nst_lightning.network.layers import Layer, layer_weights
from nst_lightning.objective.whole import Objective
from nst_lightning.pictures.picture import fit_size, resize
from nst_lightning.pictures.read import read_image
from nst_lightning.training.scales import schedule
from tests.benchmarks.roots import newton_schulz_loss, style_root
from tests.benchmarks.steps import PICTURES, Interleave, model_of, read_pair, trainer_for

TARGET = 8.0  # times faster
SIZE = 256
SCHEDULE = ((128, 1000), (181, 500), (256, 500))  # sizes and steps
DECAY = 0.99
OURS: dict[str, Any] = {"scales": "auto", "optimizer": "adam", "average_decay": 0.9}
STEPS = 500  # of ours


class PlainVGG(VGGFeatures):
    """The same network in the plain memory format."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        for name, buffer in list(self.named_buffers()):
            setattr(self, name, buffer.contiguous())

    def _normalize(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


class Crowson:
    """The plain loop.

    Args:
        settings: the model's arguments, of which the objective is taken.
        device: where it runs.
    """

    loss: float

    def __init__(self, settings: dict[str, Any], device: str = "cpu") -> None:
        module = StyleTransfer(**settings)
        wanted = module.wanted
        self.weights, self.content_layers, self.style_layers = (
            wanted.weights,
            wanted.layers["content"],
            wanted.layers["style"],
        )
        self.network = PlainVGG({*self.content_layers, *self.style_layers}, module.settings).to(device)
        self.pictures = [read_image(path).rgb[None].to(device) for path in PICTURES]
        self.optimizer: torch.optim.Adam | None = None

    def resized(self, number: int, size: int) -> Tensor:
        """The content image (0) or the style image (1) with another longer side."""
        picture = self.pictures[number]
        return resize(picture, fit_size(picture.shape[2], picture.shape[3], size))

    @staticmethod
    def moments(features: Tensor) -> Moments:
        """Mean and second moment as autograd does them."""
        matrix = features[0].flatten(1)
        return Moments(float(matrix.shape[1]), matrix.mean(dim=1), matrix @ matrix.T / matrix.shape[1])

    def begin(self, size: int) -> None:
        """Enter a scale: image, optimiser's state, average and targets."""
        content, style = self.resized(0, size), self.resized(1, size)
        shape = (int(content.shape[2]), int(content.shape[3]))
        old = self.optimizer
        image = content.clone() if old is None else resize(self.result, shape).clamp(0, 1)
        self.image = nn.Parameter(image.contiguous())
        self.optimizer = torch.optim.Adam([self.image], lr=0.02, betas=(0.9, 0.99))
        if old is not None:
            state = copy.copy(next(iter(old.state.values())))
            state["exp_avg"] = F.interpolate(state["exp_avg"], shape, mode="bicubic")
            state["exp_avg_sq"] = F.interpolate(state["exp_avg_sq"], shape, mode="bilinear")
            self.optimizer.state[self.image] = state
        self.average, self.averaged = torch.zeros_like(image), 0
        with torch.no_grad():
            self.content: dict[Layer, Tensor] = self.network(content)
            moments = {layer: self.moments(features) for layer, features in self.network(style).items()}
            self.style = {layer: (moments[layer], style_root(moments[layer])) for layer in self.style_layers}

    def step(self) -> None:
        """One step of Adam, then the clamp and the average."""
        assert self.optimizer is not None
        features = self.network(self.image)
        total = self.weights["tv"] * total_variation(self.image)
        for layer, weight in self.content_layers.items():
            total = total + self.weights["content"] * weight * F.mse_loss(features[layer], self.content[layer])
        for layer, weight in self.style_layers.items():
            distance = newton_schulz_loss(self.moments(features[layer]), *self.style[layer])
            total = total + self.weights["style"] * weight * distance
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.image.clamp_(0, 1)
            self.average.mul_(DECAY).add_(self.image, alpha=1 - DECAY)
        self.averaged += 1
        self.loss = float(total.detach())

    @property
    def result(self) -> Tensor:
        """The average without its bias towards 0."""
        return self.average / (1 - DECAY**self.averaged)

    def run(self, steps: int) -> float:
        """Seconds for the schedule, or for that many steps in its proportions."""
        start = time.perf_counter()
        for size, share in SCHEDULE:
            self.begin(size)
            for _step in range(max(1, round(steps * share / total_steps()))):
                self.step()
        return time.perf_counter() - start


def total_steps() -> int:
    """Of the whole schedule."""
    return sum(steps for _size, steps in SCHEDULE)


def judge(image: Tensor, settings: dict[str, Any]) -> float:
    """The objective of a picture of the final size, in float32: the same function for both results."""
    module = StyleTransfer(**settings)
    layers = layer_weights(settings["content_layers"], "vgg16", ""), layer_weights(settings["style_layers"], "vgg16", "")
    network = VGGFeatures({*layers[0], *layers[1]}, module.settings)
    objective = Objective(network, *layers, make_style_losses(settings["style_loss"]), module.wanted.weights)
    content, style = read_pair(PICTURES, SIZE)
    objective.set_targets(content, [StyleImage(style, None, 1.0)], None)
    with torch.no_grad():
        return float(objective(image.cpu().float())["total"])


def run_ours(settings: dict[str, Any], precision: str, steps: int) -> tuple[float, Tensor]:
    """Seconds and result of a whole run of ours, with what a run sets up once."""
    module = StyleTransfer(**settings | OURS)
    start = time.perf_counter()
    trainer_for(precision, steps).fit(module, datamodule=ImagePair(*PICTURES, SIZE))
    return time.perf_counter() - start, module.result


def measure_steps(settings: dict[str, Any], size: int, precision: str, steps: int) -> dict[str, Any]:
    """Seconds a step at one scale, both side by side."""

    def make(module: StyleTransfer) -> Crowson:
        loop = Crowson(settings)
        loop.begin(size)
        return loop

    interleave = Interleave(make, block=1)
    module = StyleTransfer(**settings | OURS | {"scales": "none"})
    trainer_for(precision, steps + 2, callbacks=[interleave]).fit(module, datamodule=ImagePair(*PICTURES, size))
    ours, theirs = interleave.ours[1:-1], interleave.other[1:-1]
    return {"size": size, "ours": statistics.median(ours), "crowson": statistics.median(theirs)}


def measure_crowson(precision: str, ours_steps: int = STEPS, steps: int = 0, timed: int = 5) -> dict[str, Any]:
    """Both programs: seconds, speed-up and final objectives.

    Args:
        precision: of ours; the other is float32.
        ours_steps: of ours.
        steps: how many of the other loop's to run for its objective; 0 runs none, ``total_steps()`` all.
        timed: steps at each scale for the time of a step; the whole time is these times its schedule.
    """
    settings = model_of("recipes/crowson.yaml")
    scales = [measure_steps(settings, size, precision, timed) for size, _steps in SCHEDULE]
    extrapolated = sum(scale["crowson"] * count for scale, (_size, count) in zip(scales, SCHEDULE, strict=True))
    stages = schedule("auto", SIZE, (SIZE, SIZE), ours_steps)
    step_time = sum(scale["ours"] * (stage.last - stage.first) for scale, stage in zip(scales, stages, strict=False))
    seconds, result = run_ours(settings, precision, ours_steps)
    found: dict[str, Any] = {"scales": scales, "precision": precision, "ours_steps": ours_steps, "ours": seconds}
    found |= {"ours_objective": judge(result, settings), "crowson_extrapolated": extrapolated, "crowson_steps": steps}
    theirs = extrapolated
    if steps:
        loop = Crowson(settings)
        found["crowson"] = loop.run(steps)
        found["crowson_objective"] = judge(loop.result, settings)
        theirs = found["crowson"] if steps >= total_steps() else theirs
    found["speedup_of_steps"] = extrapolated / step_time  # both sides timed in turn: holds on a busy machine too
    return found | {"speedup": theirs / seconds, "extrapolated": steps < total_steps()}
