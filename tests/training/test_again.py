"""A run that goes on from a checkpoint of another kind than expected, and a module that is fitted again."""

from __future__ import annotations

import re
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.errors import BadArgument
from nst_lightning.main import main
from nst_lightning.training.resume import differences, fingerprint
from tests.runs import run_folder

SHALLOW = [
    "--model.content_layers=[conv_2]",
    "--model.style_layers=[conv_1]",
    "--trainer.precision=32-true",
    "--trainer.enable_progress_bar=false",
]
SCALES = "--model.scales=[{size: 0.5, steps: 1}, {size: 1.0, steps: 1}]"
QUIET = {
    "accelerator": "cpu",
    "precision": "32-true",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "logger": False,
    "limit_val_batches": 0,
    "max_epochs": -1,
}


def fit(pictures, *flags: str, size: int = 48) -> int:
    return main(["fit", *map(str, pictures), *SHALLOW, SCALES, f"--data.size={size}", *flags])


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def run(workdir, pictures, capsys) -> Path:
    """The folder of a finished run of 6 steps."""
    assert fit(pictures, "--trainer.max_steps=6", "--output=first.png", "--checkpoint.every_n_train_steps=2") == 0
    capsys.readouterr()
    return run_folder()


@pytest.mark.parametrize("steps", [6, 5, 1])
def test_a_run_with_nothing_left_to_do_writes_its_picture(run, pictures, capsys, steps):
    """If this fails, --ckpt_path of a finished run, or with fewer steps, ends with exit code 0 and without a picture."""
    assert fit(pictures, f"--trainer.max_steps={steps}", "--ckpt_path=logs/transfer", "--output=again.png") == 0
    said = capsys.readouterr().out
    assert re.search(rf"nothing left to do: \S+step=6\.ckpt has 6 of {steps} steps · again\.png", said), said
    first = np.asarray(Image.open("first.png"))
    assert np.array_equal(first, np.asarray(Image.open("again.png")))
    assert np.array_equal(first, np.asarray(Image.open(run_folder(1) / "result.png")))


def test_fewer_steps_than_a_checkpoint_of_an_earlier_scale(run, pictures, capsys):
    """If this fails, such a picture is written at the size of its scale."""
    for path in (run / "checkpoints").glob("step=[46].ckpt"):
        path.unlink()
    flags = ["--trainer.max_steps=2", "--checkpoint.save_top_k=-1", "--checkpoint.every_n_train_steps=1"]
    assert fit(pictures, *flags) == 0
    early = str(run_folder(1) / "checkpoints/step=1.ckpt")
    assert torch.load(early, weights_only=True)["state_dict"]["image"].shape[2:] == (18, 24)
    more = "--model.scales=[{size: 0.5, steps: 9}, {size: 1.0, steps: 1}]"  # else one step is one scale
    assert fit(pictures, "--trainer.max_steps=2", more, f"--ckpt_path={early}", "--output=out.png") == 0
    assert Image.open("out.png").size == (48, 36)


@pytest.mark.parametrize(
    ("flags", "size", "words"),
    [
        ([], 40, "is of a run to 48 x 36 pixels, this one is to 40 x 30"),
        ([], 96, "is of a run to 48 x 36 pixels, this one is to 96 x 72"),
        (["--model.scales=none"], 40, "48 x 36"),
        (["tall"], 48, "is of a run to 48 x 36 pixels, this one is to 36 x 48"),
        (["--model.scales=[{size: 0.25, steps: 1}, {size: 1.0, steps: 1}]", "early"], 48, "24 x 18 .* 12 x 9, 48 x 36"),
    ],
)
def test_another_size_is_refused_before_anything_is_written(run, workdir, pictures, capsys, flags, size, words):
    """If this fails, --output is overwritten by another picture, or a checkpoint of what was refused is left."""
    content, style = pictures
    checkpoint = "logs/transfer"
    if "tall" in flags:
        content = workdir / "tall.png"
        Image.open(pictures[0]).rotate(90, expand=True).save(content)
    if "early" in flags:
        assert fit(pictures, "--trainer.max_steps=2", "--checkpoint.every_n_train_steps=1") == 0
        checkpoint = str(run_folder(1) / "checkpoints/step=1.ckpt")
        capsys.readouterr()
    before = everything(workdir)
    given = [flag for flag in flags if flag.startswith("--")]
    resume = ["--trainer.max_steps=9", f"--ckpt_path={checkpoint}", "--output=first.png"]
    assert fit((content, style), *resume, *given, size=size) == 2
    said = capsys.readouterr().err
    assert said.count("\n") <= 2 and re.search(words, said), said
    assert "--ckpt_path" in said and ".ckpt" in said and "--model.init old.png" in said
    assert everything(workdir) == before


def test_a_finished_run_goes_on_at_its_size(run, pictures, capsys):
    """If this fails, more steps for a finished run throw it back to a coarse scale."""
    assert fit(pictures, "--trainer.max_steps=40", "--ckpt_path=logs/transfer", "--log.every_n_steps=1") == 0
    assert "34 steps (40 in all)" in capsys.readouterr().out
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_folder(1)))
    events.Reload()
    assert {event.value for event in events.Scalars("size")} == {48.0}


@pytest.mark.parametrize(
    ("name", "flags", "others"),
    [
        ("content image", [], {"content"}),
        ("style images", [], {"style"}),
        ("style images", ["--data.style_scale=0.9"], set()),
        ("colour setting", ["--data.color=luminance"], set()),
        ("masks or transparency", [], {"transparent"}),
    ],
)
def test_other_pictures_of_the_same_size_are_said(run, workdir, pictures, capsys, name, flags, others):
    """If this fails, a run goes on towards other pictures without a word."""
    content, style = pictures
    if "content" in others:  # one pixel, by one of its 256 values
        changed = np.asarray(Image.open(content).convert("RGB")).copy()
        changed[20:24, 20:24] ^= 4
        Image.fromarray(changed).save(content := workdir / "content.png")
    if "style" in others:
        Image.open(style).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(style := workdir / "style.png")
    if "transparent" in others:
        see = Image.open(content).convert("RGBA")
        see.putalpha(Image.linear_gradient("L").resize(see.size).point(lambda value: 255 - value // 2))
        see.save(content := workdir / "see.png")
    assert fit((content, style), "--trainer.max_steps=7", "--ckpt_path=logs/transfer", *flags) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "differ" in line]
    assert any(re.search(rf"the {name} of this run and of \S+step=6.ckpt differ", line) for line in lines), lines


def test_the_same_pictures_are_not_said_to_differ(run, pictures, capsys):
    """If this fails, every resumed run warns of nothing."""
    assert fit(pictures, "--trainer.max_steps=7", "--ckpt_path=logs/transfer") == 0
    assert "differ" not in capsys.readouterr().out


def test_a_fingerprint_is_that_of_the_pictures_not_of_the_processor(pictures):
    """If this fails, a run resumed on another processor warns of nothing, or a changed pixel is not noticed."""
    pair = ImagePair(*map(str, pictures), 48)
    pair.setup("fit")
    known = fingerprint(pair)
    assert pair.content_image is not None
    pair.content_image += 1e-7 * torch.randn(pair.content_image.shape)
    assert differences(known, fingerprint(pair)) == []
    pair.content_image[0, 1, 7, 5] += 1 / 255
    assert differences(known, fingerprint(pair)) == ["content image"]


# ---- fitted again ----------------------------------------------------------------------------------------------------


def module_of(pictures, steps: int, size: int = 32) -> StyleTransfer:
    module = StyleTransfer(["conv_2"], ["conv_1"])
    L.Trainer(**QUIET, max_steps=steps).fit(module, datamodule=ImagePair(*map(str, pictures), size))
    return module


@pytest.mark.parametrize("same", [True, False], ids=["same trainer", "another trainer"])
@pytest.mark.parametrize("change", ["nothing", "pictures", "size", "steps"])
def test_a_module_that_is_fitted_again_begins_anew(pictures, same, change):
    """If this fails, the second picture is the first, or is mixed from both."""
    steps = 5 if change == "steps" and not same else 3
    size = 40 if change == "size" else 32
    second = pictures[::-1] if change == "pictures" else pictures
    trainer = L.Trainer(**QUIET, max_steps=3)
    module = StyleTransfer(["conv_2"], ["conv_1"])
    trainer.fit(module, datamodule=ImagePair(*map(str, pictures), 32))
    if change == "steps" and same:
        steps = trainer.fit_loop.epoch_loop.max_steps = 5
    again = trainer if same else L.Trainer(**QUIET, max_steps=steps)
    again.fit(module, datamodule=ImagePair(*map(str, second), size))
    assert again.global_step == steps
    expected = module_of(second, steps, size)
    assert torch.equal(module.image, expected.image) and torch.equal(module.result, expected.result)


def test_a_checkpoint_that_is_asked_for_goes_on(pictures, tmp_path):
    """If this fails, there is no way to go on with a module, or it goes on from the wrong place."""
    whole, part = module_of(pictures, 6), module_of(pictures, 3)
    part.trainer.save_checkpoint(tmp_path / "a.ckpt")
    for module in (part, StyleTransfer(["conv_2"], ["conv_1"])):
        trainer = L.Trainer(**QUIET, max_steps=6)
        trainer.fit(module, datamodule=ImagePair(*map(str, pictures), 32), ckpt_path=tmp_path / "a.ckpt")
        assert torch.equal(module.image, whole.image) and torch.equal(module.result, whole.result)
    with pytest.raises(BadArgument, match=r"a\.ckpt.*32 x 24.*40 x 30"):
        L.Trainer(**QUIET, max_steps=6).fit(
            part, datamodule=ImagePair(*map(str, pictures), 40), ckpt_path=tmp_path / "a.ckpt"
        )


def test_a_loaded_module_that_is_fitted_begins_anew(pictures, tmp_path):
    """If this fails, a module from a checkpoint goes on without being asked to."""
    module_of(pictures, 3).trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = StyleTransfer.load_from_checkpoint(tmp_path / "a.ckpt")
    L.Trainer(**QUIET, max_steps=4).fit(loaded, datamodule=ImagePair(*map(str, pictures), 32))
    assert torch.equal(loaded.image, module_of(pictures, 4).image)
