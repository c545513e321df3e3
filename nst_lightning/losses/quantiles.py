"""Sorted samples of different sizes, made comparable."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def at_quantiles(ordered: Tensor, count: int) -> Tensor:
    """A sorted sample ``(N, K)`` read at ``count`` evenly spaced quantiles, ``(count, K)``."""
    if ordered.shape[0] == count:
        return ordered
    return F.interpolate(ordered.T[None], size=count, mode="linear", align_corners=False)[0].T
