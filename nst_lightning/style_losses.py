"""The style losses: how far the distribution of the image's features is from that of the style's.

Each is a pure function with its paper, and a thin module that prepares what stays the same between steps. Those that see
:class:`~nst_lightning.moments.Moments` work with several style images, regions and tiles alike; those that see features
need every position.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning.errors import BadArgument, nearest
from nst_lightning.losses import gram_loss
from nst_lightning.moments import Moments

EPSILON = 1e-4  # added to the diagonal of covariances, as crowsonkb/style-transfer-pytorch does


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


def at_quantiles(ordered: Tensor, count: int) -> Tensor:
    """A sorted sample ``(N, K)`` read at ``count`` evenly spaced quantiles, ``(count, K)``."""
    if ordered.shape[0] == count:
        return ordered
    return F.interpolate(ordered.T[None], size=count, mode="linear", align_corners=False)[0].T


def sliced_wasserstein_loss(image: Tensor, style: Tensor, directions: Tensor) -> Tensor:
    """Mean squared difference of the sorted projections on random directions.

    Heitz et al. 2021, equation 5. Where the sample sizes differ, the style's quantiles are interpolated.

    Args:
        image: features ``(N, C)``.
        style: features ``(N', C)``.
        directions: unit vectors ``(C, K)``.
    """
    ours = (image @ directions).sort(dim=0).values
    theirs = (style @ directions).sort(dim=0).values
    return F.mse_loss(ours, at_quantiles(theirs, ours.shape[0]))


def histogram_loss(image: Tensor, style: Tensor, ordered: bool = False) -> Tensor:
    """Mean squared difference of features to themselves with the style's histogram, channel by channel.

    Risser, Wilmot, Barnes 2017, equation 5; the match is by rank, exact where the paper's histogram has bins, and no
    gradient flows through it.

    Args:
        image: features ``(N, C)``.
        style: features ``(N', C)``.
        ordered: whether each column of ``style`` is sorted already.
    """
    ranks = image.detach().argsort(dim=0)
    style = style if ordered else style.sort(dim=0).values
    matched = torch.empty_like(image).scatter_(0, ranks, at_quantiles(style, image.shape[0]))
    return F.mse_loss(image, matched)


class StyleLoss(nn.Module):
    """What the objective asks of a style loss; derive from it for one of your own and give its class path.

    Attributes:
        sees: ``"moments"``: ``forward`` gets :class:`Moments` and the target made of Moments. ``"features"``: it gets
            features ``(N, C)`` in float32 and the target made of such.
    """

    sees: ClassVar[Literal["moments", "features"]] = "moments"

    def target(self, style: Any) -> Any:
        """What can be computed once of the style; given to ``forward``."""
        return style

    def forward(self, image: Any, target: Any, step: int) -> Tensor:
        """The loss, a scalar.

        Args:
            image: moments or features of the image.
            target: what ``target`` returned.
            step: the step of the run, for losses that draw numbers: the same step draws the same.
        """
        raise NotImplementedError


class Gram(StyleLoss):
    """Mean squared difference of the Gram matrices F Fᵀ / (H·W): :func:`nst_lightning.losses.gram_loss`."""

    def forward(self, image: Moments, target: Moments, step: int) -> Tensor:
        return gram_loss(image, target)


class GramPerChannel(StyleLoss):
    """The same of F Fᵀ / (C·H·W) (Johnson et al. 2016, equation 3): the Gram loss divided by C²."""

    def forward(self, image: Moments, target: Moments, step: int) -> Tensor:
        return gram_loss(image, target) / image.mean.shape[0] ** 2


class MeanStd(StyleLoss):
    """Channel means and standard deviations: :func:`mean_std_loss`."""

    def forward(self, image: Moments, target: Moments, step: int) -> Tensor:
        return mean_std_loss(image, target)


class Wasserstein(StyleLoss):
    """Gaussian Wasserstein distance: :func:`wasserstein_loss`, with the root of the style's covariance taken once."""

    def target(self, style: Moments) -> tuple[Moments, Tensor]:
        covariance = style.covariance
        return style, matrix_root(covariance + EPSILON * torch.eye(len(covariance)).to(covariance))

    def forward(self, image: Moments, target: tuple[Moments, Tensor], step: int) -> Tensor:
        return wasserstein_loss(image, *target)


class SlicedWasserstein(StyleLoss):
    """Sorted projections on as many random directions as channels, new ones each step: :func:`sliced_wasserstein_loss`."""

    sees = "features"

    def forward(self, image: Tensor, target: Tensor, step: int) -> Tensor:
        channels = image.shape[1]
        generator = torch.Generator().manual_seed(step)
        directions = torch.randn(channels, channels, generator=generator).to(image)
        return sliced_wasserstein_loss(image, target, directions / directions.norm(dim=0, keepdim=True))


class Histogram(StyleLoss):
    """Channel histograms: :func:`histogram_loss`, the style's features sorted once."""

    sees = "features"

    def target(self, style: Tensor) -> Tensor:
        return style.sort(dim=0).values

    def forward(self, image: Tensor, target: Tensor, step: int) -> Tensor:
        return histogram_loss(image, target, ordered=True)


STYLE_LOSSES: dict[str, type[StyleLoss]] = {
    "gram": Gram,
    "gram_per_channel": GramPerChannel,
    "mean_std": MeanStd,
    "wasserstein": Wasserstein,
    "sliced_wasserstein": SlicedWasserstein,
    "histogram": Histogram,
}


def make_style_losses(style_loss: str | Mapping[str, float]) -> list[tuple[StyleLoss, float]]:
    """Turn the argument ``style_loss`` into losses and their weights.

    Args:
        style_loss: a name of :data:`STYLE_LOSSES`, the class path of a :class:`StyleLoss`, or a map from those to weights.

    Raises:
        BadArgument: for an unknown name or a negative weight.
    """
    given = {style_loss: 1.0} if isinstance(style_loss, str) else dict(style_loss)
    for name, weight in given.items():
        if not 0 <= weight < float("inf"):
            raise BadArgument("style_loss", f"{name}: {weight}", "the weight of a loss is a number of 0 or more")
    losses = [(_find(name)(), float(weight)) for name, weight in given.items() if weight > 0]
    if not losses:
        raise BadArgument("style_loss", style_loss, "no loss has a weight; style_weight 0 turns the style off")
    return losses


def _find(name: str) -> type[StyleLoss]:
    if name in STYLE_LOSSES:
        return STYLE_LOSSES[name]
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute) if module else None
    except (ImportError, AttributeError):
        found = None
    if not (isinstance(found, type) and issubclass(found, StyleLoss)):
        known = ", ".join(STYLE_LOSSES)
        expected = f"is none of {known}, and no class path of a StyleLoss{nearest(name, STYLE_LOSSES)}"
        raise BadArgument("style_loss", name, expected)
    return found
