"""The optimisers that are ready to use, and what a change of scale does to their state."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import LBFGS, Adam, Optimizer


class BoundedLBFGS(LBFGS):
    """torch's L-BFGS without line search, whose steps are bounded.

    Where the objective is almost flat (a grey image) the first curvature pairs say little, and one step can throw every
    pixel out by thousands; the history never recovers. Scaling the direction keeps direction and curvature pair the same.
    """

    MAX_CHANGE = 0.1  # root mean square over the values of the image, in units of its range; usual steps make 0.01

    def _add_grad(self, step_size: float, direction: Tensor) -> None:
        change = abs(float(step_size)) * float(direction.norm()) / direction.numel() ** 0.5
        if change > self.MAX_CHANGE:
            direction.mul_(self.MAX_CHANGE / change)  # in place: torch forms the curvature pair from this tensor
        super()._add_grad(step_size, direction)


def lbfgs(parameters: Iterable[nn.Parameter]) -> LBFGS:
    """L-BFGS as style transfer needs it: one evaluation a step, no stopping by itself.

    ``max_iter=1`` makes a step one evaluation; N such steps equal one step of N without line search. torch's history of
    100 would keep 2.4 kB a pixel. Its tolerances are absolute and end a well-scaled objective silently.
    """
    return BoundedLBFGS(parameters, lr=1.0, max_iter=1, history_size=10, tolerance_grad=0.0, tolerance_change=0.0)


def adam(parameters: Iterable[nn.Parameter]) -> Adam:
    """Adam with the learning rate and betas of crowsonkb/style-transfer-pytorch, for an image in [0, 1]."""
    return Adam(parameters, lr=0.02, betas=(0.9, 0.99))


OPTIMIZERS = {"lbfgs": lbfgs, "adam": adam}


@torch.no_grad()
def carry_over(old: Optimizer, old_image: Tensor, new: Optimizer, new_image: Tensor) -> None:
    """Take the state of the old image's optimiser to the new image of another size.

    Adam's moments are pictures and are resized like one: the second, a mean of squares, bilinearly, so that it stays
    positive (crowsonkb/style-transfer-pytorch does the same). L-BFGS's history is of no use at another size: its curvature
    pairs belong to another function.

    Args:
        old: the optimiser of ``old_image``.
        old_image: ``(1, 3, H, W)``.
        new: the optimiser of ``new_image``, without state.
        new_image: ``(1, 3, H', W')``.
    """
    if isinstance(old, LBFGS):
        return
    for name, value in old.state.get(old_image, {}).items():
        if isinstance(value, Tensor) and value.shape == old_image.shape:
            squares = "sq" in name
            resized = F.interpolate(value, size=new_image.shape[2:], mode="bilinear" if squares else "bicubic")
            value = resized.contiguous()
        new.state[new_image][name] = value
