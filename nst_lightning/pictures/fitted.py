"""A picture at the size that a setting asks for, and whether it has enough pixels for it."""

from __future__ import annotations

import math
from typing import Any

from nst_lightning.errors import BadArgument
from nst_lightning.pictures.picture import MAX_PIXELS, Picture, fit_size, resize_picture

ENLARGED = 4.0  # times: a picture that is enlarged more is a blur


def fitted(picture: Picture, longer_side: int, asked: tuple[str, Any]) -> Picture:
    """The picture with this longer side, which some setting asked for.

    Raises:
        BadArgument: for more pixels than can be held.
    """
    height, width = (int(side) for side in picture.rgb.shape[-2:])
    shape = fit_size(height, width, longer_side)
    check_pixels(shape, asked)
    return resize_picture(picture, shape)


def check_pixels(shape: tuple[int, int], asked: tuple[str, Any]) -> None:
    """Whether a picture of ``(height, width)`` can be held that some setting asked for.

    Raises:
        BadArgument: if not.
    """
    pixels = math.prod(shape)
    if pixels > MAX_PIXELS:
        most = int(max(shape) * math.sqrt(MAX_PIXELS / pixels))
        expected = f"makes {pixels / 1e6:.0f} million pixels of this picture; {most} pixels at its longer side at most"
        raise BadArgument(*asked, expected)


def enlarged(picture: Picture, name: str, longer_side: int) -> list[str]:
    """A line about a picture that is wanted much larger than it is: it has nothing more to show; none for others."""
    height, width = (int(side) for side in picture.rgb.shape[-2:])
    times = longer_side / max(height, width)
    if times <= ENLARGED:
        return []
    return [f"{name} has {width} x {height} pixels and is enlarged {times:.0f} times, which blurs it"]
