"""Arrays too large for the memory: in files of their own, mapped, so that only what is in use takes memory.

A picture of 100 million pixels takes 1.2 GB, and a run holds some ten such arrays: both pictures, their regions, the means
of the optimiser, the running average. Most of them are looked at once a step, strip by strip or tile by tile. So beyond
:data:`LARGE` they lie in a file that has no name and is gone with the process, however that ends; the numbers are the same.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import mmap
import os
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from nst_lightning.allocator import give_back

LARGE = 128 << 20  # bytes of an array beyond which it is mapped: RGB of 11 million pixels
CHUNK = 16 << 20  # bytes written at a time
IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")

_maps: dict[int, weakref.ref[mmap.mmap]] = {}  # by the address where they begin


@functools.cache
def folder() -> Path:
    """Where the files lie: ``TMPDIR``, or the system's folder for temporary files that is on a disk."""
    found = Path(tempfile.gettempdir())
    for place in (found, Path("/var/tmp")):
        if os.environ.get("TMPDIR") or (place.is_dir() and os.access(place, os.W_OK) and not _in_memory(place)):
            return place
    return found


def _in_memory(place: Path) -> bool:
    """Whether a folder takes memory, not a disk."""
    mounts = []
    with contextlib.suppress(psutil.Error, OSError):
        mounts = [one for one in psutil.disk_partitions(all=True) if place.resolve().is_relative_to(one.mountpoint)]
    return max(mounts, key=lambda one: len(one.mountpoint)).fstype in IN_MEMORY if mounts else False


def is_large(shape: Sequence[int], dtype: torch.dtype = torch.float32) -> bool:
    """Whether an array of this shape is mapped."""
    return math.prod(shape) * dtype.itemsize > LARGE


CPU = torch.device("cpu")


def zeros(shape: Sequence[int], dtype: torch.dtype = torch.float32, device: torch.device = CPU) -> Tensor:
    """An array of zeros; in the main memory, mapped where it is large.

    Raises:
        OSError: if there is no room for it on the disk.
    """
    if device.type != "cpu" or not is_large(shape, dtype):
        return torch.zeros(*shape, dtype=dtype, device=device)
    return in_file(shape, dtype)


def on_disk() -> bool:
    """Whether the files lie on a disk, not in memory after all."""
    return not _in_memory(folder())


def in_file(shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """An array of zeros that is mapped, however small.

    Raises:
        OSError: if there is no room for it on the disk.
    """
    count = math.prod(shape) * dtype.itemsize
    try:
        with tempfile.TemporaryFile(dir=folder()) as file:
            _reserve(file.fileno(), count)
            mapped = mmap.mmap(file.fileno(), count)
    except OSError as error:
        said = f"{folder()}: no temporary file of {count / 2**30:.2f} GiB ({error.strerror}); set TMPDIR to another folder"
        raise OSError(said) from error
    found = torch.frombuffer(mapped, dtype=dtype).view(*shape)
    address = found.untyped_storage().data_ptr()
    _maps[address] = weakref.ref(mapped, lambda _: _maps.pop(address, None))
    return found


def _reserve(file: int, count: int) -> None:
    """Let a file have its room now: a map of one that cannot grow ends the process when it is written."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, count)
        return
    empty = bytes(CHUNK)
    for first in range(0, count, CHUNK):
        os.write(file, empty[: count - first])


def kept(values: Tensor) -> Tensor:
    """The same values where they may stay: a large array in the main memory is mapped."""
    if values.device.type != "cpu" or not is_large(values.shape, values.dtype) or is_mapped(values):
        return values
    found = zeros(values.shape, values.dtype)
    ours, theirs = found.flatten(), values.detach().contiguous().flatten()
    step = CHUNK // values.dtype.itemsize
    for first in range(0, len(ours), step):
        ours[first : first + step] = theirs[first : first + step]
        let_go()
    return found


def is_mapped(values: Tensor) -> bool:
    """Whether an array is one of those here, or a view of one."""
    return values.untyped_storage().data_ptr() in _maps


def let_go() -> None:
    """Let what is mapped leave the memory; it comes back when it is looked at. Where the system cannot, it stays."""
    if not hasattr(mmap, "MADV_DONTNEED"):
        return
    for known in list(_maps.values()):
        mapped = known()
        if mapped is not None:
            mapped.madvise(mmap.MADV_DONTNEED)


def trim() -> None:
    """Let go, and give the system back what the allocator keeps for later: where other work begins that needs memory."""
    let_go()
    gc.collect()
    give_back()


def _is_of_one(data: memoryview) -> bool:
    """Whether these bytes lie in a mapped array."""
    address = np.frombuffer(data, np.uint8).ctypes.data
    maps = [(start, known()) for start, known in list(_maps.items())]
    return any(mapped is not None and start <= address < start + len(mapped) for start, mapped in maps)


class LettingGo:
    """A file that large arrays are written to: what was written of mapped ones may leave the memory.

    Args:
        file: open for writing in binary.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        """Write a part, and let the arrays go if it is of one."""
        view = memoryview(data).cast("B")
        large = len(view) > CHUNK and _is_of_one(view)
        for first in range(0, len(view), CHUNK):
            self._file.write(view[first : first + CHUNK])
            if large:
                let_go()
        return len(view)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
