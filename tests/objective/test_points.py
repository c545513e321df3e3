"""Losses of hypercolumns: read where they should be, in regions and of several styles, whole and from tiles alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_tiles import WEIGHTS, compare, objective_of, picture
from torch import Tensor
from torch.autograd import gradcheck

from nst_lightning.data import StyleImage
from nst_lightning.losses import (
    make_content_loss,
    make_style_losses,
    nearest_neighbor_layers,
    relaxed_emd,
    self_similarity,
)
from nst_lightning.losses.nearest_neighbor import NeighborSettings
from nst_lightning.losses.points import PIXELS, Field, Reading, corners, read
from nst_lightning.objective import matching, reading
from nst_lightning.objective.matching import Start, query
from nst_lightning.objective.reading import read_all
from nst_lightning.objective.tiled import TiledObjective
from nst_lightning.objective.whole import Objective
from nst_lightning.pictures.regions import Regions

pytestmark = pytest.mark.usefixtures("one_thread")

LOSSES = ["nearest_neighbor", "nearest_neighbor_layers", "relaxed_emd", "palette"]
SHALLOW = ["relu1_1", "relu2_2", "relu3_1"]


def objective_with(
    style_loss: object, content_loss: str = "features", neighbors: dict | None = None, **settings
) -> TiledObjective:
    made = objective_of(SHALLOW, ["relu2_1", "relu3_1"], "gram", **settings)
    losses = make_style_losses(style_loss, NeighborSettings(**(neighbors or {})))  # type: ignore[arg-type]
    return TiledObjective(
        made.features, made.content_layers, made.style_layers, losses, WEIGHTS, make_content_loss(content_loss)
    )


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer samples than a run takes."""
    monkeypatch.setattr(nearest_neighbor_layers, "POSITIONS", 300)
    for module in (relaxed_emd, self_similarity):
        monkeypatch.setattr(module, "SAMPLES", 200)
    monkeypatch.setattr(relaxed_emd, "STYLE_SAMPLES", 400)


# ---- reading ---------------------------------------------------------------------------------------------------------


def numpy_read(features: np.ndarray, point: tuple[float, float], cell: int) -> np.ndarray:
    """Bilinear between the middles of the cells, continued outside; one point of ``(C, H, W)``."""
    _, height, width = features.shape
    y = min(max(point[0] / cell - 0.5, 0), height - 1)
    x = min(max(point[1] / cell - 0.5, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = features[:, top, left] * (1 - (x - left)) + features[:, top, right] * (x - left)
    lower = features[:, bottom, left] * (1 - (x - left)) + features[:, bottom, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_reading_is_bilinear_between_the_middles_of_cells(layout):
    """If this fails, hypercolumns join features of different places."""
    features = torch.rand(1, 5, 7, 6, dtype=torch.float64).contiguous(memory_format=layout)
    points = torch.tensor([[0.0, 0.0], [13.9, 11.9], [2.0, 5.0], [6.3, 7.7], [14.0, 3.0]], dtype=torch.float64)
    at = corners(points, 1, (7, 6))
    expected = [numpy_read(features[0].numpy(), tuple(point), 2) for point in points.tolist()]
    np.testing.assert_allclose(read(features, at).numpy(), expected, rtol=1e-12)
    assert gradcheck(lambda x: read(x, at), features.requires_grad_())


def test_the_middle_of_a_pixel_is_the_pixel():
    """If this fails, the samples are not the pixels that were drawn, but blurred ones."""
    image = torch.rand(1, 3, 6, 9, dtype=torch.float64)
    found = read(image, corners(Field(6, 9).cells(0), 0, (6, 9)))
    assert torch.equal(found, image[0].flatten(1).T)


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("size", [(83, 117), (62, 59)])
def test_tiles_read_every_point_once(monkeypatch, padding, size):
    """If this fails, points between two tiles are lost, or read from what a tile does not know."""
    objective = objective_with("nearest_neighbor", padding=padding)
    layers = (PIXELS, *objective.style_layers)
    points = torch.cat([Field(*size).cells(2), Field(*size).spread(0, 200, seed=1), torch.tensor([[0.0, 0.0]]).double()])
    (found,) = read_all(objective.features, picture(*size), [Reading(layers, points)])
    monkeypatch.setattr(reading, "SIDE", 24)
    (tiled,) = read_all(objective.features, picture(*size), [Reading(layers, points)])
    for layer in layers:
        torch.testing.assert_close(tiled[layer], found[layer], rtol=1e-12, atol=1e-12)
    features = objective.features(picture(*size))
    for layer in objective.style_layers:
        expected = [numpy_read(features[layer][0].numpy(), tuple(p), 1 << layer.pools_before) for p in points.tolist()]
        np.testing.assert_allclose(found[layer].numpy(), expected, rtol=1e-10, atol=1e-12)


def test_points_of_a_region_lie_in_it():
    """If this fails, samples and neighbours come from outside their region, or from what is hidden."""
    mask = torch.zeros(2, 31, 45)
    mask[0, 4:20, 8:24] = 1
    mask[1, 20:, :] = 0.4
    field = Field(31, 45, Regions(mask), 0)
    for points in (field.cells(0), field.cells(2), field.spread(1, 20, seed=3), field.spread(0, 5)):
        rows, columns = points.long().T
        assert len(points) and (mask[0, rows, columns] == 1).all()
    assert len(field.cells(0)) == 16 * 16 and len(field.spread(0, 50, seed=1)) == 50
    assert torch.equal(field.spread(0, 50, seed=1), field.spread(0, 50, seed=1))
    assert not torch.equal(field.spread(0, 50, seed=1), field.spread(0, 50, seed=2))
    assert len(Field(31, 45, Regions(mask), 1).cells(0)) == 11 * 45  # faint, but all that there is


# ---- whole and tiles -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style_loss", LOSSES)
def test_tiles_are_the_whole_image(style_loss):
    """If this fails, a picture made in tiles has other strokes than the one made whole, or seams."""
    objective = objective_with(style_loss)
    for size, tile in (((83, 117), 32), ((62, 59), 20)):
        compare(objective, picture(*size), tile, 1e-10)


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect", "circular"])
@pytest.mark.parametrize(("pooling", "tile"), [("max", 30), ("average", 9), ("l2", 50)])
def test_sums_of_all_kinds_in_tiles(padding, pooling, tile):
    """If this fails, losses of moments, samples and positions disturb each other, or a padding spoils what is read."""
    losses = {"gram": 0.01, "mean_std": 0.1, "nearest_neighbor": 0.5, "relaxed_emd": 1.0, "palette": 0.25}
    objective = objective_with(
        {**losses, "nearest_neighbor_layers": 1.0}, "self_similarity", pooling=pooling, padding=padding
    )
    compare(objective, picture(*((35, 43) if tile == 9 else (75, 93))), tile, 1e-10)


@pytest.mark.parametrize("style_loss", LOSSES)
def test_regions_and_two_styles_in_tiles(style_loss):
    """If this fails, regions or shares of style images count otherwise in tiles."""
    objective = objective_with(style_loss, "self_similarity")
    compare(objective, picture(83, 117), 32, 1e-10, masks=True, styles=2)


def test_the_real_network_in_tiles():
    """If this fails, the reach of the deepest layers is too small for points between their positions."""
    layers = ["relu1_2", "relu4_3"]
    made = objective_of(layers, ["relu4_1"], "gram", thin=False, scale="raw")
    losses = make_style_losses({"nearest_neighbor": 1.0, "nearest_neighbor_layers": 1.0})
    objective = TiledObjective(made.features, made.content_layers, made.style_layers, losses, WEIGHTS)
    compare(objective, picture(40, 107), 32, 1e-10)


def test_matches_are_the_same_to_the_bit_from_tiles_of_any_size(monkeypatch):
    """If this fails, a near tie goes one way in the whole image and the other in tiles: another picture."""
    found = []
    for tile in (None, 16, 40):
        objective = objective_with("nearest_neighbor", dtype=torch.float32)
        objective.tile = tile
        small = picture(83, 117, dtype=torch.float32)
        objective.set_targets(small, [StyleImage(picture(97, 76, 10, torch.float32), None, 1.0)], None)
        found.append(objective.pointed.state()["nearest_neighbor/0"])
    assert found[0].dtype == torch.int32 and all(torch.equal(found[0], one) for one in found)


# ---- what is matched -------------------------------------------------------------------------------------------------


def matched_places(objective: TiledObjective, number: int = 0) -> Tensor:
    return objective.pointed.state()[f"nearest_neighbor/{number}"].long()


def test_the_painting_itself_is_matched_with_itself():
    """If this fails, the search does not find what is there, or the numbers name other rows."""
    objective = objective_with("nearest_neighbor")
    image = picture(64, 80)
    objective.set_targets(image, [StyleImage(image, None, 1.0)], None)
    assert torch.equal(matched_places(objective), torch.arange(16 * 20))
    assert float(objective(image)["style"]) == pytest.approx(0, abs=1e-12)


def test_a_turned_painting_is_found_among_its_rotations():
    """If this fails, `rotations` searches something else than the painting turned."""
    objective = objective_with("nearest_neighbor", neighbors={"rotations": True})
    style = picture(64, 80)
    image = torch.rot90(style, 1, (2, 3))
    objective.set_targets(image, [StyleImage(style, None, 1.0)], None)
    assert torch.equal(matched_places(objective), torch.arange(16 * 20, 2 * 16 * 20))
    assert float(objective(image)["style"]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("rotations", [False, True])
def test_what_is_hidden_or_in_another_region_is_never_matched(rotations):
    """If this fails, the hidden part of a cut-out painting, or another region's look, gets into the picture."""
    objective = objective_with("nearest_neighbor", neighbors={"rotations": rotations})
    content, style = picture(64, 80), picture(64, 80, 3)
    style[..., 40:] = content[..., 40:]  # the right half would be matched with itself
    visible = torch.zeros(1, 64, 80)
    visible[..., :36] = 1
    objective.set_targets(content, [StyleImage(style, visible, 1.0)], None)
    rows = objective.pointed.targets[0].target.rows
    objective.set_targets(content, [StyleImage(style[..., :40], visible[..., :40], 1.0)], None)
    assert len(rows) and torch.unique(matched_places(objective)).max() < 16 * 9 * (4 if rotations else 1)
    # regions: each is matched with its own half of the painting, numbered within it
    halves = torch.stack([torch.zeros(64, 80), torch.ones(64, 80)])
    halves[0, :, :40], halves[1, :, :40] = 1, 0
    objective.set_targets(content, [StyleImage(content, halves, 1.0)], halves.flip(0))
    for number in (0, 1):
        assert len(matched_places(objective, number)) == 16 * 10
    objective.set_targets(content, [StyleImage(content, halves, 1.0)], halves)
    for number in (0, 1) if not rotations else ():
        assert torch.equal(matched_places(objective, number), torch.arange(160))


def test_hidden_places_of_the_content_do_not_count():
    """If this fails, what nobody sees of a cut-out photograph is stylised, and counts in the loss."""
    image = picture(64, 80).requires_grad_()
    visible = torch.zeros(1, 64, 80)
    visible[:, :24] = 1
    for loss in LOSSES:
        objective = objective_with(loss, "self_similarity")
        objective.set_targets(picture(64, 80, 1), [StyleImage(picture(48, 48, 3), None, 1.0)], visible)
        (gradient,) = torch.autograd.grad(objective(image)["total"], image)
        assert gradient[:, :, :20].abs().sum() > 0
        objective.weights = {"content": 1.0, "style": 1.0, "tv": 0.0}
        (gradient,) = torch.autograd.grad(objective(image)["total"], image)
        assert gradient[:, :, 24 + 26 :].abs().max() == 0, loss  # as far as the layers see


def test_each_style_image_gets_its_share_of_the_matches():
    """If this fails, the weights of style images mean nothing to neighbours."""
    objective = objective_with("nearest_neighbor")
    content, near = picture(64, 80), picture(64, 80)
    far = 1 - picture(64, 80, 7)
    for weights in ((1.0, 3.0), (1.0, 1.0)):
        styles = [StyleImage(near, None, weights[0]), StyleImage(far, None, weights[1])]
        objective.set_targets(content, styles, None)
        share = float((matched_places(objective) < 320).double().mean())
        assert share == pytest.approx(weights[0] / sum(weights), abs=0.01)


def test_the_query_is_content_and_result():
    """If this fails, matches follow the photograph alone, or a result that has lost its detail."""
    content, image = picture(32, 40), picture(32, 40, 1)
    assert query(content, image, first=True) is content and query(None, image, first=True) is not None
    found = query(content, image, first=False)
    small = torch.nn.functional.interpolate(image - content, (16, 20), mode="bilinear", antialias=True)
    large = torch.nn.functional.interpolate(small, (32, 40), mode="bilinear")
    torch.testing.assert_close(found, content + 0.25 * large)


def test_matches_are_refreshed_every_so_many_steps(monkeypatch):
    """If this fails, `refresh` does nothing, or matches at other steps than it says."""
    objective = objective_with("nearest_neighbor", neighbors={"refresh": 3})
    content, image = picture(64, 80), picture(64, 80, 5)
    objective.set_targets(content, [StyleImage(picture(64, 64, 2), None, 1.0)], None, Start(image))
    before, changed = matched_places(objective), []
    for step in range(8):
        objective.pointed.refresh(image + 0.01 * step, step)
        changed += [step] * (not torch.equal(before, matched_places(objective)))
        before = matched_places(objective)
    assert changed == [3, 6]
    fresh = objective_with("nearest_neighbor")
    fresh.set_targets(content, [StyleImage(picture(64, 64, 2), None, 1.0)], None, Start(image + 0.06, first=False))
    assert torch.equal(before, matched_places(fresh))
    values = [float(one(image)["style"]) for one in (objective, fresh)]
    assert values[0] == pytest.approx(values[1], rel=1e-12)


def test_a_checkpoints_matches_are_taken(monkeypatch):
    """If this fails, a resumed run matches another picture than the run that was never stopped."""
    objective = objective_with("nearest_neighbor")
    styles = [StyleImage(picture(64, 64, 2), None, 1.0)]
    saved = torch.randint(0, 256, (16 * 20,), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(matching.Matcher, "numbers", lambda *_: pytest.fail("matched anew"))
    objective.set_targets(picture(64, 80), styles, None, Start(matches={"nearest_neighbor/0": saved}))
    assert torch.equal(matched_places(objective), saved.long())


def test_sums_of_losses_and_weights_of_layers():
    """If this fails, several losses are not the weighted sum of each, or layers' weights mean something else to some."""
    image, content, styles = picture(40, 48), picture(40, 48, 1), [StyleImage(picture(40, 40, 2), None, 1.0)]

    def style(losses: object, factor: float = 1.0) -> float:
        objective = objective_with(losses)
        layers = {layer: factor * weight for layer, weight in objective.style_layers.items()}
        made = Objective(objective.features, {}, layers, objective.style_losses, WEIGHTS)
        made.set_targets(content, styles, None)
        return float(made(image, 4)["style"])

    given = {"mean_std": 0.1, "nearest_neighbor": 0.5, "nearest_neighbor_layers": 2.0, "relaxed_emd": 1.5, "palette": 3.0}
    expected = sum(weight * style(name) for name, weight in given.items())
    assert style(given) == pytest.approx(expected, rel=1e-12)
    assert style(given, 2.0) == pytest.approx(2 * expected, rel=1e-12)


def test_bf16_runs_follow_float32_ones():
    """If this fails, half precision reaches the cosines, or matches change wildly with it."""
    objective = objective_with({"nearest_neighbor": 1.0, "relaxed_emd": 1.0}, dtype=torch.float32)
    image, content, style = (picture(64, 80, seed, torch.float32) for seed in (0, 1, 2))
    values, gradients = [], []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            objective.set_targets(content, [StyleImage(style, None, 1.0)], None)
            leaf = image.clone().requires_grad_()
            terms = objective(leaf)
            (gradient,) = torch.autograd.grad(terms["style"], leaf)
        values.append(terms["style"].item())
        gradients.append(gradient)
        assert terms["style"].dtype == gradient.dtype == torch.float32
    assert values[1] == pytest.approx(values[0], rel=0.01)
    assert torch.cosine_similarity(gradients[0].flatten(), gradients[1].flatten(), dim=0) > 0.9


def test_factors_of_a_scale_leave_losses_out():
    """If this fails, a scale's weights do not change the objective of that scale."""
    losses = {"gram": 1.0, "relaxed_emd": 2.0, "palette": 1.0}
    image, styles = picture(40, 48), [StyleImage(picture(40, 40, 2), None, 1.0)]
    objective = objective_with(losses)
    objective.set_targets(picture(40, 48, 1), styles, None)
    full = {name: float(value) for name, value in objective(image).items()}
    factors = {"relaxed_emd": 0.5, "gram": 0.0, "palette": 0.0, "content": 16.0, "tv": 0.0}
    objective.set_targets(picture(40, 48, 1), styles, None, Start(factors=factors))
    part = {name: float(value) for name, value in objective(image).items()}
    assert "style/relu1_1" not in part and "style/palette" not in part and "tv" not in part
    assert part["style"] == pytest.approx(full["style/relaxed_emd"] / 2, rel=1e-12)
    assert part["total"] == pytest.approx(16 * full["content"] + 8 * part["style"], rel=1e-12)
    assert part["loss"] == pytest.approx(part["total"] / 24, rel=1e-9)
    assert isinstance(objective, Objective)
