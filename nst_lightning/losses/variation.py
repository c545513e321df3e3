"""Total variation: how much neighbouring pixels differ."""

from __future__ import annotations

import torch
from torch import Tensor

from nst_lightning.network.padding import pad

STRIP = 1 << 22  # values of the image that are looked at together


def total_variation(image: Tensor) -> Tensor:
    """How much neighbouring pixels differ: mean squared differences along rows, columns and both diagonals.

    2·[mean dx²/3 + mean dy²/3 + mean d1²/12 + mean d2²/12] after replicating the border by one pixel: the isotropic
    nine-point form, which favours no direction, as crowsonkb/style-transfer-pytorch uses it.

    Args:
        image: ``(1, 3, H, W)``.

    >>> import torch
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


def variation_in_strips(image: Tensor, weight: float, gradient: Tensor | None) -> Tensor:
    """The :func:`total_variation` of a large image, in strips of rows; its gradient is added to another's.

    Args:
        image: ``(1, 3, H, W)``, detached.
        weight: what the gradient is multiplied by.
        gradient: ``(1, 3, H, W)``, changed in place; None where only the value is asked for.
    """
    height, width = int(image.shape[2]), int(image.shape[3])
    rows = max(1, STRIP // (3 * width))
    value = image.new_zeros(())
    for first in range(0, height, rows):
        bottom = first + rows >= height
        last = height if bottom else first + rows + 1
        with torch.set_grad_enabled(gradient is not None):
            strip = image[:, :, first:last].clone().requires_grad_()
            part = variation_of_rows(strip, height, top=first == 0, bottom=bottom)
        if gradient is not None:
            (found,) = torch.autograd.grad(part, strip)
            gradient[:, :, first:last] += weight * found
        value += part.detach()
    return value
