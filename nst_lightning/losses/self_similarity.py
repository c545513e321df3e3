"""A content loss that keeps the relations of places, not what they look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nst_lightning.losses.cosine import unit
from nst_lightning.losses.nearest_neighbor import hypercolumns
from nst_lightning.losses.points import Columns, Field, Reading
from nst_lightning.losses.relaxed_emd import REDRAW, SAMPLES, with_pixels
from nst_lightning.losses.style_loss import PointLoss
from nst_lightning.network.layers import Layer


def self_similarity_loss(image: Tensor, content: Tensor) -> Tensor:
    """n · mean |D(image) − D(content)|, D the cosine distances among n points, each column divided by its sum.

    The content term of Kolkin, Salavon, Shakhnarovich 2019, *Style transfer by relaxed optimal transport and
    self-similarity*, times n so that it does not shrink with the number of points.

    Args:
        image: hypercolumns ``(n, D)`` of the image.
        content: those of the content image at the same points.
    """

    def relations(rows: Tensor) -> Tensor:
        units = unit(rows)
        distances = (1 - units @ units.T).clamp(min=0)
        return distances / distances.sum(dim=0, keepdim=True).clamp(min=torch.finfo(rows.dtype).eps)

    return (relations(image) - relations(content)).abs().mean() * len(image)


class SelfSimilarity(PointLoss):
    """Self-similarity of the hypercolumns at 1024 points, drawn anew every tenth step: :func:`self_similarity_loss`.

    The target are the content image's hypercolumns (RGB and all content layers) at the same points; hidden places are not
    among them. Costs 1024² x channels products a step, ten GFLOP with its gradient.
    """

    name = "self_similarity"

    def readings(self, field: Field, layers: Mapping[Layer, float], step: int) -> list[Reading]:
        return [Reading(tuple(with_pixels(layers)), field.spread(0, SAMPLES, seed=step // REDRAW))]

    def draw(self, step: int) -> int:
        """The number of the draw that a step belongs to: its points are the same."""
        return step // REDRAW

    def forward(self, image: Sequence[Columns], target: tuple[list[Columns], dict[Layer, float]], step: int) -> Tensor:
        """The loss; ``target`` has what was read of the content image, and the layers with their shares."""
        content, layers = target
        factors = with_pixels(layers)
        return self_similarity_loss(hypercolumns(image[0], factors), hypercolumns(content[0], factors))
