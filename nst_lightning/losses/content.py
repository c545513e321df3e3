"""The content loss: squared differences of features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of features.

    Gatys, Ecker, Bethge 2016, equation 1, with a mean in place of the half sum.

    Args:
        features: ``(1, C, H, W)`` of the image.
        target: the same shape, of the content image.

    >>> import torch
    >>> content_loss(torch.zeros(1, 2, 3, 3), torch.full((1, 2, 3, 3), 2.0)).item()
    4.0
    """
    with torch.autocast(features.device.type, enabled=False):
        wide = torch.float64 if features.dtype == torch.float64 else torch.float32
        return F.mse_loss(features.to(wide), target.to(wide))
