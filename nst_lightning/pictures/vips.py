"""libvips, set up once for this project."""

from __future__ import annotations

import os

import numpy as np

from nst_lightning.pictures.picture import ImageError, damaged

_before = os.environ.get("VIPS_WARNING")
# libvips has much to say of odd metadata (damaged pixels raise); whether it does it decides while it is loaded
os.environ["VIPS_WARNING"] = "0"
try:
    import pyvips
finally:
    os.environ.pop("VIPS_WARNING")
    if _before is not None:
        os.environ["VIPS_WARNING"] = _before

__all__ = ["ERRORS", "as_vips", "first_line", "pyvips", "refuse"]

# the cache of operations would keep pictures in memory that are read once
pyvips.cache_set_max(0)
# libvips quotes names out of damaged files, which pyvips takes for UTF-8
ERRORS = (pyvips.Error, UnicodeDecodeError)
TYPES = {"uint8": "uchar", "uint16": "ushort", "float32": "float", "float64": "double"}

# pyvips takes each line of its log through Python, where bytes that are no UTF-8 print a traceback and the exception of a
# Ctrl-C is lost
pyvips._remove_log_handler()


def as_vips(values: np.ndarray, interpretation: str) -> pyvips.Image:
    """An array ``(H, W, C)`` as libvips sees it; the array has to outlive the image."""
    values = np.ascontiguousarray(values)
    height, width, bands = values.shape
    image = pyvips.Image.new_from_memory(values, width, height, bands, TYPES[values.dtype.name])
    return image.copy(interpretation=interpretation)


def first_line(error: Exception) -> str:
    """What an error of libvips says, in a line: the first that is about more than the end of the file."""
    said = (error.detail or error.message) if isinstance(error, pyvips.Error) else "metadata that are no text"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "bad seek" not in line), lines[0] if lines else "unknown")


def refuse(error: Exception) -> ImageError:
    """The error to raise for one of libvips."""
    return damaged(first_line(error))
