"""Tiles: the same value and gradient as the whole image, at every size, padding, pooling, mask and loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nst_lightning.data import StyleImage
from nst_lightning.features import VGGFeatures, VGGSettings
from nst_lightning.layers import find_layer, layers_of
from nst_lightning.style_losses import make_style_losses
from nst_lightning.tiled import TiledObjective
from nst_lightning.tiles import divide, grid, reach_of, stride_of

WEIGHTS = {"content": 1.0, "style": 8.0, "tv": 0.3}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(height: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Patches with noise: values that differ everywhere, and whose features do too."""
    generator = torch.Generator().manual_seed(seed)
    patches = torch.rand(1, 3, height // 9 + 1, width // 9 + 1, generator=generator)
    noise = torch.rand(1, 3, height, width, generator=generator)
    smooth = torch.nn.functional.interpolate(patches, (height, width), mode="bilinear")
    return (0.7 * smooth + 0.3 * noise).to(dtype)


def two_regions(height: int, width: int) -> Tensor:
    """Two soft regions that add up to 1: a slope from the left edge to the right."""
    slope = torch.linspace(-0.3, 1.3, width).clamp(0, 1).expand(height, width)
    return torch.stack([slope, 1 - slope])


def objective_of(
    style_layers: list[str],
    content_layers: list[str],
    style_loss: str = "gram",
    dtype: torch.dtype = torch.float64,
    **settings,
) -> TiledObjective:
    vgg = VGGSettings(**settings)
    tables = [{find_layer(name, vgg.arch): 1 + 0.1 * n for n, name in enumerate(t)} for t in (content_layers, style_layers)]
    features = VGGFeatures({*tables[0], *tables[1]}, vgg).to(dtype)
    return TiledObjective(features, *tables, make_style_losses(style_loss), WEIGHTS)


def set_targets(objective: TiledObjective, height: int, width: int, masks: bool = False, styles: int = 1) -> None:
    dtype = objective.features.mean.dtype
    sizes = [(97, 76), (64, 109)][:styles]
    looks = [
        StyleImage(picture(*size, 10 + n, dtype), two_regions(*size) if masks else None, 1.0 + n)
        for n, size in enumerate(sizes)
    ]
    regions = two_regions(height, width).flip(0) if masks else None
    objective.set_targets(picture(height, width, 1, dtype), looks, regions)


def evaluate(objective: TiledObjective, image: Tensor, name: str = "loss") -> tuple[dict[str, float], Tensor]:
    image = image.clone().requires_grad_()
    terms = objective(image, 3)
    (gradient,) = torch.autograd.grad(terms[name], image)
    return {name: float(value.detach()) for name, value in terms.items()}, gradient


def compare(objective: TiledObjective, image: Tensor, tile: int, tolerance: float, **targets) -> None:
    """Everything whole, then everything (the targets too) from tiles."""
    height, width = image.shape[2:]
    objective.tile = None
    set_targets(objective, height, width, **targets)
    values, gradient = evaluate(objective, image)
    objective.tile = tile
    assert len(objective.tiles(image)) > 1
    set_targets(objective, height, width, **targets)
    tiled_values, tiled_gradient = evaluate(objective, image)
    assert tiled_values == pytest.approx(values, rel=tolerance)
    assert list(tiled_values) == list(values)
    assert float((tiled_gradient - gradient).norm() / gradient.norm()) < tolerance


DEEP = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]


# ---- equality --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect", "circular"])
@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
def test_tiles_are_the_whole_image(padding, pooling):
    """If this fails, a picture made in tiles differs from the one made whole: seams, or another style at the border."""
    objective = objective_of(["relu1_1", "relu2_1", "relu3_1"], ["relu3_2"], padding=padding, pooling=pooling)
    for size, tile in (((83, 117), 32), ((62, 59), 20)):
        compare(objective, picture(*size), tile, 1e-10)


@pytest.mark.parametrize("arch", ["vgg16", "vgg19"])
@pytest.mark.parametrize("padding", ["replicate", "circular"])
def test_tiles_are_the_whole_image_down_to_the_last_block(arch, padding):
    """If this fails, the reach of deep layers is taken too small, or poolings of odd sides drop another line."""
    weights = "bundled" if arch == "vgg16" else "random"
    objective = objective_of(DEEP, ["relu4_2"], padding=padding, arch=arch, weights=weights)
    compare(objective, picture(100, 187 if padding == "circular" else 131), 48, 1e-10)


def test_circular_crops_over_both_seams_in_the_last_block():
    """If this fails, a seamless texture from tiles is not the one of the whole image, where both sides are odd."""
    objective = objective_of(["relu1_1", "conv5_1"], ["relu2_2"], padding="circular")
    image = picture(191, 207)
    objective.tile = 16
    assert all(any(tile.seams[axis] for tile in objective.tiles(image)) for axis in (0, 1))
    compare(objective, image, 32, 1e-10)


@pytest.mark.parametrize("style_loss", ["gram", "gram_per_channel", "mean_std", "wasserstein"])
@pytest.mark.parametrize("masks", [False, True])
def test_every_loss_of_moments_with_masks_and_two_styles(style_loss, masks):
    """If this fails, a mask or a second style image counts otherwise in tiles than in the whole image."""
    objective = objective_of(["relu1_1", "relu3_1"], ["conv2_2", "relu3_1"], style_loss)
    # the slope of a matrix root is up to a million at the floor of the eigenvalues: the sums' last digits grow by it
    tolerance = 1e-8 if style_loss == "wasserstein" else 1e-10
    compare(objective, picture(83, 117), 32, tolerance, masks=masks, styles=2)


@pytest.mark.parametrize("tile", [1, 16, 40, 64, 100])
def test_float32_and_tiles_of_every_size(tile):
    """If this fails, some size of tile leaves positions out, counts some twice, or loses digits in float32."""
    objective = objective_of(["relu1_1", "relu2_1", "relu3_1"], ["relu3_1"], "gram", torch.float32)
    compare(objective, picture(83, 117, dtype=torch.float32), tile, 1e-5, masks=True)
