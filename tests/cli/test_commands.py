"""The main job, as a person runs it: pictures in, a picture and a TensorBoard run out."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import nst_lightning
from nst_lightning.main import main
from tests.runs import run_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(pictures, workdir, capsys):
    """One run of 7 steps, logged every 3."""
    flags = [
        "--data.size",
        "48",
        "--trainer.max_steps",
        "7",
        "--log.every_n_steps",
        "3",
        "--trainer.val_check_interval",
        "2",
    ]
    output = workdir / "new" / "out.png"
    assert main(["fit", *map(str, pictures), "--output", str(output), *flags, "--trainer.precision", "32-true"]) == 0
    return run_folder(), output, capsys.readouterr().out


def test_the_picture_is_in_the_run_and_at_output(run):
    """If this fails, the result is lost, or not where the last line says."""
    folder, output, printed = run
    assert np.array_equal(np.asarray(Image.open(output)), np.asarray(Image.open(folder / "result.png")))
    assert max(Image.open(output).size) == 48
    last = [line for line in printed.splitlines() if line.strip()][-1]
    for part in (str(output), "48 x ", "7 steps", " s ", "PSNR", "SSIM"):
        assert part in last
    assert (folder / "config.yaml").is_file() and list((folder / "checkpoints").iterdir())


def test_tensorboard_has_images_losses_and_settings(run):
    """If this fails, TensorBoard does not show how the image forms, or runs cannot be compared by their settings."""
    events = EventAccumulator(str(run[0]), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    assert [image.step for image in events.Images("image")] == [0, 1, 3, 6, 7]
    for name in ("input/content", "input/style"):
        assert len(events.Images(name)) == 1
    assert sorted(events.Tags()["images"])[0] == "image", "the forming image comes first"
    picture = Image.open(io.BytesIO(events.Images("image")[-1].encoded_image_string))
    assert np.abs(np.asarray(picture, float) - np.asarray(Image.open(run[1]), float)).max() <= 1
    assert [value.step for value in events.Scalars("loss/total")] == [1, 3, 6, 7]
    layers = {f"loss/style/{name}" for name in ("relu1_2", "relu4_1", "nearest_neighbor", "nearest_neighbor_layers")}
    tags = set(events.Tags()["scalars"])
    assert {"loss/content", "loss/style", "learning_rate", "steps_per_second"} | layers <= tags
    assert {value.step for value in events.Scalars("val/psnr")} >= {2, 4, 6}
    assert {"val/ssim"} <= tags
    hparams = {tag for tag in events.summary_metadata if tag.startswith("_hparams_")}
    assert "_hparams_/session_start_info" in hparams
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    for name in (
        b"model/style_weight",
        b"trainer/max_steps",
        b"trainer/seed",
        b"data/color",
        b"data/style_mask",
        b"version",
    ):
        assert name in content
    assert b"_instantiator" not in content
    assert "loss/content/relu4_2" not in tags, "the same chart as loss/content"
    given = yaml.safe_load((run[0] / "hparams.yaml").read_text())
    assert "data/color" in given and "trainer/max_steps" in given
    assert given["data/size"] == 48 and given["model/style_weight"] == 200.0 and given["trainer/seed"] == 0


def test_every_step_can_be_logged(pictures, workdir):
    """If this fails, `every_n_steps: 1` leaves steps out."""
    flags = ["--data.size", "32", "--trainer.max_steps", "4", "--log.every_n_steps", "1"]
    assert main(["fit", *map(str, pictures), *flags]) == 0
    events = EventAccumulator(str(run_folder()), size_guidance={"images": 0})
    events.Reload()
    assert [image.step for image in events.Images("image")] == [0, 1, 2, 3, 4]


def test_the_saved_config_repeats_the_run(run, workdir):
    """If this fails, a run's own config does not make its picture again."""
    folder, output, _ = run
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["model"]["style_layers"][0] == "relu1_2"
    before = np.asarray(Image.open(output))
    assert main(["fit", "--config", str(folder / "config.yaml"), "--output", str(workdir / "again.png")]) == 0
    assert np.array_equal(before, np.asarray(Image.open(workdir / "again.png")))


def test_nothing_but_the_output(pictures, workdir):
    """If this fails, a run cannot be told to leave nothing but its picture."""
    off = [
        word
        for name in ("logger", "enable_checkpointing", "enable_progress_bar")
        for word in (f"--trainer.{name}", "false")
    ]
    flags = ["--data.size", "32", "--trainer.max_steps", "2", "--output", "out.png"]
    assert main(["fit", *map(str, pictures), *flags, *off]) == 0
    assert [path.name for path in workdir.iterdir()] == ["out.png"]


def test_without_a_content_image_there_is_nothing_to_compare_with(pictures, workdir, capsys):
    """If this fails, texture synthesis needs a photograph."""
    flags = ["--data.style", str(pictures[1]), "--model.init", "noise", "--data.size", "32", "--trainer.max_steps", "2"]
    assert main(["fit", *flags]) == 0
    assert "PSNR" not in capsys.readouterr().out


def test_help_all_explains_every_flag(capsys):
    """If this fails, a flag has no explanation, or Lightning's flags come before ours."""
    assert main(["fit", "--help_all"]) == 0
    text = capsys.readouterr().out
    places = [text.index(f"  --{flag} ") for flag in ("data.content", "model.style_weight", "checkpoint.dirpath")]
    assert places == sorted(places) and places[1] < text.index("  --trainer.accelerator ")
    for untrue in ("entry-point", "default_root_dir or", "weights_save_path", "os.getcwd"):
        assert untrue not in text, untrue
    for flag in ("content", "style", "size"):
        assert f"--data.{flag}" in text
    for words in ("0 or more", "vgg11, vgg13, vgg16 or vgg19", "longer side"):
        assert words in " ".join(text.split())


def test_a_run_is_called_by_its_pictures(run):
    """If this fails, runs in TensorBoard cannot be told from each other."""
    assert run[0].name == "version_0_chenonceau_starry_night"


@pytest.mark.parametrize("metadata", [True, False])
def test_a_picture_says_how_it_was_made(metadata, pictures, workdir):
    """If this fails, a PNG tells where its author keeps things, or not by which settings it was made."""
    words = ["--size", "32", "--steps", "2", "--seed", "5", "-o", "a.png", "--metadata", str(metadata).lower()]
    assert main(["fit", *map(str, pictures), "--init", str(pictures[1]), *words]) == 0
    for file in (Path("a.png"), run_folder() / "result.png"):
        text = Image.open(file).text  # type: ignore[attr-defined]
        assert metadata == ("Software" in text) == ("Settings" in text)
        assert str(pictures[0].parent).encode() not in file.read_bytes()
        if metadata:
            assert text["Software"] == f"nst_lightning {nst_lightning.__version__}"
            for said in ("data.content=chenonceau.png", "trainer.seed=5", "model.init=starry_night.png", "data.size=32"):
                assert said in text["Settings"]
    config = (run_folder() / "config.yaml").read_text()
    assert config.startswith(f"# nst_lightning=={nst_lightning.__version__}\n")
    assert yaml.safe_load(config)["seed_everything"] == 5


def test_a_disk_without_room(pictures, workdir, monkeypatch, capsys):
    """If this fails, a large run ends after hours because its picture, or its checkpoint, does not fit the disk."""
    usage = shutil.disk_usage(workdir)
    for flags, flag in ((["--output", "out.png"], "--output out.png"), ([], "--checkpoint.dirpath .")):
        free = 1000 if flags else 40_000
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        assert main(["fit", *map(str, pictures), "--data.size", "64", *flags]) == 2
        assert f"error: {flag}: 0.00 GiB will be written there, 0.00 are free" in capsys.readouterr().err
    assert not Path("logs").exists()
