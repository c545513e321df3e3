"""Each place of the image like one place of the painting: strokes and contours, not statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.linalg import vecdot, vector_norm

from nst_lightning.errors import BadArgument
from nst_lightning.losses.points import Columns, Field, Reading
from nst_lightning.losses.style_loss import PointLoss, relative
from nst_lightning.network.layers import Layer

QUARTER = 2  # one point for each 4 x 4 pixels, cells of 2 ** 2
KEPT = 1 << 16  # hypercolumns of all style images that are searched; of larger pictures so many, spread evenly
CHUNK = 2048  # points at a time: enough for every thread, and they stay in the processor's cache


@dataclass(frozen=True)
class NeighborSettings:
    """How `nearest_neighbor` finds what each place of the image should look like.

    Args:
        rotations: search the painting turned by 90, 180 and 270 degrees too; four times the work.
        occurrence: from 0 (as often as one likes): what it costs to use a place of the painting again; 0.05 keeps a motif
            from being stamped everywhere.
        refresh: match anew every so many steps; 0 for once a scale.
        axes: principal axes of the painting along which distances are measured; 0 for all channels, slow. Of a layer by
            itself, which has fewer channels than a hypercolumn, at most 64.
    """

    rotations: bool = False
    occurrence: float = 0.0
    refresh: int = 0
    axes: int = 256

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not 0 <= self.occurrence < float("inf"):
            raise BadArgument("neighbors.occurrence", self.occurrence, "a number of 0 or more")
        for name, what in (("refresh", "steps between two matches"), ("axes", "principal axes")):
            if getattr(self, name) < 0:
                raise BadArgument(f"neighbors.{name}", getattr(self, name), f"the number of {what}, 0 or more")


class Matches(NamedTuple):
    """What some points are matched with.

    Attributes:
        rows: ``(U, D)``, the style's hypercolumns that are used, of length 1.
        which: ``(n,)``, the row of each point.
        total: of all points of the region: the loss is a mean over them.
        factors: what each layer's features are multiplied by in a hypercolumn.
    """

    rows: Tensor
    which: Tensor
    total: int
    factors: dict[Layer, float]

    def of(self, points: Tensor) -> Matches:
        """The matches of some of the points, by their numbers ``(m,)``."""
        return self._replace(which=self.which[points])


class _Cosines(torch.autograd.Function):
    """Σ (1 − cos(h, t)) / N over points and its gradient −(t − cos ĥ) / (|h| N), in parts of :data:`CHUNK` points."""

    @staticmethod
    def forward(ctx: Any, matches: Matches, *columns: Tensor) -> Tensor:
        factors, widths = list(matches.factors.values()), [one.shape[1] for one in columns]
        total = columns[0].new_zeros(())
        ctx.grads = [torch.empty_like(one) for one in columns]
        for first in range(0, len(matches.which), CHUNK):
            part = slice(first, first + CHUNK)
            h = [one[part] for one in columns]
            t = matches.rows[matches.which[part]].to(total.dtype).split(widths, dim=1)
            squares = [(vector_norm(a, dim=1) * factor).square() for a, factor in zip(h, factors, strict=True)]
            length = torch.stack(squares).sum(dim=0).sqrt()
            length = torch.where(length > 0, length, float("inf"))  # no direction, no gradient
            products = [vecdot(a, b) * factor for a, b, factor in zip(h, t, factors, strict=True)]
            cosine = torch.stack(products).sum(dim=0) / length
            total = total + (1 - cosine).sum() / matches.total
            slope = (1 / matches.total / length)[:, None]
            along = slope * (cosine / length)[:, None]
            for grad, a, b, factor in zip(ctx.grads, h, t, factors, strict=True):
                torch.mul(b, -factor * slope, out=grad[part]).addcmul_(a, factor**2 * along)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(one * grads[0] for one in ctx.grads)


def hypercolumns(columns: Columns, factors: Mapping[Layer, float]) -> Tensor:
    """The features of each point, one layer after the other, each times its factor: ``(n, D)``."""
    return torch.cat([columns[layer] * factor for layer, factor in factors.items()], dim=1)


class NearestNeighbor(PointLoss):
    """Mean cosine distance of the image's hypercolumns to those of the painting that they are matched with.

    Kolkin, Kucera, Paris, Sykora, Shechtman, Shakhnarovich 2022, *Neural neighbor style transfer*: mean over
    points of 1 − cos(hypercolumn, matched). A hypercolumn has the features of all style layers, each divided by its
    channels, at every fourth pixel of both directions. Each is matched with the painting's at the least centred cosine
    distance (:class:`~nst_lightning.losses.neighbor_search.Search`), once a scale: the match is kept as a number and is no
    part of the gradient. Of several style images each gets its share of the matches; a region is matched within its own.

    Costs once a scale (points of the image) x (of the style) x axes products: at 512 px 0.1 TFLOP, four times that with
    rotations; a step costs little beside the network. Beyond 65536 places of the style so many are searched.

    Args:
        settings: of the search.
    """

    sees: ClassVar[Literal["moments", "features", "samples", "positions"]] = "positions"

    def __init__(self, settings: NeighborSettings = NeighborSettings()) -> None:
        super().__init__()
        self.settings = settings

    @staticmethod
    def factors(layers: Mapping[Layer, float]) -> dict[Layer, float]:
        """What each layer's features are multiplied by."""
        return {layer: weight / layer.channels for layer, weight in relative(layers).items()}

    def readings(self, field: Field, layers: Mapping[Layer, float], step: int = 0) -> list[Reading]:
        return [Reading(tuple(layers), field.cells(QUARTER))]

    def style_readings(self, field: Field, layers: Mapping[Layer, float], share: float) -> list[Reading]:
        kept = max(1, round(KEPT * share / (4 if self.settings.rotations else 1)))
        return [Reading(tuple(layers), field.spread(QUARTER, kept))]

    def matches(self, rows: Tensor, numbers: Tensor, layers: Mapping[Layer, float]) -> Matches:
        """The target: of all rows ``(n, D)`` of the style, those that the numbers of the matches ``(N,)`` name."""
        used, which = torch.unique(numbers.long(), return_inverse=True)
        kept = rows[used.to(rows.device)]
        wide = kept if kept.dtype == torch.float64 else kept.float()
        length = wide.norm(dim=1, keepdim=True).clamp(min=torch.finfo(wide.dtype).tiny ** 0.5)
        return Matches((wide / length).to(kept.dtype), which.to(rows.device), len(which), self.factors(layers))

    def forward(self, image: Sequence[Columns], target: Matches, step: int) -> Tensor:
        """The part of the mean that the points of ``target`` have.

        Args:
            image: their features, one reading.
            target: their matches.
            step: not used.
        """
        return _Cosines.apply(target, *(image[0][layer] for layer in target.factors))
