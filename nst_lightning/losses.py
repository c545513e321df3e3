"""The terms of the objective, each a pure function of what it needs and nothing else.

All are means, not sums: over channels, positions or pixels. So a weight means the same at every size and for every layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.moments import Moments, moments
from nst_lightning.padding import pad


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of features.

    Gatys, Ecker, Bethge 2016, equation 1, with a mean in place of the half sum.

    Args:
        features: ``(1, C, H, W)`` of the image.
        target: the same shape, of the content image.

    >>> content_loss(torch.zeros(1, 2, 3, 3), torch.full((1, 2, 3, 3), 2.0)).item()
    4.0
    """
    with torch.autocast(features.device.type, enabled=False):
        wide = torch.float64 if features.dtype == torch.float64 else torch.float32
        return F.mse_loss(features.to(wide), target.to(wide))


def gram_matrix(features: Tensor) -> Tensor:
    """The Gram matrix F Fᵀ / (H·W), ``(C, C)``.

    Gatys, Ecker, Bethge 2016, equation 3, divided by the number of positions so that it does not grow with the picture.

    Args:
        features: ``(1, C, H, W)``.

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


def total_variation(image: Tensor) -> Tensor:
    """How much neighbouring pixels differ: mean squared differences along rows, columns and both diagonals.

    2·[mean dx²/3 + mean dy²/3 + mean d1²/12 + mean d2²/12] after replicating the border by one pixel: the isotropic
    nine-point form, which favours no direction, as crowsonkb/style-transfer-pytorch uses it.

    Args:
        image: ``(1, 3, H, W)``.

    >>> total_variation(torch.ones(1, 3, 4, 4)).item()
    0.0
    """
    return variation_of_rows(image, image.shape[2], top=True, bottom=True)


def variation_of_rows(rows: Tensor, height: int, top: bool, bottom: bool) -> Tensor:
    """What some rows of an image add to its :func:`total_variation`.

    Strips that share one row with the next add up to the whole: the shared row's differences to its right and to the row
    below belong to the next strip.

    Args:
        rows: ``(1, 3, h, W)``, rows of the image one below the other.
        height: of the image.
        top: whether they are its first.
        bottom: whether they are its last.
    """
    x = pad(rows, (1, 1, int(top), int(bottom)), "replicate")
    inner = x[:, :, int(top) :]
    across = (inner[..., :-1, 2:] - inner[..., :-1, 1:-1]).square().sum()
    down = (inner[..., 1:, 1:-1] - inner[..., :-1, 1:-1]).square().sum()
    falling = (x[..., 1:, 1:] - x[..., :-1, :-1]).square().sum()
    rising = (x[..., 1:, :-1] - x[..., :-1, 1:]).square().sum()
    planes, width = rows.shape[0] * rows.shape[1], rows.shape[3]
    straight, diagonal = planes * height * width, planes * (height + 1) * (width + 1)
    return 2 * ((across + down) / (3 * straight) + (falling + rising) / (12 * diagonal))
