"""Style transfer from Python."""

from __future__ import annotations

import os
import random
import signal
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


def test_the_random_states_are_left_alone(pictures):
    """If this fails, a call changes what the caller's own program draws afterwards, or what it hands to its processes."""

    def states() -> list[object]:
        drawn = np.random.get_state()  # noqa: NPY002
        return [torch.get_rng_state().tolist(), torch.initial_seed(), random.getstate(), drawn[1].tolist(), drawn[2:]]

    torch.manual_seed(77)
    before, environment = states(), dict(os.environ)
    with pytest.raises(ZeroDivisionError):
        stylize(*pictures, size=32, steps=2, seed=3, init="noise", trainer=CPU, callback=lambda moment: 1 / 0)
    assert states() == before, "after an error"
    stylize(*pictures, size=32, steps=2, seed=3, init="noise", trainer=CPU)
    assert states() == before
    assert dict(os.environ) == environment


def test_the_callback_sees_each_step(pictures):
    """If this fails, who shows a run as it forms sees the wrong step, losses or picture."""
    moments = []

    def see(moment):
        moments.append((moment.step, moment.steps, moment.losses, moment.picture, moment.tensor))

    scales = [{"size": 0.5, "steps": 2}, {"size": 1.0, "steps": 2}]
    result = stylize(*pictures, size=48, steps=4, trainer=CPU, callback=see, scales=scales)
    assert [(step, steps) for step, steps, *_ in moments] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all({"total", "content", "style"} <= set(losses) for _, _, losses, _, _ in moments)
    assert moments[1][2]["total"] < moments[0][2]["total"]
    assert all(picture.size == result.size for *_, picture, _ in moments)
    assert np.array_equal(moments[-1][3], result)
    assert all(tensor.shape == (1, 3, result.height, result.width) for *_, tensor in moments)


def test_the_callback_can_end_the_run(pictures):
    """If this fails, a run cannot be stopped from Python, or what it has made is lost or too small."""
    steps = []
    scales = [{"size": 0.5, "steps": 2}, {"size": 1.0, "steps": 2}]

    def see(moment):
        steps.append(moment.picture)
        return moment.step < 2

    result = stylize(*pictures, size=48, steps=4, trainer={**CPU, "callbacks": []}, callback=see, scales=scales)
    assert len(steps) == 2 and np.array_equal(steps[-1], result) and result.size == (48, 36)


def test_a_seed_out_of_range_is_named(pictures):
    """If this fails, a seed that cannot be ends in NumPy's words."""
    with pytest.raises(BadArgument, match="seed -1"):
        stylize(*pictures, size=32, steps=1, seed=-1)


def test_ctrl_c_is_an_exception_of_the_program(pictures):
    """If this fails, Ctrl-C in a notebook ends the kernel, and no other is heard afterwards."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        stylize(*map(str, pictures), size=32, steps=5, callback=lambda moment: signal.raise_signal(signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is before
