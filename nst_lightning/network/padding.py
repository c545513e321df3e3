"""Padding that torch.compile can carry back."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Mode = Literal["replicate", "reflect", "circular"]


def pad(x: Tensor, lines: tuple[int, int, int, int], mode: Mode) -> Tensor:
    """Lines added to the sides of pictures, as ``torch.nn.functional.pad`` does it.

    torch 2.15's compiler expects the gradient of its own replication in another memory format than it has, and fails. What
    is compiled repeats the outermost line by other means; the values are the same.

    Args:
        x: ``(B, C, H, W)``.
        lines: at the left, right, top and bottom, 0 or 1 each for ``replicate``.
        mode: what they hold.

    >>> pad(torch.tensor([[[[1.0, 2.0]]]]), (1, 0, 0, 0), "replicate").tolist()
    [[[[1.0, 1.0, 2.0]]]]
    """
    if mode != "replicate" or not torch.compiler.is_compiling():
        return F.pad(x, lines, mode=mode)
    left, right, top, bottom = lines
    x = torch.cat([x[..., :left], x, x[..., x.shape[3] - right :]], dim=3)
    return torch.cat([x[:, :, :top], x, x[:, :, x.shape[2] - bottom :]], dim=2)
