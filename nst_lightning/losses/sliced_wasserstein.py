"""Sorted projections of the features on random directions."""

from __future__ import annotations

import torch
from torch import Tensor

from nst_lightning.losses.quantiles import distance_by_rank
from nst_lightning.losses.style_loss import StyleLoss


def sliced_wasserstein_loss(image: Tensor, style: Tensor, directions: Tensor) -> Tensor:
    """Mean squared difference of the sorted projections on random directions.

    Heitz et al. 2021, equation 5. Where the sample sizes differ, the style's quantiles are interpolated.

    Args:
        image: features ``(N, C)``.
        style: features ``(N', C)``.
        directions: unit vectors ``(C, K)``.
    """
    return distance_by_rank(image, style, directions)


class SlicedWasserstein(StyleLoss):
    """Sorted projections on as many random directions as channels, new ones each step: :func:`sliced_wasserstein_loss`."""

    sees = "features"

    def forward(self, image: Tensor, target: Tensor, step: int) -> Tensor:
        channels = image.shape[1]
        generator = torch.Generator().manual_seed(step)
        directions = torch.randn(channels, channels, generator=generator).to(image)
        return sliced_wasserstein_loss(image, target, directions / directions.norm(dim=0, keepdim=True))
