"""Cosine distances of sets of vectors, and the nearest of one set for each of another."""

from __future__ import annotations

import torch
from torch import Tensor


def unit(rows: Tensor, shortest: float = 0.0) -> Tensor:
    """Rows ``(n, D)`` of length 1; a row of zeros stays one, with a gradient of 0.

    Args:
        rows: of any length.
        shortest: rows that are shorter stay shorter than 1: the direction of next to nothing says little, and its slope is
            steep.
    """
    squares = rows.square().sum(dim=1, keepdim=True)
    there = squares > shortest**2
    lengths = torch.where(there, squares, 1.0).sqrt()
    return torch.where(there, rows / lengths, rows / shortest if shortest else 0.0)


def pairs_mean(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean of 1 − cos over pairs of rows of length 1, ``(n, D)`` each."""
    return 1 - (ours * theirs).sum(dim=1).mean()


@torch.no_grad()
def nearest_rows(ours: Tensor, theirs: Tensor, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """For each row of length 1 of ``(n, D)`` the greatest cosine to those of ``(m, D)``, and whose it is; ``(n,)`` each."""
    parts = [(part @ theirs.T).max(dim=1) for part in ours.split(chunk)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])
