"""Colours under full transparency count nowhere: two cut-outs that look alike give the same result."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nst_lightning import stylize
from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument
from nst_lightning.pictures.colors import match_colors, match_luminance
from nst_lightning.pictures.picture import Picture, make_picture, resize_picture
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.regions import find_regions
from nst_lightning.pictures.similarity import similarity

CPU = {"accelerator": "cpu", "precision": "32-true"}


@pytest.fixture
def cutouts(pictures) -> list[Image.Image]:
    """The photograph with its middle cut out softly; what is hidden is black, or a picture of its own."""
    image = Image.open(pictures[0]).convert("RGB")
    y, x = np.mgrid[0 : image.height, 0 : image.width]
    far = np.hypot(x - image.width / 2, y - image.height / 2)
    alpha = np.clip(255 - (far - 14) * 30, 0, 255).astype(np.uint8)
    hidden = [np.zeros_like(np.array(image)), np.random.default_rng(0).integers(0, 256, (*alpha.shape, 3)).astype(np.uint8)]
    colors = [np.where(alpha[..., None] > 0, np.array(image), other) for other in hidden]
    return [Image.fromarray(np.dstack([one, alpha])) for one in colors]


@pytest.mark.parametrize("settings", [{}, {"color": "match"}, {"color": "luminance"}, {"init": "style"}], ids=str)
def test_two_cutouts_that_look_alike_give_the_same_result(cutouts, pictures, settings):
    """As content and as style. If this fails, what an editor left under the transparency colours the picture."""
    for pair in (lambda one: (one, str(pictures[1])), lambda one: (str(pictures[1]), one)):
        results = [np.array(stylize(*pair(one), size=40, steps=3, trainer=CPU, **settings)) for one in cutouts]
        assert np.array_equal(*results)


def test_the_initial_image_and_masks_too(cutouts, pictures, tmp_path):
    for number, one in enumerate(cutouts):
        one.save(tmp_path / f"{number}.png")
    results = [stylize(*pictures, size=32, steps=2, init=str(tmp_path / f"{n}.png"), trainer=CPU) for n in (0, 1)]
    assert np.array_equal(*results)
    pairs = [ImagePair(*map(str, pictures), size=32, content_mask=one, style_mask=one) for one in _masks()]
    for pair in pairs:
        pair.setup("fit")
    assert len(pairs[0].regions) == 2, "a hidden colour has become a region"
    assert torch.equal(pairs[0].regions, pairs[1].regions)


def _masks() -> list[Image.Image]:
    mask = np.zeros((48, 64, 4), np.uint8)
    mask[:, 32:, 0] = 255
    mask[..., 3] = 255
    mask[:16, :, 3] = 0
    other = mask.copy()
    other[:16, :, :3] = (0, 200, 0)
    return [Image.fromarray(mask), Image.fromarray(other)]


def test_resizing_counts_each_pixel_as_much_as_it_is_seen():
    """Red beside hidden green: every pixel that shows anything is red. If this fails, cut-outs have seams."""
    rgb, alpha = torch.zeros(3, 16, 16), torch.ones(1, 16, 16)
    rgb[0], rgb[1, :, 8:], rgb[0, :, 8:] = 1, 1, 0
    alpha[..., 8:] = 0
    for size in ((8, 8), (5, 7), (40, 40)):
        found = resize_picture(Picture(rgb, alpha), size)
        assert (found.rgb[0] - 1).abs().max() < 1e-5 and found.rgb[1:].abs().max() < 1e-5


def test_moments_of_colours_are_those_of_what_is_seen():
    """Compared with the same formulas on the visible pixels alone."""
    style, content = torch.rand(1, 3, 12, 10), torch.rand(1, 3, 9, 11) * 0.5
    seen, wanted = torch.zeros(1, 12, 10), torch.zeros(1, 9, 11)
    seen[..., :4], wanted[:, :5] = 1, 1
    for match in (match_colors, match_luminance):
        whole = match(style, content, seen, wanted)[..., :4]
        alone = match(style[..., :4].contiguous(), content[:, :, :5].contiguous())
        torch.testing.assert_close(whole, alone, rtol=0, atol=1e-5)


def test_similarity_is_that_of_what_is_seen():
    result, content = torch.rand(1, 3, 40, 40), torch.rand(1, 3, 40, 40)
    alpha = torch.zeros(1, 40, 40)
    alpha[..., :20] = 1
    found = similarity(result, content, alpha)
    error = float((result - content)[..., :20].double().square().mean())
    assert abs(float(found["psnr"]) - -10 * np.log10(error)) < 1e-3
    changed = result.clone()
    changed[..., 20:] = 0.5
    assert similarity(changed, content, alpha) == found


def test_regions_of_a_mask_are_where_it_is_seen():
    mask, alpha = torch.zeros(3, 8, 8), torch.ones(1, 8, 8)
    mask[0, :, 4:], mask[1, :2] = 1, 1
    alpha[:, :2] = 0
    regions = find_regions(mask, alpha)
    assert list(regions) == ["#000000", "#ff0000"]
    assert torch.equal(sum(regions.values()), alpha)


def test_a_mask_that_shows_nothing_is_refused(pictures):
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    with pytest.raises(BadArgument, match=r"content_mask .*transparent everywhere"):
        ImagePair(*map(str, pictures), size=32, content_mask=clear, style_mask=clear).setup("fit")


def test_a_picture_of_which_nothing_is_seen_is_gray():
    found = make_picture(torch.rand(3, 4, 4), torch.zeros(1, 4, 4))
    assert torch.equal(found.rgb, torch.full((3, 4, 4), 0.5))


def test_what_is_hidden_is_dropped_at_reading(cutouts):
    first, second = (read_image(one) for one in cutouts)
    assert torch.equal(first.rgb, second.rgb) and isinstance(first.alpha, Tensor)
