"""Pictures of every kind, written byte by byte or by programs that are not those that read them, with what they show."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pillow_jxl  # noqa: F401 (registers itself)
import tifffile
from PIL import Image

HEIGHT, WIDTH = 48, 64
DATA = Path(__file__).parent / "data"
_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([_X / (WIDTH - 1), _Y / (HEIGHT - 1), (_X + _Y) / (WIDTH + HEIGHT - 2)], axis=-1)
GREY = RGB[..., 2]
ALPHA = np.clip((_X - 8) / (WIDTH - 16), 0, 1)


def integers(values: np.ndarray, bits: int) -> np.ndarray:
    """Values in [0, 1] as whole numbers of so many bits."""
    kind = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return np.round(values * (2.0**bits - 1)).astype(kind)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: np.ndarray, bits: int, color: int, *chunks: bytes, interlaced: bool = False) -> bytes:
    """A PNG file of whole numbers (H, W) or (H, W, C); colour types 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    height, width = values.shape[:2]
    passes = [(0, 0, 1, 1)]
    if interlaced:  # Adam7: first row and column, steps
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, across in passes:
        for row in values[top::down, left::across]:
            if bits < 8:
                digits = (row[:, None] >> np.arange(bits)[::-1]) & 1
                rows += b"\0" + np.packbits(digits.astype(np.uint8).ravel()).tobytes()
            else:
                rows += b"\0" + row.astype(">u2" if bits == 16 else np.uint8).tobytes()
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, int(interlaced))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(values: np.ndarray, **options: Any) -> bytes:
    """A TIFF file by tifffile."""
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def pillow(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """The colours by Pillow."""
    file = io.BytesIO()
    image = Image.fromarray(integers(RGB, 8))
    if "A" in mode:
        image.putalpha(Image.fromarray(integers(ALPHA, 8)))
    image.convert(mode).save(file, kind, **options)
    return file.getvalue()


def tone_profile(space: bytes, gamma: float) -> bytes:
    """An ICC profile, version 2.4, of sRGB's primaries (or grey) and one exponent, a multiple of 1/256."""

    def number(values: tuple[float, ...]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags = {b"wtpt": number((0.9642, 1.0, 0.8249)), b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"tone\0" + bytes(81)
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        primaries = {b"r": (0.43607, 0.22249, 0.01392), b"g": (0.38515, 0.71687, 0.09708), b"b": (0.14307, 0.06061, 0.7141)}
        tags |= {name + b"XYZ": number(values) for name, values in primaries.items()}
        tags |= {name + b"TRC": curve for name in primaries}
    start, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"none", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3I", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


def icc_chunk(profile: bytes) -> bytes:
    """PNG's chunk for a profile."""
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile))


def encoded(light: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: light as sRGB."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def light(values: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: sRGB as light."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def jpeg_with_exif(exif: bytes) -> bytes:
    """A JPEG file with these bytes as its EXIF block."""
    plain = pillow("JPEG", quality=100, subsampling=0)
    body = b"Exif\0\0" + exif
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:]


def webp_with_exif(exif: bytes) -> bytes:
    """A lossless WebP file with these bytes as its EXIF block."""
    return pillow("WEBP", lossless=True, exif=exif)


def turned_exif(orientation: int) -> bytes:
    """A small EXIF block that says how the picture lies."""
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def twenty_five() -> dict[str, bytes]:
    """One file of each of 25 formats and kinds."""
    rgba = integers(np.dstack([RGB, ALPHA]), 8)
    palette = chunk(b"PLTE", np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    rgb8, rgb16, grey16 = integers(RGB, 8), integers(RGB, 16), integers(GREY, 16)
    return {
        "png rgb 8": png(rgb8, 8, 2, icc_chunk(tone_profile(b"RGB ", 1.8)), chunk(b"eXIf", turned_exif(6))),
        "png rgba 8 interlaced": png(rgba, 8, 6, interlaced=True),
        "png palette": png(integers(GREY, 8), 8, 3, palette, chunk(b"tRNS", bytes(range(200)))),
        "png grey 16": png(grey16, 16, 0, icc_chunk(tone_profile(b"GRAY", 1.0)), chunk(b"tEXt", b"a\0b")),
        "png grey 1": png(integers(GREY, 1), 1, 0, chunk(b"gAMA", struct.pack(">I", 55556))),
        "png rgb 16": png(rgb16, 16, 2, chunk(b"cICP", bytes([12, 13, 0, 1]))),
        "jpeg rgb": jpeg_with_exif(turned_exif(5)),
        "jpeg grey progressive": pillow("JPEG", "L", progressive=True, icc_profile=tone_profile(b"GRAY", 1.8)),
        "jpeg cmyk": pillow("JPEG", "CMYK"),
        "webp lossless": webp_with_exif(turned_exif(3)),
        "webp alpha": pillow("WEBP", "RGBA"),
        "gif": pillow("GIF", "P"),
        "avif": (DATA / "ramp_10.avif").read_bytes(),
        "heic": (DATA / "ramp_12.heic").read_bytes(),
        "jpeg xl": pillow("JXL"),
        "jpeg 2000": pillow("JPEG2000", "RGBA"),
        "tiff 8 lzw": pillow("TIFF", compression="tiff_lzw", icc_profile=tone_profile(b"RGB ", 1.0)),
        "tiff 16 planar": tiff(rgb16.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        "tiff float": tiff(RGB.astype(np.float32), photometric="rgb", compression="zlib"),
        "tiff double tiled": tiff(GREY, photometric="miniswhite", tile=(16, 16)),
        "tiff bilevel ccitt": pillow("TIFF", "1", compression="group4"),
        "tiff big-endian associated": tiff(rgba, photometric="rgb", extrasamples=["assocalpha"], byteorder=">"),
        "bmp": pillow("BMP"),
        "ppm 16": b"P6\n64 48\n65535\n" + rgb16.astype(">u2").tobytes(),
        "tga": pillow("TGA", "RGBA"),
    }
