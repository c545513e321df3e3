"""Gram matrices: what the channels have to do with each other."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nst_lightning.losses.moments import Moments, moments
from nst_lightning.losses.style_loss import StyleLoss


def gram_matrix(features: Tensor) -> Tensor:
    """The Gram matrix F Fᵀ / (H·W), ``(C, C)``.

    Gatys, Ecker, Bethge 2016, equation 3, divided by the number of positions so that it does not grow with the picture.

    Args:
        features: ``(1, C, H, W)``.

    >>> import torch
    >>> gram_matrix(torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]]]]))
    tensor([[5., 1.],
            [1., 2.]])
    """
    return moments(features).second


def gram_loss(image: Moments, style: Moments) -> Tensor:
    """Mean squared difference of two Gram matrices.

    Gatys, Ecker, Bethge 2016, equation 4, up to the constant 1/4: with both matrices divided by H·W, the sum over C²
    entries divided by C².

    Args:
        image: moments of the image's features.
        style: moments of the style image's features at the same layer.
    """
    return F.mse_loss(image.second, style.second)


class Gram(StyleLoss):
    """Mean squared difference of the Gram matrices F Fᵀ / (H·W): :func:`gram_loss`."""

    def forward(self, image: Moments, target: Moments, step: int) -> Tensor:
        return gram_loss(image, target)


class GramPerChannel(StyleLoss):
    """The same of F Fᵀ / (C·H·W) (Johnson et al. 2016, equation 3): the Gram loss divided by C²."""

    def forward(self, image: Moments, target: Moments, step: int) -> Tensor:
        return gram_loss(image, target) / image.mean.shape[0] ** 2
