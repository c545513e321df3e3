"""Large arrays in files, and pictures in strips: the same numbers in less memory."""

from __future__ import annotations

import errno
import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nst_lightning.pictures import mapped, strips
from nst_lightning.pictures.colors import match_colors, match_luminance
from nst_lightning.pictures.oklab import hues_of, with_hues
from nst_lightning.pictures.picture import levels
from nst_lightning.pictures.pyramid import coarse
from nst_lightning.pictures.regions import Regions
from nst_lightning.pictures.strips import by_planes, by_strips


@pytest.fixture
def small_limits(monkeypatch):
    """Arrays of 4 kB are large, and pictures of 500 pixels are cut into strips of 100 or more."""
    monkeypatch.setattr(mapped, "LARGE", 4 << 10)
    monkeypatch.setattr(strips, "WHOLE", 500)
    monkeypatch.setattr(strips, "STRIP", 100)


def test_a_mapped_array_keeps_its_numbers_and_ends_with_its_file(small_limits):
    """If this fails, what left the memory comes back wrong, or a run's files outlive what was in them."""
    before = len(mapped._maps)
    values = torch.rand(3, 40, 30)
    found = mapped.kept(values)
    assert mapped.is_mapped(found) and not mapped.is_mapped(values) and mapped.is_mapped(found[1, 3:5])
    found += 1
    mapped.let_go()
    np.testing.assert_array_equal(found.numpy(), values.numpy() + 1)
    assert mapped.kept(found) is found
    assert mapped.kept(values[:, :5]).data_ptr() == values.data_ptr()  # not large
    assert len(mapped._maps) == before + 1
    del found
    gc.collect()
    assert len(mapped._maps) == before


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_what_is_let_go_takes_no_memory(monkeypatch):
    """If this fails, a picture of 100 million pixels takes as much memory as ten arrays of its size."""

    def held() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) >> 10

    monkeypatch.setattr(mapped, "LARGE", 1 << 20)
    array = mapped.zeros((96 << 18,))
    before = held()
    array.fill_(1.0)
    filled = held()
    mapped.let_go()
    assert filled - before > 80 and held() - before < 16
    assert float(array[::4096].sum()) == (96 << 18) // 4096


def test_no_room_for_a_map_is_said_and_not_a_crash(small_limits, monkeypatch):
    """If this fails, a full disk ends the process by a signal, and the picture is lost."""

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(mapped, "_reserve", full)
    with pytest.raises(OSError, match=r"no temporary file of 0\.00 GiB \(No space left on device\); set TMPDIR"):
        mapped.zeros((3, 40, 40))


def test_without_fallocate_a_file_gets_its_room_too(small_limits, monkeypatch):
    """If this fails, on macOS a map of a file without room is written, which ends the process."""
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(mapped, "CHUNK", 1000)
    assert float(mapped.zeros((3, 40, 41)).sum()) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda a, b: by_strips(lambda x, y: (x * y)[:, :2] + 1, a, b),
        lambda a, b: by_planes(lambda x, y: coarse(x, 2) - y, a, b),
        lambda a, b: match_luminance(a, b, a[0, :1], b[0, :1]),
        lambda a, b: match_colors(a, b),
        lambda a, b: hues_of(a, torch.stack([a[0, 0], 1 - a[0, 0]]), [(b, None, 1.0)]),
        lambda a, b: with_hues(a, b[:, :2] - 0.5),
        lambda a, b: torch.from_numpy(levels(a, b[0, :1], 8).astype(np.float32)),
        lambda a, b: torch.cat(Regions(a[0]).positions((37, 29))).float(),
    ],
    ids=["pointwise", "planes", "luminance", "match", "hues", "guided filter", "levels", "regions"],
)
def test_in_strips_as_in_one(change, monkeypatch):
    """If this fails, a large picture has seams, or other colours than a small one."""
    a, b = torch.rand(1, 3, 37, 29), torch.rand(1, 3, 37, 29)
    whole = change(a, b)
    monkeypatch.setattr(mapped, "LARGE", 1 << 10)
    monkeypatch.setattr(strips, "WHOLE", 200)
    monkeypatch.setattr(strips, "STRIP", 100)
    # sums over strips are in another order, of float64
    torch.testing.assert_close(change(a, b), whole, atol=3e-6, rtol=0)
