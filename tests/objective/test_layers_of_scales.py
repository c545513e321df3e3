"""Layers that a scale's weights leave out: as if they had never been named, and the network ends before them."""

from __future__ import annotations

import pytest
import torch

from nst_lightning import StyleTransfer
from nst_lightning.errors import BadArgument
from nst_lightning.losses import make_style_losses
from nst_lightning.losses.self_similarity import SelfSimilarity
from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.layers import find_layer
from nst_lightning.objective.matching import Start
from nst_lightning.objective.tiled import TiledObjective
from nst_lightning.objective.tiles import reach_of
from tests.arithmetic import rounding
from tests.objective.test_tiles import WEIGHTS, compare, evaluate, objective_of, picture, set_targets
from tests.training.test_scales import run

pytestmark = pytest.mark.usefixtures("one_thread")

LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1"]
LOSSES = {"wasserstein": 1.0, "nearest_neighbor": 0.5, "nearest_neighbor_layers": 0.25}


def objective(style: dict[str, float], content: dict[str, float], relations: bool = False) -> TiledObjective:
    """An objective of the real network, thin where that can be."""
    tables = [{find_layer(name, "vgg16"): weight for name, weight in table.items()} for table in (content, style)]
    features = VGGFeatures({*tables[0], *tables[1]}, VGGSettings(scale="raw")).double()
    return TiledObjective(features, *tables, make_style_losses(LOSSES), WEIGHTS, SelfSimilarity() if relations else None)


@pytest.mark.parametrize("relations", [False, True])
def test_a_layer_left_out_is_as_if_it_had_not_been_named(relations):
    """If this fails, the weight of a layer at a scale is not what it is in style_layers or content_layers."""
    wide = objective(dict.fromkeys(LAYERS, 0.5), {"relu3_1": 1.0, "relu4_2": 2.0}, relations)
    factors = {"relu4_1": 0.0, "conv_10": 1.0} if relations else {"relu4_1": 0.0, "relu_9": 0.0, "relu2_1": 3.0}
    content = {"relu3_1": 1.0, "relu4_2": 2.0} if relations else {"relu3_1": 1.0}
    style = {name: 0.5 * (factors.get(name, 1.0)) for name in LAYERS[:3]}
    narrow = objective(style, content, relations)
    image = picture(48, 40)
    found = []
    for one, start in ((wide, Start(image, factors=factors)), (narrow, Start(image))):
        set_targets(one, 48, 40, start=start)
        found.append(evaluate(one, image))
    (values, gradient), (expected, wanted) = found
    tolerance = rounding(1000, torch.float64)
    for name in ("total", "content", "style", "tv"):
        assert values[name] == pytest.approx(expected[name], rel=tolerance)
    assert float((gradient - wanted).norm() / wanted.norm()) < tolerance


def test_the_network_ends_at_the_deepest_layer_that_is_left():
    """If this fails, the last scales pay for layers that nobody asks for, in time and in the overlap of tiles."""
    one = objective_of(LAYERS, ["relu4_2"])
    before = reach_of(one.features.layers)
    one.enter({"relu4_1": 0.0, "relu4_2": 0.0})
    assert one.features.layers[-1].name == "relu3_1" and reach_of(one.features.layers) < before
    assert [layer.name for layer in one.features(picture(32, 32))] == LAYERS[:3]
    one.enter({})
    assert [layer.name for layer in one.features(picture(32, 32))] == [*LAYERS, "relu4_2"]


@pytest.mark.parametrize("style_loss", ["gram", "wasserstein"])
def test_tiles_of_a_scale_with_fewer_layers(style_loss):
    """If this fails, tiles are too small for the layers that are left, or too large for what is wanted of them."""
    one = objective_of(LAYERS, ["relu4_2", "relu3_1"], style_loss)
    factors = {"relu4_1": 0.0, "relu4_2": 0.0, "relu1_1": 2.0}
    compare(one, picture(90, 70), 24, 1e-10, start=Start(factors=factors))


def test_a_run_goes_through_scales_of_different_layers(pictures):
    """If this fails, layers that come or go at a scale stop the run, or go on changing the image."""
    scales = [
        {"size": 0.5, "steps": 2, "weights": {"conv_3": 0.0}},
        {"size": 1.0, "steps": 2, "weights": {"relu2_1": 0.0}},
        {"size": 1.0, "steps": 2},
    ]
    module, record = run(pictures, 6, scales=scales, content_layers=["relu2_1"], style_layers=["relu1_1", "conv_3"])
    assert all(image.isfinite().all() for image in record.images)
    assert {"content", "style", "total"} <= set(module.evaluate())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"relu3_1": 0.0}, "relu2_1, relu1_1"),
        ({"relu2_2": 0.0}, "did you mean"),
        ({"relu_1": 0.0, "relu2_1": 0.0}, "nothing is left"),
        ({"relu1_1": -1.0}, "0 or more"),
        ({"relu1_1": 1e13}, "at most"),
    ],
)
def test_weights_of_layers_that_cannot_work(weights, message):
    """If this fails, a layer that is not there, or a scale without any, is found in the middle of the run."""
    with pytest.raises(BadArgument, match=message):
        StyleTransfer(
            style_layers=["relu1_1", "relu2_1"],
            content_layers=["relu2_1"],
            scales=[{"size": 1.0, "steps": 1, "weights": weights}],
        )
