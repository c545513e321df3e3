"""Whose colours the result has: the style's, the content's, or the style moved to the content's.

Gatys et al. 2017, *Controlling perceptual factors in neural style transfer*, section 5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nst_lightning.pictures.strips import by_strips, sums

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
    ours, theirs = by_strips(luminance, style), by_strips(luminance, content)
    (mean, covariance), (target, wanted) = _moments(ours, style_alpha), _moments(theirs, content_alpha)
    scale = (wanted.sqrt() / covariance.sqrt().clamp(min=1e-6)).item()

    def matched(grey: Tensor) -> Tensor:
        return ((grey - mean.item()) * scale + target.item()).clamp(0, 1).expand(-1, 3, -1, -1).contiguous()

    return by_strips(matched, ours)


def _moments(image: Tensor, alpha: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean ``(C, 1)`` and covariance ``(C, C)`` of what is seen of ``(1, C, H, W)``, in float64.

    The covariance is that of ``torch.cov``, with the transparency as its ``aweights``.
    """
    shape = (int(image.shape[-2]), int(image.shape[-1]))
    seen = alpha if alpha is not None and float(alpha.sum()) > 0 else None

    def part(rows: slice) -> tuple[Tensor, Tensor]:
        pixels = image[0, :, rows].flatten(1).double()
        return pixels, torch.ones_like(pixels[:1]) if seen is None else seen[:, rows].flatten(1).to(pixels)

    mass = sums(lambda rows: part(rows)[1].sum(), *shape)
    mean = sums(lambda rows: torch.mul(*part(rows)).sum(dim=1, keepdim=True), *shape) / mass

    def spread(rows: slice) -> Tensor:
        pixels, weights = part(rows)
        return (pixels - mean) * weights @ (pixels - mean).T

    squares = sums(lambda rows: part(rows)[1].square().sum(), *shape)
    return mean, sums(spread, *shape) / (mass - squares / mass)


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
    change = root(wanted, 0.5) @ root(covariance, -0.5)

    def moved(rows: Tensor) -> Tensor:
        found = change @ (rows[0].flatten(1).double() - mean) + target
        return found.clamp(0, 1).view_as(rows).to(rows.dtype)

    return by_strips(moved, style)
