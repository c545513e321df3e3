"""The objective: what is compared with what, at which layer, with which weight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nst_lightning.data import StyleImage
from nst_lightning.losses.content import content_loss
from nst_lightning.losses.nearest_neighbor import QUARTER
from nst_lightning.losses.points import PIXELS, Columns, Reading, read
from nst_lightning.losses.self_similarity import SelfSimilarity
from nst_lightning.losses.style_loss import PointLoss, StyleLoss
from nst_lightning.losses.temporal import Held
from nst_lightning.losses.variation import total_variation
from nst_lightning.network.features import VGGFeatures
from nst_lightning.network.layers import Layer
from nst_lightning.objective.matching import Start, recall
from nst_lightning.objective.parts import Part, factor_of, name_of, parts_of, sum_of
from nst_lightning.objective.pointed import ContentSamples, PointedLosses
from nst_lightning.objective.reading import around
from nst_lightning.objective.seen import Seen, mixed, seen_of
from nst_lightning.pictures.regions import Regions

# The values of a term's parts.
Values = dict[Part, Tensor]


class Objective(nn.Module):
    """The terms of the objective for an image of one size. Not trained: it holds the network and the targets.

    Args:
        features: the frozen network, with every layer of the two tables.
        content_layers: weight of each layer of the content loss.
        style_layers: weight of each layer of the style loss.
        style_losses: the style losses and their weights.
        weights: of the terms ``content``, ``style`` and ``tv``.
        content_loss: a content loss of relations in place of the squared differences of features.
    """

    def __init__(
        self,
        features: VGGFeatures,
        content_layers: Mapping[Layer, float],
        style_layers: Mapping[Layer, float],
        style_losses: Sequence[tuple[StyleLoss, float]],
        weights: Mapping[str, float],
        content_loss: SelfSimilarity | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.tables = {"content": dict(content_layers), "style": dict(style_layers)}
        self.content_layers, self.style_layers = self.tables["content"], self.tables["style"]
        self.style_losses = list(style_losses)
        self.weights = dict(weights)
        self.content_loss = content_loss
        self.sees = {loss.sees for loss, _ in self.style_losses}
        self.factors: dict[str, float] = {}
        self.held: Held | None = None
        self.layered: list[tuple[StyleLoss, float]] = []
        self.pointed = PointedLosses(features)
        self.relations: ContentSamples | None = None
        if content_loss is not None and self.content_layers:
            self.relations = ContentSamples(content_loss, features)
        self.enter({})
        self.content_targets: dict[Layer, Tensor] = {}
        self.style_targets: dict[Layer, list[list[Any]]] = {}
        self.regions: Regions | None = None
        self.shares: list[float] = []

    def hold(self, held: Held | None, weight: float = 0.0) -> None:
        """Hold the image to what is known of it, the term ``temporal``; None ends that."""
        self.held = held
        self.weights["temporal"] = 0.0 if held is None else weight

    @property
    def reads(self) -> bool:
        """Whether points between the positions of the layers are read."""
        return bool(self.sees & {"samples", "positions"}) or self.relations is not None

    @property
    def bytes_read(self) -> float:
        """An estimate of what losses of positions keep for each pixel: features, gradients, what they are compared with."""
        points = sum(layer.channels for layer in self.style_layers) / (1 << 2 * QUARTER)
        everywhere = sum(layer.channels / (1 << 2 * layer.pools_before) for layer in self.style_layers)
        return 3 * 4 * (points * ("positions" in self.sees) + everywhere * ("features" in self.sees))

    @property
    def looks_first(self) -> bool:
        """Whether some loss needs all of the image, not one position after the other."""
        return bool(self.sees & {"moments", "features", "samples"}) or self.relations is not None

    def enter(self, factors: Mapping[str, float]) -> None:
        """Multiply the weights of terms, style losses and layers at a scale; what has none left is not computed.

        Args:
            factors: by name; 1 where none is given.
        """
        self.factors = dict(factors)
        tables = {
            term: {layer: weight * factor_of(layer, self.factors) for layer, weight in table.items()}
            for term, table in self.tables.items()
        }
        self.content_layers, self.style_layers = (
            {layer: weight for layer, weight in table.items() if weight > 0} for table in tables.values()
        )
        self.features.narrow({*self.content_layers, *self.style_layers})
        self.pointed.use(self.style_layers)
        if self.relations is not None:
            self.relations.use(self.content_layers)

    @torch.no_grad()
    def set_targets(
        self,
        content: Tensor | None,
        styles: Sequence[StyleImage],
        regions: Tensor | None,
        start: Start = Start(),  # noqa: B008 (nobody changes it)
    ) -> None:
        """Compute what the image is compared with; once per scale.

        Args:
            content: ``(1, 3, H, W)``, or None if there is none.
            styles: the style images; empty if there is no style loss.
            regions: ``(R, H, W)``, how much each position of the image counts for each region, or None.
            start: the image, the factors of the weights at this scale, and the matches of a checkpoint.
        """
        self.enter(start.factors)
        self.regions = None if regions is None else Regions(regions)
        areas = [1.0] if regions is None else regions.sum(dim=(1, 2)).tolist()
        self.shares = [area / max(sum(areas), 1e-12) for area in areas]
        kept = content if self.content_layers and self.weight_of("content") > 0 else None
        if self.relations is not None:
            self.relations.set(kept, self.regions)
        self._set_content(kept if self.relations is None else None)
        counting = [style for style in styles if style.weight > 0 and self.style_layers and self.weight_of("style") > 0]
        losses = [(loss, weight * self.factors.get(loss.name, 1.0)) for loss, weight in self.style_losses]
        losses = [(loss, weight) for loss, weight in losses if weight > 0]
        self.layered = [(loss, weight) for loss, weight in losses if not isinstance(loss, PointLoss)]
        self._set_layered(counting if self.layered else [])
        points = [(loss, weight) for loss, weight in losses if isinstance(loss, PointLoss)]
        self.pointed.set(points, counting, self.regions, self.shares, content, start)

    def _set_layered(self, styles: Sequence[StyleImage]) -> None:
        """Compute the targets of the losses that look at one layer after the other."""
        looks = []
        for style in styles:
            look = partial(self.look, style.image, None if style.regions is None else Regions(style.regions))
            name = ("look", tuple(loss.name for loss, _ in self.layered), tuple(self.style_layers.items()))
            looks.append((recall(self.pointed.known, name, [style], look), style.weight))
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
                        targets = [loss.target(mixed(loss.sees, found)) for loss, _ in self.layered]
                self.style_targets[layer].append(targets)

    def weight_of(self, term: str) -> float:
        """The weight of a term at this scale."""
        return self.weights.get(term, 0.0) * self.factors.get(term, 1.0)

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
        return seen_of(features, regions, {loss.sees for loss, _ in self.layered})

    def forward(self, image: Tensor, step: int = 0) -> dict[str, Tensor]:
        """Every term for an image, none multiplied by its weight but ``total`` and ``loss``.

        Args:
            image: ``(1, 3, H, W)``.
            step: the step of the run, for style losses that draw numbers.

        Returns:
            ``total``, ``content``, ``style``, ``tv`` (those that are computed), ``content/PART`` and ``style/PART`` where a
            term has several parts, layers or losses of all layers at once; and ``loss``, to be optimised: ``total`` divided
            by the sum of the weights, so that only their ratio matters.
        """
        features = {**self.features(image), PIXELS: image}
        shape = (int(image.shape[2]), int(image.shape[3]))

        def columns(readings: Iterable[Reading]) -> list[Columns]:
            with torch.autocast(image.device.type, enabled=False):
                return [
                    {
                        layer: read(features[layer], around(one.points, layer, shape, self.features, image.device))
                        for layer in one.layers
                    }
                    for one in readings
                ]

        contents: Values = {layer: content_loss(features[layer], target) for layer, target in self.content_targets.items()}
        if self.relations is not None and self.relations.image is not None:
            contents[self.relations.loss.name] = self.relations.value(columns(self.relations.readings(step)), step)
        seen = {layer: self._seen(features[layer], self.regions) for layer in self.style_targets}
        styles = self.style_values(seen, step, image.new_zeros(()))
        for one in self.pointed.targets:
            readings = self.pointed.readings(one, image, step)
            with torch.autocast(image.device.type, enabled=False):
                value = one.share * one.loss(columns(readings), one.target, step) if readings else image.new_zeros(())
            styles[one.name] = styles[one.name] + value if one.name in styles else value
        temporal = self.held(image) if self.held is not None and self.computes("temporal") else None
        return self.combine(contents, styles, total_variation(image) if self.computes("tv") else None, temporal)

    def style_values(self, seen: Mapping[Layer, Sequence[Seen]], step: int, zero: Tensor) -> Values:
        """The style loss at each layer: over regions in proportion to their area, and over losses by their weights."""
        values: Values = {}
        for layer, regions in seen.items():
            value = zero
            for share, targets, one in zip(self.shares, self.style_targets[layer], regions, strict=True):
                if not targets or not one:
                    continue
                with torch.autocast(zero.device.type, enabled=False):
                    for (loss, weight), target in zip(self.layered, targets, strict=True):
                        value = value + share * weight * loss(one[loss.sees], target, step)
            values[layer] = value
        return values

    def parts(self) -> dict[str, float]:
        """The share of each term that is computed in the sum of their weights."""
        active = [name for name in self.weights if self.computes(name)]
        whole = sum(self.weight_of(name) for name in active)
        # twelve digits: the rounding of the division must not depend on a common factor of the weights either
        return {name: float(f"{self.weight_of(name) / whole:.12g}") for name in active}

    def computes(self, term: str) -> bool:
        """Whether there is such a term: it has something to compare with."""
        if term == "content":
            return bool(self.content_targets) or (self.relations is not None and self.relations.image is not None)
        if term == "style":
            return bool(self.style_targets or self.pointed.targets)
        return self.weight_of(term) > 0 and (term == "tv" or self.held is not None)

    def combine(
        self,
        contents: Mapping[Part, Tensor],
        styles: Mapping[Part, Tensor],
        tv: Tensor | None,
        temporal: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """All terms, of the values of content loss, style loss, total variation and temporal loss."""
        terms: dict[str, Tensor] = {}
        # in one order, however they were computed: the sum is then the same to the last digit
        parts = parts_of(self.tables["content"], self.tables["style"], self.content_loss, self.style_losses)
        styles = {part: styles[part] for part in parts["style"] if part in styles}
        if contents:
            terms["content"] = self.weighted(contents, self.content_layers)
        if styles:
            terms["style"] = self.weighted(styles, self.style_layers)
        if tv is not None:
            terms["tv"] = tv
        if temporal is not None:
            terms["temporal"] = temporal
        total = torch.stack([self.weight_of(name) * value for name, value in terms.items()]).sum()
        shares = self.parts()
        loss = torch.stack([shares[name] * terms[name] for name in shares]).sum()
        found: dict[str, Tensor] = {}
        for term, values in (("content", contents), ("style", styles)):
            if len(parts[term]) > 1:  # one alone is the term
                found |= {f"{term}/{name_of(part)}": value for part, value in values.items()}
        return {"loss": loss, "total": total, **terms, **found}

    @staticmethod
    def weighted(values: Mapping[Part, Tensor], layers: Mapping[Layer, float]) -> Tensor:
        """The sum of a term's values; those of layers times the layers' weights, which the others have in them."""
        return sum_of(value if isinstance(key, str) else layers[key] * value for key, value in values.items())
