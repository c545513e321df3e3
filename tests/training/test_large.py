"""A run whose arrays lie in files is the run whose arrays do not, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nst_lightning.main import main
from nst_lightning.pictures import mapped, strips
from nst_lightning.pictures.read import read_image
from nst_lightning.training import measuring
from nst_lightning.training.pyramid import PyramidAdam
from nst_lightning.training.targets import Targets
from tests.runs import run_folder

MASKS = ["--content_mask", "mask.png", "--style_mask", "mask.png"]


def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything of the image's size is large, even at 32 x 24 pixels."""
    monkeypatch.setattr(mapped, "LARGE", 1 << 10)
    monkeypatch.setattr(strips, "WHOLE", 300)
    monkeypatch.setattr(strips, "STRIP", 100)


def fit(pictures, output, *flags):
    words = ["fit", *map(str, pictures), "--size", "48", "--steps", "6", "--bits", "16", "--output", output]
    assert main([*words, "--trainer.precision", "32-true", "--trainer.enable_progress_bar", "false", *flags]) == 0
    return read_image(output).rgb


@pytest.mark.parametrize("color", ["style", "oklab"])
def test_mapped_arrays_change_no_bit(pictures, workdir, monkeypatch, color):
    """If this fails, a large picture is another one than it would be with more memory."""
    Image.fromarray(np.repeat([[[255, 0, 0]] * 32 + [[0, 0, 255]] * 32], 48, axis=0).astype(np.uint8)).save("mask.png")
    flags = ["--color", color, *MASKS, "--model.tile", "32", "--trainer.logger", "false"]
    whole = fit(pictures, "whole.png", *flags)
    limits(monkeypatch)
    made = []
    zeros = mapped.zeros
    monkeypatch.setattr(mapped, "zeros", lambda *args: made.append(args) or zeros(*args))
    found = fit(pictures, "mapped.png", *flags)
    assert len(made) > 20  # pictures, hues, regions, means, averages
    if color == "style":
        assert torch.equal(whole, found)
    else:  # sums over strips are in another order, of float64
        torch.testing.assert_close(found, whole, atol=2 / 65535, rtol=0)


def test_a_mapped_run_resumes_to_the_same_end(pictures, workdir, monkeypatch):
    """If this fails, a run of days on a large picture ends with another one when it was killed."""
    limits(monkeypatch)
    flags = ["--model.scales", "none", "--checkpoint.every_n_train_steps", "2", "--checkpoint.save_top_k", "-1"]
    whole = fit(pictures, "whole.png", *flags)
    first = run_folder() / "checkpoints" / "step=4.ckpt"
    again = fit(pictures, "again.png", *flags, "--ckpt_path", str(first))
    assert torch.equal(whole, again)


def test_a_damaged_large_checkpoint_is_not_taken(pictures, workdir, monkeypatch, capsys):
    """If this fails, numbers that the disk changed are painted on: what is mapped nobody checks."""
    limits(monkeypatch)
    flags = ["--model.scales", "none", "--checkpoint.every_n_train_steps", "3", "--checkpoint.save_top_k", "-1"]
    fit(pictures, "whole.png", *flags)
    newest = run_folder() / "checkpoints" / "step=6.ckpt"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 255
    newest.write_bytes(data)
    fit(pictures, "again.png", *flags, "--ckpt_path", "logs/transfer")
    said = capsys.readouterr().out
    assert "step=6.ckpt: not a checkpoint that can be read" in said and "step=3.ckpt" in said


def test_the_optimiser_takes_strips_as_it_takes_the_whole(monkeypatch):
    """If this fails, large pictures are painted with other steps than small ones."""
    start, slope = torch.rand(1, 3, 41, 33), torch.randn(3, 1, 3, 41, 33)

    def steps() -> torch.Tensor:
        image = torch.nn.Parameter(start.clone())
        optimizer = PyramidAdam([image], lr=0.01, levels=4)
        for gradient in slope:
            image.grad = gradient.clone()
            optimizer.step()
        return image.detach()

    whole = steps()
    limits(monkeypatch)
    torch.testing.assert_close(steps(), whole, atol=1e-7, rtol=0)


def test_no_room_for_temporary_files_is_known_before_the_work(pictures, workdir, monkeypatch, capsys):
    """If this fails, a run of a large picture ends in the middle because the disk is full."""
    limits(monkeypatch)
    monkeypatch.setattr("nst_lightning.cli.places.free_bytes", lambda path: 50_000)  # enough for the picture
    words = ["--trainer.logger", "false", "--trainer.enable_checkpointing", "false", "--output", "a.png"]
    assert main(["fit", *map(str, pictures), "--size", "48", *words]) == 2
    assert capsys.readouterr().err.startswith("error: --data.size 48: needs 0.00 GiB of temporary files, 0.00 are free in ")
    assert main(["fit", *map(str, pictures), "--size", "20", "--steps", "1", *words]) == 0


def test_the_terms_of_a_large_result_are_those_of_its_last_step(pictures, workdir, monkeypatch, capsys):
    """If this fails, a third of a large run's time goes by after its picture is there; or the loss is another scale's."""
    flags = ["--model.scales", "[{size: 0.5, steps: 4}, {size: 1.0, steps: 2}]", "--trainer.log_every_n_steps", "1"]
    measured = []
    measure = Targets.measure
    monkeypatch.setattr(Targets, "measure", lambda *args: measured.append(args[2].shape) or measure(*args))
    whole = fit(pictures, "whole.png", *flags)
    small = capsys.readouterr().out
    assert measured[-1] == whole.shape[-2:] and "before the last step" not in small
    measured.clear()
    monkeypatch.setattr(measuring, "LARGE", 48 * 36 - 1)
    found = fit(pictures, "large.png", *flags)
    said = capsys.readouterr().out
    assert torch.equal(whole, found)
    assert all(shape != whole.shape[-2:] for shape in measured)  # the table of TensorBoard begins with the first scale's
    events = EventAccumulator(str(run_folder(1))).Reload()
    (*_, last), (*_, val) = events.Scalars("loss/total"), events.Scalars("val/total")
    assert f"loss {last.value:.4g} before the last step" in said
    assert val.value == pytest.approx(last.value, rel=1e-6)
