"""The loop to compare with: the same work without Lightning and without this package's losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning import StyleTransfer
from nst_lightning.layers import Layer
from nst_lightning.module import OPTIMIZERS


class Bare:
    """The same network, losses and optimiser as a module, written as plainly as one would in a notebook."""

    def __init__(self, module: StyleTransfer, precision: str) -> None:
        self.module, self.half = module, precision == "bf16-mixed"
        self.image = module.image.detach().clone().requires_grad_()
        self.optimizer = OPTIMIZERS[str(module.optimizer)]([self.image])
        self.scale = self.image.numel() / sum(module.weights.values())
        pair = module.pair
        assert pair.content_image is not None and pair.style_image is not None
        with torch.no_grad():
            self.content = self.features(pair.content_image)
            self.style = {layer: self.gram(f) for layer, f in self.features(pair.style_image).items()}

    def features(self, image: Tensor) -> dict[Layer, Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            return self.module.features(image)

    @staticmethod
    def gram(features: Tensor) -> Tensor:
        matrix = features[0].float().flatten(1)
        return matrix @ matrix.T / matrix.shape[1]

    def closure(self) -> Tensor:
        self.optimizer.zero_grad()
        features = self.features(self.image)
        content = sum(
            w * F.mse_loss(features[k].float(), self.content[k].float()) for k, w in self.module.content_layers.items()
        )
        style = sum(w * F.mse_loss(self.gram(features[k]), self.style[k]) for k, w in self.module.style_layers.items())
        loss = self.scale * (self.module.weights["content"] * content + self.module.weights["style"] * style)
        loss.backward()
        return loss

    def step(self) -> None:
        self.loss = self.optimizer.step(self.closure) / self.scale
