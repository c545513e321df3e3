"""Points of a picture, and the features there: by bilinear interpolation, with indices and weights that can be seen.

A point is given in pixels of the picture, down and to the right of its upper left corner. The position k of a layer is the
middle of its cell of ``2 ** pools`` pixels, (k + ½)·2^pools; between two of them features are interpolated, beyond the
outermost they are continued. So a point means the same place at every layer, at odd sizes too, and it may be read from any
crop that sees its four neighbours.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from nst_lightning.losses.moments import flatten
from nst_lightning.network.layers import Layer
from nst_lightning.pictures.regions import Regions

# The picture itself beside the layers, RGB in [0, 1]: the methods of Kolkin et al. read it like one.
PIXELS = Layer(position=-1, kind="pixels", count=0, block=1, index=0, channels=3)

Columns = dict[Layer, Tensor]  # features of some points at some layers, (N, C) each: together their hypercolumns


class Reading(NamedTuple):
    """What is to be read of a picture.

    Attributes:
        layers: of which layers.
        points: where, ``(N, 2)``: down and to the right, in pixels, float64, in the main memory.
    """

    layers: tuple[Layer, ...]
    points: Tensor


class Corners(NamedTuple):
    """The positions of a layer around each point: upper left, upper right, lower left, lower right, those with any weight.

    Attributes:
        rows: ``(K, N)``; K is 4 or less.
        columns: ``(K, N)``.
        weights: ``(K, N)``.
    """

    rows: Tensor
    columns: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Corners:
        """The same on another device, the weights in a type that every device has."""
        double = device.type in ("cpu", "cuda")
        weights = self.weights.to(device) if double else self.weights.float().to(device)
        return Corners(self.rows.to(device), self.columns.to(device), weights)


def corners(points: Tensor, level: int, size: tuple[int, int], unit: float = 1.0) -> Corners:
    """The neighbours of points among the positions of a layer.

    Args:
        points: ``(N, 2)``.
        level: poolings before the layer.
        size: height and width of the layer's features of the whole picture.
        unit: what the features are multiplied by.

    >>> found = corners(torch.tensor([[2.0, 3.5]]), 1, (4, 4))
    >>> found.rows[:, 0].tolist(), found.columns[:, 0].tolist(), found.weights[:, 0].tolist()
    ([0, 0, 1, 1], [1, 2, 1, 2], [0.375, 0.125, 0.375, 0.125])
    """
    along = [(points[:, axis] / (1 << level) - 0.5).clamp(0, size[axis] - 1) for axis in (0, 1)]
    low = [one.floor().long() for one in along]
    high = [(one + 1).clamp(max=side - 1) for one, side in zip(low, size, strict=True)]
    down, right = (one - first for one, first in zip(along, low, strict=True))
    weights = torch.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    rows, columns = torch.stack([low[0], low[0], high[0], high[0]]), torch.stack([low[1], high[1], low[1], high[1]])
    used = weights.any(dim=1)  # points in the middle of their cells have one neighbour
    return Corners(rows[used], columns[used], weights[used] * unit)


def _lines(at: Corners, width: int) -> list[tuple[Tensor, Tensor]]:
    """For each corner the number of its position, counted row by row, and its weight."""
    return list(zip(at.rows * width + at.columns, at.weights, strict=True))


def _wide(features: Tensor) -> torch.dtype:
    return torch.float64 if features.dtype == torch.float64 else torch.float32


def gather(features: Tensor, at: Corners) -> Tensor:
    """Features ``(1, C, H, W)`` at some points, ``(N, C)`` in float32 or float64, without gradient."""
    matrix, wide = flatten(features.detach()), _wide(features)
    found = torch.zeros(at.weights.shape[1], matrix.shape[1], dtype=wide, device=features.device)
    for lines, weights in _lines(at, int(features.shape[3])):
        found.addcmul_(matrix[lines].to(wide), weights.to(wide)[:, None])
    return found


def scatter(grads: Tensor, at: Corners, features: Tensor) -> Tensor:
    """What a gradient of :func:`gather`'s result, ``(N, C)``, is for the features: ``(1, C, H, W)``, in their type."""
    height, width = int(features.shape[2]), int(features.shape[3])
    # where few points share a position nothing is gained by adding up in more digits than the result has: half the memory
    narrow = at.weights.numel() <= height * width
    dtype = features.dtype if narrow else grads.dtype
    total = torch.zeros(height * width, grads.shape[1], dtype=dtype, device=grads.device)
    for lines, weights in _lines(at, width):
        total.index_add_(0, lines, (grads * weights.to(grads.dtype)[:, None]).to(dtype))
    return total.to(features.dtype).view(1, height, width, -1).permute(0, 3, 1, 2)


class _Read(torch.autograd.Function):
    """:func:`gather` with :func:`scatter` as its gradient: one dense tensor where autograd makes four."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, rows: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
        ctx.at = Corners(rows, columns, weights)
        ctx.like = features.detach()
        return gather(features, ctx.at)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        return scatter(grads[0], ctx.at, ctx.like), None, None, None


def read(features: Tensor, at: Corners) -> Tensor:
    """Features ``(1, C, H, W)`` at some points, ``(N, C)``; differentiable once."""
    return _Read.apply(features, *at)


# ---- which points ----------------------------------------------------------------------------------------------------


class Field(NamedTuple):
    """A picture, or one region of it.

    Attributes:
        height: of the picture, in pixels.
        width: likewise.
        regions: of the picture, or None.
        number: of the region.
    """

    height: int
    width: int
    regions: Regions | None = None
    number: int = 0

    def cells(self, level: int) -> Tensor:
        """The middle of each cell of ``2 ** level`` pixels that belongs to the region, ``(N, 2)``, row by row.

        A cell belongs to it that counts more than half of what the region's most counts: hidden and foreign ones do not.
        """
        rows, columns = max(1, self.height >> level), max(1, self.width >> level)
        if self.regions is None:
            found = torch.arange(rows * columns)
        else:
            found = self.regions.positions((rows, columns))[self.number].cpu()
        return self._middles(found, level, columns)

    def _middles(self, cells: Tensor, level: int, columns: int) -> Tensor:
        cells = cells.long()
        found = torch.stack([cells // columns, cells % columns], dim=1).double()
        sides = torch.tensor([self.height, self.width], dtype=torch.float64)
        return torch.minimum((found + 0.5) * (1 << level), sides - 0.5)

    def spread(self, level: int, count: int, seed: int | None = None) -> Tensor:
        """At most ``count`` of :meth:`cells`, spread evenly over them.

        Args:
            level: see :meth:`cells`.
            count: at most so many.
            seed: draws one out of each of ``count`` equal parts; None takes their middles.
        """
        columns = max(1, self.width >> level)
        size = (max(1, self.height >> level), columns)
        known = None if self.regions is None else self.regions.positions(size)[self.number].cpu()
        total = size[0] * size[1] if known is None else len(known)
        picks = evenly(total, count, seed)
        return self._middles(picks if known is None else known[picks], level, columns)


def evenly(total: int, count: int, seed: int | None = None) -> Tensor:
    """At most ``count`` of the numbers below ``total``, one of each of ``count`` equal parts, ascending.

    >>> evenly(9, 3).tolist(), evenly(2, 3).tolist()
    ([1, 4, 7], [0, 1])
    """
    if total <= count:
        return torch.arange(total)
    within = torch.full((count,), 0.5, dtype=torch.float64)
    if seed is not None:
        within = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    bounds = torch.arange(count + 1) * total // count
    return bounds[:-1] + (within * (bounds[1:] - bounds[:-1])).long()
