"""The line that a person watches."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from nst_lightning.training.progress import TimeLeft
from nst_lightning.training.scales import schedule


def simulate(each, begin, steps=180, size=512):
    """The errors of the time left after each step, relative, for a run whose steps take ``each(pixels)`` seconds."""
    stages = schedule("auto", size, (size * 3 // 4, size), steps)
    times = []
    for stage in stages:
        pixels = stage.shape[0] * stage.shape[1]
        times += [each(pixels) + begin(pixels)] + [each(pixels)] * (stage.last - stage.first - 1)
    left, errors = TimeLeft(stages), []
    for step, seconds in enumerate(times):
        left.add(step, seconds)
        rest = sum(times[step + 1 :])
        foretold = left.seconds(step + 1)
        errors.append(None if foretold is None or rest == 0 else foretold / rest - 1)
    return stages, errors


@pytest.mark.parametrize(
    ("each", "begin"),
    [
        (lambda pixels: 3e-6 * pixels, lambda pixels: 5e-6 * pixels),
        (lambda pixels: 0.004 + 3e-6 * pixels, lambda pixels: 0.1 + 5e-6 * pixels),
        (lambda pixels: 2.2e-6 * pixels**1.04, lambda pixels: 0.0),
    ],
    ids=["proportional", "with an offset", "faster in the cache"],
)
def test_time_left_knows_that_later_scales_are_slower(each, begin):
    """If this fails, a person is told 45 s where it takes 100."""
    stages, errors = simulate(each, begin)
    after = [error for error in errors[stages[0].last :] if error is not None]
    assert len(after) > 100
    assert max(map(abs, after[: -len(after) // 10])) < 0.25  # of the last seconds, a part is a second


def test_nothing_is_foretold_from_nothing():
    _, errors = simulate(lambda pixels: 1.0, lambda pixels: 0.0)
    assert errors[0] is None and errors[10] is not None


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal as POSIX systems have it")
@pytest.mark.parametrize("own", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["fit", "own Trainer"])
def test_one_line_of_a_terminal(own, pictures, workdir):
    """If this fails, the line wraps at 80 columns, or Lightning's `Epoch 0/-2` is to be seen."""
    code = (
        "import sys, lightning as L; from nst_lightning import ImagePair, StyleTransfer; "
        "L.Trainer(max_steps=12, max_epochs=-1, logger=False, enable_checkpointing=False, accelerator='cpu')"
        ".fit(StyleTransfer(), datamodule=ImagePair(*sys.argv[1:], size=64))"
    )
    words = ["-c", code, *map(str, pictures)] if own else ["-m", "nst_lightning", *map(str, pictures), "-o", "a.png"]
    words += [] if own else ["--size", "64", "--steps", "12", "--trainer.logger", "false"]
    parent, child = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, *words], stdout=child, stderr=child, env=environment)
    os.close(child)
    said = b""
    while True:
        try:
            block = os.read(parent, 65536)
        except OSError:  # the terminal's other end is closed
            break
        if not block:
            break
        said += block
    assert process.wait() == 0, said.decode()
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", said.decode())
    shown = [line for line in re.split(r"[\r\n]+", text) if re.search(r"\d+/12", line)]
    assert shown and all(len(line) <= 80 for line in shown), shown
    assert "12/12" in text and "64 x 48" in text and "loss" in text
    assert "Epoch" not in text and "\x1b[A" not in said.decode(), "more than one line"
