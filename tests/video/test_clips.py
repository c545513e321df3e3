"""What is read of clips: turned ones, odd sizes, ten bits, times, sound, animations; and what is written."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from nst_lightning.pictures.films import write_film as encode
from nst_lightning.pictures.write import write_image
from nst_lightning.video.clips import frames_of, look_at
from nst_lightning.video.writing import write_film
from tests.video.clips import pan, write


def _files(folder: Path, frames: list[torch.Tensor]) -> list[Path]:
    names = []
    for number, frame in enumerate(frames):
        names.append(folder / f"{number}.png")
        write_image(frame, names[-1])
    return names


@pytest.mark.parametrize("ending", [".gif", ".webp", ".mp4", ".webm", ""])
def test_films_and_times(tmp_path: Path, ending: str) -> None:
    """Odd sizes stay, or lose one row for H.264 and VP9; uneven times are kept."""
    target = tmp_path / f"film{ending}"
    write_film(str(target), _files(tmp_path, pan(3, (41, 63))), [0.0, 0.1, 0.3])
    frames = list(frames_of(str(target)))
    shape = (1, 3, 41, 63) if ending in (".gif", ".webp", "") else tuple(frames[0].image.shape)
    assert [tuple(frame.image.shape) for frame in frames] == [shape] * 3
    assert 40 <= shape[2] <= 42 and 62 <= shape[3] <= 64
    if ending:
        assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.3], abs=2e-3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_film_is_upright(tmp_path: Path, degrees: int) -> None:
    """A phone's film: the matrix in its header turns it; read without, it lies on its side."""
    path = tmp_path / "phone.mp4"
    write(path, pan(2, (48, 64)))
    (plain, *_) = frames_of(str(path))
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # version 0: the matrix comes after 40 bytes
    cosine, sine = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    one = 1 << 16
    matrix = [cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30]
    content[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    (turned, *_) = frames_of(str(path))
    # the matrix turns clockwise, as players show it; NumPy against the clock
    expected = torch.from_numpy(np.rot90(plain.image[0].permute(1, 2, 0).numpy(), -degrees // 90).copy()).permute(2, 0, 1)
    assert float((turned.image[0] - expected).abs().max()) < 1e-6


def test_ten_bits_stay(tmp_path: Path) -> None:
    """A ramp finer than eight bits keeps its steps."""
    ramp = torch.linspace(0.4, 0.44, 64).expand(1, 3, 48, 64).contiguous()
    write(tmp_path / "ten.mp4", [ramp, ramp], pixels="yuv420p10le")
    (frame, _) = frames_of(str(tmp_path / "ten.mp4"))
    assert float((frame.image - ramp).abs().mean()) < 0.003
    assert len(torch.unique((frame.image[0, 1, 24] * 65535).round())) > 20  # 8 bits: eleven levels


def test_interlaced_is_said(tmp_path: Path) -> None:
    write(tmp_path / "fields.mp4", pan(3, (48, 64)), flags="interlaced=1:tff=1")
    assert look_at(str(tmp_path / "fields.mp4")).interlaced
    write(tmp_path / "whole.mp4", pan(3, (48, 64)))
    assert not look_at(str(tmp_path / "whole.mp4")).interlaced
    assert look_at(str(tmp_path / "whole.mp4"))[:2] == (3, 12)


def test_sound_goes_along(tmp_path: Path) -> None:
    """The packets of the clip's sound are those of the film, from where the pictures begin."""
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as film:
        pictures, sound = film.add_stream("libx264", rate=10), film.add_stream("aac", rate=44100)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        wave = (np.sin(np.arange(44100) * 440 * 2 * np.pi / 44100) * 0.3).astype(np.float32)[None]
        for number in range(10):
            film.mux(
                pictures.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24"))
            )
        for start in range(0, 44032, 1024):
            frame = av.AudioFrame.from_ndarray(wave[:, start : start + 1024], format="fltp", layout="mono")
            frame.rate, frame.pts = 44100, start
            film.mux(sound.encode(frame))
        film.mux(pictures.encode(None))
        film.mux(sound.encode(None))
    frames = [Image.new("RGB", (64, 48), (value, 0, 0)) for value in range(0, 200, 20)]
    encode(iter(frames), tmp_path / "out.mp4", [number / 10 for number in range(10)], path)
    found = []
    for name in (path, tmp_path / "out.mp4"):
        with av.open(str(name)) as film:
            found.append([bytes(packet) for packet in film.demux(film.streams.audio[0]) if packet.size])
    theirs, ours = found
    assert len(ours) > 30 and set(ours) <= set(theirs)
