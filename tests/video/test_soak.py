"""A film that is killed twenty times is the film that nobody disturbed."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.video.clips import pan, write

PAINTING = str(Path(__file__).parents[2] / "images" / "style" / "starry_night.jpg")
KILLS = 20
FRAMES = 40


def _command(folder: Path, name: str) -> list[str]:
    words = [str(folder / "pan.mp4"), PAINTING, f"--output={folder / name}", "--preset=draft", "--data.size=64"]
    words += ["--trainer.max_steps=20", "--video.steps=2", "--video.passes=2"]
    return [sys.executable, "-m", "nst_lightning", "video", *words]


@pytest.mark.soak
@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_killed_twenty_times(tmp_path: Path) -> None:
    """Fails if a frame depends on what was in memory, or a file that was being written is taken for whole."""
    write(tmp_path / "pan.mp4", pan(FRAMES, (48, 64), step=1))
    subprocess.run(_command(tmp_path, "whole.mp4"), check=True, capture_output=True)
    draw, kills, done = random.Random(0), 0, []
    folder = tmp_path / "killed.mp4.frames"
    while kills < KILLS:
        before = len(list(folder.glob("pass*/*.json")))
        process = subprocess.Popen(_command(tmp_path, "killed.mp4"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(folder.glob("pass*/*.json"))) < before + (kills > 3):
            time.sleep(0.05)  # the first few in reading, the others in painting
        time.sleep(draw.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        done.append(len(list(folder.glob("pass*/*.json"))))
    assert 0 < done[-1] < 2 * FRAMES, f"it was killed after {done} frames"
    subprocess.run(_command(tmp_path, "killed.mp4"), check=True, capture_output=True)
    for number in range(FRAMES):
        name = f"pass2/{number:06d}.png"
        assert (tmp_path / "whole.mp4.frames" / name).read_bytes() == (folder / name).read_bytes(), (
            f"frame {number} differs"
        )
    assert (tmp_path / "whole.mp4").read_bytes() == (tmp_path / "killed.mp4").read_bytes()
