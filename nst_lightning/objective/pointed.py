"""The losses of hypercolumns: what each is compared with, in each region of the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nst_lightning.data import StyleImage
from nst_lightning.losses.nearest_neighbor import NearestNeighbor
from nst_lightning.losses.points import Columns, Field, Reading
from nst_lightning.losses.self_similarity import SelfSimilarity
from nst_lightning.losses.style_loss import PointLoss
from nst_lightning.network.features import VGGFeatures
from nst_lightning.network.layers import Layer
from nst_lightning.objective.matching import Known, Matcher, Start, query, recall
from nst_lightning.objective.parts import loss_name
from nst_lightning.objective.reading import read_all
from nst_lightning.pictures.regions import Regions


class PointTarget(NamedTuple):
    """One loss in one region.

    Attributes:
        loss: which.
        name: of its value among the terms.
        share: of its region and weight in the style term.
        number: of the region.
        target: what it compares with.
    """

    loss: PointLoss
    name: str
    share: float
    number: int
    target: Any


def shared(layers: Mapping[Layer, float]) -> tuple[float, dict[Layer, float]]:
    """The sum of the weights of layers, and their shares of it."""
    whole = sum(layers.values())
    return whole, {layer: weight / whole for layer, weight in layers.items()}


class PointedLosses:
    """The losses of hypercolumns among the style losses.

    Args:
        features: the network.
    """

    def __init__(self, features: VGGFeatures) -> None:
        self.features = features
        self.use({})
        self.targets: list[PointTarget] = []
        self._regions: Regions | None = None
        self._content: Tensor | None = None
        self._matchers: dict[str, Matcher] = {}
        self._numbers: dict[str, Tensor] = {}
        self.heed: Callable[[], None] | None = None  # see Search
        self.known: Known | None = None  # of a film: what is known of the style images from the frames before

    def use(self, layers: Mapping[Layer, float]) -> None:
        """Look at these style layers from now on, with these weights."""
        self.weight, self.layers = shared(layers)

    def set(
        self,
        losses: Sequence[tuple[PointLoss, float]],
        styles: Sequence[StyleImage],
        regions: Regions | None,
        areas: Sequence[float],
        content: Tensor | None,
        start: Start,
    ) -> None:
        """Compute what the image is compared with; once a scale, without gradient.

        Args:
            losses: and their weights.
            styles: the style images that count.
            regions: of the image.
            areas: the share of each region.
            content: the content image, ``(1, 3, H, W)``, for what is matched.
            start: where the run stands.
        """
        self.targets, self._matchers, self._numbers = [], {}, {}
        self._regions, self._content = regions, content
        for loss, weight in losses if styles else ():
            name = loss_name(loss)
            for number, area in enumerate(areas):
                if area <= 0:
                    continue
                if isinstance(loss, NearestNeighbor):
                    target = self._matched(loss, f"{name}/{number}", styles, number, start)
                else:
                    sampled = partial(self._sampled, loss, styles, number)
                    target = recall(self.known, ("samples", name, number, tuple(self.layers.items())), styles, sampled)
                if target is not None:
                    self.targets.append(PointTarget(loss, name, area * weight * self.weight, number, target))
        if not any(matcher.loss.settings.refresh for matcher in self._matchers.values()):
            self._matchers, self._content = {}, None

    def _matched(self, loss: NearestNeighbor, key: str, styles: Sequence[StyleImage], number: int, start: Start) -> Any:
        picture = query(self._content, start.image, start.first)
        field = Field(int(picture.shape[2]), int(picture.shape[3]), self._regions, number)
        shares = [(style, style.weight / sum(one.weight for one in styles)) for style in styles]
        matcher = Matcher(loss, self.features, self.layers, shares, field, self.known, self.heed)
        if not matcher.styles or not len(matcher.reading.points):
            return None
        saved = (start.matches or {}).get(key)
        rows = sum(len(rows.columns) for rows in matcher.styles)
        if saved is None or len(saved) != len(matcher.reading.points) or int(saved.max()) >= rows:
            saved = matcher.numbers(picture)
        saved = saved.to(picture.device)  # a checkpoint's are on the processor
        self._matchers[key], self._numbers[key] = matcher, saved
        return matcher.matches(saved)

    def _sampled(self, loss: PointLoss, styles: Sequence[StyleImage], number: int) -> Any:
        fields = []
        for style in styles:
            regions = None if style.regions is None else Regions(style.regions)
            part = number if regions is not None and len(regions) > 1 else 0
            height, width = int(style.image.shape[2]), int(style.image.shape[3])
            field = Field(height, width, regions, part)
            if len(field.cells(0)):
                fields.append((style, field))
        found = []
        for style, field in fields:
            share = style.weight / sum(one.weight for one, _ in fields)
            readings = loss.style_readings(field, self.layers, share)
            found.append((read_all(self.features, style.image, readings), share))
        if not found or not all(len(values) for readings, _ in found for one in readings for values in one.values()):
            return None
        with torch.autocast(styles[0].image.device.type, enabled=False):
            return loss.samples_target(found, self.layers)

    @torch.no_grad()
    def refresh(self, image: Tensor, since: int) -> None:
        """Match anew where the time has come.

        Args:
            image: as it is, ``(1, 3, H, W)``.
            since: steps since the scale began.
        """
        for key, matcher in self._matchers.items():
            every = matcher.loss.settings.refresh
            if since > 0 and since % every == 0:
                number = int(key.rpartition("/")[2])
                self._numbers[key] = matcher.numbers(query(self._content, image, first=False))
                target = matcher.matches(self._numbers[key])
                self.targets = [
                    one._replace(target=target) if one.loss is matcher.loss and one.number == number else one
                    for one in self.targets
                ]

    def state(self) -> dict[str, Tensor]:
        """The numbers of the matches, for a checkpoint."""
        return {key: numbers.cpu() for key, numbers in self._numbers.items()}

    def readings(self, one: PointTarget, image: Tensor, step: int) -> list[Reading]:
        """What a loss reads of the image at a step; none where its region has no point of the grid."""
        field = Field(int(image.shape[2]), int(image.shape[3]), self._regions, one.number)
        found = one.loss.readings(field, self.layers, step)
        return found if all(len(reading.points) for reading in found) else []


class ContentSamples:
    """The content image at the points that a loss of its relations asks for.

    Args:
        loss: of content.
        features: the network.
    """

    def __init__(self, loss: SelfSimilarity, features: VGGFeatures) -> None:
        self.loss = loss
        self.features = features
        self.use({})
        self.image: Tensor | None = None
        self._field = Field(1, 1)
        self._known: tuple[int, list[Columns]] | None = None

    def use(self, layers: Mapping[Layer, float]) -> None:
        """Look at these content layers from now on, with these weights."""
        self.weight, self.layers = shared(layers)

    def set(self, content: Tensor | None, regions: Regions | None) -> None:
        """Keep the content image ``(1, 3, H, W)``; what no region shows of it does not count."""
        self.image, self._known = content, None
        if content is not None:
            shown = None if regions is None else Regions(regions.weights.sum(dim=0, keepdim=True))
            self._field = Field(int(content.shape[2]), int(content.shape[3]), shown)

    def readings(self, step: int) -> list[Reading]:
        """What to read of the image."""
        return self.loss.readings(self._field, self.layers, step)

    def value(self, columns: list[Columns], step: int) -> Tensor:
        """The loss for what was read of the image, times the sum of the layers' weights."""
        assert self.image is not None
        draw = self.loss.draw(step)
        if self._known is None or self._known[0] != draw:
            self._known = draw, read_all(self.features, self.image, self.readings(step))
        with torch.autocast(self.image.device.type, enabled=False):
            return self.weight * self.loss(columns, (self._known[1], self.layers), step)
