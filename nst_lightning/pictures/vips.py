"""libvips, set up once for this project."""

from __future__ import annotations

import logging

import numpy as np
import pyvips

from nst_lightning.pictures.picture import ImageError, damaged

__all__ = ["as_vips", "first_line", "pyvips"]

# what libvips has to say of odd metadata; damaged pixels raise
logging.getLogger("pyvips").setLevel(logging.CRITICAL + 1)
# the cache of operations would keep pictures in memory that are read once
pyvips.cache_set_max(0)

TYPES = {"uint8": "uchar", "uint16": "ushort", "float32": "float", "float64": "double"}


def as_vips(values: np.ndarray, interpretation: str) -> pyvips.Image:
    """An array ``(H, W, C)`` as libvips sees it; the array has to outlive the image."""
    values = np.ascontiguousarray(values)
    height, width, bands = values.shape
    image = pyvips.Image.new_from_memory(values, width, height, bands, TYPES[values.dtype.name])
    return image.copy(interpretation=interpretation)


def first_line(error: pyvips.Error) -> str:
    """What an error of libvips says, in a line: the first that is about more than the end of the file."""
    lines = [line.strip() for line in (error.detail or error.message).splitlines() if line.strip()]
    return next((line for line in lines if "bad seek" not in line), lines[0] if lines else "unknown")[:200]


def refuse(error: pyvips.Error) -> ImageError:
    """The error to raise for one of libvips."""
    return damaged(first_line(error))
