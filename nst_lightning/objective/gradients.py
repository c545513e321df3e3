"""Gradients that tiles put together: added up exactly, and handed to autograd when they are complete."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nst_lightning.objective.ranks import add_up
from nst_lightning.objective.tiles import Tile
from nst_lightning.pictures import mapped
from nst_lightning.pictures.strips import strips

# What tiles add up is added in this type: the sum is then the same whatever their order, on one process or several, to the
# last digit of float32. (Where it is not, L-BFGS from noise makes another picture within some steps.)
EXACT = torch.float64


class KnownGradient(torch.autograd.Function):
    """A value of the image whose gradient is known already, up to a factor; may be carried back once."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, value: Tensor, gradient: list[Tensor], factor: float) -> Tensor:
        ctx.gradient, ctx.factor = gradient, factor
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        # handed over, not copied: at 4096 px each copy of the image has 200 MB
        gradient = ctx.gradient.pop()
        for rows in strips(*gradient.shape[-2:]):
            gradient[..., rows, :].mul_(grads[0] * ctx.factor)
            mapped.let_go()
        return gradient, None, None, None


class GradientSum:
    """Gradients of crops, added up exactly where they overlap.

    Args:
        pixels: the image, ``(1, 3, H, W)``.
        banded: whether crops come row by row of tiles and all of them here. Then only the rows that more may be added to
            are kept in the wide type.
    """

    def __init__(self, pixels: Tensor, banded: bool) -> None:
        self.banded = banded
        self.sum = mapped.zeros(pixels.shape, pixels.dtype, pixels.device)
        self.first = 0  # the band's first row
        shape = (*pixels.shape[:2], 0 if banded else pixels.shape[2], pixels.shape[3])
        self.band = mapped.zeros(shape, EXACT, pixels.device)

    def add(self, tile: Tile, crop: Tensor) -> None:
        """Add the gradient of a tile's crop."""
        if self.banded:
            first, last = tile.rows.pieces[0]
            if last > self.first + self.band.shape[2]:
                self._settle(first)
                more = self.band.new_zeros((*self.band.shape[:2], last - first - self.band.shape[2], self.band.shape[3]))
                self.band = torch.cat([self.band, more], dim=2)
        tile.add(self.band, crop, self.first)

    def _settle(self, row: int) -> None:
        """Round the rows above ``row``: nothing more comes to them."""
        done = row - self.first
        self.sum[:, :, self.first : row] = self.band[:, :, :done]
        mapped.let_go()
        self.band, self.first = self.band[:, :, done:].clone(), row

    def total(self) -> Tensor:
        """The sum, over all processes."""
        if not self.banded:
            add_up([self.band])
        self._settle(self.first + self.band.shape[2])
        return self.sum
