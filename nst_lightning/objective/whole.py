"""The objective: what is compared with what, at which layer, with which weight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nst_lightning.data import StyleImage
from nst_lightning.losses.content import content_loss
from nst_lightning.losses.moments import flatten, mix, moments
from nst_lightning.losses.style_loss import StyleLoss
from nst_lightning.losses.variation import total_variation
from nst_lightning.network.features import VGGFeatures
from nst_lightning.network.layers import Layer
from nst_lightning.pictures.regions import Regions

# What the style losses see of one region at one layer: its "moments" and its "features", those that a loss asks for.
# Empty where the region is not there.
Seen = dict[str, Any]


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
        self.sees = {loss.sees for loss, _ in self.style_losses}
        self.content_targets: dict[Layer, Tensor] = {}
        self.style_targets: dict[Layer, list[list[Any]]] = {}
        self.regions: Regions | None = None
        self.shares: list[float] = []

    @torch.no_grad()
    def set_targets(self, content: Tensor | None, styles: Sequence[StyleImage], regions: Tensor | None) -> None:
        """Compute what the image is compared with; once per scale.

        Args:
            content: ``(1, 3, H, W)``, or None if there is no content loss.
            styles: the style images; empty if there is no style loss.
            regions: ``(R, H, W)``, how much each position of the image counts for each region, or None.
        """
        self.regions = None if regions is None else Regions(regions)
        areas = [1.0] if regions is None else regions.sum(dim=(1, 2)).tolist()
        self.shares = [area / max(sum(areas), 1e-12) for area in areas]
        self._set_content(content if self.content_layers else None)
        looks = [
            (self.look(style.image, None if style.regions is None else Regions(style.regions)), style.weight)
            for style in styles
            if style.weight > 0 and self.style_layers
        ]
        self.style_targets = {}
        for layer in self.style_layers if looks else {}:
            self.style_targets[layer] = []
            for number, share in enumerate(self.shares):
                # a style image without regions has the same for all
                parts = [(seen[layer][number if len(seen[layer]) > 1 else 0], weight) for seen, weight in looks]
                found = [(seen, weight) for seen, weight in parts if seen]
                targets = []
                if share > 0 and found:
                    with torch.autocast(styles[0].image.device.type, enabled=False):
                        targets = [loss.target(_together(loss.sees, found)) for loss, _ in self.style_losses]
                self.style_targets[layer].append(targets)

    def _set_content(self, content: Tensor | None) -> None:
        """Compute and keep the features of the content image."""
        features = {} if content is None else self.features(content)
        self.content_targets = {layer: features[layer] for layer in self.content_layers if content is not None}

    def look(self, image: Tensor, regions: Regions | None) -> dict[Layer, list[Seen]]:
        """What the style losses see of a picture ``(1, 3, H, W)``: for every style layer, for every region."""
        features = self.features(image)
        return {layer: self._seen(features[layer], regions) for layer in self.style_layers}

    def _seen(self, features: Tensor, regions: Regions | None) -> list[Seen]:
        """The same of the features of one layer, differentiable."""
        whole = float(features.shape[2] * features.shape[3])
        weights, masses = (None, [whole]) if regions is None else regions.at((features.shape[2], features.shape[3]))
        found: list[Seen] = []
        for number, mass in enumerate(masses):
            seen: Seen = {}
            if mass > 0 and "moments" in self.sees:
                seen["moments"] = moments(features, None if weights is None else weights[number], mass)
            if mass > 0 and "features" in self.sees:
                size = (features.shape[2], features.shape[3])
                seen["features"] = select(features, None if regions is None else regions.positions(size)[number])
            found.append(seen)
        return found

    def forward(self, image: Tensor, step: int = 0) -> dict[str, Tensor]:
        """Every term for an image, none multiplied by its weight but ``total`` and ``loss``.

        Args:
            image: ``(1, 3, H, W)``.
            step: the step of the run, for style losses that draw numbers.

        Returns:
            ``total``, ``content``, ``style``, ``tv`` (those that are computed), ``content/LAYER`` and ``style/LAYER`` where
            a term has several layers; and ``loss``, to be optimised: ``total`` divided by the sum of the weights, so that
            only their ratio matters.
        """
        features = self.features(image)
        contents = {layer: content_loss(features[layer], target) for layer, target in self.content_targets.items()}
        seen = {layer: self._seen(features[layer], self.regions) for layer in self.style_targets}
        styles = self.style_values(seen, step, image.new_zeros(()))
        return self.combine(contents, styles, total_variation(image) if self.weights["tv"] > 0 else None)

    def style_values(self, seen: Mapping[Layer, Sequence[Seen]], step: int, zero: Tensor) -> dict[Layer, Tensor]:
        """The style loss at each layer: over regions in proportion to their area, and over losses by their weights."""
        values: dict[Layer, Tensor] = {}
        for layer, regions in seen.items():
            value = zero
            for share, targets, one in zip(self.shares, self.style_targets[layer], regions, strict=True):
                if not targets or not one:
                    continue
                with torch.autocast(zero.device.type, enabled=False):
                    for (loss, weight), target in zip(self.style_losses, targets, strict=True):
                        value = value + share * weight * loss(one[loss.sees], target, step)
            values[layer] = value
        return values

    def parts(self) -> dict[str, float]:
        """The share of each term that is computed in the sum of their weights."""
        active = [name for name in self.weights if self.computes(name)]
        whole = sum(self.weights[name] for name in active)
        # twelve digits: the rounding of the division must not depend on a common factor of the weights either
        return {name: float(f"{self.weights[name] / whole:.12g}") for name in active}

    def computes(self, term: str) -> bool:
        """Whether there is such a term: it has something to compare with."""
        return bool({"content": self.content_targets, "style": self.style_targets, "tv": self.weights["tv"] > 0}[term])

    def combine(
        self, contents: Mapping[Layer, Tensor], styles: Mapping[Layer, Tensor], tv: Tensor | None
    ) -> dict[str, Tensor]:
        """All terms, of the content loss and the style loss at each layer and the total variation."""
        terms: dict[str, Tensor] = {}
        if contents:
            terms["content"] = sum_of(self.content_layers[layer] * value for layer, value in contents.items())
        if styles:
            terms["style"] = sum_of(self.style_layers[layer] * value for layer, value in styles.items())
        if tv is not None:
            terms["tv"] = tv
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        parts = self.parts()
        loss = torch.stack([parts[name] * terms[name] for name in parts]).sum()
        found: dict[str, Tensor] = {}
        for term, values in (("content", contents), ("style", styles)):
            if len(values) > 1:  # one layer alone is the term
                found |= {f"{term}/{layer.name}": value for layer, value in values.items()}
        return {"loss": loss, "total": total, **terms, **found}


def sum_of(values: Iterable[Tensor]) -> Tensor:
    """The sum of scalars, in their order."""
    first, *rest = values
    for value in rest:
        first = first + value
    return first


def _together(sees: str, found: Sequence[tuple[Seen, float]]) -> Any:
    """The statistics of one region over all style images that have it, with their weights."""
    parts, shares = [seen[sees] for seen, _ in found], [weight for _, weight in found]
    if sees == "moments":
        return parts[0] if len(parts) == 1 else mix(parts, shares)
    # each picture with positions in proportion to its weight, spread evenly over it
    total = min(len(part) for part in parts)
    counts = [max(1, round(total * share / max(shares))) for share in shares] if len(parts) > 1 else [len(parts[0])]
    picks = [torch.linspace(0, len(part) - 1, n).round().long() for part, n in zip(parts, counts, strict=True)]
    return torch.cat([part[pick.to(part.device)] for part, pick in zip(parts, picks, strict=True)])


def select(features: Tensor, positions: Tensor | None) -> Tensor:
    """The features of some positions, ``(N, C)`` in float32.

    Args:
        features: ``(1, C, H, W)``.
        positions: ``(N,)``, counted row by row, or None for all.
    """
    matrix = flatten(features)
    matrix = matrix if matrix.dtype == torch.float64 else matrix.float()
    return matrix if positions is None else matrix[positions]
