"""The Wasserstein distance of Gaussians with the features' moments."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.losses.moments import Moments
from nst_lightning.losses.style_loss import EPSILON, StyleLoss


class _TraceOfRoot(torch.autograd.Function):
    """tr (R Σ R)^½ and its gradient in Σ, ½ R M^(-½) R with M = R Σ R, both from one eigendecomposition.

    Covariances of pictures are rank-deficient and the root's slope is infinite at 0, so eigenvalues below a floor, a part
    of the largest that the number type cannot tell from 0, count as 0 in the value and as the floor in the gradient.
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, root: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(root @ covariance @ root)
        floor = values[-1].abs() * (1e-12 if values.dtype == torch.float64 else 1e-6) + torch.finfo(values.dtype).tiny
        ctx.save_for_backward(root @ vectors, values.clamp(min=floor))
        return torch.where(values > floor, values.clamp(min=0).sqrt(), 0.0).sum()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        basis, values = ctx.saved_tensors
        return grads[0] * 0.5 * (basis / values.sqrt()) @ basis.T, None


def matrix_root(matrix: Tensor) -> Tensor:
    """The symmetric root of a symmetric matrix ``(C, C)`` without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def wasserstein_loss(image: Moments, style: Moments, root: Tensor | None = None) -> Tensor:
    """Squared 2-Wasserstein distance between the Gaussians with these moments, divided by the number of channels.

    mean (μ − μs)² + 1/C · tr(Σ + Σs − 2 (Σs^½ Σ Σs^½)^½): Olkin and Pukelsheim 1982; for style transfer Mroueh 2019.
    Covariances get 1e-4 on the diagonal.

    Args:
        image: moments of the image's features.
        style: moments of the style's features at the same layer.
        root: Σs^½ from an earlier call of :func:`matrix_root`, if there was one.
    """
    ridge = EPSILON * torch.eye(image.mean.shape[0], dtype=image.mean.dtype, device=image.mean.device)
    ours, theirs = image.covariance + ridge, style.covariance + ridge
    root = matrix_root(theirs) if root is None else root
    spread = ours.trace() + theirs.trace() - 2 * _TraceOfRoot.apply(ours, root)
    return F.mse_loss(image.mean, style.mean) + spread / image.mean.shape[0]


class Wasserstein(StyleLoss):
    """Gaussian Wasserstein distance: :func:`wasserstein_loss`, with the root of the style's covariance taken once."""

    def target(self, style: Moments) -> tuple[Moments, Tensor]:
        covariance = style.covariance
        return style, matrix_root(covariance + EPSILON * torch.eye(len(covariance)).to(covariance))

    def forward(self, image: Moments, target: tuple[Moments, Tensor], step: int) -> Tensor:
        return wasserstein_loss(image, *target)
