"""PBM, PGM and PPM: bits, 8 and 16 bits, as text or not."""

from __future__ import annotations

import re

import numpy as np

from nst_lightning.pictures.by_vips import check_size
from nst_lightning.pictures.encoded import Encoded
from nst_lightning.pictures.picture import ImageError
from nst_lightning.pictures.stored import Stored

GAP = rb"(?:\s|#[^\n]*\n)+"
HEADER = re.compile(rb"P([1-6])" + GAP + rb"(\d{1,9})" + GAP + rb"(\d{1,9})(?:" + GAP + rb"(\d{1,9}))?")
BITS = re.compile(rb"P([14])" + GAP + rb"(\d{1,9})" + GAP + rb"(\d{1,9})")


def read_netpbm(encoded: Encoded) -> Stored:
    """Read the first picture of the file.

    Raises:
        ImageError: if it is damaged or too large.
    """
    with encoded.open() as file:
        data = file.read()
    found = (BITS if data[1:2] in b"14" else HEADER).match(data)
    if found is None:
        raise ImageError("damaged or truncated picture (its header)")
    number, width, height = (int(part) for part in found.groups()[:3])
    top = 1 if number in (1, 4) else int(found.group(4) or 0)
    check_size(width, height)
    if not (width and height and 1 <= top <= 65535):
        raise ImageError("damaged or truncated picture (its header)")
    channels = 3 if number in (3, 6) else 1
    count, body = width * height * channels, data[found.end() :]
    deep = top > 255
    if number <= 3:
        body = re.sub(rb"#[^\n]*", b"", body)
        if number == 1:  # the digits need no gaps
            body = re.sub(rb"([01])", rb"\1 ", body)
        words = body.split(maxsplit=count)[:count]
        if len(words) < count or not all(word.isdigit() and len(word) <= 5 for word in words):
            raise ImageError("damaged or truncated picture (its numbers)")
        values: np.ndarray = np.array(words, dtype=np.int64)
    else:
        kind = np.dtype(">u2" if deep else "u1")
        row = (width + 7) // 8 if number == 4 else width * channels * kind.itemsize
        body = body[1 : 1 + row * height]
        if len(body) < row * height:
            raise ImageError("damaged or truncated picture (too few pixels)")
        values = np.frombuffer(body, dtype=kind)
        if number == 4:
            values = np.unpackbits(values.reshape(height, row), axis=1)[:, :width]
    if values.max() > top:
        raise ImageError("damaged or truncated picture (its numbers)")
    values = values.reshape(height, width, channels).astype(np.uint16 if deep else np.uint8)
    return Stored(1 - values if number in (1, 4) else values, channels, float(top))
