"""Channel means and standard deviations."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nst_lightning.losses.moments import Moments
from nst_lightning.losses.style_loss import EPSILON, StyleLoss


def mean_std_loss(image: Moments, style: Moments) -> Tensor:
    """Squared difference of channel means plus that of channel standard deviations, each averaged over channels.

    The statistics of AdaIN: Huang and Belongie 2017, equation 13.

    Args:
        image: moments of the image's features.
        style: moments of the style's features at the same layer.
    """

    def deviation(moments: Moments) -> Tensor:
        return (moments.second.diagonal() - moments.mean.square()).clamp(min=0).add(EPSILON**2).sqrt()

    return F.mse_loss(image.mean, style.mean) + F.mse_loss(deviation(image), deviation(style))


class MeanStd(StyleLoss):
    """Channel means and standard deviations: :func:`mean_std_loss`."""

    def forward(self, image: Moments, target: Moments, step: int) -> Tensor:
        return mean_std_loss(image, target)
