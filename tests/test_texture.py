"""Padding and pooling as one sees them: textures that tile, activations that keep their scale."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import lightning as L
import pytest
from torch import Tensor

from nst_lightning import ImagePair, StyleTransfer, VGGFeatures, VGGSettings
from nst_lightning.network.layers import find_layer
from nst_lightning.pictures.picture import resize
from nst_lightning.pictures.read import read_image
from tests.arithmetic import assert_features_close

ROOT = Path(__file__).parents[1]
SIZE = 64


SCALES = [{"size": 0.5, "steps": 30}, {"size": 1.0, "steps": 20, "most": 32}]  # 16, 32, and 64 in detail


@cache
def texture(padding: str, optimizer: str = "adam", scaled: bool = False) -> Tensor:
    """A texture of a painting, from noise."""
    style = resize(read_image(ROOT / "images" / "style" / "starry_night.jpg").rgb[:, 100:500, 100:500], (SIZE, SIZE))
    L.seed_everything(0, verbose=False)
    module = StyleTransfer(
        style_layers=["relu1_1", "relu2_1", "relu3_1"],
        scales=SCALES if scaled else "none",
        init="noise",
        optimizer=optimizer,
        features=VGGSettings(padding=padding),
    )
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    clock = {"max_steps": 60, "max_epochs": -1, "limit_val_batches": 0}
    L.Trainer(**silent, **clock, accelerator="cpu", precision="32-true").fit(
        module, datamodule=ImagePair(None, style, SIZE)
    )
    return module.result[0]


def seams(image: Tensor) -> tuple[float, float]:
    """Differences between the first and the last column and row, relative to those of neighbours inside."""

    def mean(difference: Tensor) -> float:
        return float(difference.abs().mean())

    across = mean(image[:, :, 0] - image[:, :, -1]) / mean(image[:, :, 1:] - image[:, :, :-1])
    down = mean(image[:, 0] - image[:, -1]) / mean(image[:, 1:] - image[:, :-1])
    return across, down


def stands_out(image: Tensor) -> float:
    """The differences across the edges over the largest between two lines inside: contours are such, too."""
    lines = [(image - image.roll(1, dim)).abs().mean(dim=(0, 3 - dim)) for dim in (1, 2)]
    return max(float(one[0] / one[1:].max()) for one in lines)


def test_a_circular_texture_continues_across_its_edges():
    """If this fails, a wallpaper made with `padding: circular` has seams."""
    assert max(seams(texture("circular"))) < 1.5


@pytest.mark.parametrize("scaled", [False, True])
def test_so_does_one_of_levels_and_scales(scaled):
    """If this fails, the optimiser of the presets, a change of scale or the scales of detail make seams."""
    assert stands_out(texture("circular", "pyramid_adam", scaled)) <= 1
    assert stands_out(texture("zeros", "pyramid_adam", scaled)) > 1.5


def test_without_circular_padding_there_are_seams():
    """If this fails, the test above would pass for any texture, and says nothing."""
    assert min(seams(texture("zeros"))) > 1.5 * max(seams(texture("circular")))


def test_circular_features_turn_with_the_picture():
    """If this fails, some convolution is not padded from the opposite edge."""
    layer = find_layer("relu3_1", "vgg16")
    network = VGGFeatures([layer], VGGSettings(padding="circular"))
    image = resize(read_image(ROOT / "images" / "content" / "chenonceau.jpg").rgb, (48, 64))[None]
    features = network(image)[layer]
    turned = network(image.roll((8, 20), dims=(2, 3)))[layer]  # whole cells of two poolings
    assert_features_close(turned, features.roll((2, 5), dims=(2, 3)))


@pytest.mark.parametrize("pooling", ["average", "l2"])
def test_pooling_keeps_the_scale_of_the_activations(pooling):
    """If this fails, layers behind a pooling fade or grow, and a layer's weight means something else."""
    blocks = {"relu1_2": "pool1", "relu2_2": "pool2", "relu3_3": "pool3", "relu4_3": "pool4"}
    layers = [find_layer(name, "vgg16") for pair in blocks.items() for name in pair]
    image = resize(read_image(ROOT / "images" / "content" / "chenonceau.jpg").rgb, (96, 128))[None]
    found = VGGFeatures(layers, VGGSettings(scale="raw"))(image)
    network = VGGFeatures(layers, VGGSettings(pooling=pooling, scale="raw"))
    for before, after in zip(layers[::2], layers[1::2], strict=True):
        ratio = float(network._pool(found[before]).mean() / found[after].mean())
        assert 0.5 < ratio < 2, (after.name, ratio)
    # calibrated, it holds for the whole network too
    found, pooled = (VGGFeatures(layers, VGGSettings(pooling=kind))(image) for kind in ("max", pooling))
    assert all(0.5 < float(pooled[layer].mean() / found[layer].mean()) < 2 for layer in layers)
