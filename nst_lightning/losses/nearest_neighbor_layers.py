"""Each position of each layer like one position of the painting: the last touch of NNST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nst_lightning.losses.cosine import nearest_rows, pairs_mean, unit
from nst_lightning.losses.neighbor_search import share_out
from nst_lightning.losses.points import Columns, Field, Reading
from nst_lightning.losses.style_loss import PointLoss
from nst_lightning.network.layers import Layer

POSITIONS = 64 * 64  # of each layer

Target = list[tuple[float, list[tuple[Tensor, float]]]]  # for each layer its weight, the styles' rows and their shares


class NearestNeighborLayers(PointLoss):
    """Mean least centred cosine distance of the image's features to the painting's, layer by layer, each at its own size.

    The final pass of Kolkin et al. 2022 (section 3.4): at up to 64 x 64 positions of a layer, others at each step, the mean
    over them of min (1 − cos(f − mean f, s − mean s)) over as many of the style; summed over layers with their weights. The
    minimum is found anew each step and without gradient; only the pair that it names has one. Of several style images each
    gets its share of the positions.

    Costs 4096 x 4096 x channels products a layer and step: 50 GFLOP in all for the ten layers of NNST.
    """

    def readings(self, field: Field, layers: Mapping[Layer, float], step: int) -> list[Reading]:
        return [Reading((layer,), field.spread(layer.pools_before, POSITIONS, seed=step)) for layer in layers]

    def style_readings(self, field: Field, layers: Mapping[Layer, float], share: float) -> list[Reading]:
        return [Reading((layer,), field.spread(layer.pools_before, POSITIONS)) for layer in layers]

    def samples_target(self, styles: Sequence[tuple[list[Columns], float]], layers: Mapping[Layer, float]) -> Target:
        target: Target = []
        for number, (layer, weight) in enumerate(layers.items()):
            rows = [(readings[number][layer], share) for readings, share in styles]
            target.append((weight, [(unit(one - one.mean(dim=0)), share) for one, share in rows]))
        return target

    def forward(self, image: Sequence[Columns], target: Target, step: int) -> Tensor:
        values = []
        for columns, (weight, styles) in zip(image, target, strict=True):
            (features,) = columns.values()
            ours = unit(features - features.mean(dim=0))
            found = [nearest_rows(ours, rows) for rows, _ in styles]
            chosen = share_out(torch.stack([1 - cosine for cosine, _ in found], dim=1), [share for _, share in styles])
            matched = torch.zeros_like(ours)
            for number, (rows, _) in enumerate(styles):
                matched = torch.where((chosen == number)[:, None], rows[found[number][1]], matched)
            values.append(weight * pairs_mean(ours, matched))
        return torch.stack(values).sum()
