"""Checkpoints that survive what happens to long runs: kill -9, a full disk, a damaged file."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst_lightning.main import main
from tests.runs import run_folder

# one shallow layer each: a step takes milliseconds
SHALLOW = [
    "--data.size=64",
    "--model.content_layers=[conv_2]",
    "--model.style_layers=[conv_1]",
    "--trainer.precision=32-true",
    "--trainer.enable_progress_bar=false",
]


def fit(pictures, *flags: object) -> None:
    assert main(["fit", *map(str, pictures), *SHALLOW, *map(str, flags)]) == 0


@pytest.fixture
def run(workdir, pictures) -> Path:
    """The folder of checkpoints of a run of 20 steps."""
    fit(pictures, "--trainer.max_steps=20", "--checkpoint.every_n_train_steps=5", "--output=whole.png")
    return run_folder() / "checkpoints"


def test_the_newest_two_are_kept(run):
    """Fails if checkpoints pile up, or a damaged newest one would leave nothing."""
    assert sorted(path.name for path in run.iterdir()) == ["step=15.ckpt", "step=20.ckpt"]


def test_a_damaged_checkpoint_is_passed_over(run, pictures, capsys):
    """Fails if a folder's newest checkpoint is damaged and the run does not go on from the one before."""
    newest = run / "step=20.ckpt"
    newest.write_bytes(newest.read_bytes()[:1000])
    fit(pictures, "--ckpt_path=logs/transfer", "--trainer.max_steps=20", "--output=again.png")
    said = capsys.readouterr().out
    assert f"{newest.relative_to(Path.cwd())}: not a checkpoint that can be read" in said
    assert "resuming from" in said and "step=15.ckpt" in said
    assert np.array_equal(np.asarray(Image.open("whole.png")), np.asarray(Image.open("again.png")))


def test_a_folder_without_readable_checkpoints(workdir, pictures, capsys):
    """Fails if resuming from nothing starts from the beginning without a word."""
    (workdir / "old").mkdir()
    (workdir / "old" / "a.ckpt").write_text("words")
    assert main(["fit", *map(str, pictures), *SHALLOW, "--ckpt_path=old"]) == 2
    assert "--ckpt_path old: no checkpoint in this folder can be read (1 found)" in capsys.readouterr().err


def test_a_full_disk_leaves_the_checkpoint_before(workdir, pictures):
    """Fails if a checkpoint that cannot be written takes the last good one with it, or ends in a traceback.

    Files are limited to 400 kB, as a disk with so much room would: L-BFGS's first checkpoint fits, a later one does not.
    """

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    flags = [
        "--model.optimizer=lbfgs",
        "--model.scales=none",
        "--trainer.max_steps=12",
        "--checkpoint.every_n_train_steps=1",
    ]
    command = [sys.executable, "-m", "nst_lightning", "fit", *map(str, pictures), *SHALLOW, *flags]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "error: " in done.stderr and "File too large" in done.stderr and "Traceback" not in done.stderr
    left = list((workdir / "logs").rglob("*.ckpt"))
    assert left and not list((workdir / "logs").rglob(".nst-*")), "a half-written file is left behind"
    for path in left:
        assert set(torch.load(path, weights_only=True)["state_dict"]) == {"image"}
    assert Image.open(next((workdir / "logs").rglob("result.png"))).size == (64, 48)


@pytest.mark.parametrize(("share", "left"), [(float("inf"), {5, 6}), (1e-9, {1, 6})])
def test_checkpoints_by_the_clock(workdir, pictures, monkeypatch, share, left):
    """Fails if slow steps are lost because there are few of them, or if writing takes more than its share of the time."""
    monkeypatch.setattr("nst_lightning.training.checkpoints.SELDOM", 0.0)
    monkeypatch.setattr("nst_lightning.training.checkpoints.SHARE", share)
    fit(pictures, "--trainer.max_steps=6", "--checkpoint.every_n_train_steps=1000", "--output=a.png")
    found = {int(path.stem.partition("=")[2]) for path in (workdir / "logs").rglob("*.ckpt")}
    assert found == left


@pytest.mark.parametrize(("seconds", "left"), [(0.0, {4, 6}), (1e9, {6})])
def test_checkpoints_where_a_scale_ends(workdir, pictures, monkeypatch, seconds, left):
    """Fails if a large picture that is killed in the first step of its last scale begins with the first scale again."""
    monkeypatch.setattr("nst_lightning.training.checkpoints.SCALE", seconds)
    monkeypatch.setattr("nst_lightning.training.checkpoints.SHARE", float("inf"))
    scales = "--model.scales=[{size: 0.5, steps: 2}, {size: 0.75, steps: 2}, {size: 1.0, steps: 2}]"
    fit(pictures, "--trainer.max_steps=6", "--checkpoint.every_n_train_steps=1000", scales, "--output=a.png")
    found = {int(path.stem.partition("=")[2]) for path in (workdir / "logs").rglob("*.ckpt")}
    assert found == left


@pytest.mark.slow
@pytest.mark.soak
def test_killed_twenty_times(workdir, pictures):
    """Fails if a run that is killed at random moments and resumed each time ends with another picture."""
    steps = 4000
    flags = [f"--trainer.max_steps={steps}", "--checkpoint.every_n_train_steps=5", "--model.init=noise"]
    fit(pictures, *flags, "--output=undisturbed.png", "--trainer.logger.init_args.name=undisturbed")
    command = [sys.executable, "-m", "nst_lightning", "fit", *map(str, pictures), *SHALLOW, *flags]
    chance = random.Random(0)
    kills = 0
    reached = []
    runs = workdir / "logs" / "transfer"
    while kills < 20:
        there = set(runs.rglob("*.ckpt"))
        resume = ["--ckpt_path=logs/transfer"] if there else []
        early = chance.random() < 0.2  # before the first step; the others in the middle
        process = subprocess.Popen([*command, *resume, "--output=killed.png"], stdout=subprocess.DEVNULL)
        while not early and process.poll() is None and not set(runs.rglob("*.ckpt")) - there:
            time.sleep(0.02)
        time.sleep(chance.random())
        assert process.poll() is None, f"ended before it was killed 20 times: give more steps (kill {kills})"
        process.kill()
        process.wait()
        kills += 1
        reached.append(max((int(path.stem.split("=")[1].split("-")[0]) for path in there), default=0))
    assert len(set(reached)) > 5 and reached == sorted(reached), f"the run does not get on: {reached}"
    assert subprocess.run([*command, "--ckpt_path=logs/transfer", "--output=killed.png"]).returncode == 0
    assert np.array_equal(np.asarray(Image.open("undisturbed.png")), np.asarray(Image.open("killed.png")))
