"""The loop to compare with: the same work without Lightning and without this package's objective."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning import StyleTransfer, VGGFeatures
from nst_lightning.losses.moments import Moments
from nst_lightning.losses.style_loss import EPSILON
from nst_lightning.losses.variation import total_variation
from nst_lightning.losses.wasserstein import matrix_root, wasserstein_loss
from nst_lightning.network.layers import Layer


class Bare:
    """The same network, losses and optimiser as a module at one size, written as one would in a notebook.

    Args:
        module: whose image, layers and weights are taken; its style loss is ``gram`` or ``wasserstein``.
        pictures: content and style image at the module's size.
        precision: ``32-true`` or ``bf16-mixed``.
    """

    loss: float

    def __init__(self, module: StyleTransfer, pictures: tuple[Tensor, Tensor], precision: str) -> None:
        self.half = precision == "bf16-mixed"
        self.content_layers, self.style_layers = module.wanted.layers["content"], module.wanted.layers["style"]
        self.network = VGGFeatures({*self.content_layers, *self.style_layers}, module.settings)
        self.weights, self.decay = module.wanted.weights, module.progress.average.decay
        self.gram = module.hparams["style_loss"] == "gram"
        if not self.gram and module.hparams["style_loss"] != "wasserstein":
            raise NotImplementedError(f"bare loop with {module.hparams['style_loss']}")
        self.clamp = module.optimization.optimizer != "lbfgs"
        self.image = nn.Parameter(module.image.detach().clone())
        self.average = torch.zeros_like(self.image)
        self.optimizer = module.make_optimizer([self.image])
        self.scale = self.image.numel() / sum(self.weights.values())
        with torch.no_grad():
            self.content, style = (self.features(picture) for picture in pictures)
            self.style = {layer: self.target(style[layer]) for layer in self.style_layers}

    def features(self, image: Tensor) -> dict[Layer, Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            return self.network(image)

    @staticmethod
    def moments(features: Tensor) -> Moments:
        matrix = features[0].float().flatten(1)
        return Moments(float(matrix.shape[1]), matrix.mean(dim=1), matrix @ matrix.T / matrix.shape[1])

    def target(self, features: Tensor) -> Any:
        """What stays the same of the style: its Gram matrix, or its moments and the root of its covariance."""
        style = self.moments(features)
        if self.gram:
            return style.second
        return style, matrix_root(style.covariance + EPSILON * torch.eye(len(style.mean)))

    def style_loss(self, features: Tensor, target: Any) -> Tensor:
        if self.gram:
            matrix = features[0].float().flatten(1)
            return F.mse_loss(matrix @ matrix.T / matrix.shape[1], target)
        return wasserstein_loss(self.moments(features), *target)

    def closure(self) -> float:
        self.optimizer.zero_grad()
        features = self.features(self.image)
        total = torch.zeros(())
        for layer, weight in self.content_layers.items():
            content = F.mse_loss(features[layer].float(), self.content[layer].float())
            total = total + self.weights["content"] * weight * content
        for layer, weight in self.style_layers.items():
            total = total + self.weights["style"] * weight * self.style_loss(features[layer], self.style[layer])
        if self.weights["tv"]:
            total = total + self.weights["tv"] * total_variation(self.image)
        (self.scale * total).backward()
        self.loss = float(total.detach())
        return self.scale * self.loss

    def step(self) -> None:
        self.optimizer.step(self.closure)
        with torch.no_grad():
            if self.clamp:
                self.image.clamp_(0, 1)
            if self.decay:
                self.average.lerp_(self.image, 1 - self.decay)
