"""Style transfer from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst_lightning import stylize
from nst_lightning.errors import BadArgument

ROOT = Path(__file__).parents[1]
CPU = {"accelerator": "cpu", "precision": "32-true"}


def test_paths_pil_images_and_tensors_give_the_same_picture(pictures):
    """If this fails, one kind of input is read differently from the others."""
    paths = [str(path) for path in pictures]
    images = [Image.open(path).convert("RGB") for path in paths]
    tensors = [torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 for image in images]
    results = [stylize(*pair, size=32, steps=3, trainer=CPU) for pair in (paths, images, tensors)]
    assert results[0].mode == "RGB" and max(results[0].size) == 32
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_the_same_seed_gives_the_same_picture(pictures):
    """If this fails, a result cannot be reproduced."""
    results = [stylize(*pictures, size=32, steps=3, seed=s, init="noise", trainer=CPU) for s in (1, 1, 2)]
    assert np.array_equal(results[0], results[1]) and not np.array_equal(results[0], results[2])


def test_transparency_is_put_on_the_result(pictures):
    """If this fails, a cut-out photograph comes back as a rectangle."""
    image = Image.open(pictures[0]).convert("RGBA")
    alpha = np.zeros((image.height, image.width), np.uint8)
    alpha[:, : image.width // 2] = 255
    image.putalpha(Image.fromarray(alpha))
    result = stylize(image, str(pictures[1]), size=max(image.size), steps=2, trainer=CPU)
    assert result.mode == "RGBA" and np.array_equal(np.asarray(result)[..., 3], alpha)


def test_nothing_is_written(pictures, workdir):
    """If this fails, a call from Python leaves files behind."""
    stylize(*pictures, size=32, steps=1, trainer=CPU)
    assert list(workdir.iterdir()) == []


def test_bad_input_is_a_value_error():
    """If this fails, callers cannot tell bad input from a defect."""
    with pytest.raises(BadArgument, match=r"nope\.jpg"):
        stylize("nope.jpg", "nope.jpg")
    with pytest.raises(ValueError, match="steps"):
        stylize(torch.rand(3, 32, 32), steps=0)
