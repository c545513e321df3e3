"""ICC profiles of curves and a matrix, applied exactly.

Most profiles are of this kind. lcms computes them in 16 bits once one side is of integers, and approximates steep curves:
1.7/255 off near black for a gamma of 1.8, 5/255 for linear pictures (by way of Lab). Here they are what ICC.1:2022 says.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

D50 = (0.9642, 1.0, 0.8249)


class Shaper(NamedTuple):
    """From numbers to light and on to XYZ.

    Attributes:
        curves: for each channel the light ``(65536,)`` of the numbers 0 to 65535.
        matrix: ``(3, 3)``, from the light of red, green and blue to XYZ under D50; of a grey profile None.
    """

    curves: tuple[np.ndarray, ...]
    matrix: np.ndarray | None


def find_shaper(profile: bytes) -> Shaper | None:
    """The curves and the matrix of a profile; None if it is of another kind, or damaged."""
    try:
        tags = _tags(profile)
        # a table of colours goes before curves; grey by way of Lab has its own meaning
        if profile[20:24] != b"XYZ " or b"A2B0" in tags or b"A2B1" in tags:
            return None
        if profile[16:20] == b"GRAY":
            return Shaper((_curve(tags[b"kTRC"]),), None)
        if profile[16:20] != b"RGB ":
            return None
        columns = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        return Shaper(tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")), np.array(columns).T / 65536)
    except (struct.error, KeyError, ValueError, IndexError, OverflowError):
        return None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * number) for number in range(min(count, 200)))
    return {name: profile[at : at + size] for name, at, size in entries}


def _curve(tag: bytes) -> np.ndarray:
    """The values of a curve from 0 to 1 at 65536 places.

    Raises:
        ValueError: if it is none.
    """
    x = np.linspace(0, 1, 65536)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x
        points = np.frombuffer(tag, ">u2", count, 12)
        return x ** (points[0] / 256) if count == 1 else np.interp(x, np.linspace(0, 1, count), points / 65535)
    if tag[:4] != b"para":
        raise ValueError("no curve")
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind > 4:
        raise ValueError("no curve of a known kind")
    g, *rest = (value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12))
    a, b, c, d, e, f = (rest + [0.0] * 6)[:6] if kind else (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    with np.errstate(all="ignore"):
        power = np.maximum(a * x + b, 0) ** g
        if kind == 0:
            curve = power
        elif kind in (1, 2):
            curve = np.where(x >= -b / a if a else False, power + c, c)
        else:
            curve = np.where(x >= d, power + e, c * x + f)
    if not np.isfinite(curve).all():
        raise ValueError("a curve that is not finite")
    return curve.clip(0, 1)
