"""Tiles: the same value and gradient as the whole image, at every size, padding, pooling, mask and loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nst_lightning.data import StyleImage
from nst_lightning.losses import make_style_losses, variation
from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.layers import find_layer, layers_of
from nst_lightning.objective.graphs import bytes_of_graph
from nst_lightning.objective.matching import Start
from nst_lightning.objective.tiled import TiledObjective
from nst_lightning.objective.tiles import divide, grid, reach_of, stride_of
from nst_lightning.pictures import mapped
from tests.arithmetic import rounding

pytestmark = pytest.mark.usefixtures("one_thread")

CHANNELS = 12
WEIGHTS = {"content": 1.0, "style": 8.0, "tv": 0.3}


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
    thin: bool = True,
    **settings,
) -> TiledObjective:
    vgg = VGGSettings(**settings)
    tables = [{find_layer(name, vgg.arch): 1 + 0.1 * n for n, name in enumerate(t)} for t in (content_layers, style_layers)]
    features = VGGFeatures({*tables[0], *tables[1]}, vgg).to(dtype)
    if thin:
        features = thinned(features)
        tables = [{replace(layer, channels=CHANNELS): weight for layer, weight in table.items()} for table in tables]
    return TiledObjective(features, *tables, make_style_losses(style_loss), WEIGHTS)


def thinned(features: VGGFeatures) -> VGGFeatures:
    """The network with a few channels of each layer: the same geometry at a hundredth of the work."""
    features.network = [replace(layer, channels=CHANNELS) for layer in features.network]
    features.every = frozenset(replace(layer, channels=CHANNELS) for layer in features.every)
    features.narrow(features.every)
    for name, buffer in features.named_buffers():
        if name.startswith("kernel"):
            setattr(features, name, 3 * buffer[:CHANNELS, : buffer.shape[1] if name == "kernel_1" else CHANNELS])
        elif name.startswith("bias"):
            setattr(features, name, buffer[:CHANNELS])
    return features


def set_targets(
    objective: TiledObjective,
    height: int,
    width: int,
    masks: bool = False,
    styles: int = 1,
    start: Start = Start(),  # noqa: B008
) -> None:
    dtype = objective.features.mean.dtype
    sizes = [(97, 76), (64, 109)][:styles]
    looks = [
        StyleImage(picture(*size, 10 + n, dtype), two_regions(*size) if masks else None, 1.0 + n)
        for n, size in enumerate(sizes)
    ]
    regions = two_regions(height, width).flip(0) if masks else None
    objective.set_targets(picture(height, width, 1, dtype), looks, regions, start)


def evaluate(objective: TiledObjective, image: Tensor) -> tuple[dict[str, float], Tensor]:
    image = image.clone().requires_grad_()
    terms = objective(image, 3)
    (gradient,) = torch.autograd.grad(terms["loss"], image)
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
    for limit in (0.0, float("inf")):
        objective.graph_limit = limit
        tiled_values, tiled_gradient = evaluate(objective, image)
        assert tiled_values == pytest.approx(values, rel=tolerance)
        assert list(tiled_values) == list(values)
        assert float((tiled_gradient - gradient).norm() / gradient.norm()) < tolerance
    objective.graph_limit = 0.0


DEEP = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]


def test_tiles_that_are_kept_are_computed_once(monkeypatch):
    """If this fails, a step in tiles takes two passes although there is memory for one, or ends without memory."""
    objective, image = objective_of(["relu1_1", "relu3_1"], ["relu3_2"]), picture(83, 117)
    objective.tile = 32
    set_targets(objective, 83, 117)
    tiles, calls = objective.tiles(image), []
    original = VGGFeatures.forward

    def counted(self, *args):
        calls.append(torch.is_grad_enabled())
        return original(self, *args)

    monkeypatch.setattr(VGGFeatures, "forward", counted)
    values, gradient = evaluate(objective, image)
    assert calls.count(False) == calls.count(True) == len(tiles)
    each = bytes_of_graph(objective.features, torch.float64)
    areas = [tile.crop(image)[0, 0].numel() for tile in tiles]
    for kept in (0, 1, 5, len(tiles)):
        calls.clear()
        objective.graph_limit = each * sum(areas[:kept])
        again, same = evaluate(objective, image)
        assert calls.count(False) == len(tiles) - kept and calls.count(True) == len(tiles)
        assert again == pytest.approx(values, rel=1e-12)
        assert float((same - gradient).norm() / gradient.norm()) < 1e-12
    calls.clear()
    with torch.no_grad():  # a loss alone: nothing is kept for a way back that does not come
        objective(image)
    assert not any(calls)


# ---- equality --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect", "circular"])
@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
def test_tiles_are_the_whole_image(padding, pooling):
    """If this fails, a picture made in tiles differs from the one made whole: seams, or another style at the border."""
    objective = objective_of(["relu1_1", "relu2_1", "relu3_1"], ["relu3_2"], padding=padding, pooling=pooling)
    for size, tile in (((83, 117), 32), ((62, 59), 20)):
        compare(objective, picture(*size), tile, 1e-10)


@pytest.mark.parametrize(("arch", "size"), [("vgg16", (83, 117)), ("vgg19", (100, 131))])
def test_tiles_of_the_real_network_down_to_the_last_block(arch, size):
    """If this fails, the reach of deep layers is taken too small, or a real network's channels are mixed up."""
    weights = "bundled" if arch == "vgg16" else "random"
    objective = objective_of(DEEP, ["relu4_2"], thin=False, arch=arch, weights=weights)
    compare(objective, picture(*size), 80, 1e-10)


@pytest.mark.parametrize("size", [(191, 207), (176, 255), (223, 193), (250, 64)])
@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_the_last_block_where_sides_are_odd_at_every_level(padding, size):
    """If this fails, a seamless texture from tiles is not the one of the whole image where a pooling drops a line."""
    objective = objective_of(["relu1_1", "conv5_1"], ["relu2_2", "pool3"], padding=padding)
    image = picture(*size)
    objective.tile = 16
    if padding == "circular":
        assert any(tile.rows.seam for tile in objective.tiles(image))
    compare(objective, image, 48, 1e-10)


def test_vgg19_in_tiles_over_both_seams():
    """If this fails, crops that are much larger than what they own, or meet themselves, are cut wrongly."""
    objective = objective_of(DEEP, ["relu4_2"], padding="circular", arch="vgg19", weights="random")
    image = picture(255, 253)
    objective.tile = 64
    assert all(any(tile.seams[axis] for tile in objective.tiles(image)) for axis in (0, 1))
    compare(objective, image, 64, 1e-10)


@pytest.mark.parametrize("style_loss", ["gram", "gram_per_channel", "mean_std", "wasserstein"])
@pytest.mark.parametrize("masks", [False, True])
def test_every_loss_of_moments_with_masks_and_two_styles(style_loss, masks):
    """If this fails, a mask or a second style image counts otherwise in tiles than in the whole image."""
    objective = objective_of(["relu1_1", "relu3_1"], ["conv2_2", "relu3_1"], style_loss)
    # the slope of a matrix root is up to a million at the floor of the eigenvalues: the sums' last digits grow by it
    tolerance = 1e-8 if style_loss == "wasserstein" else 1e-10
    compare(objective, picture(83, 117), 32, tolerance, masks=masks, styles=2)


MIXED = {"gram": 1.0, "histogram": 0.5, "relaxed_emd": 0.5, "nearest_neighbor": 0.1}


@pytest.mark.parametrize("style_loss", ["sliced_wasserstein", "histogram", MIXED], ids=["sliced", "histogram", "mixed"])
@pytest.mark.parametrize(("masks", "large"), [(False, True), (True, False), (True, True)])
def test_losses_that_sort_all_positions(style_loss, masks, large, monkeypatch):
    """If this fails, a loss of all positions is another one in tiles: features in wrong places, or gradients lost."""
    if large:  # what is gathered lies in files
        monkeypatch.setattr(mapped, "LARGE", 1000)
    objective = objective_of(["relu1_1", "relu3_1"], ["conv2_2", "relu3_1"], style_loss, padding="circular")
    for size, tile in (((83, 117), 32), ((62, 59), 20)):
        compare(objective, picture(*size), tile, 1e-10, masks=masks, styles=2)


@pytest.mark.parametrize("tile", [1, 16, 40, 64, 100])
def test_float32_and_tiles_of_every_size(tile):
    """If this fails, some size of tile leaves positions out, counts some twice, or loses digits in float32."""
    objective = objective_of(["relu1_1", "relu2_1", "relu3_1"], ["relu3_1"], "gram", torch.float32)
    compare(objective, picture(83, 117, dtype=torch.float32), tile, 2 * rounding(83 * 117), masks=True)


@pytest.mark.parametrize("term", ["content", "style"])
def test_one_term_alone(term):
    """If this fails, a texture or a reconstruction cannot be made in tiles."""
    objective = objective_of(["relu1_1", "relu3_1"] * (term == "style"), ["relu3_2"] * (term == "content"))
    image = picture(62, 59)
    content, styles = picture(62, 59, 1), [StyleImage(picture(40, 70, 2), None, 1.0)]
    objective.set_targets(content if term == "content" else None, styles if term == "style" else [], None)
    values, gradient = evaluate(objective, image)
    objective.tile = 24
    tiled_values, tiled_gradient = evaluate(objective, image)
    assert tiled_values == pytest.approx(values, rel=1e-10) and ("style" in values) == (term == "style")
    assert float((tiled_gradient - gradient).norm() / gradient.norm()) < 1e-10


def test_total_variation_in_strips(monkeypatch):
    """If this fails, strips of rows count the pairs between them twice or not at all."""
    monkeypatch.setattr(variation, "STRIP", 3 * 59 * 5)  # five rows
    objective = objective_of(["relu1_1"], [])
    objective.weights = {"content": 0.0, "style": 1e-9, "tv": 1.0}
    for height in (30, 31, 36):
        compare(objective, picture(height, 59), 24, 1e-10)


def test_bfloat16_features_with_float32_sums():
    """If this fails, half precision reaches the sums, the losses or the image's gradient."""
    objective = objective_of(["relu1_1", "relu3_1"], ["relu3_1"], dtype=torch.float32)
    image = picture(62, 59, dtype=torch.float32)
    results = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for tile in (None, 24):
            objective.tile = tile
            set_targets(objective, 62, 59)
            results.append(evaluate(objective, image))
    (values, gradient), (tiled_values, tiled_gradient) = results
    assert all(target.dtype == torch.bfloat16 for target in objective.content_targets.values())
    assert tiled_values == pytest.approx(values, rel=1e-4)  # 8 bits a feature, but many of them
    assert tiled_gradient.dtype == torch.float32
    assert float((tiled_gradient - gradient).norm() / gradient.norm()) < 1e-2


# ---- geometry --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conv_1", "relu2_2", "pool3", "relu4_1", "relu5_1"])
def test_reach_is_what_a_position_really_sees(name):
    """If this fails, tiles are wrong at their edges (too small), or slower than need be (too large)."""
    layer = find_layer(name, "vgg19")
    features = thinned(VGGFeatures([layer], VGGSettings("vgg19", "random", pooling="average"))).double()
    stride, reach = stride_of(features.layers), reach_of(features.layers)
    side = 2 * (reach // stride + 2) * stride + stride
    image = picture(side, side).requires_grad_()
    position = side // stride // 2
    found = next(iter(features(image).values()))[0, :, position, position]
    support = torch.autograd.grad(found.sum(), image)[0][0].abs().sum(dim=(0, 2)).nonzero()
    assert int(support.min()) == position * stride - reach
    assert int(support.max()) == (position + 1) * stride - 1 + reach


@pytest.mark.parametrize("circular", [False, True])
def test_every_position_of_every_level_has_one_owner(circular):
    """If this fails, some positions count twice or never; or a tile does not see what it owns."""
    layers = [layer for layer in layers_of("vgg16") if layer <= find_layer("relu4_2", "vgg16")]
    for side in (8, 9, 15, 16, 31, 63, 100, 127, 128, 250):
        for tile in (1, 8, 20, 64, 500):
            spans = divide(side, tile, stride_of(layers), reach_of(layers), circular)
            assert max(span.last - span.first for span in spans) <= -(-tile // 8) * 8 + 7
            for level in range(4):
                owned = [line for span in spans for line in range(side >> level)[span.owned(level)]]
                assert owned == list(range(side >> level))
            for span in spans:
                crop = [line for first, last in span.pieces for line in range(first, last)]
                assert crop[span.seen(0)] == list(range(span.first, span.last))


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("name", ["relu1_2", "relu3_1", "relu4_2", "pool4"])
def test_a_crop_keeps_what_deeper_layers_need_and_no_more(circular, name):
    """If this fails, tiles are cut too narrow behind a pooling (seams), or carry along what nobody looks at (time)."""
    layers = [layer for layer in layers_of("vgg16") if layer <= find_layer(name, "vgg16")]
    stride, depth = stride_of(layers), max(layer.pools_before for layer in layers)
    needed = [reach_of([layer for layer in layers if layer.pools_before >= level]) for level in range(depth + 1)]
    for height, side in ((40, 250), (129, 100), (256, 511)):
        for tile in grid((height, side), 48, layers, circular):
            for span in tile:
                if span.seam or (circular and len(range(*span.pieces[0])) == span.side):
                    continue
                lines = list(range(*span.pieces[0]))
                for level in range(depth + 1):
                    if level:  # each two lines become one, an odd one is dropped
                        lines = [line // 2 for line in lines[0 : len(lines) // 2 * 2 : 2]][span.cut(level)]
                    owned = range(span.side >> level)[span.owned(level)]
                    assert lines[span.seen(level)] == list(owned)
                    assert span.place(torch.tensor(lines), level).tolist() == list(range(len(lines)))
                    above, below = owned[0] - lines[0], lines[-1] - owned[-1]
                    for beyond, border in ((above, lines[0] == 0), (below, lines[-1] + 1 == span.side >> level)):
                        assert border or needed[level] <= beyond << level < needed[level] + stride


def test_a_picture_within_one_tile_is_whole():
    """If this fails, small pictures pay for tiles that they do not need."""
    layers = layers_of("vgg11")[:8]
    assert len(grid((50, 60), None, layers, False)) == len(grid((50, 60), 64, layers, False)) == 1
