"""The earth mover's distance of two sets of hypercolumns, relaxed; with their moments and their colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nst_lightning.losses.cosine import nearest_rows, pairs_mean, unit
from nst_lightning.losses.nearest_neighbor import hypercolumns
from nst_lightning.losses.points import PIXELS, Columns, Field, Reading
from nst_lightning.losses.style_loss import PointLoss, relative
from nst_lightning.network.layers import Layer

SAMPLES = 1024  # points of the image
REDRAW = 10  # steps with the same points
STYLE_SAMPLES = 5000  # points of all style images together
DARK = 0.02  # length of an RGB colour
DEVIATION = 0.226  # of ImageNet's pixels: what the network's input is divided by


def with_pixels(layers: Mapping[Layer, float]) -> dict[Layer, float]:
    """The factors of a hypercolumn with the picture itself in front, in the units of the network's input."""
    return {PIXELS: 1 / DEVIATION, **relative(layers)}


def relaxed_emd_loss(image: Tensor, style: Tensor) -> Tensor:
    """max(mean_i min_j C_ij, mean_j min_i C_ij), C the cosine distance.

    The term l_R of Kolkin, Salavon, Shakhnarovich 2019, *Style transfer by relaxed optimal transport and self-similarity*
    (each constraint of the transport relaxed in turn; Kusner et al. 2015). Of the matrix C only the least of each row and
    column has a gradient.

    Args:
        image: ``(n, D)``.
        style: ``(m, D)``.
    """
    ours, theirs = unit(image), unit(style)
    there, back = nearest_rows(ours, theirs)[1], nearest_rows(theirs, ours)[1]
    # index_select: the gradient of an index is added up by threads in any order
    return torch.maximum(pairs_mean(ours, theirs[there]), pairs_mean(theirs, ours.index_select(0, back)))


def moments_loss(image: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """mean |μ − μs| + mean |Σ − Σs| over channels and their pairs: the term l_m of the same paper, as means.

    Args:
        image: ``(n, D)``.
        mean: ``(D,)`` of the style.
        covariance: ``(D, D)`` of the style.
    """
    centred = image - image.mean(dim=0)
    return (image.mean(dim=0) - mean).abs().mean() + (centred.T @ centred / len(image) - covariance).abs().mean()


def palette_loss(image: Tensor, style: Tensor) -> Tensor:
    """The relaxed earth mover's distance of colours under 1 − cos + Euclidean distance: the l_p of the same paper.

    There in a decorrelated basis; that is a rotation of RGB, which changes neither distance. The cosine of nearly black
    colours says nothing and has no bounded slope, so below a length of :data:`DARK` it is taken for that length.

    Args:
        image: RGB ``(n, 3)`` in ``[0, 1]``.
        style: ``(m, 3)``.
    """
    with torch.no_grad():
        costs = 1 - unit(image, DARK) @ unit(style, DARK).T + torch.cdist(image, style)
        there, back = costs.argmin(dim=1), costs.argmin(dim=0)

    def mean(ours: Tensor, theirs: Tensor) -> Tensor:
        # the root's slope at 0 is infinite: a colour that is there already asks for nothing
        squares = (ours - theirs).square().sum(dim=1)
        lengths = torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)
        return pairs_mean(unit(ours, DARK), unit(theirs, DARK)) + lengths.mean()

    return torch.maximum(mean(image, style[there]), mean(image.index_select(0, back), style))


class _Samples(PointLoss):
    """Points of the image drawn anew every tenth step, and points of each style image in proportion to its weight."""

    def _layers(self, layers: Mapping[Layer, float]) -> tuple[Layer, ...]:
        raise NotImplementedError

    def readings(self, field: Field, layers: Mapping[Layer, float], step: int) -> list[Reading]:
        return [Reading(self._layers(layers), field.spread(0, SAMPLES, seed=step // REDRAW))]

    def style_readings(self, field: Field, layers: Mapping[Layer, float], share: float) -> list[Reading]:
        count = max(1, round(STYLE_SAMPLES * share))
        return [Reading(self._layers(layers), field.spread(0, count, seed=0))]


class RelaxedEMD(_Samples):
    """Relaxed earth mover's distance and moments of hypercolumns (STROTSS): :func:`relaxed_emd_loss` and
    :func:`moments_loss`, added.

    A hypercolumn has the picture's RGB and the features of all style layers. 1024 points of the image are compared with
    5000 of the style images, shared out by their weights. Costs 1024 x 5000 x channels products a step for the distance and
    1024 x channels² for the covariance: 60 GFLOP with its gradient for the nine layers of STROTSS.
    """

    def _layers(self, layers: Mapping[Layer, float]) -> tuple[Layer, ...]:
        return tuple(with_pixels(layers))

    def samples_target(
        self, styles: Sequence[tuple[list[Columns], float]], layers: Mapping[Layer, float]
    ) -> tuple[Tensor, Tensor, Tensor, dict[Layer, float]]:
        factors = with_pixels(layers)
        rows = torch.cat([hypercolumns(readings[0], factors) for readings, _ in styles])
        centred = rows - rows.mean(dim=0)
        return rows, rows.mean(dim=0), centred.T @ centred / len(rows), factors

    def forward(self, image: Sequence[Columns], target: tuple, step: int) -> Tensor:
        rows, mean, covariance, factors = target
        ours = hypercolumns(image[0], factors)
        return relaxed_emd_loss(ours, rows) + moments_loss(ours, mean, covariance)


class Palette(_Samples):
    """The image's colours moved to the painting's, wherever they are (the l_p of STROTSS): :func:`palette_loss`."""

    def _layers(self, layers: Mapping[Layer, float]) -> tuple[Layer, ...]:
        return (PIXELS,)

    def samples_target(self, styles: Sequence[tuple[list[Columns], float]], layers: Mapping[Layer, float]) -> Tensor:
        return torch.cat([readings[0][PIXELS] for readings, _ in styles])

    def forward(self, image: Sequence[Columns], target: Tensor, step: int) -> Tensor:
        return palette_loss(image[0][PIXELS], target)
