"""Every style loss against an independent NumPy and SciPy calculation, their gradients, and how they are chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torch.autograd import gradcheck

from nst_lightning import VGGFeatures, VGGSettings
from nst_lightning.data import StyleImage
from nst_lightning.errors import BadArgument
from nst_lightning.losses import STYLE_LOSSES, make_style_losses
from nst_lightning.losses.gram import Gram, GramPerChannel
from nst_lightning.losses.histogram import Histogram, histogram_loss
from nst_lightning.losses.mean_std import MeanStd
from nst_lightning.losses.moments import Moments, flatten, moments
from nst_lightning.losses.nearest_neighbor import NearestNeighbor
from nst_lightning.losses.nearest_neighbor_layers import NearestNeighborLayers
from nst_lightning.losses.relaxed_emd import Palette, RelaxedEMD
from nst_lightning.losses.sliced_wasserstein import SlicedWasserstein, sliced_wasserstein_loss
from nst_lightning.losses.style_loss import EPSILON, StyleLoss
from nst_lightning.losses.wasserstein import (
    Wasserstein,
    _TraceOfRoot,
    _TraceOfRootByProducts,
    matrix_root,
    wasserstein_loss,
)
from nst_lightning.network.layers import find_layer
from nst_lightning.objective.whole import Objective
from nst_lightning.pictures.picture import resize
from nst_lightning.pictures.read import read_image
from tests.arithmetic import rounding

IMAGES = Path(__file__).parents[2] / "images"
ON_MOMENTS = ["gram", "gram_per_channel", "mean_std", "wasserstein"]


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Correlated random features ``(1, C, H, W)`` whose mean and spread depend on the seed."""
    generator = torch.Generator().manual_seed(seed)
    channels = shape[0]
    mixing = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    values = torch.rand(1, *shape, generator=generator, dtype=torch.float64) - 0.3
    return torch.einsum("ij,bjhw->bihw", mixing, values).to(dtype)


def matrix(features: Tensor) -> np.ndarray:
    """Features as positions by channels in float64."""
    return features.detach().double()[0].flatten(1).T.numpy()


# ---- formulas --------------------------------------------------------------------------------------------------------


def numpy_gram(image: np.ndarray, style: np.ndarray) -> float:
    grams = [sum(np.outer(row, row) for row in rows) / len(rows) for rows in (image, style)]
    return float(np.sum((grams[0] - grams[1]) ** 2)) / image.shape[1] ** 2


def numpy_gram_per_channel(image: np.ndarray, style: np.ndarray) -> float:
    """Johnson et al. 2016, equations 3 and 4: F Fᵀ / (C·H·W), here with the mean over entries."""
    grams = [rows.T @ rows / rows.size for rows in (image, style)]
    return float(np.mean((grams[0] - grams[1]) ** 2))


def numpy_mean_std(image: np.ndarray, style: np.ndarray) -> float:
    means = np.mean(image, axis=0) - np.mean(style, axis=0)
    spreads = np.std(image, axis=0) - np.std(style, axis=0)
    return float(np.mean(means**2) + np.mean(spreads**2))


def numpy_wasserstein(image: np.ndarray, style: np.ndarray, ridge: float = EPSILON) -> float:
    """Olkin and Pukelsheim 1982, in the order Σ Σs, whose root is not symmetric: another way to the same trace."""
    channels = image.shape[1]
    ours, theirs = (np.cov(rows.T, bias=True).reshape(channels, channels) for rows in (image, style))
    ours, theirs = ours + ridge * np.eye(channels), theirs + ridge * np.eye(channels)
    cross = np.trace(np.real(scipy.linalg.sqrtm(ours @ theirs)))
    means = np.sum((image.mean(axis=0) - style.mean(axis=0)) ** 2)
    return float(means + np.trace(ours) + np.trace(theirs) - 2 * cross) / channels


NUMPY = {
    "gram": numpy_gram,
    "gram_per_channel": numpy_gram_per_channel,
    "mean_std": numpy_mean_std,
    "wasserstein": numpy_wasserstein,
}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-4)])
@pytest.mark.parametrize("name", ON_MOMENTS)
def test_losses_on_moments_are_their_formulas(name, dtype, tolerance):
    """If this fails, a style loss is not the one of its paper."""
    image, style = random(6, 9, 7, dtype=dtype), random(6, 5, 11, seed=1, dtype=dtype)
    ((loss, weight),) = make_style_losses(name)
    found = loss(moments(image), loss.target(moments(style)), 0)
    assert weight == 1 and found.ndim == 0 and found.dtype == dtype
    assert found.item() == pytest.approx(NUMPY[name](matrix(image), matrix(style)), rel=tolerance)


@pytest.mark.parametrize("name", ON_MOMENTS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_of_losses_on_moments(name, layout):
    """If this fails, a style is not optimised: the gradient in the features is not the slope of the loss."""
    ((loss, _),) = make_style_losses(name)
    target = loss.target(moments(random(3, 6, 5, seed=1)))
    features = random(3, 2, 3).contiguous(memory_format=layout).requires_grad_()
    assert gradcheck(lambda x: loss(moments(x), target, 0), features)


@pytest.mark.parametrize("name", ON_MOMENTS)
def test_losses_on_moments_are_0_for_the_same_moments(name):
    """If this fails, a picture that is the style is still pulled somewhere."""
    features = random(8, 20, 20, dtype=torch.float32)
    ((loss, _),) = make_style_losses(name)
    values = torch.linalg.eigvalsh(moments(features.double()).covariance)
    scale, allowed = float(values.sum()) / 8, 1e-5
    if name == "wasserstein":
        # the root of an eigenvalue λ² has the slope 1 / 2λ there: what three products of 8 terms are off grows by it
        allowed = 2 * rounding(3 * 8) * float(values[-1] ** 2 * (1 / (2 * values)).mean()) / scale
        assert allowed < 1e-3
    assert abs(float(loss(moments(features), loss.target(moments(features)), 0))) < allowed * scale


# ---- Wasserstein -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 5, 40])
def test_matrix_root_is_scipys(channels):
    """If this fails, the Wasserstein loss starts from a wrong root."""
    covariance = moments(random(channels, 20, 20)).covariance
    np.testing.assert_allclose(matrix_root(covariance).numpy(), scipy.linalg.sqrtm(covariance.numpy()), atol=1e-8)


def test_matrix_root_of_a_singular_matrix():
    """If this fails, a rounding error below 0 makes the root not a number."""
    vector = torch.tensor([[1.0, 2.0, -1.0]])
    root = matrix_root(vector.T @ vector)
    torch.testing.assert_close(root @ root, vector.T @ vector, atol=1e-5, rtol=1e-5)


def test_gradient_of_the_wasserstein_loss_is_autograds():
    """If this fails, the closed-form gradient is not that of the formula (here autograd through two eigh)."""

    def reference(image: Tensor, style: Tensor) -> Tensor:
        def root(symmetric: Tensor) -> Tensor:
            values, vectors = torch.linalg.eigh(symmetric)
            return vectors @ torch.diag(values.sqrt()) @ vectors.T

        rows, theirs = (x[0].flatten(1) for x in (image, style))
        ridge = 1e-4 * torch.eye(len(rows), dtype=rows.dtype)
        a, b = (torch.cov(x, correction=0) + ridge for x in (rows, theirs))
        middle = root(b) @ a @ root(b)
        means = (rows.mean(1) - theirs.mean(1)).square().sum()
        return (means + a.trace() + b.trace() - 2 * root((middle + middle.T) / 2).trace()) / len(rows)

    image, style = random(10, 12, 12), random(10, 9, 14, seed=1)
    gradients = []
    for loss in (lambda x: wasserstein_loss(moments(x), moments(style)), lambda x: reference(x, style)):
        x = image.clone().requires_grad_()
        loss(x).backward()
        gradients.append(x.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("positions", [(1, 1), (2, 3), (6, 6)])
@pytest.mark.parametrize("who", ["image", "style", "both", "same", "flat"])
def test_rank_deficient_covariances_give_finite_numbers(positions, who):
    """If this fails, small pictures, deep layers and flat pictures end in NaN: 64 channels at fewer positions."""
    few, many = random(64, *positions, dtype=torch.float32), random(64, 20, 20, seed=1, dtype=torch.float32)
    pairs = {
        "image": (few, many),
        "style": (many, few),
        "both": (few, few.flip(1)),
        "same": (few, few.clone()),
        "flat": (torch.ones_like(few), torch.zeros_like(few)),
    }
    image, style = pairs[who]
    image = image.clone().requires_grad_()
    loss = wasserstein_loss(moments(image), moments(style))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(image.grad).all()
    scale = max(float(moments(x.detach()).second.trace()) / 64 for x in (image, style))
    assert -1e-4 * scale < float(loss.detach()) < 4 * scale
    # no explosion either: the norm of the gradient of a squared distance is of the order of its root
    assert float(image.grad.norm()) < 100 * scale**0.5


def test_a_step_down_the_wasserstein_gradient_comes_nearer_from_a_flat_picture():
    """If this fails, the gradient at rank-deficient covariances points nowhere useful."""
    style = moments(random(16, 20, 20, dtype=torch.float32))
    image = (0.1 * random(16, 3, 3, seed=1, dtype=torch.float32)).requires_grad_()
    losses = []
    for _ in range(20):
        loss = wasserstein_loss(moments(image), style)
        (grad,) = torch.autograd.grad(loss, image)
        losses.append(float(loss.detach()))
        image = (image - 2 * grad).detach().requires_grad_()
    assert losses[-1] < losses[0] and max(losses[1:]) <= losses[0]


# ---- features --------------------------------------------------------------------------------------------------------


def numpy_quantiles(ordered: np.ndarray, count: int) -> np.ndarray:
    """A sorted sample read in the middle of ``count`` equal parts of [0, 1], its values in the middle of theirs."""
    ours = (np.arange(count) + 0.5) / count
    theirs = (np.arange(len(ordered)) + 0.5) / len(ordered)
    return np.interp(ours, theirs, ordered)


@pytest.mark.parametrize("style_shape", [(6, 5), (4, 4), (9, 11)], ids=["equal", "fewer", "more"])
def test_sliced_wasserstein_is_numpys(style_shape):
    """If this fails, the projections, the sort or the quantiles are not those of Heitz et al. 2021."""
    image, style = random(4, 6, 5), random(4, *style_shape, seed=1)
    directions = torch.nn.functional.normalize(torch.randn(4, 7, dtype=torch.float64), dim=0)
    total = 0.0
    for direction in directions.T.numpy():
        ours, theirs = (np.sort(matrix(x) @ direction) for x in (image, style))
        total += np.mean((ours - numpy_quantiles(theirs, 30)) ** 2)
    found = sliced_wasserstein_loss(flatten(image), flatten(style), directions)
    assert found.item() == pytest.approx(total / 7, rel=1e-10)


@pytest.mark.parametrize("style_shape", [(6, 5), (4, 4), (9, 11)], ids=["equal", "fewer", "more"])
def test_histogram_loss_is_numpys(style_shape):
    """If this fails, features are not matched by rank to the style's histogram (Risser et al. 2017)."""
    image, style = random(4, 6, 5), random(4, *style_shape, seed=1)
    total = 0.0
    for ours, theirs in zip(matrix(image).T, matrix(style).T, strict=True):
        wanted = numpy_quantiles(np.sort(theirs), 30)
        for value in ours:
            total += (value - wanted[np.sum(ours < value)]) ** 2
    found = histogram_loss(flatten(image), flatten(style))
    assert found.item() == pytest.approx(total / (4 * 30), rel=1e-10)


@pytest.mark.parametrize("name", ["sliced_wasserstein", "histogram"])
def test_gradients_of_losses_on_features(name):
    """If this fails, these losses have a gradient that is not their slope."""
    ((loss, _),) = make_style_losses(name)
    target = loss.target(flatten(random(3, 6, 4, seed=1)))
    features = random(3, 4, 5).requires_grad_()
    if name == "histogram":  # the match is held: compare with the slope towards a fixed picture
        (grad,) = torch.autograd.grad(loss(flatten(features), target, 0), features)
        matched = torch.stack(
            [torch.from_numpy(numpy_quantiles(np.sort(column), 20)) for column in target.numpy().T], dim=1
        )
        ranks = flatten(features).detach().argsort(dim=0).argsort(dim=0)
        expected = 2 * (flatten(features).detach() - matched.gather(0, ranks)) / features.numel()
        torch.testing.assert_close(flatten(grad), expected)
    else:
        assert gradcheck(lambda x: loss(flatten(x), target, 3), features)


@pytest.mark.parametrize("name", ["sliced_wasserstein", "histogram"])
def test_losses_on_features_ignore_where_things_are(name):
    """If this fails, these losses see places: the same values in another order are the same style."""
    features = flatten(random(5, 6, 7))
    ((loss, _),) = make_style_losses(name)
    shuffled = features[torch.randperm(len(features))]
    assert loss(shuffled, loss.target(features), 0).item() == pytest.approx(0, abs=1e-20)


def test_sliced_wasserstein_draws_by_the_step():
    """If this fails, a resumed run draws other directions, or every step draws the same ones."""
    image, style = flatten(random(6, 5, 5)), flatten(random(6, 5, 5, seed=1))
    loss = SlicedWasserstein()
    first = loss(image, style, 7)
    torch.rand(1000)  # whoever else draws numbers
    assert torch.equal(first, SlicedWasserstein()(image, style, 7))
    assert not torch.equal(first, loss(image, style, 8))


# ---- choosing --------------------------------------------------------------------------------------------------------


class OnlyMeans(StyleLoss):
    """A style loss as a person writes one: only the means, and it counts its steps."""

    def forward(self, image: Moments, target: Moments, step: int) -> Tensor:
        return (image.mean - target.mean).square().sum() + step


def test_losses_by_name_map_and_class_path():
    """If this fails, `style_loss` does not accept what its documentation says."""
    kinds = [Gram, GramPerChannel, MeanStd, Wasserstein, SlicedWasserstein, Histogram]
    kinds += [NearestNeighbor, NearestNeighborLayers, RelaxedEMD, Palette]
    assert [type(make_style_losses(name)[0][0]) for name in STYLE_LOSSES] == kinds
    given = {"gram": 2, f"{__name__}.OnlyMeans": 0.5, "histogram": 0}
    found = make_style_losses(given)
    assert [(type(loss).__name__, weight) for loss, weight in found] == [("Gram", 2.0), ("OnlyMeans", 0.5)]
    ((single, _),) = make_style_losses(f"{__name__}.OnlyMeans")
    assert isinstance(single, OnlyMeans)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("wassersteen", "did you mean 'wasserstein'"),
        ("no.such.Loss", "no.such.Loss"),
        ("torch.nn.Linear", "no class path of a StyleLoss"),
        ("collections.abc", "no class path of a StyleLoss"),
        ("", "is none of gram"),
        ("a..b", "is none of gram"),
        (".Loss", "is none of gram"),
        ({"gram": -1.0}, "gram: -1.0"),
        ({"gram": float("nan")}, "0 or more"),
        ({"gram": 0.0}, "no loss has a weight"),
        ({}, "no loss has a weight"),
    ],
)
def test_losses_that_do_not_exist_are_named(given, message):
    """If this fails, a typing error in `style_loss` ends in a traceback, or in another loss."""
    with pytest.raises(BadArgument, match=message) as caught:
        make_style_losses(given)
    assert caught.value.name == "style_loss"


def test_the_objective_sums_the_losses_with_their_weights():
    """If this fails, several style losses together are not the weighted sum of each alone."""
    layers = {find_layer("relu1_1", "vgg16"): 0.7, find_layer("relu2_1", "vgg16"): 0.3}
    network = VGGFeatures(layers, VGGSettings("vgg16", scale="raw"))
    generator = torch.Generator().manual_seed(0)
    image, style = torch.rand(1, 3, 24, 20, generator=generator), torch.rand(1, 3, 18, 30, generator=generator)

    def value(style_loss: str | dict[str, float], step: int = 5) -> dict[str, float]:
        objective = Objective(network, {}, layers, make_style_losses(style_loss), {"content": 1, "style": 3, "tv": 0})
        objective.set_targets(None, [StyleImage(style, None, 1.0)], None)
        return {name: float(term) for name, term in objective(image, step).items()}

    given = {"gram": 2.0, "wasserstein": 0.5, "sliced_wasserstein": 1.5, f"{__name__}.OnlyMeans": 0.25, "histogram": 4.0}
    alone = {name: value(name) for name in given}
    together = value(given)
    for term in ("style", "style/relu1_1", "style/relu2_1", "total"):
        expected = sum(weight * alone[name][term] for name, weight in given.items())
        assert together[term] == pytest.approx(expected, rel=1e-5)
    assert together["total"] == pytest.approx(3 * together["style"], rel=2 * rounding(10))
    assert value(f"{__name__}.OnlyMeans", 9)["style"] == pytest.approx(
        alone[f"{__name__}.OnlyMeans"]["style"] + 4, rel=1e-5
    )


@pytest.mark.parametrize("layer", ["relu1_1", "relu2_1", "relu3_1", "relu4_1"])
def test_the_root_by_products_is_as_near_to_the_exact_one(layer):
    """If this fails, a GPU, which computes the root by products of matrices, paints another picture than a CPU."""
    wanted = find_layer(layer, "vgg16")
    network = VGGFeatures([wanted])
    pictures = [read_image(IMAGES / name).rgb[None] for name in ("content/chenonceau.jpg", "style/starry_night.jpg")]
    ours, theirs = (network(resize(picture, (96, 128)))[wanted].detach().double() for picture in pictures)

    def found(kind, dtype):
        leaf = ours.to(dtype).clone().requires_grad_()
        style = moments(theirs.to(dtype))
        ridge = EPSILON * torch.eye(len(style.mean), dtype=dtype)
        trace = kind.apply(moments(leaf).covariance + ridge, matrix_root(style.covariance + ridge))
        trace.backward()
        return float(trace.detach()), leaf.grad.double()

    exact, gradient = found(_TraceOfRoot, torch.float64)
    for kind in (_TraceOfRoot, _TraceOfRootByProducts):  # both leave out what float32 cannot tell from 0
        value, slope = found(kind, torch.float32)
        assert abs(value / exact - 1) < 0.01
        assert float((slope - gradient).norm() / gradient.norm()) < 0.06
