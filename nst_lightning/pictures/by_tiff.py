"""TIFF: many kinds of numbers in one format. libvips reads most of them, tifffile some others; here it is known which."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
import tifffile

from nst_lightning.pictures.by_vips import check_size, read_by_vips
from nst_lightning.pictures.colorspaces import by_lab
from nst_lightning.pictures.encoded import Encoded
from nst_lightning.pictures.formats import CONVERT, TIFF
from nst_lightning.pictures.picture import ImageError, damaged
from nst_lightning.pictures.stored import Stored

logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # of damaged metadata; damaged pixels raise

COLORS = {0: 1, 1: 1, 2: 3, 3: 3, 5: 4, 6: 3, 8: 3, 9: 3}  # by PhotometricInterpretation
BY_VIPS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 50001)  # compressions of libvips' wheel
MOST_PACKED = 1032  # Deflate makes nothing smaller than that
LAB = (8, 9)  # CIELab, ICCLab
ASSOCIATED, UNASSOCIATED = 1, 2  # ExtraSamples


class _Page(NamedTuple):
    """What the first page of a file says of itself."""

    photometric: int
    bits: int
    kind: int  # SampleFormat: 1 unsigned, 2 signed, 3 floating point
    channels: int
    extras: tuple[int, ...]
    planar: bool
    tiled: bool
    compression: int
    tags: dict[int, Any]

    @property
    def words(self) -> str:
        """The kind of numbers, for people."""
        kind = {1: "unsigned integers", 2: "signed integers", 3: "floating-point numbers"}.get(self.kind, "numbers")
        return f"a TIFF of {self.bits}-bit {kind}"

    @property
    def alpha(self) -> int | None:
        """The channel of transparency."""
        colors = COLORS[self.photometric]
        for number, extra in enumerate(self.extras):
            if extra in (ASSOCIATED, UNASSOCIATED):
                return colors + number
        # one channel more, of which nothing is said: everybody takes it for alpha
        return colors if not self.extras and self.channels == colors + 1 and self.photometric in (0, 1, 2) else None


def read_tiff(encoded: Encoded) -> Stored:
    """Read the first page of a TIFF file.

    Raises:
        ImageError: if it is damaged, or of a kind that has no sure reading.
    """
    page, values = _look(encoded)
    orientation = page.tags.get(274, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    if values is None:
        stored = read_by_vips(encoded, TIFF)
        values, white, dpi, profile = stored.values, stored.white, stored.dpi, stored.profile
        colors = min(COLORS[page.photometric], values.shape[2])
        colors = 1 if values.shape[2] == 2 and colors == 3 else colors  # a palette of grays
    else:
        white = 1.0 if page.kind == 3 else 2.0**page.bits - 1
        colors, dpi, profile = COLORS[page.photometric], _dpi(page.tags), page.tags.get(34675)
    if page.photometric in LAB:
        return Stored(by_lab(_lab(values[..., :3], page)), 3, 65535.0, None, None, orientation, dpi)
    alpha = page.alpha if page.alpha is not None and page.alpha < values.shape[2] else None
    values = values[..., [*range(colors), *([] if alpha is None else [alpha])]]
    if page.kind == 3 and page.photometric == 0:
        if not (values[..., 0] <= 1.1).all():
            raise ImageError(f"is {page.words} where 0 is white and nothing says what is black; {CONVERT}")
        values[..., 0] = 1 - values[..., 0]
    if page.kind == 1 and page.bits == 32 and 0 < int(values[..., :colors].max()) <= 65535:
        expected = f"above 65535, and white would be 4294967295; {CONVERT} of 16 bits"
        raise ImageError(f"is {page.words} with none {expected}")
    return Stored(values, colors, white, profile, None, orientation, dpi)


def _look(encoded: Encoded) -> tuple[_Page, np.ndarray | None]:
    """The first page, and its numbers ``(H, W, C)`` where libvips cannot be left to read them."""
    try:
        with encoded.open() as file, tifffile.TiffFile(file) as tiff:
            first = tiff.pages[0]
            assert isinstance(first, tifffile.TiffPage)
            page = _page(first, file.seek(8) and file.read(2))
            check_size(first.imagewidth, first.imagelength)
            return page, None if _vips_reads(page) else _by_tifffile(first, page)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # of a damaged file tifffile raises whatever comes
        raise damaged(error) from error


def _page(first: tifffile.TiffPage, magic: bytes | int) -> _Page:
    tags = {tag.code: tag.value for tag in first.tags if tag.code in (254, 274, 282, 283, 296, 332, 34675, 50706, 330, 338)}
    raw = magic == b"CR" or 50706 in tags or (int(tags.get(254, 0)) & 1 and 330 in tags)
    if raw or int(first.photometric) in (32803, 34892):
        raise ImageError(f"is a camera raw; develop it and {CONVERT}")
    bits = first.bitspersample if isinstance(first.bitspersample, int) else max(first.bitspersample)
    kinds = first.sampleformat if isinstance(first.sampleformat, tuple) else (first.sampleformat,)
    extras = tags.get(338, ())
    page = _Page(
        photometric=int(first.photometric),
        bits=int(bits),
        kind=int(kinds[0]),
        channels=int(first.samplesperpixel),
        extras=tuple(int(extra) for extra in (extras if isinstance(extras, tuple) else (extras,))),
        planar=int(first.planarconfig) == 2,
        tiled=bool(first.is_tiled),
        compression=int(first.compression),
        tags=tags,
    )
    if page.photometric not in COLORS:
        raise ImageError(f"is a TIFF in colours of a rare kind ({_name(first.photometric)}); {CONVERT} in RGB")
    if page.kind == 2:
        raise ImageError(f"is {page.words}, and nothing says which is black and which white; {CONVERT} of 8 or 16 bits")
    if page.kind not in (1, 3, 4) or (page.kind == 3 and page.bits not in (16, 32, 64)):
        raise ImageError(f"is {page.words} of a rare kind; {CONVERT} of 8 or 16 bits")
    if page.kind != 3 and page.bits not in (1, 2, 4, 8, 16, 32):
        raise ImageError(f"is {page.words}; {CONVERT} of 8 or 16 bits")
    if page.photometric == 5 and int(tags.get(332, 1)) != 1:
        raise ImageError(f"is a TIFF in inks other than CMYK; {CONVERT} in RGB")
    return page


def _vips_reads(page: _Page) -> bool:
    """Whether libvips reads this kind right (tried with 8.18 on every kind of the tests)."""
    double = page.bits == 64
    planar = page.planar and page.channels > 1 and (page.tiled or (page.kind == 3 and page.bits == 16))
    multiplied = ASSOCIATED in page.extras and (page.bits == 32 or page.kind == 3)
    return not (double or planar or multiplied or page.photometric in LAB) and page.compression in BY_VIPS


def _lab(values: np.ndarray, page: _Page) -> np.ndarray:
    """L, a and b; TIFF 6.0, section 23, has a and b as signed numbers, ICC's Lab moved up by half the range."""
    if page.kind == 3:
        return values.astype(np.float32)
    unit = 2.0 ** (page.bits - 8)
    chroma = values[..., 1:].astype(np.float32) / unit
    chroma = chroma - 128 if page.photometric == 9 else chroma - 256 * (chroma >= 128)
    return np.concatenate([values[..., :1].astype(np.float32) * (100 / (2.0**page.bits - 1)), chroma], axis=2)


def _by_tifffile(first: tifffile.TiffPage, page: _Page) -> np.ndarray:
    if page.photometric not in (0, 1, 2, 5, *LAB) or page.bits < 8:
        raise ImageError(f"is {page.words} stored in a rare way; {CONVERT}, with LZW or Deflate")
    needed = first.imagewidth * first.imagelength * page.channels * page.bits // 8
    if needed > MOST_PACKED * sum(first.databytecounts):  # tifffile would fill up what is missing, at length
        raise ImageError("damaged or truncated picture (too few pixels)")
    try:
        values = first.asarray()
    except (ValueError, ImportError, KeyError, RuntimeError, TypeError) as error:
        packed = "" if page.compression == 1 else f" compressed by {_name(first.compression)}"
        raise ImageError(f"is {page.words}{packed}, or damaged; save it with LZW or Deflate, of 8 or 16 bits") from error
    if page.planar and page.channels > 1:
        values = np.moveaxis(values, 0, -1)
    values = values.reshape(first.imagelength, first.imagewidth, page.channels)
    values = values.astype(values.dtype.newbyteorder("="))
    top = 1.0 if page.kind == 3 else 2.0**page.bits - 1
    if page.photometric == 0 and page.kind != 3:
        values[..., 0] = int(top) - values[..., 0]
    if page.alpha is not None and page.extras and page.extras[page.alpha - COLORS[page.photometric]] == ASSOCIATED:
        seen = values[..., page.alpha, None] / top
        values = np.where(seen > 0, values / np.where(seen > 0, seen, 1), 0).clip(0, top)
        values[..., page.alpha] = seen[..., 0] * top
        if page.kind == 1:
            values = values.round().astype(f"u{page.bits // 8}")
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _dpi(tags: dict[int, Any]) -> tuple[float, float] | None:
    unit = {2: 1.0, 3: 2.54}.get(int(tags.get(296, 2)))
    try:
        x, y = (tags[code][0] / tags[code][1] for code in (282, 283))
    except (KeyError, TypeError, ZeroDivisionError, IndexError):
        return None
    return (x * unit, y * unit) if unit and x > 0 and y > 0 else None


def _name(value: Any) -> str:
    return str(getattr(value, "name", value))
