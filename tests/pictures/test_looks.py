"""Measures of how pictures look, against SciPy's and against pictures whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from nst_lightning.pictures.looks import SIDE, blur, edge_agreement, grain, noise


def picture(seed: int, height: int = 96, width: int = 112) -> torch.Tensor:
    """Forms with a calm upper half: clouds of noise below."""
    values = np.random.default_rng(seed).random((3, height, width))
    values = ndimage.gaussian_filter(values, (0, 3, 3))
    values = (values - values.min()) / (values.max() - values.min())
    values[:, : height // 2] = 0.5 + 0.02 * (values[:, : height // 2] - 0.5)
    return torch.from_numpy(values)[None]


def grain_by_numpy(values: np.ndarray) -> float:
    """``(3, H, W)``; the definition, square by square."""
    luminance = np.tensordot([0.299, 0.587, 0.114], values, axes=1)
    smooth = ndimage.gaussian_filter(luminance, 4, mode="nearest")
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)
    frequency = np.abs(np.fft.fftfreq(SIDE))
    high = np.maximum(frequency[:, None], frequency) > 0.25
    found = []
    for top in range(0, values.shape[1] - SIDE + 1, SIDE // 2):
        for left in range(0, values.shape[2] - SIDE + 1, SIDE // 2):
            here = np.s_[top : top + SIDE, left : left + SIDE]
            square = values[(slice(None), *here)]
            spectrum = np.fft.fft2((square - square.mean(axis=(1, 2), keepdims=True)) * window)
            found.append((smooth[here].std(), (np.abs(spectrum[:, high]) ** 2).sum()))
    found.sort()
    return float(np.mean([energy for _, energy in found[: len(found) // 5]]))


def test_a_blur_is_scipys():
    """If this fails, flat areas are looked for in another picture."""
    plane = picture(0)[0, :1]
    expected = ndimage.gaussian_filter(plane[0].numpy(), 2.5, mode="nearest")
    assert np.abs(blur(plane[None], 2.5)[0, 0].numpy() - expected).max() < 1e-3  # it is cut off at four deviations, rounded


@pytest.mark.parametrize("seed", range(3))
def test_grain_is_its_definition(seed):
    """If this fails, the noise in a study's table is another number than its explanation says."""
    values = picture(seed)
    assert grain(values) == pytest.approx(grain_by_numpy(values[0].numpy()), rel=1e-6)


def test_noise_in_a_calm_sky_is_found_and_edges_are_not():
    """If this fails, a grainy sky counts as calm, or strokes elsewhere count as noise."""
    clean, rng = picture(0), np.random.default_rng(9)
    grainy = clean + torch.from_numpy(rng.normal(0, 0.02, clean.shape))
    strokes = clean.clone()
    strokes[..., 60:, ::2] += 0.2
    assert noise(clean, clean) == 1.0
    assert noise(grainy, clean) > 20
    assert noise(strokes, clean) == pytest.approx(1.0, abs=0.05)


def test_edges_agree_with_themselves_in_any_colour():
    """If this fails, a painting that keeps every contour in other colours counts as another scene."""
    first, other = picture(0), picture(5)
    assert edge_agreement(first, first) == pytest.approx(1.0)
    assert edge_agreement(1 - 0.4 * first, first) == pytest.approx(1.0)
    mirrored = first.flip(3)
    assert edge_agreement(mirrored, first) < edge_agreement(0.5 * first + 0.5 * other, first) < 1


def test_edges_are_sobels():
    """If this fails, what is correlated is not the length of the gradient."""
    one, two = picture(1, 64, 64), picture(2, 64, 64)
    lengths = []
    for values in (one, two):
        plane = np.tensordot([0.299, 0.587, 0.114], values[0].numpy(), axes=1)
        plane = ndimage.gaussian_filter(plane, 1, mode="nearest")
        length = np.hypot(ndimage.sobel(plane, 0, mode="nearest"), ndimage.sobel(plane, 1, mode="nearest"))
        lengths.append(length.reshape(32, 2, 32, 2).mean(axis=(1, 3)).ravel())
    assert edge_agreement(one, two) == pytest.approx(np.corrcoef(*lengths)[0, 1], abs=1e-4)
