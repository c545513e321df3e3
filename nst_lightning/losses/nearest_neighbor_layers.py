"""Each position of each layer like one position of the painting: the last touch of NNST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nst_lightning.losses.cosine import nearest_rows, pairs_mean, unit
from nst_lightning.losses.nearest_neighbor import NeighborSettings
from nst_lightning.losses.neighbor_search import principal_axes, share_out
from nst_lightning.losses.points import Columns, Field, Reading
from nst_lightning.losses.style_loss import PointLoss
from nst_lightning.network.layers import Layer

POSITIONS = 64 * 64  # of each layer
AXES = 64  # principal axes of a layer, at most; a draft with 16 is farther from the painting in all distances


class Painted(NamedTuple):
    """The style images at one layer.

    Attributes:
        weight: of the layer.
        rows: for each style image ``(n, C)``, centred and of length 1.
        shares: of the style images.
        axes: ``(C, K)``, along which distances are measured, or None: along all channels.
        compared: the rows along the axes.
    """

    weight: float
    rows: list[Tensor]
    shares: list[float]
    axes: Tensor | None
    compared: list[Tensor]


class NearestNeighborLayers(PointLoss):
    """Mean least centred cosine distance of the image's features to the painting's, layer by layer, each at its own size.

    The final pass of Kolkin et al. 2022 (section 3.4): at up to 64 x 64 positions of a layer, others at each step, the mean
    over them of min (1 − cos(f − mean f, s − mean s)) over as many of the style; summed over layers with their weights. The
    minimum is found anew each step and without gradient, along the painting's principal axes of that layer (64, or fewer if
    :class:`NeighborSettings` says so); only the pair that it names has one. Of several style images each gets its share of
    the positions.

    Costs 4096 x 4096 x 64 products a layer and step, 2 GFLOP; along all channels 50 GFLOP for the ten layers of NNST.

    Args:
        settings: of the search.
    """

    def __init__(self, settings: NeighborSettings = NeighborSettings()) -> None:  # noqa: B008 (frozen)
        super().__init__()
        self.axes = min(settings.axes, AXES)

    def readings(self, field: Field, layers: Mapping[Layer, float], step: int) -> list[Reading]:
        return [Reading((layer,), field.spread(layer.pools_before, POSITIONS, seed=step)) for layer in layers]

    def style_readings(self, field: Field, layers: Mapping[Layer, float], share: float) -> list[Reading]:
        return [Reading((layer,), field.spread(layer.pools_before, POSITIONS)) for layer in layers]

    def samples_target(self, styles: Sequence[tuple[list[Columns], float]], layers: Mapping[Layer, float]) -> list[Painted]:
        target: list[Painted] = []
        for number, (layer, weight) in enumerate(layers.items()):
            rows = [readings[number][layer] for readings, _ in styles]
            rows = [unit(one - one.mean(dim=0)) for one in rows]
            axes = principal_axes(torch.cat(rows), self.axes) if 0 < self.axes < layer.channels else None
            compared = rows if axes is None else [one @ axes for one in rows]
            target.append(Painted(weight, rows, [share for _, share in styles], axes, compared))
        return target

    def forward(self, image: Sequence[Columns], target: list[Painted], step: int) -> Tensor:
        values = []
        for columns, painted in zip(image, target, strict=True):
            (features,) = columns.values()
            ours = unit(features - features.mean(dim=0))
            along = ours.detach() if painted.axes is None else ours.detach() @ painted.axes
            found = [nearest_rows(along, rows) for rows in painted.compared]
            chosen = share_out(torch.stack([1 - cosine for cosine, _ in found], dim=1), painted.shares)
            matched = torch.zeros_like(ours)
            for number, rows in enumerate(painted.rows):
                matched = torch.where((chosen == number)[:, None], rows[found[number][1]], matched)
            values.append(painted.weight * pairs_mean(ours, matched))
        return torch.stack(values).sum()
