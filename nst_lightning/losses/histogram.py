"""The histogram of each channel."""

from __future__ import annotations

from torch import Tensor

from nst_lightning.losses.quantiles import distance_by_rank
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
    return distance_by_rank(image, style, ordered=ordered)


class Histogram(StyleLoss):
    """Channel histograms: :func:`histogram_loss`, the style's features sorted once."""

    sees = "features"

    def target(self, style: Tensor) -> Tensor:
        return style.sort(dim=0).values

    def forward(self, image: Tensor, target: Tensor, step: int) -> Tensor:
        return histogram_loss(image, target, ordered=True)
