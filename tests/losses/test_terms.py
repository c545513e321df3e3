"""The losses and the moments against NumPy calculations written from the papers, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from nst_lightning.losses.content import content_loss
from nst_lightning.losses.gram import gram_loss, gram_matrix
from nst_lightning.losses.moments import CHUNK, Moments, moments
from nst_lightning.losses.variation import total_variation
from tests.arithmetic import assert_sums_close


def random(*shape: int, seed: int = 0, **kwargs) -> Tensor:
    """Random features with a mean that is not 0."""
    values = torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.3
    return values.to(**kwargs) if kwargs else values.float()


def double(tensor: Tensor) -> np.ndarray:
    """The one picture of a batch as float64, whatever it was: the reference has no rounding of its own."""
    return tensor.detach().double()[0].numpy()


# ---- content ---------------------------------------------------------------------------------------------------------


def test_content_loss_is_equation_1_as_a_mean():
    """If this fails, the content term is not Gatys' equation 1, and grows with the picture."""
    found, target = random(3, 5, 4), random(3, 5, 4, seed=1)
    total = 0.0
    for f, p in zip(double(found).ravel(), double(target).ravel(), strict=True):
        total += (f - p) ** 2 / 2
    assert content_loss(found, target).item() == pytest.approx(total * 2 / (3 * 5 * 4), rel=1e-5)


def test_content_loss_of_bf16_features_is_summed_in_float32():
    """If this fails, the loss of bf16 features has three digits."""
    found, target = (random(8, 40, 50, seed=seed, dtype=torch.bfloat16) for seed in (0, 1))
    with torch.autocast("cpu", torch.bfloat16):
        loss = content_loss(found, target)
    assert loss.dtype == torch.float32
    assert_sums_close(loss, np.mean((double(found) - double(target)) ** 2), 8 * 40 * 50)


# ---- Gram ------------------------------------------------------------------------------------------------------------


def numpy_gram(features: np.ndarray) -> np.ndarray:
    """Gatys et al. 2016, equation 3, entry by entry: G_ij = sum_k F_ik F_jk."""
    channels = features.shape[0]
    gram = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(channels):
            gram[i, j] = np.sum(features[i] * features[j])
    return gram


def test_gram_matrix_is_equation_3_over_the_positions():
    """If this fails, the Gram matrix is not that of the paper."""
    features = random(6, 7, 5)
    expected, magnitude = (numpy_gram(values) / (7 * 5) for values in (double(features), np.abs(double(features))))
    assert_sums_close(gram_matrix(features), expected, 7 * 5 + 1, magnitude)


def test_gram_loss_is_equation_4_times_four():
    """If this fails, the style term is not Gatys' equation 4, or depends on the size of the style image."""
    image, style = random(6, 7, 5), random(6, 4, 9, seed=1)
    difference = numpy_gram(double(image)) / 35 - numpy_gram(double(style)) / 36
    expected = np.sum(difference**2) / (4 * 6**2)
    assert gram_loss(moments(image), moments(style)).item() == pytest.approx(4 * expected, rel=1e-4)


def test_gram_loss_ignores_where_things_are():
    """If this fails, the style loss sees places, not texture."""
    features = random(6, 7, 5)
    shuffled = features.flatten(2)[..., torch.randperm(35)].view(1, 6, 5, 7)
    assert gram_loss(moments(features), moments(shuffled)).item() == pytest.approx(0, abs=1e-10)


# ---- total variation -------------------------------------------------------------------------------------------------


def numpy_total_variation(image: np.ndarray) -> float:
    """The nine-point stencil of crowsonkb/style-transfer-pytorch, pixel by pixel.

    With the border replicated, each pixel has a right and a lower neighbour, and each corner between pixels two
    diagonals; a corner on the border has the border's pixels on both sides.
    """
    channels, height, width = image.shape

    def at(c: int, y: int, x: int) -> float:
        return image[c, min(max(y, 0), height - 1), min(max(x, 0), width - 1)]

    across = down = falling = rising = 0.0
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                across += (at(c, y, x + 1) - at(c, y, x)) ** 2 / (channels * height * width)
                down += (at(c, y + 1, x) - at(c, y, x)) ** 2 / (channels * height * width)
        for y in range(-1, height):
            for x in range(-1, width):
                falling += (at(c, y + 1, x + 1) - at(c, y, x)) ** 2 / (channels * (height + 1) * (width + 1))
                rising += (at(c, y + 1, x) - at(c, y, x + 1)) ** 2 / (channels * (height + 1) * (width + 1))
    return 2 * (across / 3 + down / 3 + falling / 12 + rising / 12)


@pytest.mark.parametrize("size", [(5, 8), (1, 4), (1, 1)])
def test_total_variation_is_the_nine_point_stencil(size):
    """If this fails, the weight of the total variation is not that of the published recipe."""
    image = random(3, *size)
    assert_sums_close(total_variation(image), numpy_total_variation(double(image)), 3 * (size[0] + 1) * (size[1] + 1))


@pytest.mark.parametrize(
    "turn", [lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: x.mT], ids=["mirror", "flip", "turn"]
)
def test_total_variation_favours_no_side(turn):
    """If this fails, one border of the picture is smoothed more than the opposite one."""
    image = random(3, 6, 9)
    assert_sums_close(total_variation(turn(image)), total_variation(image), 3 * 7 * 10)


# ---- moments ---------------------------------------------------------------------------------------------------------

SIZES = [(1, 1), (3, 5), (64, 128), (97, 103)]  # 97 * 103 = one chunk and a part of the next


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", SIZES)
def test_moments_are_numpys(size, dtype, layout):
    """If this fails, a layout, a type or a size that is no multiple of the chunk gives wrong statistics."""
    features = random(5, *size, dtype=dtype).contiguous(memory_format=layout)
    found, matrix = moments(features), double(features).reshape(5, -1)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert found.positions == matrix.shape[1]
    assert found.mean.dtype == found.second.dtype == wide
    # the reference sees the same rounded inputs: what is left is rounding in the sums
    mean, largest = (values.mean(axis=1) for values in (matrix, np.abs(matrix)))
    second, squares = (np.einsum("in,jn->ij", values, values) / matrix.shape[1] for values in (matrix, np.abs(matrix)))
    terms = matrix.shape[1] + 3
    assert_sums_close(found.mean, mean, terms, largest, wide)
    assert_sums_close(found.second, second, terms, squares, wide)
    # the difference of two sums' products
    covariance = np.cov(matrix, bias=True).reshape(5, 5)
    assert_sums_close(found.covariance, covariance, terms, squares + 2 * np.outer(largest, largest), wide)


def test_chunk_is_smaller_than_the_largest_size():
    """If this fails, the sizes above no longer test more than one chunk."""
    assert SIZES[-2][0] * SIZES[-2][1] == CHUNK < SIZES[-1][0] * SIZES[-1][1] < 2 * CHUNK


@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_does_not_overflow(autocast):
    """If this fails, bright pictures under 16-mixed have an infinite style loss: 300 squared is no float16."""
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = moments(torch.full((1, 2, 4, 4), 300.0, dtype=torch.float16))
    torch.testing.assert_close(found.second, torch.full((2, 2), 90000.0))


def test_moments_add_up():
    """If this fails, the moments of a whole picture are not the weighted mean of those of its parts."""
    features = random(4, 6, 10)
    whole, left, right = (moments(part) for part in (features, features[..., :3], features[..., 3:]))
    share = left.positions / whole.positions
    largest = moments(features.abs())
    assert_sums_close(share * left.mean + (1 - share) * right.mean, whole.mean, 6 * 10 + 3, largest.mean)
    assert_sums_close(share * left.second + (1 - share) * right.second, whole.second, 6 * 10 + 3, largest.second)


# ---- gradients -------------------------------------------------------------------------------------------------------


def variable(*shape: int, layout: torch.memory_format = torch.contiguous_format) -> Tensor:
    return random(*shape, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()


def test_gradient_of_the_content_loss():
    """If this fails, content is not optimised."""
    target = random(3, 4, 5, seed=1, dtype=torch.float64)
    assert gradcheck(lambda features: content_loss(features, target), variable(3, 4, 5))


def test_gradient_of_the_total_variation():
    """If this fails, smoothness is not optimised."""
    assert gradcheck(total_variation, variable(3, 4, 5))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradient_of_the_gram_loss(layout):
    """If this fails, style is not optimised."""
    style = moments(random(3, 6, 2, seed=1, dtype=torch.float64))
    assert gradcheck(lambda features: gram_loss(moments(features), style), variable(3, 4, 5, layout=layout))


@pytest.mark.parametrize("moment", ["mean", "second", "covariance"])
def test_gradient_of_each_moment(moment):
    """If this fails, the closed-form gradient is wrong, or needs a loss of both moments."""
    assert gradcheck(lambda features: getattr(moments(features), moment), variable(3, 4, 5))


def test_gradient_over_several_chunks():
    """If this fails, the gradient is wrong in pictures of more than one chunk."""
    features = variable(2, 97, 103)
    weights_mean, weights_second = random(2, seed=1)[0].double(), random(2, 2, seed=2)[0].double()
    found = moments(features)
    ((weights_mean * found.mean).sum() + (weights_second * found.second).sum()).backward()
    matrix, second = double(features), weights_second.numpy()
    expected = (weights_mean.numpy()[:, None, None] + np.einsum("ij,jhw->ihw", second + second.T, matrix)) / (97 * 103)
    np.testing.assert_allclose(features.grad[0].numpy(), expected, rtol=1e-10)


def test_gradient_in_bf16_is_that_of_float64_within_rounding():
    """If this fails, bf16 runs follow another gradient than float32 runs."""
    style = moments(random(16, 30, 40, seed=1, dtype=torch.float64))
    exact = random(16, 40, 50, dtype=torch.bfloat16).double().requires_grad_()
    rounded = exact.detach().to(torch.bfloat16).requires_grad_()
    gram_loss(moments(exact), style).backward()
    gram_loss(moments(rounded), Moments(style.positions, style.mean.float(), style.second.float())).backward()
    assert rounded.grad.dtype == torch.bfloat16
    assert (rounded.grad.double() - exact.grad).norm() / exact.grad.norm() < 2**-7
