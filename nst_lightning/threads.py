"""What threads do while they wait for each other: spin, which is a little faster alone and ruinous beside other work.

Two runs on two cores, each with two threads, took from 5 to 151 s each where one alone took 1.6 s: a thread that spins
holds the core that the thread it waits for needs. With a short spin they took 3.9 s each, and one alone 4 % more.

The OpenMP library reads this when it is loaded, with torch; so this module needs the standard library only.
"""

from __future__ import annotations

import os

SLEEP_SOON = {
    "GOMP_SPINCOUNT": "1000",  # of GNU's library (torch on Linux): turns before a thread sleeps; unset, 300,000
    "KMP_BLOCKTIME": "1",  # of Intel's and LLVM's (macOS, Windows, conda): milliseconds; unset, 200
}


def let_threads_sleep() -> None:
    """Have threads that wait sleep soon, in this process and those it starts.

    To be called before torch is loaded. What the user has set stays: a variable of :data:`SLEEP_SOON`, or
    ``OMP_WAIT_POLICY``, which says the same for every library.
    """
    if "OMP_WAIT_POLICY" in os.environ:
        return
    for name, value in SLEEP_SOON.items():
        os.environ.setdefault(name, value)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
