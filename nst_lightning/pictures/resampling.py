"""Interpolation at another size, also of pictures whose opposite edges continue each other."""

from __future__ import annotations

from math import ceil, gcd
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def resampled(
    image: Tensor,
    size: tuple[int, int],
    mode: Literal["bilinear", "bicubic"],
    antialias: bool = False,
    circular: bool = False,
) -> Tensor:
    """A picture at another size; linear in the picture, differentiable.

    Args:
        image: ``(B, C, H, W)``.
        size: ``(height, width)`` in pixels.
        mode: of ``torch.nn.functional.interpolate``.
        antialias: whether a smaller picture sees all pixels.
        circular: whether what lies beyond an edge is what lies inside the opposite one, and not the edge's own pixels.

    >>> ramp = torch.arange(4.0).view(1, 1, 1, 4)
    >>> resampled(ramp, (1, 8), "bilinear", circular=True)[0, 0, 0].tolist()
    [0.75, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 2.25]
    """
    if not circular:
        return F.interpolate(image, size, mode=mode, antialias=antialias, align_corners=False)
    for dim in (2, 3):  # interpolation is separable
        image = _along(image, dim, size[dim - 2], mode, antialias)
    return image


def _along(image: Tensor, dim: int, wanted: int, mode: str, antialias: bool) -> Tensor:
    """One side at another size, around the seam: with as many lines of the other end as are seen.

    Positions of the two sizes fall together at every `sides / gcd` lines, so whole multiples of that are added and cut off.
    """
    side = int(image.shape[dim])
    if side == wanted:
        return image
    common = gcd(side, wanted)
    period, cut = side // common, wanted // common
    seen = 2 * max(1.0, side / wanted) + 1  # lines beyond the position that a cubic sees, wider where it is made smaller
    times = ceil(seen / period)
    lines = torch.arange(-times * period, side + times * period, device=image.device) % side
    longer = image.index_select(dim, lines)
    size = [int(one) for one in longer.shape[2:]]
    size[dim - 2] = wanted + 2 * times * cut
    found = F.interpolate(longer, size, mode=mode, antialias=antialias, align_corners=False)
    return found.narrow(dim, times * cut, wanted)
