"""Scales of detail: a large picture is the small one, finer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from nst_lightning import Controls, preset, stylize
from nst_lightning.main import main
from nst_lightning.objective.distances import distances
from nst_lightning.pictures.read import read_image
from nst_lightning.training.detail import Detail
from nst_lightning.training.scales import Scale, Stage, schedule
from tests.benchmarks.steps import PICTURES
from tests.runs import run_folder

CPU = {"accelerator": "cpu", "precision": "32-true"}
SCALES = [{"size": 0.5, "steps": 8}, {"size": 1.0, "steps": 8, "most": 24}]
SETTINGS = {"style_layers": ["relu1_2", "relu2_2"], "content_layers": ["relu2_2"], "style_loss": "gram", "scales": SCALES}
SETTINGS |= {"optimizer": "pyramid_adam", "learning_rate": 0.03}


def paint(pictures, size, steps, scales=SCALES, callback=None, controls=None, seed=0, **more) -> Image.Image:
    arguments = SETTINGS | {"scales": scales, "trainer": CPU} | more
    return stylize(
        *map(str, pictures), size=size, steps=steps, callback=callback, controls=controls, seed=seed, **arguments
    )


def scaled_down(picture: Image.Image, small: Image.Image) -> np.ndarray:
    return np.asarray(picture.resize(small.size, Image.Resampling.BOX), dtype=float)


def away(picture: Image.Image, small: Image.Image) -> float:
    """The mean difference of a picture, scaled down, to a small one, in levels of 255."""
    return float(np.abs(scaled_down(picture, small) - np.asarray(small, dtype=float)).mean())


def test_a_large_result_goes_through_the_scales_of_a_small_one():
    """If this fails, a print takes another way than the picture that was chosen for it."""
    scales = [Scale(0.5, 30), Scale(1.0, 10, {"gram": 2.0}, most=100)]
    small = [Stage(50, (40, 50), 0, 30), Stage(100, (80, 100), 30, 40, {"gram": 2.0})]
    assert schedule(scales, 100, (80, 100), 40) == small
    twice, fourfold = ({"gram": 2.0, "content": times**0.6} for times in (2, 4))  # the style's gradient grows by that
    more = [Stage(200, (160, 200), 40, 45, twice, True), Stage(400, (320, 400), 45, 48, fourfold, True)]
    assert schedule(scales, 400, (320, 400), 48) == small + more
    assert [stage.size for stage in schedule(scales, 120, (96, 120), 40)] == [60, 120]  # hardly larger
    assert [stage.size for stage in schedule(scales, 300, (240, 300), 48)] == [50, 100, 150, 300]
    assert schedule(scales, 400, (320, 400), 1) == [Stage(400, (320, 400), 0, 1, fourfold, True)]


def test_held_is_what_a_small_picture_can_show():
    """If this fails, the projection takes detail away, or lets large forms move: against averages over squares."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand(1, 3, 3, 4, generator=generator)
    small = torch.nn.functional.interpolate(patches, (12, 16), mode="bilinear")
    image = torch.rand(1, 3, 48, 64, generator=generator)
    before = image.clone()
    detail = Detail()
    detail.begin(small)
    detail.begin(torch.zeros(1, 3, 24, 32))  # the first one counts
    for _ in range(30):
        detail.hold(image)
    found = np.asarray(image).reshape(3, 12, 4, 16, 4).mean(axis=(2, 4))
    wanted, was = np.asarray(small)[0], np.asarray(before).reshape(3, 12, 4, 16, 4).mean(axis=(2, 4))
    assert np.abs(found - wanted).mean() < 0.25 * np.abs(was - wanted).mean()
    fine = [np.diff(np.asarray(one)[0], axis=2)[:, :, ::4] for one in (before, image)]  # within squares
    assert np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1] > 0.9


def test_a_large_picture_is_the_small_one():
    """If this fails, who has chosen a small picture gets another one as a print; or no detail is added at all."""
    scales = [SCALES[0], {"size": 1.0, "steps": 8, "most": 96}]
    four = [{"size": 48, "steps": 8}, {"size": 96, "steps": 8}, {"size": 192, "steps": 4}, {"size": 384, "steps": 2}]
    slow = {"learning_rate": 0.008}
    small = paint(PICTURES, 96, 16, scales, **slow)
    large = paint(PICTURES, 384, 22, scales, **slow)  # 16, and 6 for detail
    free = paint(PICTURES, 384, 22, four, **slow)
    print(away(large, small), away(free, small))
    assert away(large, small) < 4 < 0.5 * away(free, small)
    enlarged = np.asarray(small.resize(large.size, Image.Resampling.BICUBIC), dtype=float)
    assert np.abs(enlarged - np.asarray(large, dtype=float)).mean() > 3


def test_a_dial_that_is_turned_frees_it(pictures):
    """If this fails, dials do nothing to the large forms of a picture that is nearly done."""
    small = paint(pictures, 24, 16)

    def turn(moment):
        if moment.step == 17:
            controls.set(style_weight=1e6, color="luminance")

    controls = Controls()
    assert away(paint(pictures, 96, 40, callback=turn, controls=controls), small) > 4


def test_it_resumes_in_the_middle(pictures, workdir):
    """If this fails, a print that was killed goes on to another picture."""
    words = ["fit", *map(str, pictures), "--data.size", "96", "--trainer.max_steps", "24", "--trainer.accelerator", "cpu"]
    words += ["--trainer.precision", "32-true", "--model.style_loss", "gram", "--model.optimizer", "pyramid_adam"]
    words += ["--model.scales", "[{size: 0.5, steps: 8}, {size: 1.0, steps: 8, most: 24}]"]
    words += ["--checkpoint.every_n_train_steps", "1", "--checkpoint.save_top_k", "-1"]
    assert main(words) == 0
    runs = workdir / "logs" / "transfer"
    whole = run_folder(0, runs) / "checkpoints"
    for number, step in enumerate((16, 19, 22), start=1):  # where it ends to be small, and at each scale of detail
        assert main([*words, "--ckpt_path", str(whole / f"step={step}.ckpt")]) == 0
        images = [
            torch.load(folder / "step=24.ckpt", weights_only=True)["state_dict"]["image"]
            for folder in (whole, run_folder(number, runs) / "checkpoints")
        ]
        assert torch.equal(*images), step


@pytest.mark.slow
def test_large_looks_like_small():
    """If this fails, 1024 px are farther from 256 px than two seeds of 256 px from each other: the default from noise."""
    scales = [one for one in preset()["model"]["scales"] if one["size"] >= 0.25]
    scales[-1] = scales[-1] | {"most": 256}

    def made(size: int, steps: int, seed: int) -> Image.Image:
        return stylize(*PICTURES, size=size, steps=steps, seed=seed, init="noise", scales=scales)

    def tensor(picture: Image.Image) -> torch.Tensor:
        return read_image(picture).rgb[None]

    small, other, large = made(256, 114, 0), made(256, 114, 1), made(1024, 134, 0)
    seeds = distances(tensor(other), tensor(small), tensor(small))
    sizes = distances(tensor(large.resize(small.size, Image.Resampling.LANCZOS)), tensor(small), tensor(small))
    print(f"seeds {seeds}, sizes {sizes}")
    for name in ("style_distance", "content_distance", "self_similarity"):
        assert sizes[name] < seeds[name], name
