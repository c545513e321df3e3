"""The loop to compare with: the same work without Lightning and without this package's losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning import StyleTransfer, VGGFeatures
from nst_lightning.images import fit_size, read_image, resize
from nst_lightning.layers import Layer
from nst_lightning.module import OPTIMIZERS


class Bare:
    """The same network, losses and optimiser as a module with Gram losses, written as one would in a notebook.

    Args:
        module: whose image, layers and weights are taken.
        pictures: files of the content and the style image.
        size: longer side of both in pixels.
        precision: ``32-true`` or ``bf16-mixed``.
    """

    def __init__(self, module: StyleTransfer, pictures: tuple[str, str], size: int, precision: str) -> None:
        self.half = precision == "bf16-mixed"
        self.content_layers, self.style_layers = module.content_layers, module.style_layers
        self.network = VGGFeatures({*self.content_layers, *self.style_layers}, module.settings)
        self.content_weight, self.style_weight = module.weights["content"], module.weights["style"]
        self.image = nn.Parameter(module.image.detach().clone())
        self.optimizer = OPTIMIZERS[str(module.optimizer)]([self.image])
        self.scale = self.image.numel() / (self.content_weight + self.style_weight)
        content, style = (read_image(path).rgb[None] for path in pictures)
        content, style = (resize(x, fit_size(x.shape[-2], x.shape[-1], size)) for x in (content, style))
        with torch.no_grad():
            self.content = self.features(content)
            self.style = {layer: self.gram(features) for layer, features in self.features(style).items()}

    def features(self, image: Tensor) -> dict[Layer, Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            return self.network(image)

    @staticmethod
    def gram(features: Tensor) -> Tensor:
        matrix = features[0].float().flatten(1)
        return matrix @ matrix.T / matrix.shape[1]

    def closure(self) -> float:
        self.optimizer.zero_grad()
        features = self.features(self.image)
        total = torch.zeros(())
        for layer, weight in self.content_layers.items():
            total = total + self.content_weight * weight * F.mse_loss(features[layer].float(), self.content[layer].float())
        for layer, weight in self.style_layers.items():
            total = total + self.style_weight * weight * F.mse_loss(self.gram(features[layer]), self.style[layer])
        (self.scale * total).backward()
        self.loss = float(total)
        return self.scale * self.loss

    def step(self) -> None:
        self.optimizer.step(self.closure)
