"""How much memory there is, how much a step takes or took, and what running out of it looks like."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil
import torch

from nst_lightning.allocator import give_back

PART = 0.5  # of the free memory: the optimiser, the pictures and other programs need some too
FAILURES = (
    "not enough memory",
    "defaultcpuallocator",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "alloc_failed",  # cuDNN's and cuBLAS's own
    "could not create a primitive",  # oneDNN's, of a convolution
    "out of memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in FAILURES)


def budget(device: torch.device) -> float:
    """Bytes that a step may take: half of what is free now; infinite where that cannot be known."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return PART * free
    give_back()  # what the allocator keeps counts as used
    return PART * min([*_available(), *_left_in_groups(), *_left_in_limit()], default=float("inf"))


def _available() -> Iterable[float]:
    """What the system says is available without swapping; nothing where it does not say."""
    with contextlib.suppress(psutil.Error, OSError, RuntimeError):
        yield float(psutil.virtual_memory().available)


def _left_in_limit() -> Iterable[float]:
    """What a limit of address space (``ulimit -v``, batch systems) leaves this process, where there is one."""
    if sys.platform != "linux":  # elsewhere it is not there, or not kept
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        with contextlib.suppress(psutil.Error, OSError):
            yield max(0.0, limit - float(psutil.Process().memory_info().vms))


def _left_in_groups(root: Path = Path("/sys/fs/cgroup"), of_process: Path = Path("/proc/self/cgroup")) -> Iterable[float]:
    """What the control groups of this process leave it, version 1 and 2: a container's limit is one of those."""
    lines = [line.split(":", 2) for line in _read(of_process).splitlines()]
    for _, controllers, group in (line for line in lines if len(line) == 3):
        if controllers and "memory" not in controllers.split(","):
            continue
        base, limit, usage = (
            (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
            if controllers
            else (root, "memory.max", "memory.current")
        )
        inner = base / group.lstrip("/")
        # the limit may be that of a group above; inside a container the own group is mounted as the root
        for folder in {base, *(p for p in (inner, *inner.parents) if p.is_relative_to(base))}:
            highest, used = _read(folder / limit).strip(), _read(folder / usage).strip()
            if highest.isdigit() and used.isdigit():
                statistic = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
                cache = float(statistic.get("total_inactive_file", statistic.get("inactive_file", 0)))
                yield max(0.0, float(highest) - float(used) + cache)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def reset_peak_memory() -> None:
    """Forget the peak so far, where the system can (Linux, CUDA); elsewhere the peak is that of the whole process."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """The most memory that this process (with a GPU: its tensors there) has held since the last reset, in bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    highest = [line.split()[1] for line in _read(Path("/proc/self/status")).splitlines() if line.startswith("VmHWM:")]
    if highest:
        return int(highest[0]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
