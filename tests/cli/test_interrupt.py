"""A run that ends before its last step keeps its picture and says how far it got."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image

import nst_lightning.module
from nst_lightning.data import ImagePair
from nst_lightning.main import main
from nst_lightning.objective.whole import Objective
from nst_lightning.pictures.read import read_image

# one shallow layer each: a step takes milliseconds
SHALLOW = [
    "--data.size=64",
    "--model.content_layers=[conv_2]",
    "--model.style_layers=[conv_1]",
    "--trainer.precision=32-true",
]


def words(pictures, *flags: str) -> list[str]:
    return ["fit", *map(str, pictures), "--output=out.png", *SHALLOW, *flags]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="SIGINT"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
    ],
)
def test_a_signal_ends_the_run_with_its_picture(pictures, workdir, monkeypatch, sent, code):
    """If this fails, Ctrl-C or the end of a batch job's time loses the picture."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # two threads wait for each other where the machine is shared
    steps = 1_000_000
    flags = [f"--trainer.max_steps={steps}", "--checkpoint.every_n_train_steps=3"]
    command = [sys.executable, "-m", "nst_lightning", *words(pictures, *flags)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 120
            while not list(workdir.glob("logs/**/*.ckpt")):  # a checkpoint: the run is under way
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(sent)
            said, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "Traceback" not in said + errors
    line = re.search(r"stopped at step (\d+) of (\d+)", said)
    assert line, said
    assert 3 <= int(line[1]) < int(line[2]) == steps
    assert "out.png" in said
    assert read_image(workdir / "out.png").rgb.shape == (3, 48, 64)
    assert read_image(next(workdir.glob("logs/**/result.png"))).rgb.shape == (3, 48, 64)
    assert not list(workdir.glob("**/.nst-*")), "a temporary file is left behind"
    assert process.returncode == code, said + errors


def test_an_exception_ends_the_run_with_its_picture(pictures, workdir, monkeypatch, capsys):
    """If this fails, an error in somebody's own callback or a full memory loses the picture."""
    losses = Objective.forward

    def failing(self: Objective, image: torch.Tensor, step: int = 0) -> dict[str, torch.Tensor]:
        if step == 4:
            raise RuntimeError("out of memory")
        return losses(self, image, step)

    monkeypatch.setattr(Objective, "forward", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        main(words(pictures, "--trainer.max_steps=9"))
    assert "stopped at step 4 of 9 (RuntimeError)" in capsys.readouterr().out
    assert read_image(workdir / "out.png").rgb.shape == (3, 48, 64)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_keeps_the_last_good_picture(pictures, workdir, monkeypatch, capsys, value):
    """If this fails, what is saved is the picture that broke the loss: black, or noise."""
    good = []
    losses = Objective.forward

    def diverging(self: Objective, image: torch.Tensor, step: int = 0) -> dict[str, torch.Tensor]:
        found = losses(self, image, step)
        if step == 5:
            return {**found, "total": found["total"] * value}
        if image.requires_grad and torch.is_grad_enabled():  # a step, not a look at the result
            good.append(image.detach().clone())
        return found

    monkeypatch.setattr(Objective, "forward", diverging)
    assert main(words(pictures, "--trainer.max_steps=9", "--bits=16")) == 1
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if line.strip()]
    assert len(errors) == 1, said.err
    assert errors[0].startswith("error: the loss is not a finite number at step 5; ")
    assert "learning rate" in errors[0]
    assert "stopped at step 5 of 9 (NonFiniteLoss)" in said.out
    assert len(good) == 5
    assert not torch.equal(good[-1], good[-2])
    with Image.open(workdir / "out.png") as saved:
        assert saved.size == (64, 48)
    # Pillow reads 8 of the 16 bits
    assert (read_image(workdir / "out.png").rgb - good[-1][0].clamp(0, 1)).abs().max() <= 1 / 255


def test_a_learning_rate_far_too_large_ends_in_words(pictures, workdir, capsys):
    """Nothing is patched: L-BFGS with a step of 1e30 overflows float32, and the photograph is what is left."""
    lbfgs = ["--model.optimizer=torch.optim.LBFGS", "--model.optimizer.init_args.lr=1e30"]
    assert main(words(pictures, "--trainer.max_steps=9", "--model.init=content", *lbfgs)) == 1
    said = capsys.readouterr()
    assert re.search(r"error: the loss is not a finite number at step [01];", said.err), said.err
    assert "Traceback" not in said.err
    assert torch.equal(read_image(workdir / "out.png").rgb, read_image(pictures[0]).rgb)


def test_what_a_stopped_run_says_it_wrote_is_there(pictures, workdir, monkeypatch, capsys):
    """Without --output: the line names the picture in the run's folder."""
    monkeypatch.setattr(nst_lightning.module.StyleTransfer, "optimizer_step", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["fit", *map(str, pictures), *SHALLOW, "--trainer.max_steps=9"])
    line = re.search(r"stopped at step 0 of 9 \(ZeroDivisionError\) · (\S+\.png)", capsys.readouterr().out)
    assert line
    assert (workdir / line[1]).is_file()


def test_ctrl_c_before_the_first_step(pictures, workdir, monkeypatch, capsys):
    """If this fails, who stops a wrong run while large pictures are read sees a traceback."""

    def interrupt(self: ImagePair, stage: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ImagePair, "setup", interrupt)
    try:
        code = main(words(pictures))
    except KeyboardInterrupt:  # it would end pytest
        code = None
    assert code == 130
    assert "Traceback" not in capsys.readouterr().err
    assert not (workdir / "out.png").exists()
