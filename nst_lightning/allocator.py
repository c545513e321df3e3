"""Memory that is freed and wanted again a moment later stays with the process.

GNU's C library asks the system for each array beyond 32 MiB and gives it back when it is freed; whoever touches it next
waits until the system has cleared every page of it. At 1024 px a step frees and fetches 3 GB that way, and threads wait for
each other meanwhile: 4.2 s a step, 2.8 s where what is freed is kept, at a peak a tenth higher. Up to 512 px no array is
that large.

What is kept lies in pieces between what is in use. With a picture of 100 million pixels those came to 3 GB: beyond
:data:`MOST` pixels the usual rule is back.

Nothing to do with CUDA, whose memory torch keeps itself; and other C libraries have other rules.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -3, -4, -8  # of mallopt, in malloc.h
MOST = 1 << 25  # pixels of a picture up to which what is freed is kept
OF_THE_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX")
KEPT = {MMAP_MAX: 0, TRIM_THRESHOLD: -1}  # arrays of no size are the system's, and nothing goes back
# what the library comes to by itself where large arrays are freed; it no longer does once it was told anything
USUAL = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20}


def keep_freed() -> None:
    """Have the allocator keep what this process frees from here on; :func:`give_back` empties it, and the rule stays.

    What the user has set stays: a variable of :data:`OF_THE_USER`, or ``GLIBC_TUNABLES`` of malloc. So does the usual rule
    under a limit of address space (``ulimit -v``), which counts what is kept.
    """
    # one heap for all threads that begin from here on: that of a thread other than the first holds 64 MiB
    _set(KEPT | {ARENA_MAX: 1})


def free_at_once() -> None:
    """Have it give large arrays back as soon as they are freed, as is usual, and what it has kept so far."""
    _set(USUAL)
    give_back()


def _set(rules: dict[int, int]) -> None:
    """Give rules to the allocator, where nobody else has."""
    if sys.platform != "linux" or any(name in os.environ for name in OF_THE_USER):
        return
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    import resource

    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        for name, value in rules.items():
            library.mallopt(name, value)


def give_back() -> None:
    """Give the system all that is free: before its memory is counted, and where other work begins."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
