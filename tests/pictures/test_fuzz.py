"""Damaged pictures of 25 formats: a picture or a sentence, never a traceback, a hang or a value outside [0, 1]."""

from __future__ import annotations

import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from nst_lightning.pictures.picture import ImageError
from nst_lightning.pictures.read import read_image
from tests.pictures.kinds import twenty_five

HANG = 60  # seconds for one file of some kilobytes; the slowest takes less than one


def mutated(whole: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, most of them in headers, or the end cut off; half of the PNG files get their checksums back."""
    kept = rng.integers(1, len(whole)) if rng.random() < 0.2 else len(whole)
    data = np.frombuffer(whole[:kept], np.uint8).copy()
    reach = min(len(data), 600) if rng.random() < 0.7 else len(data)
    places = rng.integers(0, reach, rng.integers(1, 6))
    data[places] = rng.integers(0, 256, len(places))
    damaged = data.tobytes()
    return with_checksums(damaged) if whole[:4] == b"\x89PNG" and rng.random() < 0.5 else damaged


def with_checksums(data: bytes) -> bytes:
    """A PNG file whose chunks have the right checksums, so that its decoder goes on to what is in them."""
    out, at = data[:8], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            break
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return out + data[at:]


def read_damaged(first: int, count: int, folder: Path) -> int:
    """Read this many damaged files, numbers ``first`` and on, and return how many could be read."""
    files = twenty_five()
    assert len(files) == 25
    read = 0
    for number in range(first, first + count):
        name = list(files)[number % 25]
        path = folder / f"damaged.{'tga' if name == 'tga' else 'png'}"  # what is in it says what it is, but for Targa
        path.write_bytes(mutated(files[name], np.random.default_rng(number)))
        start = time.monotonic()
        try:
            picture = read_image(path)
        except ImageError as error:
            assert 0 < len(str(error)) < 400 and "\n" not in str(error), f"file {number}, {name}"
            picture = None
        except Exception as error:
            raise AssertionError(f"file {number}, {name}: {error!r}") from error
        assert time.monotonic() - start < HANG, f"file {number}, {name}"
        if picture is not None:
            read += 1
            for values in (picture.rgb, picture.alpha):
                assert values is None or bool(((values >= 0) & (values <= 1)).all()), f"file {number}, {name}"
    return read


@pytest.mark.filterwarnings("error")
def test_500_damaged_pictures(tmp_path, capfd):
    """If this fails, a bad file ends a run in a traceback, or in a picture that is none."""
    assert 50 < read_damaged(0, 500, tmp_path) < 450, "the damage is too small or too great to try anything"
    printed = capfd.readouterr()
    assert printed.out == printed.err == "", "what a library has to say of it is not for the user's screen"


@pytest.mark.slow
def test_10000_damaged_pictures(tmp_path):
    """The same with files that nobody has seen before."""
    assert 1000 < read_damaged(500, 10_000, tmp_path) < 9000
