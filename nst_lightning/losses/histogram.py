"""The histogram of each channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.losses.quantiles import at_quantiles
from nst_lightning.losses.style_loss import StyleLoss


def histogram_loss(image: Tensor, style: Tensor, ordered: bool = False) -> Tensor:
    """Mean squared difference of features to themselves with the style's histogram, channel by channel.

    Risser, Wilmot, Barnes 2017, equation 5; the match is by rank, exact where the paper's histogram has bins, and no
    gradient flows through it.

    Args:
        image: features ``(N, C)``.
        style: features ``(N', C)``.
        ordered: whether each column of ``style`` is sorted already.
    """
    ranks = image.detach().argsort(dim=0)
    style = style if ordered else style.sort(dim=0).values
    matched = torch.empty_like(image).scatter_(0, ranks, at_quantiles(style, image.shape[0]))
    return F.mse_loss(image, matched)


class Histogram(StyleLoss):
    """Channel histograms: :func:`histogram_loss`, the style's features sorted once."""

    sees = "features"

    def target(self, style: Tensor) -> Tensor:
        return style.sort(dim=0).values

    def forward(self, image: Tensor, target: Tensor, step: int) -> Tensor:
        return histogram_loss(image, target, ordered=True)
