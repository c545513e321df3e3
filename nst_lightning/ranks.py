"""Several processes at one image: each takes a part of the tiles, and what they found is added up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share(items: Sequence[Item]) -> Sequence[Item]:
    """Those of a list that this process works on."""
    return items[dist.get_rank() :: world()] if world() > 1 else items


def add_up(values: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, which all call this with the same shapes."""
    if world() > 1:
        for value in values:
            dist.all_reduce(value)


def agree(value: int, device: torch.device) -> int:
    """The smallest of a number over all processes."""
    found = torch.tensor(value, device=device)
    if world() > 1:
        dist.all_reduce(found, dist.ReduceOp.MIN)
    return int(found)
