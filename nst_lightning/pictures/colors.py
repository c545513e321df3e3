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


def match_luminance(
    style: Tensor, content: Tensor, style_alpha: Tensor | None = None, content_alpha: Tensor | None = None
) -> Tensor:
    """The style's luminance with the mean and standard deviation of the content's, as grey RGB.

    Gatys et al. 2017, equation 10. Each pixel counts as much as it is seen.

    Args:
        style: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: ``(1, 3, H', W')`` in ``[0, 1]``.
        style_alpha: ``(1, H, W)`` in ``[0, 1]``, or None: opaque.
        content_alpha: ``(1, H', W')``, likewise.
    """
    ours, theirs = luminance(style), luminance(content)
    (mean, covariance), (target, wanted) = _moments(ours, style_alpha), _moments(theirs, content_alpha)
    scale = (wanted.sqrt() / covariance.sqrt().clamp(min=1e-6)).item()
    matched = (ours - mean.item()) * scale + target.item()
    return matched.clamp(0, 1).expand(-1, 3, -1, -1).contiguous()


def _moments(image: Tensor, alpha: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean ``(C, 1)`` and covariance ``(C, C)`` (a number for one channel) of what is seen of ``(1, C, H, W)``, float64."""
    pixels = image[0].flatten(1).double()
    if alpha is None:
        return pixels.mean(1, keepdim=True), torch.cov(pixels)
    weights = alpha.flatten().to(pixels)
    weights = weights if weights.sum() > 0 else torch.ones_like(weights)
    return (pixels * weights).sum(1, keepdim=True) / weights.sum(), torch.cov(pixels, aweights=weights)


def with_luminance(color: Tensor, grey: Tensor) -> Tensor:
    """The colours of one picture with the luminance of another, ``(1, 3, H, W)`` in ``[0, 1]``.

    Args:
        color: ``(1, 3, H, W)``, gives the differences from its luminance (I and Q of YIQ).
        grey: ``(1, 3, H, W)``, gives its luminance.
    """
    return (color + luminance(grey) - luminance(color)).clamp(0, 1)


def match_colors(
    style: Tensor, content: Tensor, style_alpha: Tensor | None = None, content_alpha: Tensor | None = None
) -> Tensor:
    """The style's pixels moved to the mean and covariance of the content's.

    x' = Σc^½ Σs^-½ (x − μs) + μc: Gatys et al. 2017, equations 11 to 13, by the symmetric root. Each pixel
    counts as much as it is seen.

    Args:
        style: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: ``(1, 3, H', W')`` in ``[0, 1]``.
        style_alpha: ``(1, H, W)`` in ``[0, 1]``, or None: opaque.
        content_alpha: ``(1, H', W')``, likewise.
    """

    def root(covariance: Tensor, power: float) -> Tensor:
        values, vectors = torch.linalg.eigh(covariance)
        return (vectors * values.clamp(min=1e-8) ** power) @ vectors.T

    # three channels: float64 costs nothing and a grey picture's covariance is nearly singular
    (mean, covariance), (target, wanted) = _moments(style, style_alpha), _moments(content, content_alpha)
    matched = root(wanted, 0.5) @ root(covariance, -0.5) @ (style[0].flatten(1).double() - mean) + target
    return matched.clamp(0, 1).view_as(style[0])[None].to(style.dtype)
