"""Clips of known motion, made from a photograph of the repository."""

from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from nst_lightning.pictures.picture import resize
from nst_lightning.pictures.read import read_image

PHOTO = Path(__file__).parents[2] / "images" / "content" / "chenonceau.jpg"


def pan(count: int, shape: tuple[int, int] = (72, 96), step: int = 2) -> list[Tensor]:
    """Frames that look ``step`` pixels further to the right each time: the flow to the frame before is (step, 0)."""
    photo = resize(read_image(str(PHOTO)).rgb[None], (shape[0] * 2, shape[1] * 3)).clamp(0, 1)
    return [photo[..., 40 : 40 + shape[0], 30 + step * n : 30 + step * n + shape[1]].contiguous() for n in range(count)]


def write(path: Path, frames: list[Tensor], rate: int = 12) -> None:
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[3], frames[0].shape[2], "yuv420p"
        stream.options = {"crf": "10"}
        for frame in frames:
            pixels = np.ascontiguousarray((frame[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy())
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode(None))
