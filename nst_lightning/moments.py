"""Moments of features over positions: what most style losses see of a picture.

Moments add up: of tiles, of several style images, of machines. So a loss on moments never needs the whole picture.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """First and second raw moment of features over positions.

    Attributes:
        positions: number of positions N (the sum of the weights under a mask), a float.
        mean: ``(C,)``, the mean of F over positions.
        second: ``(C, C)``, F Fᵀ / N. Under another normalisation this is the Gram matrix.
    """

    positions: float
    mean: Tensor
    second: Tensor

    @property
    def covariance(self) -> Tensor:
        """``(C, C)``: the second central moment."""
        return self.second - torch.outer(self.mean, self.mean)


CHUNK = 8192  # positions converted to float32 at a time: they stay in the processor's cache


def flatten(features: Tensor) -> Tensor:
    """Features as a matrix ``(N, C)``, positions by channels.

    Args:
        features: ``(1, C, H, W)``; in channels_last memory this is a view.
    """
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


class _Moments(torch.autograd.Function):
    """Mean and second moment, with the gradient in closed form.

    For a loss L of both, ∂L/∂F = (∂L/∂μ + (∂L/∂S + ∂L/∂Sᵀ) F) / N: one product where autograd makes two, in the type of
    the features, whose own gradient has no more digits. Forward and backward take a third of the time of the plain
    expression in bf16 on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        matrix = flatten(features)
        count, channels = matrix.shape
        wide = torch.float64 if matrix.dtype == torch.float64 else torch.float32
        total = torch.zeros(channels, dtype=wide, device=matrix.device)
        second = torch.zeros(channels, channels, dtype=wide, device=matrix.device)
        for chunk in matrix.split(CHUNK if matrix.device.type == "cpu" else count):
            chunk = chunk.to(wide)
            total += chunk.sum(dim=0)
            second.addmm_(chunk.T, chunk)
        ctx.save_for_backward(features)
        return total / count, second / count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        matrix = flatten(features)
        count = matrix.shape[0]
        grad_mean, grad_second = (grad / count for grad in grads)
        symmetric = (grad_second + grad_second.T).to(matrix.dtype)
        grad = torch.addmm(grad_mean.to(matrix.dtype), matrix, symmetric)
        return grad.view(1, *features.shape[2:], -1).permute(0, 3, 1, 2)


def moments(features: Tensor) -> Moments:
    """The moments of features, differentiable once.

    Args:
        features: ``(1, C, H, W)``. Half-precision features are summed in float32: their squares overflow.
    """
    with torch.autocast(features.device.type, enabled=False):
        mean, second = _Moments.apply(features)
    return Moments(float(features.shape[2] * features.shape[3]), mean, second)
