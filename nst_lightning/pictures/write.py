"""Pictures to files: 8 or 16 bits, tagged as sRGB, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import ImageColor
from torch import Tensor

from nst_lightning.pictures.atomic import atomic_write, expand, final_path
from nst_lightning.pictures.formats import JPEG, PNG, TIFF, WEBP, WRITTEN, Format
from nst_lightning.pictures.picture import ImageError, levels, on_background
from nst_lightning.pictures.strips import by_strips
from nst_lightning.pictures.vips import ERRORS, as_vips, first_line, pyvips

DEEP = (PNG, TIFF)
LOSSY = (JPEG, WEBP)
WITHOUT_ALPHA = (JPEG,)
QUALITY = 95
SCREEN = 72.0  # pixels an inch, where nothing is known of paper
WEBP_SIDE, JPEG_SIDE = 16383, 65500


def parse_color(color: str) -> tuple[float, float, float]:
    """Red, green and blue in ``[0, 1]`` of a colour's name (CSS) or ``#rrggbb``.

    Raises:
        ImageError: if it is neither.

    >>> parse_color("white"), parse_color("#ff0000")
    ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0))
    """
    try:
        red, green, blue = ImageColor.getrgb(color)[:3]
    except (ValueError, AttributeError) as error:
        raise ImageError("give a colour by name (white, black, …) or as #rrggbb") from error
    return red / 255, green / 255, blue / 255


def check_output(path: str | os.PathLike[str], bits: int = 8, size: int = 1, quality: int | None = None) -> None:
    """Find out before the work whether its result can be written.

    Args:
        path: the file to write.
        bits: bits a channel.
        size: longer side in pixels.
        quality: of the compression, or None.

    Raises:
        ImageError: for an ending of no known format, 16 bits or a quality where the format has none, or a folder that
            cannot be written.
    """
    path = expand(path)
    kind = _format(path)
    if bits not in (8, 16):
        raise ImageError(f"{bits} bits a channel: give 8 or 16")
    if bits == 16 and kind not in DEEP:
        raise ImageError(f"{kind.name} holds 8 bits a channel; 16 bits can be written as .png or .tif")
    if quality is not None:
        if kind not in LOSSY:
            raise ImageError(f"{kind.name} loses nothing and has no quality; quality is for .jpg and .webp")
        if not 1 <= quality <= 100:
            raise ImageError(f"a quality of {quality}: give 1 (small) to 100 (good)")
    longest = {WEBP: WEBP_SIDE, JPEG: JPEG_SIDE}.get(kind)
    if longest and size > longest:
        raise ImageError(f"{kind.name} holds {longest} pixels a side at most; give .png or .tif")
    _check_place(path)


def _check_place(path: Path) -> None:
    folder = path.absolute().parent
    try:
        path = final_path(path)  # through links: what they point to is written
        folder = path.absolute().parent
        if path.is_dir():
            raise ImageError("is a folder; give a file name")
        if path.exists() and not path.is_file():
            raise ImageError("is a device or a pipe; give a file name")
    except OSError as error:
        raise ImageError(f"the folder {folder} cannot be written ({error.strerror})") from error
    check_folder(folder)


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Find out whether files can be written in a folder, which need not be there yet.

    Raises:
        ImageError: if not.
    """
    folder = Path(folder).absolute()
    try:
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise ImageError(f"{folder} is not a folder")
        with tempfile.TemporaryFile(dir=folder):  # os.access says yes to root on a read-only file system: try it
            pass
    except OSError as error:
        raise ImageError(f"the folder {folder} cannot be written ({error.strerror})") from error


def _format(path: Path) -> Format:
    kind = WRITTEN.get(path.suffix.lower())
    if kind is None:
        raise ImageError(f"the ending {path.suffix or '(none)'!r} is none of {', '.join(WRITTEN)}")
    return kind


def write_image(
    image: Tensor,
    path: str | os.PathLike[str],
    alpha: Tensor | None = None,
    bits: int = 8,
    *,
    quality: int | None = None,
    background: str = "white",
    dpi: tuple[float, float] | None = None,
    text: Mapping[str, str] | None = None,
) -> None:
    """Write a picture atomically, tagged as sRGB, in the format that the ending names.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``; clamped to ``[0, 1]``.
        path: ends in .png, .jpg, .jpeg, .tif, .tiff or .webp. An existing file is replaced.
        alpha: ``(1, H, W)`` in ``[0, 1]``.
        bits: 8, or 16 for .png and .tif.
        quality: of .jpg and .webp, 1 to 100; 95 if None.
        background: what is behind transparent pixels where the format has no transparency (JPEG): a colour's name or
            ``#rrggbb``.
        dpi: pixels an inch, horizontal and vertical; 72 if None.
        text: keywords and texts to go along in a .png; the other formats have no place for them.

    Raises:
        ImageError: see :func:`check_output` and :func:`parse_color`.
        OSError: if the disk is full or the file cannot be written.
    """
    path = expand(path)
    check_output(path, bits, max(image.shape[-2:]), quality)
    kind, behind = _format(path), parse_color(background)
    if kind in WITHOUT_ALPHA:
        image = image.detach() if image.ndim == 4 else image.detach()[None]
        if alpha is not None:
            image = by_strips(lambda rows, seen: on_background(rows.float().clamp(0, 1), seen, behind), image, alpha)
        alpha = None
    values = levels(image, alpha, bits)
    with atomic_write(path) as file:
        encoded = as_vips(values, "srgb" if bits == 8 else "rgb16")
        x, y = dpi or (SCREEN, SCREEN)
        encoded = encoded.copy(xres=x / 25.4, yres=y / 25.4)
        for number, (name, value) in enumerate((text or {}).items() if kind is PNG else ()):
            encoded.set_type(pyvips.GValue.gstr_type, f"png-comment-{number}-{name}", value)
        target = pyvips.Target.new_to_descriptor(file.fileno())
        try:
            getattr(encoded, f"{kind.loader.removesuffix('load')}save_target")(
                target, profile="srgb", **_options(kind, quality)
            )
        except ERRORS as error:
            raise OSError(f"{path}: cannot be written ({first_line(error)})") from error


def _options(kind: Format, quality: int | None) -> dict[str, Any]:
    """What the savers of libvips are told. Each picture's own metadata (text, later) rides on the image itself."""
    if kind is JPEG:
        return {"Q": quality or QUALITY, "subsample_mode": "off", "optimize_coding": True}
    if kind is WEBP:
        return {"Q": quality or QUALITY, "alpha_q": 100, "exact": False}
    if kind is TIFF:
        return {"compression": "deflate", "predictor": "horizontal", "resunit": "inch"}
    return {"compression": 6}
