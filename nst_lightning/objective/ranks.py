"""Several processes at one image: each takes a part of the tiles, and what they found is added up.

Every process holds the whole image and makes the same steps: moments, content sums and gradients are summed over processes
before they are used, so all have the same numbers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from torch import Tensor

from nst_lightning.errors import LostProcess, SharedOutOfMemory
from nst_lightning.objective.memory import is_out_of_memory

Item = TypeVar("Item")
TIMEOUT = timedelta(seconds=30)  # a process that died would be waited for half an hour by default


class TilesStrategy(DDPStrategy):
    """Processes that share the tiles of one image: ``Trainer(strategy="tiles", devices=2)``.

    Lightning's DDP without its wrapper, which averages the gradients of the parameters it was made with: at a change of
    scale the image becomes another parameter, and here gradients are summed already.
    """

    strategy_name = "tiles"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"timeout": TIMEOUT, **kwargs})

    def configure_ddp(self) -> None:
        """Wrap nothing."""


StrategyRegistry.register("tiles", TilesStrategy, description="Processes that share the tiles of one image.")


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among them."""
    return dist.get_rank() if world() > 1 else 0


def say(line: str) -> None:
    """Print a line, in one process only."""
    if rank() == 0:
        print(line, flush=True)


def share(items: Sequence[Item]) -> Sequence[Item]:
    """Those of a list that this process works on."""
    return items[rank() :: world()] if world() > 1 else items


def add_up(values: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, which all call this with the same shapes.

    Raises:
        LostProcess: if one of them ended, or does not call this within :data:`TIMEOUT`.
    """
    if world() > 1:
        for value in values:
            try:
                dist.all_reduce(value)
            except RuntimeError as error:
                raise LostProcess from error


@contextlib.contextmanager
def together(device: torch.device) -> Iterator[None]:
    """Inside, each process works for itself; where memory runs out in one of them, the work ends in all.

    Without it the others would wait in the next sum for the one that failed.

    Args:
        device: of the work.

    Raises:
        SharedOutOfMemory: in every process, at the end of the work, with several processes.
        LostProcess: see :func:`add_up`.
    """
    out = False
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if world() == 1 or not is_out_of_memory(error):
            raise
        out = True
    if world() > 1:
        failed = torch.tensor(float(out), device=device)
        add_up([failed])
        if failed > 0:
            raise SharedOutOfMemory


def gather(value: Any) -> list[Any]:
    """What every process has under some name, in their order; all call this."""
    found: list[Any] = [None] * world()
    if world() == 1:
        return [value]
    try:
        dist.all_gather_object(found, value)
    except RuntimeError as error:
        raise LostProcess from error
    return found


def agree(value: int, device: torch.device) -> int:
    """The smallest of a number over all processes."""
    found = torch.tensor(value, device=device)
    if world() > 1:
        dist.all_reduce(found, dist.ReduceOp.MIN)
    return int(found)
