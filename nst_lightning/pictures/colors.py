"""Whose colours the result has: the style's, the content's, or the style moved to the content's.

Gatys et al. 2017, *Controlling perceptual factors in neural style transfer*, section 5.
"""

from __future__ import annotations

import torch
from torch import Tensor

# ITU-R BT.601, the luminance of YIQ that the paper uses
LUMINANCE = (0.299, 0.587, 0.114)


def luminance(image: Tensor) -> Tensor:
    """The luminance ``(..., 1, H, W)`` of RGB ``(..., 3, H, W)``, both in ``[0, 1]``.

    >>> luminance(torch.ones(1, 3, 2, 2)).mean().item()
    1.0
    """
    weights = torch.tensor(LUMINANCE, dtype=image.dtype, device=image.device).view(3, 1, 1)
    return (image * weights).sum(dim=-3, keepdim=True)


def match_luminance(style: Tensor, content: Tensor) -> Tensor:
    """The style's luminance with the mean and standard deviation of the content's, as grey RGB.

    Gatys et al. 2017, equation 10.

    Args:
        style: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: ``(1, 3, H', W')`` in ``[0, 1]``.
    """
    ours, theirs = luminance(style), luminance(content)
    matched = (ours - ours.mean()) * (theirs.std() / ours.std().clamp(min=1e-6)) + theirs.mean()
    return matched.clamp(0, 1).expand(-1, 3, -1, -1).contiguous()


def with_luminance(color: Tensor, grey: Tensor) -> Tensor:
    """The colours of one picture with the luminance of another, ``(1, 3, H, W)`` in ``[0, 1]``.

    Args:
        color: ``(1, 3, H, W)``, gives the differences from its luminance (I and Q of YIQ).
        grey: ``(1, 3, H, W)``, gives its luminance.
    """
    return (color + luminance(grey) - luminance(color)).clamp(0, 1)


def match_colors(style: Tensor, content: Tensor) -> Tensor:
    """The style's pixels moved to the mean and covariance of the content's.

    x' = Σc^½ Σs^-½ (x − μs) + μc: Gatys et al. 2017, equations 11 to 13, by the symmetric root.

    Args:
        style: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: ``(1, 3, H', W')`` in ``[0, 1]``.
    """

    def root(pixels: Tensor, power: float) -> Tensor:
        values, vectors = torch.linalg.eigh(torch.cov(pixels))
        return (vectors * values.clamp(min=1e-8) ** power) @ vectors.T

    # three channels: float64 costs nothing and a grey picture's covariance is nearly singular
    ours, theirs = style[0].flatten(1).double(), content[0].flatten(1).double()
    matched = root(theirs, 0.5) @ root(ours, -0.5) @ (ours - ours.mean(1, keepdim=True)) + theirs.mean(1, keepdim=True)
    return matched.clamp(0, 1).view_as(style[0])[None].to(style.dtype)
