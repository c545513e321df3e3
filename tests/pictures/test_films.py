"""Short films: what is written is what a player shows; the film of a run is evenly paced."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from nst_lightning.main import main
from nst_lightning.pictures.films import ENDINGS, check_film, fps_of, write_film
from nst_lightning.pictures.picture import ImageError
from nst_lightning.training.timelapse import KEPT, Timelapse

FAST = ["--trainer.accelerator", "cpu", "--trainer.logger", "false", "-o", "a.png", "--recipe", "wasserstein"]


def frames_of(path: Path) -> tuple[list[np.ndarray], float]:
    """Every frame of a film, ``(H, W, 3)``, and its frames a second."""
    if path.suffix in (".gif", ".webp"):
        with Image.open(path) as film:
            found = [np.asarray(frame.convert("RGB"), dtype=int) for frame in ImageSequence.Iterator(film)]
            return found, 1000 / film.info["duration"]
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(stream)], float(
            stream.average_rate
        )


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_film_shows_its_frames(tmp_path, ending):
    """If this fails, a player shows other pictures, in other colours, at another speed, or none."""
    colors = [(200, 40, 40), (40, 160, 60), (50, 60, 190), (230, 220, 90), (128, 128, 128)]
    frames = [Image.new("RGB", (63, 47), color) for color in colors]
    times = [number / fps_of(f"a{ending}") for number in range(len(frames))]
    write_film(frames, tmp_path / f"a{ending}", times)
    found, fps = frames_of(tmp_path / f"a{ending}")
    assert len(found) == len(colors) and fps == pytest.approx(fps_of(f"a{ending}"), rel=0.05)
    for frame, color in zip(found, colors, strict=True):
        assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0 or ending in (".gif", ".webp")
        assert np.abs(frame[8:-8, 8:-8].mean(axis=(0, 1)) - color).max() <= 6


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.avi", "endings: .mp4"), ("a", "no known kind"), (".", "no known kind"), ("no/file/b.png/c.gif", "")],
)
def test_a_film_that_cannot_be_written(tmp_path, name, said):
    """If this fails, that is said after the work, or not at all."""
    (tmp_path / "no" / "file").mkdir(parents=True)
    (tmp_path / "no" / "file" / "b.png").write_text("a file")
    with pytest.raises(ImageError, match=said):
        check_film(tmp_path / name)


def test_without_pyav_it_says_what_is_needed(monkeypatch, tmp_path, capsys):
    """If this fails, whoever has no PyAV sees a traceback, or cannot make a GIF."""
    monkeypatch.setattr("nst_lightning.pictures.films.find_spec", lambda name: None)
    assert main(["fit", "--log.timelapse", str(tmp_path / "a.mp4")]) == 2
    error = capsys.readouterr().err
    assert "--log.timelapse" in error and "nst_lightning[video]" in error and error.count("\n") <= 2
    check_film(tmp_path / "a.gif")


def test_evenly_in_visible_change():
    """If this fails, a film dwells where nothing happens: most of an optimisation is its end."""
    film, made = Timelapse(20), []

    def picture(value: float) -> Image.Image:
        made.append(value)
        return Image.new("RGB", (16, 16), (round(255 * value),) * 3)

    steps = 2000
    for step in range(steps):
        value = 1 - 0.99**step  # fast at first
        film.see(torch.full((1, 3, 64, 64), value), lambda value=value: picture(value), last=step == steps - 1)
    found = [int(np.asarray(frame)[0, 0, 0]) for frame in film.film()]
    assert len(found) == 20 and found[0] == 0 and found[-1] == 255
    assert np.diff(found).min() >= 255 / 19 * 0.4 and np.diff(found).max() <= 255 / 19 * 1.8
    assert len(film._kept) <= KEPT * 20 + 1 and len(made) < steps / 2


def test_the_film_of_a_run(pictures, workdir):
    """If this fails, `--log.timelapse` makes no film, or one that does not begin with the start and end with the result."""
    words = [*map(str, pictures), "--data.size", "64", "--trainer.max_steps", "30", *FAST]
    assert main([*words, "--log.timelapse", "film.mp4", "--log.timelapse_seconds", "1"]) == 0
    found, fps = frames_of(workdir / "film.mp4")
    assert len(found) == 25 and fps == 25 and found[0].shape == (48, 64, 3)
    photo = np.asarray(Image.open(pictures[0]).convert("RGB"), dtype=int)
    result = np.asarray(Image.open("a.png").convert("RGB"), dtype=int)
    # in grey: the codec halves the colours' resolution, which at 64 pixels is a lot
    first, last, photo, result = (one.mean(axis=2) for one in (found[0], found[-1], photo, result))
    assert np.abs(last - result).mean() < 8 and np.abs(first - photo).mean() < np.abs(last - photo).mean()


def test_a_run_that_is_stopped_leaves_its_film(pictures, workdir):
    """If this fails, Ctrl-C loses the film."""
    stop = "import os, signal, lightning as L\nclass Stop(L.Callback):\n    def on_train_batch_end(self, trainer, *_):\n"
    stop += "        if trainer.global_step == 8: os.kill(os.getpid(), signal.SIGINT)\n"
    (workdir / "stopping.py").write_text(stop)
    words = [*map(str, pictures), "--data.size", "48", "--trainer.max_steps", "500", *FAST]
    words += ["--trainer.callbacks", "stopping.Stop", "--log.timelapse", "film.gif"]
    done = subprocess.run([sys.executable, "-m", "nst_lightning", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 130, done.stderr
    assert len(frames_of(workdir / "film.gif")[0]) >= 5


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
@pytest.mark.parametrize("width", [34, 64, 100, 130, 200])
def test_the_same_frames_make_the_same_file(tmp_path, ending, width):
    """If this fails, a film that was interrupted is another one, or has a number by chance in it."""
    pytest.importorskip("av")
    rng = np.random.default_rng(0)
    large = Image.fromarray(rng.integers(0, 255, (12, 40, 3), np.uint8)).resize((300, 90), Image.Resampling.BICUBIC)
    for left in range(40):
        large.crop((left, 0, left + width, 48)).save(tmp_path / f"{left:02d}.png")
    found = set()
    for _ in range(8):
        frames = (Image.open(tmp_path / f"{left:02d}.png") for left in range(40))
        write_film(frames, tmp_path / f"film{ending}", [count / 12 for count in range(40)])
        found.add((tmp_path / f"film{ending}").read_bytes())
    assert len(found) == 1
