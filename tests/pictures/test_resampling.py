"""Interpolation around the seam of a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from nst_lightning.pictures.picture import resize
from nst_lightning.pictures.resampling import resampled

PICTURE = torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("mode", "antialias"), [("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True)]
)
@pytest.mark.parametrize("size", [(12, 20), (6, 10), (24, 40), (7, 13), (25, 41), (2, 3), (1, 1), (12, 7), (48, 5)])
def test_it_is_the_middle_of_the_plane_that_is_laid_with_it(mode, antialias, size):
    """If this fails, a tile has another value at its edges than anywhere: against five tiles a side, resized whole."""
    laid = torch.nn.functional.interpolate(
        PICTURE.tile(1, 1, 5, 5), (5 * size[0], 5 * size[1]), mode=mode, antialias=antialias, align_corners=False
    )
    wanted = laid[:, :, 2 * size[0] : 3 * size[0], 2 * size[1] : 3 * size[1]]
    found = resampled(PICTURE, size, mode, antialias, circular=True)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_enlarging_is_that_of_scipy():
    """If this fails, what is enlarged around a seam is shifted: against SciPy's linear interpolation that wraps."""
    places = [(np.arange(2 * side) + 0.5) / 2 - 0.5 for side in PICTURE.shape[2:]]
    grid = np.meshgrid(*places, indexing="ij")
    found = np.asarray(resampled(PICTURE, (24, 40), "bilinear", circular=True))[0]
    for channel in range(3):
        wanted = ndimage.map_coordinates(np.asarray(PICTURE)[0, channel], grid, order=1, mode="grid-wrap")
        assert np.abs(found[channel] - wanted).max() < 1e-12


def test_a_turned_picture_is_the_picture_turned():
    """If this fails, a tile made at two sizes depends on where it was cut."""
    turned = resize(PICTURE.roll((4, 8), (2, 3)), (9, 15), circular=True)
    torch.testing.assert_close(turned, resize(PICTURE, (9, 15), circular=True).roll((3, 6), (2, 3)), rtol=0, atol=1e-12)
