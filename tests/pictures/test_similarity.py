"""Where two pictures differ."""

from __future__ import annotations

import pytest
from PIL import Image

from nst_lightning.pictures.similarity import AMPLIFICATION, difference


def test_difference():
    """If this fails, the difference has a sign, wraps around, or its mean is not in levels."""
    first, second = Image.new("RGB", (4, 2), (100, 100, 100)), Image.new("RGB", (4, 2), (103, 98, 200))
    picture, mean = difference(first, second)
    assert picture.getpixel((0, 0)) == (3 * AMPLIFICATION, 2 * AMPLIFICATION, 255)
    assert mean == pytest.approx(105 / 3)
    assert difference(second, first)[0].tobytes() == picture.tobytes()
    assert difference(first, first)[1] == 0
