"""Laplacian pyramids: a picture as what each level adds to the next coarser one.

Burt and Adelson 1983, with bilinear resizing in both directions, as Kolkin et al. 2022 use it.
"""

from __future__ import annotations

from torch import Tensor

from nst_lightning.pictures.resampling import resampled


def sizes(height: int, width: int, levels: int) -> list[tuple[int, int]]:
    """The size of each level, fine to coarse: every one half of that before, at least a pixel.

    >>> sizes(5, 8, 4)
    [(5, 8), (2, 4), (1, 2), (1, 1)]
    """
    found = [(height, width)]
    while len(found) < levels and found[-1] != (1, 1):
        found.append((max(1, found[-1][0] // 2), max(1, found[-1][1] // 2)))
    return found


def shrunk(image: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture ``(B, C, H, W)`` at a smaller size."""
    return resampled(image, size, "bilinear", antialias=True)


def grown(image: Tensor, size: tuple[int, int], circular: bool = False) -> Tensor:
    """A picture ``(B, C, H, W)`` at a larger size; ``circular``: opposite edges continue each other."""
    return resampled(image, size, "bilinear", circular=circular)


def coarse(image: Tensor, levels: int) -> Tensor:
    """What is left of a picture ``(B, C, H, W)`` without the ``levels`` finest levels of its pyramid, at its own size."""
    size = (int(image.shape[2]), int(image.shape[3]))
    every = sizes(*size, levels + 1)
    for smaller in every[1:]:
        image = shrunk(image, smaller)
    for larger in reversed(every[:-1]):
        image = grown(image, larger)
    return image
