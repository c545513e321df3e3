"""Whose colours the result has, in NumPy."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.errors import BadArgument
from nst_lightning.pictures.colors import luminance, match_colors, match_luminance, with_luminance
from nst_lightning.pictures.picture import resize
from tests.arithmetic import assert_sums_close

# the paper's YIQ, from RGB
YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def picture(seed: int, low: float = 0.35, high: float = 0.65, size: tuple[int, int] = (30, 40)) -> Tensor:
    """Correlated colours far from 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.rand(3, 3, generator=generator) + torch.eye(3)
    mixing = mixing / mixing.sum(1, keepdim=True)
    return low + (high - low) * torch.einsum("ij,jhw->ihw", mixing, torch.rand(3, *size, generator=generator))[None]


def pixels(image: Tensor) -> np.ndarray:
    return image[0].flatten(1).double().numpy()


def yiq(image: Tensor) -> np.ndarray:
    return YIQ @ pixels(image)


def test_match_colors_gives_the_contents_mean_and_covariance():
    """If this fails, `color: match` does not move the style's colours to the content's."""
    style, content = picture(0), picture(1, 0.45, 0.7, (20, 50))
    matched = match_colors(style, content)
    assert matched.shape == style.shape and matched.dtype == style.dtype
    assert matched.min() > 0 and matched.max() < 1  # nothing clipped: what follows is exact
    np.testing.assert_allclose(pixels(matched).mean(1), pixels(content).mean(1), atol=1e-6)
    np.testing.assert_allclose(np.cov(pixels(matched)), np.cov(pixels(content)), atol=1e-7)


def test_match_colors_is_the_symmetric_map():
    """If this fails, colours are turned (another root has the same mean and covariance): blue becomes red."""
    style, content = picture(0), picture(1, 0.45, 0.7)
    roots = []
    for image, power in ((content, 0.5), (style, -0.5)):
        values, vectors = np.linalg.eigh(np.cov(pixels(image)))
        roots.append(vectors @ np.diag(values**power) @ vectors.T)
    means = [pixels(image).mean(1, keepdims=True) for image in (content, style)]
    expected = roots[0] @ roots[1] @ (pixels(style) - means[1]) + means[0]
    np.testing.assert_allclose(pixels(match_colors(style, content)), expected, atol=1e-5)
    torch.testing.assert_close(match_colors(style, style), style)


def test_match_colors_of_grey_and_flat_pictures():
    """If this fails, a black-and-white picture ends in NaN, or its noise becomes loud colours."""
    grey, flat, color = picture(0).mean(1, keepdim=True).expand(-1, 3, -1, -1), torch.full((1, 3, 9, 9), 0.5), picture(1)
    for style in (grey, flat, color):
        for content in (grey, flat, color):
            matched = match_colors(style, content)
            assert torch.isfinite(matched).all() and matched.min() >= 0 and matched.max() <= 1
            np.testing.assert_allclose(pixels(matched).mean(1), pixels(content).mean(1), atol=1e-3)
    assert pixels(match_colors(color, grey)).std(0).max() < 1e-3
    assert pixels(match_colors(flat, color)).std(1).max() < 1e-3


def test_luminance_is_that_of_yiq():
    """If this fails, the luminance is not the paper's: green counts as much as blue."""
    image = picture(0, 0, 1)
    np.testing.assert_allclose(luminance(image).flatten().numpy(), yiq(image)[0], rtol=1e-5)
    primaries = torch.eye(3).view(1, 3, 1, 3)
    np.testing.assert_allclose(luminance(primaries).flatten().numpy(), [0.299, 0.587, 0.114], rtol=1e-6)


def test_match_luminance_has_the_contents_mean_and_deviation():
    """If this fails, a dark painting darkens a photograph although only its strokes are wanted."""
    style, content = picture(0), picture(1, 0.5, 0.7)
    matched = match_luminance(style, content)
    assert torch.equal(matched[:, 0], matched[:, 1]) and torch.equal(matched[:, 0], matched[:, 2])
    ours, theirs = yiq(matched)[0], yiq(content)[0]
    assert_sums_close(ours.mean(), theirs.mean(), 30 * 40)
    assert ours.std() == pytest.approx(theirs.std(), rel=1e-3)
    assert np.corrcoef(ours, yiq(style)[0])[0, 1] == pytest.approx(1, abs=1e-6)
    own = match_luminance(content, content)
    np.testing.assert_allclose(yiq(own)[0], theirs, atol=1e-5)


def test_with_luminance_keeps_chroma_and_takes_luminance():
    """If this fails, `color: luminance` changes the photograph's colours, or loses the painting's strokes."""
    color, grey = picture(0), picture(1, 0.45, 0.7)
    found = yiq(with_luminance(color, grey))
    np.testing.assert_allclose(found[1:], yiq(color)[1:], atol=1e-5)
    np.testing.assert_allclose(found[0], yiq(grey)[0], atol=1e-5)


def result_of(pictures: tuple[Path, Path], color: str, size: int = 48) -> tuple[Tensor, Tensor, Tensor]:
    """The result, the content at its size, and the image that was optimised."""
    L.seed_everything(0, verbose=False)
    layers = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1", "relu2_1"], "style_weight": 1e3}
    module = StyleTransfer(scales="none", **layers)
    pair = ImagePair(*map(str, pictures), size, color=color)
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    clock = {"max_steps": 10, "max_epochs": -1, "limit_val_batches": 0}
    L.Trainer(**silent, **clock, accelerator="cpu", precision="32-true").fit(module, datamodule=pair)
    result = module.result
    return result, resize(pair.content_image, tuple(result.shape[-2:])), module.image.detach()


def test_luminance_transfer_keeps_the_colours_of_the_photograph(pictures):
    """If this fails, `--data.color luminance` shows the painting's colours, or does nothing."""
    result, content, image = result_of(pictures, "luminance")
    inside = ((result > 0) & (result < 1)).all(dim=1).flatten().numpy()  # where no colour was clipped
    assert inside.mean() > 0.8
    difference = np.abs(yiq(result) - yiq(content))[:, inside]
    assert difference[1:].max() < 1e-3
    assert difference[0].mean() > 0.01
    np.testing.assert_allclose(yiq(result)[0, inside], yiq(image.clamp(0, 1))[0, inside], atol=0.15)
    # with the colours of the style, chroma moves
    other, content, _ = result_of(pictures, "style")
    assert np.abs(yiq(other) - yiq(content))[1:].mean() > 10 * difference[1:].mean()


def test_matched_colours_come_nearer_to_the_photograph(pictures):
    """If this fails, `--data.color match` has no effect in a run: the mean colour is then that of the painting."""
    means = {}
    for color in ("style", "match"):
        result, content, _ = result_of(pictures, color)
        means[color] = np.abs(pixels(result).mean(1) - pixels(content).mean(1)).mean()
    assert means["match"] < means["style"]


def test_an_unknown_color_is_named():
    """If this fails, a typing error silently keeps the style's colours."""
    with pytest.raises(BadArgument) as caught:
        ImagePair("a.jpg", "b.jpg", color="luminanse")
    assert caught.value.name == "color"
