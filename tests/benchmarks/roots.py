"""What the Wasserstein loss costs: one eigendecomposition against 12 Newton–Schulz iterations and as many backward.

The features are those of the benchmark's two pictures at 256 px, one layer for every number of channels. Both losses get
the same moments and the same root of the style's covariance, and give the gradient in the moments.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning import VGGFeatures
from nst_lightning.losses.moments import Moments, moments
from nst_lightning.losses.style_loss import EPSILON
from nst_lightning.losses.wasserstein import matrix_root, wasserstein_loss
from nst_lightning.network.layers import find_layer
from tests.benchmarks.steps import PICTURES, read_pair

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # 64, 128, 256, 512, 512 channels
SIZE = 256
ITERATIONS = 12
TARGET = 8.0  # times faster, at 512 channels
Loss = Callable[[Moments, Moments, Tensor], Tensor]


class NewtonSchulzRoot(torch.autograd.Function):
    """The root of a positive matrix A by products alone, and its gradient by products alone.

    Forward: with Y₀ = A/‖A‖ and Z₀ = I, T = (3I − ZY)/2, Y ← YT, Z ← TZ; Y tends to (A/‖A‖)^½ (Higham 2008, section 6.7).
    Backward: for a gradient G of the root X, that of A solves XQ + QX = G. The matrix [[X, G], [0, −X]] has the sign
    [[I, 2Q], [0, −I]] (Roberts 1980), and its sign comes from S ← S(3I − S²)/2, written out block by block.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, iterations: int) -> Tensor:
        norm = matrix.norm()
        three = 3 * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
        root, inverse = matrix / norm, three / 3
        for _iteration in range(iterations):
            factor = (three - inverse @ root) / 2
            root, inverse = root @ factor, factor @ inverse
        root = root * norm.sqrt()
        ctx.save_for_backward(root)
        ctx.iterations = iterations
        return root

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (root,) = ctx.saved_tensors
        norm = root.norm()
        three = 3 * torch.eye(len(root), dtype=root.dtype, device=root.device)
        corner, solution = root / norm, grads[0] / norm
        for _iteration in range(ctx.iterations):
            factor = three - corner @ corner
            commutator = corner @ solution - solution @ corner
            solution = (solution @ factor - corner @ commutator) / 2
            corner = corner @ factor / 2
        return solution / 2, None


def newton_schulz_root(matrix: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """The root of a positive matrix ``(C, C)``: :class:`NewtonSchulzRoot`."""
    root: Tensor = NewtonSchulzRoot.apply(matrix, iterations)
    return root


def newton_schulz_loss(image: Moments, style: Moments, root: Tensor) -> Tensor:
    """The same loss as :func:`nst_lightning.losses.wasserstein.wasserstein_loss`, its root by Newton–Schulz.

    Args:
        image: moments of the image's features.
        style: moments of the style's.
        root: of the style's covariance with 1e-4 on its diagonal.
    """
    ridge = EPSILON * torch.eye(len(root), dtype=root.dtype, device=root.device)
    ours, theirs = image.covariance + ridge, style.covariance + ridge
    spread = (theirs + ours - 2 * newton_schulz_root(root @ ours @ root)).diagonal().mean()
    return F.mse_loss(image.mean, style.mean) + spread


def exact_loss(image: Moments, style: Moments, root: Tensor) -> Tensor:
    """Ours."""
    return wasserstein_loss(image, style, root)


def style_root(style: Moments) -> Tensor:
    """The root of a style's covariance with 1e-4 on its diagonal."""
    return matrix_root(style.covariance + EPSILON * torch.eye(len(style.mean)).to(style.mean))


def seconds(loss: Loss, image: Moments, style: Moments, root: Tensor) -> float:
    """Of the loss and its gradient in the moments."""
    mean, second = (part.detach().clone().requires_grad_() for part in (image.mean, image.second))
    start = time.perf_counter()
    loss(Moments(image.positions, mean, second), style, root).backward()
    return time.perf_counter() - start


def evaluate(loss: Loss, image: Tensor, style: Tensor) -> tuple[float, Tensor]:
    """Value and gradient in the image's features, in their type.

    Not the gradient in the covariance: most of that lies where the features have no variance and never reaches them.
    """
    leaf = image.detach().clone().requires_grad_()
    theirs = moments(style)
    value = loss(moments(leaf), theirs, style_root(theirs))
    value.backward()
    assert leaf.grad is not None
    return float(value), leaf.grad.double()


def measure_roots(repeats: int = 9) -> list[dict[str, Any]]:
    """A row for each layer: medians of the two times side by side, and how far both are from float64."""
    content, style = read_pair(PICTURES, SIZE)
    layers = [find_layer(name, "vgg16") for name in LAYERS]
    network = VGGFeatures(layers)
    with torch.no_grad():
        ours, theirs = network(content), network(style)
    rows = []
    for layer in layers:
        arguments = moments(ours[layer]), moments(theirs[layer]), style_root(moments(theirs[layer]))
        times: dict[str, list[float]] = {"exact": [], "newton_schulz": []}
        losses: dict[str, Loss] = {"exact": exact_loss, "newton_schulz": newton_schulz_loss}
        for _repeat in range(1 + repeats):
            for name, loss in losses.items():
                times[name].append(seconds(loss, *arguments))
        value, gradient = evaluate(exact_loss, ours[layer].double(), theirs[layer].double())
        row: dict[str, Any] = {"layer": layer.name, "channels": layer.channels}
        row["positions"] = ours[layer].shape[2] * ours[layer].shape[3]
        for name, loss in losses.items():
            found, found_gradient = evaluate(loss, ours[layer], theirs[layer])
            row[name] = statistics.median(times[name][1:])
            row[f"{name}_value_error"] = abs(found / value - 1)
            row[f"{name}_gradient_error"] = float((found_gradient - gradient).norm() / gradient.norm())
        pairs = zip(times["newton_schulz"][1:], times["exact"][1:], strict=True)
        row["speedup"] = statistics.median(slow / fast for slow, fast in pairs)
        rows.append(row)
    return rows
