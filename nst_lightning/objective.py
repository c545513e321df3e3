"""The objective: what is compared with what, at which layer, with which weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nst_lightning.data import StyleImage
from nst_lightning.features import VGGFeatures
from nst_lightning.layers import Layer
from nst_lightning.losses import content_loss, total_variation
from nst_lightning.moments import flatten, mix, moments
from nst_lightning.regions import shrink
from nst_lightning.style_losses import StyleLoss

EMPTY = 1e-6  # share of the positions below which a region is not there at a layer


class Objective(nn.Module):
    """The terms of the objective for an image of one size. Not trained: it holds the network and the targets.

    Args:
        features: the frozen network, with every layer of the two tables.
        content_layers: weight of each layer of the content loss.
        style_layers: weight of each layer of the style loss.
        style_losses: the style losses and their weights.
        weights: of the terms ``content``, ``style`` and ``tv``.
    """

    def __init__(
        self,
        features: VGGFeatures,
        content_layers: Mapping[Layer, float],
        style_layers: Mapping[Layer, float],
        style_losses: Sequence[tuple[StyleLoss, float]],
        weights: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.features = features
        self.content_layers = dict(content_layers)
        self.style_layers = dict(style_layers)
        self.style_losses = list(style_losses)
        self.weights = dict(weights)
        self.content_targets: dict[Layer, Tensor] = {}
        self.style_targets: dict[Layer, list[list[Any]]] = {}
        self.regions: Tensor | None = None
        self.shares: list[float] = []
        self._shrunk: dict[tuple[int, int], Tensor] = {}

    @torch.no_grad()
    def set_targets(self, content: Tensor | None, styles: Sequence[StyleImage], regions: Tensor | None) -> None:
        """Compute what the image is compared with; once per scale.

        Args:
            content: ``(1, 3, H, W)``, or None if there is no content loss.
            styles: the style images; empty if there is no style loss.
            regions: ``(R, H, W)``, how much each position of the image counts for each region, or None.
        """
        self.regions = regions
        self._shrunk = {}
        number = 1 if regions is None else len(regions)
        whole = 1.0 if regions is None else max(float(regions.sum()), 1e-12)
        self.shares = [1.0] if regions is None else [float(region.sum()) / whole for region in regions]
        self.content_targets = {}
        if content is not None:
            features = self.features(content)
            self.content_targets = {layer: features[layer] for layer in self.content_layers}
        seen = [(style, self.features(style.image)) for style in styles]
        self.style_targets = {}
        for layer in self.style_layers if styles else ():
            parts = [(features[layer], style.regions, style.weight) for style, features in seen]
            with torch.autocast(parts[0][0].device.type, enabled=False):
                self.style_targets[layer] = [
                    [loss.target(self._gather(loss, parts, region)) for loss, _ in self.style_losses] if share > 0 else []
                    for region, share in zip(range(number), self.shares, strict=True)
                ]

    @staticmethod
    def _gather(loss: StyleLoss, parts: Sequence[tuple[Tensor, Tensor | None, float]], region: int) -> Any:
        """The statistics of one region over all style images that have it."""
        found: list[Any] = []
        shares: list[float] = []
        for features, regions, weight in parts:
            weights = None if regions is None else shrink(regions, (features.shape[2], features.shape[3]))[region]
            if weight == 0 or (weights is not None and weights.mean() <= EMPTY):
                continue
            found.append(moments(features, weights) if loss.sees == "moments" else select(features, weights))
            shares.append(weight)
        if loss.sees == "moments":
            return found[0] if len(found) == 1 else mix(found, shares)
        # each picture with positions in proportion to its weight, spread evenly over it
        total = min(len(part) for part in found)
        counts = [max(1, round(total * share / max(shares))) for share in shares] if len(found) > 1 else [len(found[0])]
        picks = [torch.linspace(0, len(part) - 1, n).round().long() for part, n in zip(found, counts, strict=True)]
        return torch.cat([part[pick.to(part.device)] for part, pick in zip(found, picks, strict=True)])

    def forward(self, image: Tensor, step: int = 0) -> dict[str, Tensor]:
        """Every term for an image, none multiplied by its weight but ``total``.

        Args:
            image: ``(1, 3, H, W)``.
            step: the step of the run, for style losses that draw numbers.

        Returns:
            ``total``, ``content``, ``style``, ``tv`` (those that are computed) and ``content/LAYER``, ``style/LAYER``.
        """
        features = self.features(image)
        found: dict[str, Tensor] = {}
        terms: dict[str, Tensor] = {}
        for layer, target in self.content_targets.items():
            value = found[f"content/{layer.name}"] = content_loss(features[layer], target)
            terms["content"] = terms.get("content", 0) + self.content_layers[layer] * value
        for layer in self.style_targets:
            value = found[f"style/{layer.name}"] = self._style(features[layer], layer, step)
            terms["style"] = terms.get("style", 0) + self.style_layers[layer] * value
        if self.weights["tv"] > 0:
            terms["tv"] = total_variation(image)
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        return {"total": total, **terms, **found}

    def _style(self, features: Tensor, layer: Layer, step: int) -> Tensor:
        """The style loss at one layer: over regions in proportion to their area, and over losses by their weights."""
        size = (features.shape[2], features.shape[3])
        if self.regions is not None and size not in self._shrunk:
            self._shrunk[size] = shrink(self.regions, size)
        value = features.new_zeros((), dtype=torch.float64 if features.dtype == torch.float64 else torch.float32)
        for number, (share, targets) in enumerate(zip(self.shares, self.style_targets[layer], strict=True)):
            weights = None if self.regions is None else self._shrunk[size][number]
            if not targets or (weights is not None and weights.mean() <= EMPTY):
                continue
            kinds = {loss.sees for loss, _ in self.style_losses}
            seen: dict[str, Any] = {"moments": moments(features, weights)} if "moments" in kinds else {}
            if "features" in kinds:
                seen["features"] = select(features, weights)
            with torch.autocast(features.device.type, enabled=False):
                for (loss, weight), target in zip(self.style_losses, targets, strict=True):
                    value = value + share * weight * loss(seen[loss.sees], target, step)
        return value


def select(features: Tensor, weights: Tensor | None) -> Tensor:
    """The positions that belong to a region, ``(N, C)`` in float32: those that count more than half of the most.

    Args:
        features: ``(1, C, H, W)``.
        weights: ``(H, W)``, or None for all positions.
    """
    matrix = flatten(features)
    matrix = matrix if matrix.dtype == torch.float64 else matrix.float()
    return matrix if weights is None else matrix[weights.flatten() > weights.max() / 2]
