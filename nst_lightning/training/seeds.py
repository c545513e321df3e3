"""Chance that is a run's own."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, everything is drawn from a seed; afterwards, also after an error, the random states are what they were.

    Lightning's ``seed_everything`` would leave the seed, also in the environment; its ``isolate_rng`` does after an error.

    Args:
        seed: from 0 to 2**32 - 1.
    """
    plain, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (the global one is meant)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(numpy)  # noqa: NPY002
