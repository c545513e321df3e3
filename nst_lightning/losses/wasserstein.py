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


ITERATIONS = 18  # 1.5¹⁸ ≈ 1500: eigenvalues below 5e-7 of the norm stay unresolved, as below the floor above


class _TraceOfRootByProducts(torch.autograd.Function):
    """The same by the coupled Newton–Schulz iteration: products of matrices only, for which no GPU has to be waited for.

    Y₀ = M/‖M‖, Z₀ = I, T = (3I − ZY)/2, Y ← YT, Z ← TZ: Y tends to (M/‖M‖)^½ and Z to its inverse (Higham 2008, section
    6.7). After k steps an eigenvalue λ of M/‖M‖ has become √λ, or at most 1.5ᵏ λ, in Y, and 1/√λ, or at most 1.5ᵏ, in Z:
    a number of steps is a floor. More steps than :data:`ITERATIONS` make noise of the unresolved ones in float32.
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, root: Tensor) -> Tensor:
        matrix = root @ covariance @ root
        norm = matrix.norm() + torch.finfo(matrix.dtype).tiny
        identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
        found, inverse = (matrix + matrix.T) / (2 * norm), identity
        for _ in range(ITERATIONS):
            factor = torch.addmm(identity, inverse, found, beta=1.5, alpha=-0.5)
            found, inverse = found @ factor, factor @ inverse
        gradient = root @ inverse @ root / norm.sqrt()
        ctx.save_for_backward((gradient + gradient.T) / 4)
        return found.trace() * norm.sqrt()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return grads[0] * gradient, None


def trace_of_root(covariance: Tensor, root: Tensor) -> Tensor:
    """tr (R Σ R)^½, differentiable in Σ: by an eigendecomposition, on a GPU in float32 by products.

    Args:
        covariance: Σ ``(C, C)``.
        root: R, likewise symmetric.
    """
    products = covariance.device.type == "cuda" and covariance.dtype == torch.float32
    kind = _TraceOfRootByProducts if products else _TraceOfRoot
    return kind.apply(covariance, root)


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
    spread = ours.diagonal().sum() + theirs.trace() - 2 * trace_of_root(ours, root)
    return F.mse_loss(image.mean, style.mean) + spread / image.mean.shape[0]


class Wasserstein(StyleLoss):
    """Gaussian Wasserstein distance: :func:`wasserstein_loss`, with the root of the style's covariance taken once."""

    def target(self, style: Moments) -> tuple[Moments, Tensor]:
        covariance = style.covariance
        return style, matrix_root(covariance + EPSILON * torch.eye(len(covariance)).to(covariance))

    def forward(self, image: Moments, target: tuple[Moments, Tensor], step: int) -> Tensor:
        return wasserstein_loss(image, *target)
