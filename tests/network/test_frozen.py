"""What a frozen network keeps for the way back, and the gradient through it against autograd's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.frozen import convolve, max_pool
from nst_lightning.network.layers import find_layer

pytestmark = pytest.mark.usefixtures("one_thread")


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", [(1, 3, 8, 6), (1, 5, 7, 6), (2, 4, 6, 5), (1, 1, 2, 2)])
def test_the_pooling_of_pairs_of_lines_is_the_pooling(shape):
    """If this fails, maxima or their gradients are not those of the whole picture: equal numbers are among these."""
    x = torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(0)).float()
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    found, wanted = max_pool(x), torch.nn.functional.max_pool2d(x, 2)
    assert torch.equal(found, wanted)
    pull = torch.arange(float(found.numel())).view(found.shape)
    ours, theirs = (torch.autograd.grad(one, x, pull)[0] for one in (found, wanted))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", [(2, 3, 3, 9000), (1, 2, 200, 301)])
def test_places_of_wide_pictures_are_not_cut_off(shape):
    """If this fails, the places of maxima beyond 32767 come back as others: noise at the end of long lines."""
    x = numbers(*shape).contiguous(memory_format=torch.channels_last).requires_grad_()
    for pad in (0, 1):  # an odd number of lines is not taken in pairs
        y = F.pad(x, (0, 0, 0, pad))
        ours, theirs = (torch.autograd.grad(pool(y).sin().sum(), x)[0] for pool in (max_pool, lambda y: F.max_pool2d(y, 2)))
        assert torch.equal(ours, theirs)


FORMS = [(False, False), (True, False), (True, True)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("rectified", "pooled"), FORMS)
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("kept", [False, True])
def test_the_gradient_is_autograds(dtype, rectified, pooled, padding, kept):
    """If this fails, the picture is optimised by another gradient than that of the network."""
    x = numbers(1, 3, 11, 14, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    kernel, bias = numbers(6, 3, 3, 3, seed=1, dtype=dtype), numbers(6, seed=2, dtype=dtype)
    ours = convolve(x, kernel, bias, padding, rectified=rectified, pooled=pooled, kept=kept)
    theirs = F.conv2d(x, kernel, bias, padding=padding)
    if rectified:
        theirs = F.relu(theirs)
    if pooled:
        theirs = F.max_pool2d(theirs, 2)
    assert torch.equal(ours, theirs)
    pull = numbers(*ours.shape, seed=3, dtype=dtype)
    found, expected = (torch.autograd.grad(y, x, pull)[0] for y in (ours, theirs))
    tolerance = {torch.float64: 1e-13, torch.float32: 1e-5, torch.bfloat16: 1e-2}[dtype]
    assert float((found - expected).norm() / expected.norm()) < tolerance


@pytest.mark.parametrize(("rectified", "pooled"), FORMS)
def test_the_gradient_by_differences(rectified, pooled):
    """If this fails, the gradient is not that of the values."""
    x = numbers(1, 2, 6, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
    kernel, bias = numbers(3, 2, 3, 3, seed=1), numbers(3, seed=2)
    assert torch.autograd.gradcheck(lambda x: convolve(x, kernel, bias, 1, rectified=rectified, pooled=pooled), x)


def test_a_second_derivative_is_refused():
    """If this fails, the derivative of a gradient is silently wrong: what is kept says nothing of it."""
    x = numbers(1, 2, 6, 7).requires_grad_()
    y = convolve(x, numbers(3, 2, 3, 3, seed=1), numbers(3, seed=2), 1, rectified=True, pooled=True)
    (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_what_is_not_a_number_stays_where_it_counts():
    """If this fails, one broken value behind a ReLU that is 0 spoils the whole picture."""
    x = torch.tensor([[[[-1.0, 2.0], [3.0, -4.0]]]], requires_grad=True)
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[0, 0, 1, 1] = 1
    y = convolve(x, kernel, torch.zeros(1), 1, rectified=True)
    pull = torch.tensor([[[[float("nan"), 1.0], [float("inf"), 5.0]]]])
    (found,) = torch.autograd.grad(y, x, torch.where(y > 0, pull, torch.inf).nan_to_num(posinf=7.0))
    assert found.isfinite().all()
    (found,) = torch.autograd.grad(
        convolve(x, kernel, torch.zeros(1), 1, rectified=True), x, torch.tensor([[[[torch.nan, 1.0], [1.0, torch.inf]]]])
    )
    assert torch.equal(found, torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]]))


# ---- the whole network -----------------------------------------------------------------------------------------------

WANTED = [
    ["relu1_1", "relu2_1", "relu3_1", "relu4_1"],
    ["relu1_2", "relu2_2", "relu4_2"],
    ["conv1_2", "relu1_2", "conv3_1", "relu3_2"],
    ["pool1", "conv2_2", "pool2", "relu3_1"],
]


def plain(network: VGGFeatures, image: Tensor) -> list[Tensor]:
    """The features by torch's own functions, one layer after the other."""
    x, found = (image - network.mean) / network.std, []
    for layer in network.layers:
        if layer.kind == "conv":
            if layer.count == 1:
                x = F.pad(x, (1, 1, 1, 1), mode="replicate")
            kernel, bias = getattr(network, f"kernel_{layer.count}"), getattr(network, f"bias_{layer.count}")
            x = F.conv2d(x, kernel, bias, padding=int(layer.count > 1))
        elif layer.kind == "relu":
            x = F.relu(x)
        elif network.settings.pooling == "max":
            x = F.max_pool2d(x, 2)
        elif network.settings.pooling == "average":
            x = 2 * F.avg_pool2d(x, 2)
        else:
            x = 0.78 * (4 * F.avg_pool2d(x**2, 2) + 1e-8).sqrt()
        if layer in network.wanted:
            found.append(x)
    return found


@pytest.mark.parametrize("names", WANTED, ids=" ".join)
@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
def test_features_and_gradient_are_those_of_plain_layers(names, pooling):
    """If this fails, layers are computed together that somebody looks between, or a gradient is lost on the way."""
    network = VGGFeatures([find_layer(name, "vgg16") for name in names], VGGSettings(pooling=pooling)).double()
    image = torch.rand(1, 3, 37, 42, generator=torch.Generator().manual_seed(4), dtype=torch.float64).requires_grad_()
    found, expected = list(network(image).values()), plain(network, image)
    pulls = [numbers(*one.shape, seed=n) for n, one in enumerate(expected)]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    ours, theirs = (torch.autograd.grad(features, image, pulls)[0] for features in (found, expected))
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-10


@pytest.mark.parametrize("names", WANTED, ids=" ".join)
@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_kept_is_what_is_said(names, pooling, dtype):
    """If this fails, a step takes more memory than tiles are planned with: counted here are all arrays kept, once each."""
    network = VGGFeatures([find_layer(name, "vgg16") for name in names], VGGSettings(pooling=pooling))
    storages = {}

    def note(value: Tensor) -> Tensor:
        if value.shape[-2:] != (3, 3):  # not the kernels
            storages[value.untyped_storage().data_ptr()] = value.untyped_storage()
        return value

    side = 96
    image = torch.rand(1, 3, side, side).requires_grad_()
    half = torch.autocast("cpu", dtype, enabled=dtype != torch.float32)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value), half:
        features = network(image)
    for value in features.values():
        note(value)
    kept = sum(one.nbytes() for one in storages.values()) / side**2
    said = network.bytes_kept(dtype.itemsize)
    assert kept - 2 * 3 * 4 <= said <= kept  # the normalised picture is not counted
