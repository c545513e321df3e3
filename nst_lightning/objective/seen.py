"""What style losses of a layer see of features: moments, or features of positions; in each region, over style images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from nst_lightning.losses.moments import flatten, mix, moments
from nst_lightning.pictures.regions import Regions

# What the style losses see of one region at one layer: its "moments" and its "features", those that a loss asks for.
# Empty where the region is not there.
Seen = dict[str, Any]


def seen_of(features: Tensor, regions: Regions | None, sees: Collection[str]) -> list[Seen]:
    """What is seen of each region, differentiable.

    Args:
        features: ``(1, C, H, W)``, of one layer.
        regions: of the picture, or None: one region, all of it.
        sees: of ``moments`` and ``features``, what the losses ask for.
    """
    size = (int(features.shape[2]), int(features.shape[3]))
    weights, masses = (None, [float(size[0] * size[1])]) if regions is None else regions.at(size)
    found: list[Seen] = []
    for number, mass in enumerate(masses):
        seen: Seen = {}
        if mass > 0 and "moments" in sees:
            seen["moments"] = moments(features, None if weights is None else weights[number], mass)
        if mass > 0 and "features" in sees:
            seen["features"] = select(features, None if regions is None else regions.positions(size)[number])
        found.append(seen)
    return found


def mixed(sees: str, found: Sequence[tuple[Seen, float]]) -> Any:
    """The statistics of one region over all style images that have it, with their weights."""
    parts, shares = [seen[sees] for seen, _ in found], [weight for _, weight in found]
    if sees == "moments":
        return parts[0] if len(parts) == 1 else mix(parts, shares)
    # each picture with positions in proportion to its weight, spread evenly over it
    total = min(len(part) for part in parts)
    counts = [max(1, round(total * share / max(shares))) for share in shares] if len(parts) > 1 else [len(parts[0])]
    picks = [torch.linspace(0, len(part) - 1, n).round().long() for part, n in zip(parts, counts, strict=True)]
    return torch.cat([part[pick.to(part.device)] for part, pick in zip(parts, picks, strict=True)])


def select(features: Tensor, positions: Tensor | None) -> Tensor:
    """The features of some positions, ``(N, C)`` in float32.

    Args:
        features: ``(1, C, H, W)``.
        positions: ``(N,)``, counted row by row, or None for all.
    """
    matrix = flatten(features)
    matrix = matrix if matrix.dtype == torch.float64 else matrix.float()
    return matrix if positions is None else matrix[positions]
