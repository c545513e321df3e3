"""Clips with bytes changed or cut off: a line that says so, or fewer frames; never a traceback."""

import random
from pathlib import Path

import pytest

from nst_lightning.errors import UsageError
from nst_lightning.video.clips import Damaged, frames_of
from tests.video.clips import pan, write


@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.slow)])
def test_mutated_clips(tmp_path: Path, count: int) -> None:
    write(tmp_path / "whole.mp4", pan(4, (32, 48)))
    content = (tmp_path / "whole.mp4").read_bytes()
    draw = random.Random(0)
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(draw.choice([1, 8, 64])):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        if draw.random() < 0.3:
            changed = changed[: draw.randrange(len(changed))]
        (tmp_path / "one.mp4").write_bytes(changed)
        try:
            for number, frame in enumerate(frames_of(str(tmp_path / "one.mp4"))):
                assert frame.image.shape[1] == 3 and number < 100
        except UsageError as error:
            assert "one.mp4" in error.message
        except Damaged as error:
            assert "damaged after frame" in str(error)
