"""Moments of features over positions: what most style losses see of a picture.

Moments add up: of tiles, of several style images, of machines. So a loss on moments never needs the whole picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """First and second raw moment of features over positions.

    Attributes:
        count: number of positions N (the sum of the weights under a mask), a float.
        mean: ``(C,)``, the mean of F over positions.
        second: ``(C, C)``, F Fᵀ / N. Under another normalisation this is the Gram matrix.
    """

    count: float
    mean: Tensor
    second: Tensor

    @property
    def covariance(self) -> Tensor:
        """``(C, C)``: the second central moment."""
        return self.second - torch.outer(self.mean, self.mean)


def flatten(features: Tensor) -> Tensor:
    """Features as a float32 matrix ``(N, C)``, positions by channels (float64 stays).

    Args:
        features: ``(1, C, H, W)``; in channels_last memory this is a view.
    """
    channels = features.shape[1]
    matrix = features.permute(0, 2, 3, 1).reshape(-1, channels)
    return matrix if matrix.dtype == torch.float64 else matrix.float()


def moments(features: Tensor) -> Moments:
    """The moments of features.

    Args:
        features: ``(1, C, H, W)``. Half-precision features are summed in float32: their squares overflow.
    """
    with torch.autocast(features.device.type, enabled=False):
        matrix = flatten(features)
        count = matrix.shape[0]
        return Moments(float(count), matrix.mean(dim=0), matrix.T @ matrix / count)
