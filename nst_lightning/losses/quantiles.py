"""Sorted samples: their quantiles, and the distance of samples by rank with its gradient."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.pictures import mapped

GROUP = 8  # directions at a time: what is sorted takes that many numbers a position, not as many as there are channels


def at_quantiles(ordered: Tensor, count: int) -> Tensor:
    """Sorted samples ``(K, N)`` read at ``count`` evenly spaced quantiles, ``(K, count)``."""
    if ordered.shape[1] == count:
        return ordered
    return F.interpolate(ordered[None], size=count, mode="linear", align_corners=False)[0]


class _Distance(torch.autograd.Function):
    """See :func:`distance_by_rank`: value and gradient in one pass, a few directions at a time."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, style: Tensor, directions: Tensor | None, ordered: bool, wanted: bool) -> Tensor:
        count, number = image.shape[0], image.shape[1] if directions is None else directions.shape[1]
        total = image.new_zeros(())
        grad = mapped.zeros(image.shape, image.dtype, image.device) if wanted else None
        for first in range(0, number, GROUP):
            some = slice(first, min(first + GROUP, number))
            if directions is None:
                ours, theirs = image[:, some].T.contiguous(), style[:, some].T
            else:
                ours, theirs = directions[:, some].T @ image.T, directions[:, some].T @ style.T
            theirs = at_quantiles(theirs if ordered else theirs.sort(dim=1).values, count)
            matched = torch.empty_like(ours).scatter_(1, ours.argsort(dim=1), theirs)
            difference = ours - matched
            total += difference.square().sum()
            if grad is None:
                continue
            if directions is None:
                grad[:, some] = difference.T
            else:
                grad.addmm_(difference.T, directions[:, some].T)
            mapped.let_go()
        ctx.grad = None if grad is None else grad.mul_(2 / (count * number))
        return total / (count * number)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        return ctx.grad * grads[0], None, None, None, None


def distance_by_rank(image: Tensor, style: Tensor, directions: Tensor | None = None, ordered: bool = False) -> Tensor:
    """Mean squared difference of two samples by rank, along each of several directions.

    The k-th smallest of the image is compared with the k-th smallest of the style; where the sizes differ, the style's
    quantiles are interpolated. The ranks are held: no gradient flows through them, nor to the style.

    Args:
        image: features ``(N, C)``.
        style: features ``(N', C)``.
        directions: unit vectors ``(C, K)``; None: the channels.
        ordered: whether each column of ``style`` is sorted already; only without ``directions``.
    """
    wanted = torch.is_grad_enabled() and image.requires_grad
    found: Tensor = _Distance.apply(image, style.detach(), directions, ordered, wanted)
    return found
