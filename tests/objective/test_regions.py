"""Regions, transparency and several style images: which pixels count, for what, and how much."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.autograd import gradcheck

from nst_lightning import ImagePair, VGGFeatures, VGGSettings
from nst_lightning.errors import BadArgument
from nst_lightning.losses import make_style_losses
from nst_lightning.losses.moments import Moments, mix, moments
from nst_lightning.main import main
from nst_lightning.network.layers import find_layer
from nst_lightning.objective.whole import Objective
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.regions import find_regions, shrink
from tests.arithmetic import assert_sums_close, rounding

RED, BLUE, GREEN = "#ff0000", "#0000ff", "#00ff00"
LAYERS = {find_layer(name, "vgg16"): 0.5 for name in ("relu1_1", "relu2_1")}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.3


def picture(height: int = 40, width: int = 56, seed: int = 0) -> Tensor:
    """A picture of random patches, ``(3, H, W)``."""
    small = random(3, height // 8, width // 8, seed=seed).float() + 0.3
    return torch.nn.functional.interpolate(small, (height, width))[0]


def flat(*columns: str, height: int = 40, width: int = 56) -> Tensor:
    """A mask of vertical stripes of these colours, alike wide."""
    mask = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(mask)
    for number, color in enumerate(columns):
        draw.rectangle([number * width // len(columns), 0, width, height], color)
    return torch.from_numpy(np.array(mask)).permute(2, 0, 1) / 255


def pair_of(content: Tensor | None = None, style: object = None, **settings) -> ImagePair:
    """Pictures after ``setup``, at the size of the content."""
    content = picture() if content is None else content
    pair = ImagePair(content, picture(seed=1) if style is None else style, **({"size": 56} | settings))
    pair.setup("fit")
    return pair


@pytest.fixture(scope="module")
def network() -> VGGFeatures:
    return VGGFeatures(LAYERS, VGGSettings())


def objective_of(network: VGGFeatures, pair: ImagePair, style_loss: str = "wasserstein") -> Objective:
    objective = Objective(network, {}, LAYERS, make_style_losses(style_loss), {"content": 0, "style": 1, "tv": 0})
    objective.set_targets(None, pair.styles, pair.regions)
    return objective


# ---- moments under a mask --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(7, 5), (97, 103)])
def test_masked_moments_are_those_of_the_cut_out_pixels(size, layout):
    """If this fails, what is outside a region counts in its statistics (Gatys et al. 2017, equation 6)."""
    features = random(4, *size).contiguous(memory_format=layout)
    mask = random(*size, seed=1)[0] > 0.1
    cut_out = moments(features[:, :, mask][..., None])
    found = moments(features, mask.double())
    assert found.positions == cut_out.positions == int(mask.sum())
    torch.testing.assert_close(found.mean, cut_out.mean)
    torch.testing.assert_close(found.second, cut_out.second)
    torch.testing.assert_close(found.covariance, cut_out.covariance)


def test_soft_weights_are_numpys_weighted_moments():
    """If this fails, the soft edge of a region counts fully or not at all."""
    features, weights = random(4, 6, 9), random(6, 9, seed=1)[0] + 0.3
    found, matrix, shares = moments(features, weights), features[0].flatten(1).numpy(), weights.flatten().numpy()
    assert found.positions == pytest.approx(shares.sum())
    np.testing.assert_allclose(found.mean.numpy(), np.average(matrix, axis=1, weights=shares), rtol=1e-10)
    np.testing.assert_allclose(found.covariance.numpy(), np.cov(matrix, aweights=shares, ddof=0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_soft_weights_in_low_precision(dtype):
    """If this fails, masks spoil the statistics of bf16 runs."""
    features, weights = random(4, 40, 50).to(dtype), (random(40, 50, seed=1)[0] + 0.3).float()
    matrix, shares = features[0].flatten(1).double().numpy(), weights.flatten().double().numpy()
    found = moments(features, weights)
    expected, magnitude = ((values * shares) @ values.T / shares.sum() for values in (matrix, np.abs(matrix)))
    assert_sums_close(found.second, expected, 40 * 50 + 3, magnitude)


@pytest.mark.parametrize("moment", ["mean", "second", "covariance"])
def test_gradient_of_masked_moments(moment):
    """If this fails, a region's gradient is wrong, or reaches outside the region."""
    weights = random(3, 4, seed=1)[0].clamp(min=0)
    features = random(2, 3, 4).requires_grad_()
    assert gradcheck(lambda x: getattr(moments(x, weights), moment), features)
    (grad,) = torch.autograd.grad(getattr(moments(features, weights), moment).sum(), features)
    assert (grad[0, :, weights == 0] == 0).all() and (grad[0, :, weights > 0] != 0).any()


def test_mixed_moments_are_those_of_the_pixels_together():
    """If this fails, several style images are not mixed as one distribution."""
    parts = [random(3, 5, 6), random(3, 2, 4, seed=1), random(3, 7, 1, seed=2)]
    pooled = moments(torch.cat([part.flatten(2) for part in parts], dim=2)[..., None])
    found = mix([moments(part) for part in parts], [30, 8, 7])
    for one, other in zip(found[1:], pooled[1:], strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(found.covariance, pooled.covariance)


def test_mixing_goes_by_the_weights_not_by_the_sizes():
    """If this fails, the larger style image decides the look whatever the weights."""
    small, large = moments(random(3, 2, 2)), moments(random(3, 20, 20, seed=1))
    torch.testing.assert_close(mix([small, large], [2, 1]).mean, (2 * small.mean + large.mean) / 3)
    torch.testing.assert_close(mix([small, large], [20, 10]).second, mix([small, large], [2, 1]).second)
    torch.testing.assert_close(mix([small, large], [0, 1]).second, large.second)


# ---- finding regions -------------------------------------------------------------------------------------------------


def scene() -> Image.Image:
    """Three flat colours: a red disc and a green box on blue."""
    image = Image.new("RGB", (400, 300), BLUE)
    draw = ImageDraw.Draw(image)
    draw.ellipse([40, 40, 180, 180], RED)
    draw.rectangle([220, 100, 360, 280], GREEN)
    return image


def test_flat_colours_are_regions():
    """If this fails, a region is not exactly the pixels of its colour."""
    mask = read_image(scene()).rgb
    regions = find_regions(mask)
    assert set(regions) == {RED, BLUE, GREEN}
    assert torch.equal(regions[RED][0] == 1, mask[0] == 1) and torch.equal(regions[GREEN][0] == 1, mask[1] == 1)
    assert torch.equal(sum(regions.values()), torch.ones(1, 300, 400))


def near(names: set[str], levels: int) -> bool:
    """Whether these are red, green and blue within a few levels."""
    found = sorted(tuple(bytes.fromhex(name[1:])) for name in names)
    wanted = sorted([(255, 0, 0), (0, 0, 255), (0, 255, 0)])
    return len(found) == 3 and all(
        abs(a - b) <= levels for one, other in zip(found, wanted, strict=True) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("how", ["antialiased", "jpeg 90", "jpeg 60", "webp 80"])
def test_edges_and_compression_make_no_regions(how):
    """If this fails, a mask saved as JPEG or drawn with smooth edges has regions that nobody drew."""
    kind, _, quality = how.partition(" ")
    if kind == "antialiased":
        image = scene().resize((200, 150), Image.Resampling.LANCZOS)
    else:
        buffer = io.BytesIO()
        scene().save(buffer, kind.upper(), quality=int(quality))
        image = Image.open(buffer)
    regions = find_regions(read_image(image).rgb)
    assert near(set(regions), 4), set(regions)
    exact = find_regions(read_image(scene()).rgb)
    for (name, region), (known, drawn) in zip(sorted(regions.items()), sorted(exact.items()), strict=True):
        assert region.mean().item() == pytest.approx(drawn.mean().item(), abs=0.01), (name, known)


def test_a_smooth_straight_edge_is_no_region():
    """If this fails, the one column where two colours meet half-way is a region that the other mask lacks."""
    mask = Image.new("RGB", (202, 100), BLUE)
    ImageDraw.Draw(mask).rectangle([101, 0, 202, 100], RED)
    half = read_image(mask.resize((101, 50), Image.Resampling.BOX)).rgb
    assert 0 < half[0, 0, 50] < 1
    assert set(find_regions(half)) == {RED, BLUE}


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1), (2, 6)])
def test_regions_of_a_tiny_mask(size):
    """If this fails, a mask of a few pixels ends in a traceback."""
    mask = torch.zeros(3, *size)
    assert {name: float(region.mean()) for name, region in find_regions(mask).items()} == {"#000000": 1.0}


def test_a_picture_without_a_common_colour_is_one_region():
    """If this fails, a photograph given as a mask ends in a traceback."""
    regions = find_regions(picture(160, 160) + 0.0001 * random(3, 160, 160)[0].float())
    assert torch.equal(sum(regions.values()), torch.ones(1, 160, 160))


@pytest.mark.parametrize("size", [(75, 100), (37, 50), (18, 25), (7, 7), (600, 800), (200, 500), (1, 1)])
def test_shrinking_keeps_each_regions_share(size):
    """If this fails, a region grows or fades with depth, and regions no longer add up to 1."""
    regions = torch.cat(list(find_regions(read_image(scene()).rgb).values()))
    small = shrink(regions, size)
    assert small.shape == (3, *size)
    # each of the three is a mean over the pixels of a cell
    assert_sums_close(small.sum(dim=0), np.ones(size), 3 + -(-300 // size[0]) * -(-400 // size[1]))
    torch.testing.assert_close(small.mean((1, 2)), regions.mean((1, 2)), atol=0.01, rtol=0)
    assert small.min() >= 0 and small.max() <= 1


# ---- through the DataModule ------------------------------------------------------------------------------------------


def test_each_region_takes_its_style_from_its_colour(network):
    """If this fails, a region has another region's style: the targets are compared with those of the cut-out part."""
    style = picture(seed=1)
    pair = pair_of(None, style, content_mask=flat(BLUE, RED), style_mask=flat(RED, BLUE))
    assert pair.regions.shape == (2, 40, 56)
    blue, red = pair.regions  # in the order of their names
    assert blue[:, :28].min() == 1 and red[:, 28:].min() == 1 and blue[:, 28:].max() == 0
    objective = objective_of(network, pair, "gram")
    layer = find_layer("relu1_1", "vgg16")
    features = network(style[None])[layer]
    for number, part in enumerate((features[..., 28:], features[..., :28])):
        # sums over a region, one of them with as many terms of 0 in between; none is negative behind a ReLU
        assert_sums_close(objective.style_targets[layer][number][0].mean, moments(part).mean, 40 * 56)
        assert_sums_close(objective.style_targets[layer][number][0].second, moments(part).second, 40 * 56)
    assert objective.shares == [0.5, 0.5]


def test_the_style_loss_of_regions_is_the_sum_over_regions(network):
    """If this fails, regions are weighted by something else than their area, or leak into each other."""
    pair = pair_of(None, content_mask=flat(BLUE, RED, RED, RED), style_mask=flat(RED, BLUE))
    objective, image = objective_of(network, pair, "mean_std"), picture(seed=5)[None]
    layer = find_layer("relu1_1", "vgg16")
    features, style = (network(x)[layer][0].double().numpy() for x in (image, pair.styles[0].image))

    def term(ours: np.ndarray, theirs: np.ndarray) -> float:
        ours, theirs = ours.reshape(64, -1), theirs.reshape(64, -1)
        differences = [f(ours, axis=1) - f(theirs, axis=1) for f in (np.mean, np.std)]
        return sum(float(np.mean(d**2)) for d in differences)

    blue = term(features[..., :14], style[..., 28:])
    red = term(features[..., 14:], style[..., :28])
    assert float(objective(image)["style/relu1_1"]) == pytest.approx(0.25 * blue + 0.75 * red, rel=1e-3)


@pytest.mark.parametrize("style_loss", ["gram", "mean_std", "wasserstein", "sliced_wasserstein", "histogram"])
def test_a_region_pulls_nothing_outside_itself(network, style_loss):
    """If this fails, a region's style reaches across its edge by more than the receptive field."""
    pair = pair_of(None, content_mask=flat(BLUE, RED), style_mask=flat(RED, BLUE))
    objective = objective_of(network, pair, style_loss)
    for targets in objective.style_targets.values():
        targets[1] = []  # red asks for nothing
    image = pair.content_image.clone().requires_grad_()
    objective(image)["total"].backward()
    assert torch.isfinite(image.grad).all()
    assert (image.grad[..., 28 + 12 :] == 0).all() and (image.grad[..., :28] != 0).any()


def test_two_style_images_share_the_regions(network):
    """If this fails, a colour that only one of the style masks has ends in an error or takes from the other image."""
    styles = [picture(seed=1), picture(32, 48, seed=2)]
    masks = [flat(BLUE), flat(RED, height=32, width=48)]
    pair = pair_of(None, styles, content_mask=flat(BLUE, RED), style_mask=masks)
    objective = objective_of(network, pair, "gram")
    layer = find_layer("relu1_1", "vgg16")
    for number, style in enumerate(pair.styles):
        positions = style.image.shape[2] * style.image.shape[3]
        expected = moments(network(style.image)[layer]).mean
        assert_sums_close(objective.style_targets[layer][number][0].mean, expected, positions)


@pytest.mark.parametrize(
    ("content_mask", "style_mask", "argument", "color"),
    [((BLUE, RED, GREEN), (RED, BLUE), "style_mask", GREEN), ((BLUE, RED), (RED, BLUE, GREEN), "content_mask", GREEN)],
)
def test_a_region_missing_on_one_side_is_named(content_mask, style_mask, argument, color):
    """If this fails, a mistyped colour silently leaves a region without a style."""
    with pytest.raises(BadArgument, match=color) as caught:
        pair_of(None, content_mask=flat(*content_mask), style_mask=flat(*style_mask))
    assert caught.value.name == argument


def test_masks_that_do_not_go_together():
    """If this fails, a mask that is given is silently ignored."""
    mask = flat(BLUE, RED)
    with pytest.raises(BadArgument) as caught:
        pair_of(None, style_mask=mask)
    assert caught.value.name == "content_mask"
    with pytest.raises(BadArgument) as caught:
        pair_of(None, content_mask=mask)
    assert caught.value.name == "style_mask"
    with pytest.raises(BadArgument, match="1 for 2 style images") as caught:
        pair_of(None, [picture(seed=1), picture(seed=2)], content_mask=mask, style_mask=mask)
    assert caught.value.name == "style_mask"


# ---- transparency ----------------------------------------------------------------------------------------------------


def transparent(image: Tensor, garbage: int) -> Tensor:
    """The picture with its right half transparent, and something painted where nobody sees it."""
    alpha = torch.ones(1, *image.shape[1:])
    alpha[..., image.shape[2] // 2 :] = 0
    hidden = random(3, *image.shape[1:], seed=garbage)[0].float().clamp(0, 1)
    return torch.cat([torch.where(alpha > 0, image, hidden), alpha])


@pytest.mark.parametrize("size", [56, 40])
@pytest.mark.parametrize("color", ["style", "match", "luminance"])
def test_hidden_pixels_of_a_style_image_do_not_count(network, color, size):
    """If this fails, colours that nobody sees in a cut-out style picture end up in the result."""
    targets = []
    for garbage in (10, 11):
        pair = pair_of(None, transparent(picture(seed=1), garbage), color=color, size=size)
        targets.append(objective_of(network, pair, "gram").style_targets)
    for layer in LAYERS:
        ours, theirs = (found[layer][0][0] for found in targets)
        assert_sums_close(ours.mean, theirs.mean, 40 * 56)
        assert_sums_close(ours.second, theirs.second, 40 * 56)


@pytest.mark.parametrize("style_loss", ["wasserstein", "histogram"])
def test_transparent_pixels_of_the_content_are_not_seen_by_the_style_loss(network, style_loss):
    """If this fails, what is behind the transparent part of a photograph is stylised into the visible part."""
    pair = pair_of(transparent(picture(), 10))
    objective = objective_of(network, pair, style_loss)
    values = []
    for garbage in (10, 11):
        image = pair.content_image.clone()
        # a receptive field of relu2_1 from the edge: nearer ones are seen by visible positions
        image[..., 28 + 12 :] = random(3, 40, 16, seed=garbage).float().clamp(0, 1)
        image.requires_grad_()
        value = objective(image)["style"]
        value.backward()
        assert (image.grad[..., 28 + 12 :] == 0).all()
        values.append(float(value.detach()))
    assert values[0] == pytest.approx(values[1], rel=2 * rounding(40 * 28))


def test_regions_and_transparency_together(network):
    """If this fails, a mask makes hidden pixels count again."""
    pair = pair_of(transparent(picture(), 10), content_mask=flat(BLUE, RED, BLUE, RED), style_mask=flat(RED, BLUE))
    assert pair.regions[..., 28:].max() == 0
    objective = objective_of(network, pair)
    assert objective.shares == pytest.approx([0.5, 0.5])
    assert math.isfinite(float(objective(pair.content_image)["style"]))


def test_a_region_without_visible_pixels_is_named(network):
    """If this fails, a region that is transparent or has no weight in every style image ends in a traceback."""
    with pytest.raises(BadArgument):  # blue is on the right, where the style image is transparent
        pair = pair_of(None, transparent(picture(), 1), content_mask=flat(BLUE, RED), style_mask=flat(RED, BLUE))
        objective_of(network, pair)
    with pytest.raises(BadArgument):
        masks = [flat(BLUE), flat(RED)]
        styles = [picture(seed=1), picture(seed=2)]
        pair = pair_of(None, styles, content_mask=flat(BLUE, RED), style_mask=masks, style_weights=[0, 1])
        objective_of(network, pair)
    with pytest.raises(BadArgument):
        objective_of(network, pair_of(None, torch.cat([picture(), torch.zeros(1, 40, 56)])))


# ---- several style images, and their size ----------------------------------------------------------------------------


def test_a_folder_is_all_its_pictures(tmp_path):
    """If this fails, a folder of paintings is not what it holds."""
    for number, name in enumerate(("b.png", "a.jpg", "c.JPEG")):
        Image.new("RGB", (20 + number, 10), (10 * number, 0, 0)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    pair = pair_of(None, str(tmp_path))
    assert [Path(source).name for source in pair.style_sources] == ["a.jpg", "b.png", "c.JPEG"]
    assert len(pair.styles) == 3 and [style.weight for style in pair.styles] == [1, 1, 1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadArgument, match="folder without pictures"):
        pair_of(None, str(tmp_path / "empty"))


@pytest.mark.parametrize("weights", [[1.0], [1.0, 2.0, 3.0], [-1.0, 2.0], [0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_style_weights_that_cannot_work(weights):
    """If this fails, a wrong number of weights, or one below 0, mixes something else than was asked for."""
    with pytest.raises(BadArgument) as caught:
        ImagePair(picture(), [picture(seed=1), picture(seed=2)], style_weights=weights)
    assert caught.value.name == "style_weights"


@pytest.mark.parametrize("style_loss", ["gram", "wasserstein", "sliced_wasserstein", "histogram"])
def test_style_weights_decide_the_mixture(network, style_loss):
    """If this fails, weights have no effect: 1 and 0 is the first picture alone, and more weight comes nearer to it."""
    first, second = picture(seed=1), picture(32, 48, seed=2)
    image = first[None]

    def value(*weights: float) -> float:
        pair = pair_of(None, [first, second], style_weights=list(weights))
        return float(objective_of(network, pair, style_loss)(image)["style"])

    alone = float(objective_of(network, pair_of(None, first), style_loss)(image)["style"])
    # of a picture with itself: 0 but for what rounding leaves of the terms, whose size is that of another picture's loss
    assert value(1, 0) == pytest.approx(alone, abs=2 * rounding(40 * 56) * value(0, 1))
    assert value(1, 0) < value(3, 1) < value(1, 1) < value(1, 3)
    assert value(2, 1) == pytest.approx(value(4, 2), rel=2 * rounding(40 * 56))


@pytest.mark.parametrize(
    ("settings", "sides"),
    [({}, (40, 56)), ({"style_scale": 0.5}, (20, 28)), ({"style_scale": 2}, (80, 112)), ({"style_size": 28}, (20, 28))],
)
def test_style_scale_is_the_size_of_the_style_image(settings, sides):
    """If this fails, strokes do not become larger or smaller, or not alike at every scale of the run."""
    pair = pair_of(**settings)
    assert tuple(pair.styles[0].image.shape[-2:]) == sides
    half = pair.styles_at(28)[0].image.shape[-2:]
    assert tuple(half) == tuple(side // 2 for side in sides)
    assert pair.image_size == (40, 56)


@pytest.mark.parametrize("masks", [False, True])
def test_several_styles_through_the_command_line(pictures, workdir, masks):
    """If this fails, the flags of the README for several style images, or for regions, do not work."""
    content, style = map(str, pictures)
    mask = Image.new("RGB", (64, 48), BLUE)
    ImageDraw.Draw(mask).rectangle([32, 0, 64, 48], RED)
    mask.save("mask.png")
    flags = ["--data.style_mask", "mask.png", "mask.png", "--data.content_mask", "mask.png"] if masks else []
    short = ["--data.size", "32", "--trainer.max_steps", "2", "--trainer.precision", "32-true", "--output", "out.png"]
    weights = ["--data.style_weights", "2", "1"]
    assert main(["fit", content, "--data.style", style, content, *weights, *flags, *short]) == 0
    assert Image.open("out.png").size == (32, 24)


def test_moments_know_how_many_positions_they_are_of():
    """If this fails, tiles or masks cannot be put together by their positions."""
    assert moments(random(2, 4, 5)).positions == 20
    assert moments(random(2, 4, 5), torch.full((4, 5), 0.5)).positions == 10
    assert isinstance(mix([moments(random(2, 4, 5))] * 2, [1, 1]), Moments)
