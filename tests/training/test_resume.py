"""A run that was stopped and resumed is the run that was never stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from nst_lightning.main import main
from tests.runs import run_folder


def fit(pictures: tuple[Path, Path], *flags: str) -> None:
    content, style = map(str, pictures)
    assert main(["fit", content, style, "--data.size", "32", "--trainer.precision", "32-true", *flags]) == 0


def image_of(checkpoint: Path) -> torch.Tensor:
    return torch.load(checkpoint, weights_only=True)["state_dict"]["image"]


@pytest.mark.parametrize("optimizer", [pytest.param("lbfgs", marks=pytest.mark.slow), "adam"])
def test_sixty_steps_are_25_and_35(pictures, workdir, optimizer):
    """If this fails, a resumed run is another picture: state is missing from the checkpoint."""
    common = ["--model.optimizer", optimizer, "--model.init", "noise"]
    fit(pictures, *common, "--trainer.max_steps", "60", "--checkpoint.every_n_train_steps", "60")
    fit(pictures, *common, "--trainer.max_steps", "25", "--checkpoint.every_n_train_steps", "25")
    runs = workdir / "logs" / "transfer"
    part = run_folder(1, runs) / "checkpoints" / "step=25.ckpt"
    resumed = ["--checkpoint.every_n_train_steps", "60", "--ckpt_path", str(part)]
    fit(pictures, *common, "--trainer.max_steps", "60", *resumed)
    whole = image_of(run_folder(0, runs) / "checkpoints" / "step=60.ckpt")
    assert torch.equal(whole, image_of(run_folder(2, runs) / "checkpoints" / "step=60.ckpt"))
    assert not torch.equal(whole, image_of(part))


def test_the_middle_of_a_run_resumes_to_the_same_end(pictures, workdir):
    """If this fails, a checkpoint in mid-run does not resume (the one at the end of a run may)."""
    every = ["--checkpoint.every_n_train_steps", "7", "--checkpoint.save_top_k", "-1", "--trainer.max_steps", "21"]
    fit(pictures, *every)
    checkpoints = run_folder() / "checkpoints"
    fit(pictures, *every, "--ckpt_path", str(checkpoints / "step=7.ckpt"))
    again = run_folder(1) / "checkpoints"
    assert torch.equal(image_of(checkpoints / "step=21.ckpt"), image_of(again / "step=21.ckpt"))


def test_flags_win_over_the_checkpoint_and_the_rest_comes_from_it(pictures, workdir):
    """If this fails, a flag given together with --ckpt_path is silently ignored, or the checkpoint's settings are."""
    settings = ["--model.style_weight", "7", "--model.tv_weight", "3"]
    fit(pictures, *settings, "--trainer.max_steps", "2", "--checkpoint.every_n_train_steps", "2")
    first = run_folder()
    resume = ["--ckpt_path", str(first / "checkpoints" / "step=2.ckpt"), "--trainer.max_steps", "3"]
    fit(pictures, *resume, "--model.style_weight", "11")
    saved = yaml.safe_load((run_folder(1) / "config.yaml").read_text())
    assert saved["model"]["style_weight"] == 11
    assert saved["model"]["tv_weight"] == 3
