"""The room on the disk that a run asks for is what it will take."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from nst_lightning.cli.places import AT_ONCE, checkpoint_bytes
from nst_lightning.main import main
from tests.runs import run_folder

SHALLOW = ["--model.content_layers", "[conv_2]", "--model.style_layers", "[conv_1]", "--model.style_loss", "gram"]
SHORT = ["--data.size", "320", "--trainer.max_steps", "14", "--model.scales", "none", "--trainer.precision", "32-true"]


def config(optimizer: str, color: str) -> SimpleNamespace:
    return SimpleNamespace(model=SimpleNamespace(optimizer=optimizer), data=SimpleNamespace(color=color))


@pytest.mark.parametrize(
    ("optimizer", "color"),
    [("pyramid_adam", "style"), ("pyramid_adam", "oklab"), ("adam", "luminance"), ("lbfgs", "match")],
)
def test_a_checkpoint_is_as_large_as_it_is_thought_to_be(pictures, workdir, optimizer, color):
    """If this fails, a run of hours fills the disk, or one that would have had room is refused."""
    flags = ["--model.optimizer", optimizer, "--color", color, "--output", "out.png"]
    assert main(["fit", *map(str, pictures), *SHALLOW, *SHORT, *flags]) == 0
    files = list((run_folder() / "checkpoints").iterdir())
    assert len(files) <= AT_ONCE - 1
    found, thought = max(file.stat().st_size for file in files), checkpoint_bytes(config(optimizer, color)) * 320 * 240
    assert 0.85 * thought <= found <= 1.02 * thought


def test_three_checkpoints_have_to_fit(pictures, workdir, monkeypatch, capsys):
    """If this fails, a disk with room for two is full when the third is written: the oldest goes when it is there."""
    usage = shutil.disk_usage(workdir)
    needed = AT_ONCE * checkpoint_bytes(config("pyramid_adam", "style")) * 320 * 240
    words = ["fit", *map(str, pictures), *SHALLOW, *SHORT, "--trainer.max_steps", "1"]
    for factor, code in ((0.99, 2), (1.01, 0)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=factor * needed: usage._replace(free=int(free)))
        assert main(words) == code
    assert "error: --checkpoint.dirpath" in capsys.readouterr().err
