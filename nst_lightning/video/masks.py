"""Masks that are clips: each frame has its own regions, in the colours of the style's masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from nst_lightning.pictures.masks import regions_in
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.regions import nearest_regions
from nst_lightning.pictures.sources import several
from nst_lightning.pictures.thumbnails import stamp
from nst_lightning.pictures.write import write_image


def colors_of(style_mask: str | Sequence[str] | None) -> list[str]:
    """The colours of some masks, as ``#rrggbb``."""
    return sorted({color for mask in several("style_mask", style_mask) for color in _colors(mask, *stamp(mask))})


@lru_cache(maxsize=16)
def _colors(mask: str, changed: int, size: int) -> tuple[str, ...]:
    """Those of one, which every frame asks for."""
    return tuple(regions_in("style_mask", mask))


def regions_of_frame(path: Path, style_mask: str | Sequence[str] | None) -> dict[str, Tensor]:
    """The regions of a mask's frame by those colours, ``(1, H, W)`` each.

    A film blurs colours, and a region may leave the picture for some frames: then it is empty.
    """
    return nearest_regions(read_image(str(path)).rgb, colors_of(style_mask))


def write_all_regions(path: Path, style_mask: str | Sequence[str] | None) -> None:
    """A mask that has every region, to check the settings of a film with: stripes of all colours."""
    colors = [torch.tensor(list(bytes.fromhex(color[1:]))) for color in colors_of(style_mask)]
    stripes = [color.view(3, 1, 1).expand(3, 8, 8) for color in colors]

    write_image(torch.cat(stripes, dim=2)[None] / 255, path)
