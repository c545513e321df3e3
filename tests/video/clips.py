"""Clips of known motion, made from photographs of the repository."""

from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nst_lightning.pictures.picture import resize
from nst_lightning.pictures.read import read_image

CONTENT = Path(__file__).parents[2] / "images" / "content"
PHOTO, OTHER = CONTENT / "chenonceau.jpg", CONTENT / "kitten.jpg"


class Moving(NamedTuple):
    """A clip whose motion is known.

    Attributes:
        frames: ``(1, 3, H, W)`` each.
        flows: for each but the first, ``(1, 2, H, W)``: how far to the right and down its pixels were in the frame before.
        seen: likewise ``(1, 1, H, W)``: 1 where that frame shows them, 0 where they were hidden or outside.
    """

    frames: list[Tensor]
    flows: list[Tensor]
    seen: list[Tensor]


def photograph(path: Path, shape: tuple[int, int]) -> Tensor:
    return resize(read_image(str(path)).rgb[None], shape).clamp(0, 1)


def pan(count: int, shape: tuple[int, int] = (72, 96), step: int = 2) -> list[Tensor]:
    """Frames that look ``step`` pixels further to the right each time: the flow to the frame before is (step, 0)."""
    photo = photograph(PHOTO, (shape[0] * 2, max(shape[1] * 3, shape[1] + 30 + step * count)))
    return [photo[..., 40 : 40 + shape[0], 30 + step * n : 30 + step * n + shape[1]].contiguous() for n in range(count)]


def views(
    count: int, shape: tuple[int, int], move: tuple[float, float] = (0, 0), zoom: float = 1, turn: float = 0
) -> Moving:
    """A camera over a photograph: by ``move`` pixels, ``zoom`` times and ``turn`` degrees from frame to frame."""
    photo = photograph(PHOTO, (2 * shape[0], 2 * shape[1]))
    y, x = np.meshgrid(*(np.arange(side) - (side - 1) / 2 for side in shape), indexing="ij")
    here = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    angle = np.radians(turn)
    one = np.array([
        [np.cos(angle) / zoom, -np.sin(angle) / zoom, move[0]],
        [np.sin(angle) / zoom, np.cos(angle) / zoom, move[1]],
        [0, 0, 1],
    ])  # fmt: skip
    # frame n looks at the photograph through one^n; what is at p in frame n was at one(p) in the frame before
    frames, look = [], np.linalg.matrix_power(np.linalg.inv(one), count // 2)
    for _ in range(count):
        place = (look @ here)[:2].reshape(2, *shape)
        grid = torch.from_numpy(np.stack([place[0] / shape[1], place[1] / shape[0]], axis=-1)).float()[None]
        frames.append(functional.grid_sample(photo, grid, mode="bicubic", align_corners=False).clamp(0, 1))
        look = look @ one
    before = (one @ here)[:2].reshape(2, *shape)
    flow = torch.from_numpy(before - np.stack([x, y])).float()[None]
    inside = (np.abs(before[0]) <= (shape[1] - 1) / 2) & (np.abs(before[1]) <= (shape[0] - 1) / 2)
    seen = torch.from_numpy(inside).float()[None, None]
    return Moving(frames, [flow] * (count - 1), [seen] * (count - 1))


def passing(count: int, shape: tuple[int, int], step: int = 3) -> Moving:
    """A disc cut from another photograph moves over a still one."""
    back, front = photograph(PHOTO, shape), photograph(OTHER, shape)
    y, x = torch.meshgrid(torch.arange(shape[0]).float(), torch.arange(shape[1]).float(), indexing="ij")
    frames, flows, seen = [], [], []
    discs = [
        ((x - shape[1] / 4 - step * n) ** 2 + (y - shape[0] / 2) ** 2 < (shape[0] / 4) ** 2).float() for n in range(count)
    ]
    for number, disc in enumerate(discs):
        moved = torch.roll(front, step * number, dims=3)
        frames.append(disc * moved + (1 - disc) * back)
        if number:
            flows.append(torch.stack([-step * disc, 0 * disc])[None])
            seen.append((1 - discs[number - 1] * (1 - disc))[None, None])
    return Moving(frames, flows, seen)


def write(path: Path, frames: list[Tensor], rate: int = 12, codec: str = "libx264", pixels: str = "yuv420p",
          flags: str = "") -> None:  # fmt: skip
    """A film of frames with even sides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[3], frames[0].shape[2], pixels
        stream.options = {"crf": "10"} | ({"x264-params": flags} if flags else {})
        for frame in frames:
            levels = (frame[0].permute(1, 2, 0) * 65535).round().numpy().astype(np.uint16)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(levels), format="rgb48le")))
        film.mux(stream.encode(None))
