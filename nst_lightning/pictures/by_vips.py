"""What libvips reads: PNG, JPEG, WebP, GIF, AVIF, and most TIFF files."""

from __future__ import annotations

from typing import Any

import numpy as np

from nst_lightning.pictures.encoded import Encoded, heif_colors, png_colors
from nst_lightning.pictures.formats import AVIF, JPEG, PNG, TIFF, WEBP, Format
from nst_lightning.pictures.picture import MAX_PIXELS, ImageError
from nst_lightning.pictures.stored import Stored
from nst_lightning.pictures.vips import ERRORS, pyvips, refuse

WHITE = {"uchar": 255.0, "ushort": 65535.0, "uint": 2.0**32 - 1, "float": 1.0, "double": 1.0}
NO_DPI = {PNG: 2.834, JPEG: 1.0, WEBP: 1.0, TIFF: 1.0}  # pixels a millimetre that libvips says where the file does not


def read_by_vips(encoded: Encoded, kind: Format, **options: Any) -> Stored:
    """Read a picture, the first page or frame of several.

    Args:
        encoded: the file.
        kind: its format.
        options: more for libvips' loader.

    Raises:
        ImageError: if it is damaged or too large.
    """
    try:
        if kind is PNG:  # libvips says nothing of why it refuses sides of millions
            head = encoded.head(24)
            check_size(int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
        load = getattr(pyvips.Image, f"{kind.loader}_source")
        # of damage in metadata libvips warns, and goes on; damaged pixels are errors
        image = load(encoded.vips_source(), access="sequential", fail_on="error", **options)
        check_size(image.width, image.height)
        values = image.numpy().reshape(image.height, image.width, image.bands)
    except ERRORS as error:
        raise refuse(error) from error
    colors = 4 if image.interpretation == "cmyk" else 3 if image.bands >= 3 else 1
    profile = bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else None
    codes = None
    if kind is PNG:
        codes, profile = png_colors(encoded)
    elif kind is AVIF:
        codes = heif_colors(encoded)
        if codes and codes.transfer not in (16, 18) and profile:
            codes = None
        profile = None if codes else profile
    return Stored(
        values=values,
        colors=colors,
        white=_white(image, kind),
        profile=profile,
        codes=codes,
        orientation=_orientation(image, kind),
        dpi=_dpi(image, kind),
    )


def check_size(width: int, height: int) -> None:
    """Whether a picture can be held.

    Raises:
        ImageError: for more than 16384 x 16384 pixels.
    """
    if width * height > MAX_PIXELS:
        raise ImageError("too large (a decompression bomb?); 16384 x 16384 pixels at most")


def _white(image: pyvips.Image, kind: Format) -> float:
    if kind is AVIF and image.format == "ushort":
        bits = image.get("bits-per-sample")
        return float((2**bits - 1) << (16 - bits))  # libvips moves 10 and 12 bits up
    return WHITE.get(image.format, 1.0)


def _orientation(image: pyvips.Image, kind: Format) -> int:
    if kind is AVIF or not image.get_typeof("orientation"):  # its decoder turns it
        return 1
    return int(image.get("orientation"))


def _dpi(image: pyvips.Image, kind: Format) -> tuple[float, float] | None:
    unknown = NO_DPI.get(kind)
    if unknown is None or not (image.xres > 0 and image.yres > 0) or unknown in (image.xres, image.yres):
        return None
    return (image.xres * 25.4, image.yres * 25.4) if np.isfinite([image.xres, image.yres]).all() else None
