"""The bytes of a picture, in a file or in memory, and what their headers say beside the pixels."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nst_lightning.pictures.picture import ImageError
from nst_lightning.pictures.vips import pyvips

LONGEST_PROFILE = 8 << 20  # bytes


class Encoded:
    """A picture as a file or as bytes, opened as often as it takes."""

    def __init__(self, source: Path | bytes) -> None:
        self._source = source
        self.ending = source.suffix.lower() if isinstance(source, Path) else ""

    def open(self) -> BinaryIO:
        """A new binary file at its beginning."""
        return io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")

    def head(self, count: int) -> bytes:
        """The first bytes."""
        with self.open() as file:
            return file.read(count)

    def vips_source(self) -> pyvips.Source:
        """For libvips; it reads what it needs and no more."""
        if isinstance(self._source, bytes):
            return pyvips.Source.new_from_memory(self._source)
        return pyvips.Source.new_from_file(os.fspath(self._source))


class ColorCodes(NamedTuple):
    """How a picture's numbers are meant, in the words of ITU-T H.273 or of PNG.

    Attributes:
        primaries: code of H.273, or x and y of white, red, green and blue.
        transfer: code of H.273, or the exponent from light to numbers (gAMA).
        full_range: whether 0 is black and the highest number white.
    """

    primaries: int | tuple[float, ...] = 1
    transfer: int | float = 13
    full_range: bool = True


def png_colors(encoded: Encoded) -> tuple[ColorCodes | None, bytes | None]:
    """What a PNG says of its colours: by codes, or by its ICC profile, or neither.

    PNG, third edition, 4.3: cICP before iCCP before sRGB before gAMA and cHRM. Not left to libpng, which drops profiles for
    small faults, such as that of a grey picture being one of RGB.
    """
    found: dict[bytes, bytes] = {}
    with encoded.open() as file:
        file.seek(8)
        while len(header := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            if kind in (b"IDAT", b"IEND"):
                break
            if kind in (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"iCCP"):
                kept = min(length, LONGEST_PROFILE)
                found.setdefault(kind, file.read(kept))
                file.seek(length - kept + 4, io.SEEK_CUR)
            else:
                file.seek(length + 4, io.SEEK_CUR)
    if len(found.get(b"cICP", b"")) == 4:
        primaries, transfer, _, full_range = found[b"cICP"]
        return ColorCodes(primaries, transfer, bool(full_range)), None
    if b"iCCP" in found:
        try:
            packed = found[b"iCCP"].split(b"\0", 1)[1][1:]
            return None, zlib.decompressobj().decompress(packed, LONGEST_PROFILE)
        except (IndexError, zlib.error):
            pass  # damaged; what else is said of the colours?
    if b"sRGB" in found:
        return None, None
    primaries_chunk, gamma_chunk = found.get(b"cHRM", b""), found.get(b"gAMA", b"")
    gamma = struct.unpack(">I", gamma_chunk)[0] / 100000 if len(gamma_chunk) == 4 else 0.0
    chromaticities = tuple(v / 100000 for v in struct.unpack(">8I", primaries_chunk)) if len(primaries_chunk) == 32 else 1
    return (ColorCodes(chromaticities, gamma or 13), None) if gamma or chromaticities != 1 else (None, None)


def heif_colors(encoded: Encoded) -> ColorCodes | None:
    """The ``nclx`` colour box of an AVIF picture, the first of the file."""
    head = encoded.head(1 << 16)
    at = head.find(b"colrnclx")
    if at < 0 or len(head) < at + 15:
        return None
    primaries, transfer = struct.unpack_from(">HH", head, at + 8)
    return ColorCodes(primaries, transfer)  # the decoder has seen to the range


def jpeg2000_depth(encoded: Encoded) -> tuple[int, int]:
    """Components and bits of a JPEG 2000 picture, from its SIZ marker; 0 and 0 if it has none."""
    head = encoded.head(1 << 16)
    at = head.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(head) < at + 45:
        return 0, 0
    components = struct.unpack_from(">H", head, at + 40)[0]
    depths = [(depth & 0x7F) + 1 for depth in head[at + 42 : at + 42 + 3 * components : 3]]
    return components, max(depths, default=0)


class _Bits:
    """Bits of a JPEG XL header, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def read(self, count: int) -> int:
        if count > self._left:
            raise ImageError("damaged or truncated picture (JPEG XL header)")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return value

    def choose(self, *counts: tuple[int, int]) -> int:
        """U32 of the format: two bits choose an offset and a number of bits."""
        offset, count = counts[self.read(2)]
        return offset + self.read(count)


def _jxl_size(bits: _Bits) -> tuple[int, int]:
    small = bits.read(1)
    sides = ((1, 9), (1, 13), (1, 18), (1, 30))
    height = 8 * (1 + bits.read(5)) if small else bits.choose(*sides)
    ratio = bits.read(3)
    if ratio:
        over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height, height * over // under
    return height, 8 * (1 + bits.read(5)) if small else bits.choose(*sides)


def jxl_header(encoded: Encoded) -> tuple[int, int, int]:
    """Height, width and bits a channel of a JPEG XL picture (ISO/IEC 18181-1, annex D).

    Raises:
        ImageError: if it has no header.
    """
    head = encoded.head(1 << 16)
    at = 0
    if head[:2] != b"\xff\x0a":  # in boxes
        whole, parts = head.find(b"jxlc"), head.find(b"jxlp")
        at = whole + 4 if whole >= 0 else parts + 8 if parts >= 0 else len(head)
    if head[at : at + 2] != b"\xff\x0a":
        raise ImageError("damaged or truncated picture (JPEG XL without a codestream)")
    bits = _Bits(head[at + 2 : at + 66])
    height, width = _jxl_size(bits)
    if bits.read(1):  # all as usual
        return height, width, 8
    if bits.read(1):  # extra fields
        bits.read(3)  # orientation, which the decoder applies
        if bits.read(1):  # intrinsic size
            _jxl_size(bits)
        if bits.read(1):
            raise ImageError("is a JPEG XL picture with a preview; convert it to PNG or TIFF")
        if bits.read(1):
            raise ImageError("is an animated JPEG XL picture; save a frame of it as PNG or TIFF")
    if bits.read(1):  # floating point
        return height, width, 32
    return height, width, bits.choose((8, 0), (10, 0), (12, 0), (1, 6))
