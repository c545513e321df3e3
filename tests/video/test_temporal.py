"""The temporal loss: against NumPy, its gradient, and in the objective whole and in tiles."""

import numpy as np
import pytest
import torch

from nst_lightning.losses.temporal import Held, temporal_loss
from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.layers import find_layer
from nst_lightning.objective.tiled import TiledObjective


def rand(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_value_is_that_of_numpy() -> None:
    image, target, reliability = rand(1, 3, 5, 7), rand(1, 3, 5, 7, seed=1), rand(1, 1, 5, 7, seed=2)
    x, y, c = (value.numpy().astype(np.float64) for value in (image, target, reliability))
    assert float(temporal_loss(image, target, reliability)) == pytest.approx((c * (x - y) ** 2).sum() / x.size, rel=1e-6)


def test_gradient_in_float64() -> None:
    image = rand(1, 3, 4, 5, dtype=torch.float64).requires_grad_()
    held = Held(rand(1, 3, 4, 5, seed=1, dtype=torch.float64), rand(1, 1, 4, 5, seed=2, dtype=torch.float64))
    assert torch.autograd.gradcheck(held, image)
    gradient = torch.zeros_like(image)
    value = held.add_gradient(image, 3.0, gradient)
    (expected,) = torch.autograd.grad(3.0 * held(image), image)
    assert torch.allclose(gradient, expected)
    assert float(value.detach()) == pytest.approx(float(held(image).detach()))


def test_hidden_pixels_do_not_leak_into_a_smaller_scale() -> None:
    target, reliability = torch.full((1, 3, 16, 16), 0.5), torch.ones(1, 1, 16, 16)
    target[..., 8:], reliability[..., 8:] = 1.0, 0.0
    small, weight = Held(target, reliability).at(torch.zeros(1, 3, 8, 8))
    assert torch.allclose(small[weight.expand_as(small) > 0.05], torch.tensor(0.5), atol=1e-4)
    assert weight[..., 7].max() < 0.05 < 0.95 < weight[..., 0].min()


def test_term_in_tiles_is_that_of_the_whole() -> None:
    layer = find_layer("relu2_1", "vgg16")
    image = rand(1, 3, 96, 128)
    found = []
    for tile in (None, 64):
        objective = TiledObjective(VGGFeatures({layer}, VGGSettings()), {layer: 1.0}, {}, [], {"content": 1.0})
        objective.tile = tile
        objective.hold(Held(rand(1, 3, 96, 128, seed=1), rand(1, 1, 96, 128, seed=2)), 5.0)
        objective.set_targets(rand(1, 3, 96, 128, seed=3), [], None)
        pixels = image.clone().requires_grad_()
        terms = objective(pixels)
        (gradient,) = torch.autograd.grad(terms["loss"], pixels)
        found.append((terms, gradient))
    (whole, of_whole), (tiled, of_tiles) = found
    assert float(whole["temporal"]) == pytest.approx(float(tiled["temporal"]), rel=1e-5)
    assert float(whole["total"]) == pytest.approx(float(whole["content"] + 5 * whole["temporal"]), rel=1e-5)
    assert torch.allclose(of_whole, of_tiles, atol=1e-4 * float(of_whole.abs().max()))
