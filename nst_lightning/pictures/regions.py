"""Regions: pictures of flat colours that say which part of the style goes where."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.pictures import mapped
from nst_lightning.pictures.strips import strips

EMPTY = 1e-6  # share of the positions below which a region is not there at a layer
SMALLEST_SHARE = 0.005  # of the pixels; colours rarer than that are edges between two others, or JPEG noise
NEAR = 24  # levels of 255; colours nearer than that are one: JPEG noise again


def find_regions(mask: Tensor, alpha: Tensor | None = None) -> dict[str, Tensor]:
    """The regions of a mask.

    Every pixel belongs to the nearest of the colours that fill a part of the picture worth naming, lines of one pixel not
    counted, so anti-aliased and compressed edges do no harm.

    Args:
        mask: ``(3, H, W)`` in ``[0, 1]``.
        alpha: ``(1, H, W)`` in ``[0, 1]``, or None. What is more than half transparent belongs to no region.

    Returns:
        For every colour, as ``#rrggbb``, its region ``(1, H, W)`` of 0 and 1; they add up to 1 where the mask is seen.

    >>> half = torch.zeros(3, 2, 4)
    >>> half[0, :, 2:] = 1
    >>> {color: region[0, 0].tolist() for color, region in find_regions(half).items()}
    {'#000000': [1.0, 1.0, 0.0, 0.0], '#ff0000': [0.0, 0.0, 1.0, 1.0]}
    """
    levels = (mask * 255).round().to(torch.int64)
    seen = torch.ones_like(levels[0], dtype=torch.bool) if alpha is None else alpha[0] > 0.5
    if not bool(seen.any()):
        return {}
    pixels = levels[:, filled(levels) & seen].T
    pixels = pixels if len(pixels) else levels[:, seen].T
    colors, counts = torch.unique(pixels, dim=0, return_counts=True)
    palette: list[Tensor] = []
    for number in counts.argsort(descending=True, stable=True).tolist():
        common = counts[number] >= SMALLEST_SHARE * int(seen.sum())
        if common and all((colors[number] - other).abs().max() > NEAR for other in palette):
            palette.append(colors[number])
    palette = palette or [colors[counts.argmax()]]
    palette.sort(key=lambda color: color.tolist())
    distances = torch.stack([(levels - color.view(3, 1, 1)).square().sum(dim=0) for color in palette])
    nearest = distances.argmin(dim=0)
    names = ["#{:02x}{:02x}{:02x}".format(*color.tolist()) for color in palette]
    return {name: ((nearest == number) & seen).float()[None] for number, name in enumerate(names)}


def nearest_regions(mask: Tensor, colors: Sequence[str]) -> dict[str, Tensor]:
    """The regions of a mask whose colours are known: every pixel belongs to the nearest of them.

    Args:
        mask: ``(3, H, W)`` in ``[0, 1]``, blurred by a film's compression perhaps.
        colors: ``#rrggbb``, one or more.

    Returns:
        For every colour its region ``(1, H, W)`` of 0 and 1, which may be empty.

    >>> red = torch.tensor([0.9, 0.1, 0.0]).view(3, 1, 1)
    >>> {color: float(region) for color, region in nearest_regions(red, ["#ff0000", "#0000ff"]).items()}
    {'#ff0000': 1.0, '#0000ff': 0.0}
    """
    palette = [torch.tensor(list(bytes.fromhex(color[1:])), dtype=mask.dtype).view(3, 1, 1) / 255 for color in colors]
    nearest = torch.stack([(mask - color).square().sum(dim=0) for color in palette]).argmin(dim=0)
    return {color: (nearest == number).float()[None] for number, color in enumerate(colors)}


def filled(levels: Tensor) -> Tensor:
    """The pixels of a mask ``(3, H, W)`` that belong to 2 x 2 of one colour, ``(H, W)``: not the seam of a smooth edge.

    >>> filled(torch.tensor([[[0, 0, 128, 255, 255]] * 2] * 3))[0].tolist()
    [True, True, False, True, True]
    """
    block = (min(2, levels.shape[1]), min(2, levels.shape[2]))
    values = levels.float()
    spread = F.max_pool2d(values, block, stride=1) + F.max_pool2d(-values, block, stride=1)
    even = (spread.amax(dim=0, keepdim=True) <= NEAR).float()
    padding = (block[1] - 1, block[1] - 1, block[0] - 1, block[0] - 1)
    return F.max_pool2d(F.pad(even, padding), block, stride=1)[0] > 0


def shrink(weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Weights of positions ``(R, H, W)`` at another size, by area: edges become soft, sums keep their share."""
    if tuple(weights.shape[-2:]) == tuple(size):
        return weights
    if weights.shape[-2] >= size[0] and weights.shape[-1] >= size[1]:
        return F.adaptive_avg_pool2d(weights[None], size)[0]
    return F.interpolate(weights[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]


class Regions:
    """Weights of the positions of one picture, at every size that a layer asks for.

    Each size is made and summed once: a sum per step would make a GPU wait.

    Args:
        weights: ``(R, H, W)``, 0 or more, how much each position counts for each region.
    """

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights
        self._known: dict[tuple[int, int], tuple[Tensor, list[float]]] = {}
        self._positions: dict[tuple[int, int], list[Tensor]] = {}

    def __len__(self) -> int:
        return len(self.weights)

    def at(self, size: tuple[int, int]) -> tuple[Tensor, list[float]]:
        """The weights ``(R, *size)`` and the sum of each region's, 0 where it is not there at this size."""
        if size not in self._known:
            weights = mapped.kept(shrink(self.weights, size))
            masses = weights.sum(dim=(1, 2)).tolist()
            self._known[size] = weights, [mass if mass > EMPTY * size[0] * size[1] else 0.0 for mass in masses]
        return self._known[size]

    def positions(self, size: tuple[int, int]) -> list[Tensor]:
        """The positions of each region ``(N,)``, int32, counted row by row: those that count more than half the most."""
        if size not in self._positions:
            weights = self.at(size)[0]
            self._positions[size] = [_most(one) for one in weights]
        return self._positions[size]


def _most(weights: Tensor) -> Tensor:
    """The positions of weights ``(H, W)`` that are more than half of the largest, row by row, int32."""
    width, half = int(weights.shape[1]), weights.max() / 2
    found = [(weights[rows].flatten() > half).nonzero()[:, 0].int() + rows.start * width for rows in strips(*weights.shape)]
    return mapped.kept(torch.cat(found))
