"""Hues: OkLab against its published numbers, the moved and smoothed hues against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning import ImagePair
from nst_lightning.pictures import oklab as module
from nst_lightning.pictures.oklab import from_oklab, hues_of, linear, moved, oklab, smoothed, with_hues


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Ottosson 2020, the table of XYZ (D65) and OkLab pairs, three digits
PUBLISHED = [
    ((0.950, 1.000, 1.089), (1.000, 0.000, 0.000)),
    ((1.000, 0.000, 0.000), (0.450, 1.236, -0.019)),
    ((0.000, 1.000, 0.000), (0.922, -0.671, 0.263)),
    ((0.000, 0.000, 1.000), (0.153, -1.415, -0.449)),
]
# IEC 61966-2-1: XYZ to linear sRGB
FROM_XYZ = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
)


@pytest.mark.parametrize(("xyz", "lab"), PUBLISHED)
def test_published_numbers(xyz, lab, monkeypatch):
    """If this fails, a matrix of OkLab has a typing error."""
    rgb = torch.from_numpy(FROM_XYZ @ np.array(xyz)).view(3, 1, 1)
    monkeypatch.setattr(module, "linear", lambda image: image)  # these colours are in no sRGB: linear RGB as it is
    np.testing.assert_allclose(oklab(rgb).flatten().numpy(), lab, atol=2e-3)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 1, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 1), (0.45201, -0.03246, -0.31153)),
    ],
)
def test_primaries(rgb, lab):
    """If this fails, sRGB is taken for linear, or channels are exchanged: CSS Color 4 has these numbers."""
    found = oklab(torch.tensor(rgb, dtype=torch.float64).view(3, 1, 1)).flatten()
    np.testing.assert_allclose(found.numpy(), lab, atol=2e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_and_back(dtype):
    """If this fails, a result changes though its hues stay."""
    image = random(1, 3, 20, 30).to(dtype)
    image[..., :3] = torch.tensor([0.0, 1.0, 0.02]).to(dtype)
    torch.testing.assert_close(from_oklab(oklab(image)), image, atol=2e-5 if dtype == torch.float32 else 1e-7, rtol=0)
    assert linear(torch.tensor(0.5)).item() == pytest.approx(0.21404, abs=1e-5)


def test_moved_hues_have_the_mean_and_covariance_of_the_painting():
    """If this fails, hues are not the painting's, or several paintings do not share them by weight."""
    ours, theirs, other = random(2, 12, 15), random(2, 9, 8, seed=1) ** 2, random(2, 5, 5, seed=2)
    weights = random(9, 8, seed=3).numpy()
    found = moved(ours, [(theirs, torch.from_numpy(weights), 3.0), (other, None, 1.0)], None).flatten(1).numpy()
    parts = theirs.flatten(1).numpy(), other.flatten(1).numpy()
    counts = np.concatenate([0.75 * weights.ravel() / weights.sum(), np.full(25, 0.25 / 25)])
    both = np.concatenate(parts, axis=1)
    np.testing.assert_allclose(found.mean(axis=1), np.average(both, axis=1, weights=counts), rtol=1e-9)
    np.testing.assert_allclose(np.cov(found, bias=True), np.cov(both, aweights=counts, ddof=0), rtol=1e-8)


def test_hues_are_smoothed_by_the_guided_filter(monkeypatch):
    """If this fails, the filter is not He's: window by window, with cut windows at the edges."""
    monkeypatch.setattr(module, "RADIUS", 2 / 11)
    hues, lightness = random(2, 9, 11), random(1, 9, 11, seed=1)
    p, guide = hues.numpy(), lightness[0].numpy()

    def window(y: int, x: int) -> tuple[slice, slice]:
        return slice(max(0, y - 2), y + 3), slice(max(0, x - 2), x + 3)

    expected = np.zeros_like(p)
    for channel in (0, 1):
        slope, offset = np.zeros((9, 11)), np.zeros((9, 11))
        for y in range(9):
            for x in range(11):
                g, q = guide[window(y, x)], p[channel][window(y, x)]
                slope[y, x] = ((g * q).mean() - g.mean() * q.mean()) / (g.var() + 1e-3)
                offset[y, x] = q.mean() - slope[y, x] * g.mean()
        for y in range(9):
            for x in range(11):
                expected[channel, y, x] = slope[window(y, x)].mean() * guide[y, x] + offset[window(y, x)].mean()
    np.testing.assert_allclose(smoothed(hues, lightness).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_hues_stop_where_the_lightness_has_an_edge():
    """If this fails, hues run over contours, or stay as ragged as they were."""
    lightness = torch.zeros(1, 60, 60).double()
    lightness[..., 30:] = 1
    hues = torch.zeros(2, 60, 60).double()
    hues[..., 30:] = 0.2
    ragged = hues + 0.05 * (random(2, 60, 60) - 0.5)
    found = smoothed(ragged, lightness)
    assert float((found - hues).std()) < 0.5 * float((ragged - hues).std())
    assert float(found[..., 31].mean() - found[..., 28].mean()) > 0.18


def test_the_lightness_stays_and_regions_are_moved_by_themselves():
    """If this fails, oklab changes strokes, or one region's hues come from the other's painting."""
    image, content = random(1, 3, 40, 60) * 0.2 + 0.4, random(1, 3, 40, 60, seed=1) * 0.2 + 0.4
    red, blue = (
        torch.tensor(c).double().view(1, 3, 1, 1) + 0.02 * random(1, 3, 30, 30) for c in ([0.6, 0.4, 0.4], [0.4, 0.4, 0.6])
    )
    style = torch.cat([red, blue], dim=3)
    halves = torch.zeros(2, 40, 60)
    halves[0, :, :30], halves[1, :, 30:] = 1, 1
    theirs = torch.zeros(2, 30, 60)
    theirs[0, :, :30], theirs[1, :, 30:] = 1, 1
    found = with_hues(image, hues_of(content, halves, [(style, theirs, 1.0)]))
    torch.testing.assert_close(oklab(found)[:, 0], oklab(image)[:, 0], atol=1e-6, rtol=0)
    left, right = oklab(found)[0, 1:, :, :25], oklab(found)[0, 1:, :, 35:]
    assert torch.allclose(left.mean(dim=(1, 2)), oklab(red)[0, 1:].mean(dim=(1, 2)), atol=0.01)
    assert torch.allclose(right.mean(dim=(1, 2)), oklab(blue)[0, 1:].mean(dim=(1, 2)), atol=0.01)


def test_a_pair_finishes_in_hues():
    """If this fails, `color: oklab` shows the optimised colours, or hidden parts of a painting give theirs."""
    content, style = random(3, 32, 48).float(), random(3, 32, 48, seed=1).float()
    hidden = torch.cat([style, torch.zeros(1, 32, 48)])
    hidden[3, :, :20], hidden[:3, :, 20:] = 1, torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    image = random(1, 3, 32, 48, seed=2).float()
    found = {}
    for name, picture in (("whole", style[..., :20]), ("hidden", hidden)):
        pair = ImagePair(content, picture, size=48, color="oklab")
        pair.setup("fit")
        assert torch.equal(pair.content_at((32, 48)), pair.content_image)
        shown = with_hues(image, pair.hues)
        assert float(shown.min()) >= 0 and float(shown.max()) <= 1
        found[name] = oklab(shown.double())
    assert float((found["whole"] - found["hidden"]).abs().mean()) < 0.02
    alone = ImagePair(None, style, size=48, color="oklab")
    alone.setup("fit")
    assert alone.hues is None
