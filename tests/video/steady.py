"""How steady films of known motion are: ours, frames painted one by one, and frames that begin with the last result."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from nst_lightning import ImagePair, StyleTransfer, preset
from nst_lightning.losses.temporal import Held
from nst_lightning.pictures.write import write_image
from nst_lightning.training.silence import silence
from nst_lightning.video.flow import warping_error
from nst_lightning.video.frames import Painter
from nst_lightning.video.reel import Part, Reel, unroll
from tests.video.clips import Moving

STYLE = Path(__file__).parents[2] / "images" / "style"


class Begun(Painter):
    """Frames that merely begin with the last result."""

    def _held(self, reel: Reel, frame: Tensor, number: int, turn: int, before: Sequence[int]) -> tuple[Held, Tensor]:
        last = reel.result(before[-1], turn)
        return Held(last, torch.zeros_like(frame[:, :1])), last


def painted(frames: list[Tensor], way: str = "ours", painting: str = "starry_night.jpg", weight: float = 3000.0,
            flow: str = "dis", passes: int = 1, name: str = "draft") -> list[Tensor]:  # fmt: skip
    """The results of a clip: ``way`` is ours, alone or begun."""
    size = max(frames[0].shape[2:])
    with tempfile.TemporaryDirectory() as folder, silence():
        for number, frame in enumerate(frames):
            path = Path(folder) / "clip" / f"{number:06d}.png"
            path.parent.mkdir(exist_ok=True)
            write_image(frame, path, bits=16)
        *_, count = unroll(Part(str(Path(folder) / "clip")), Path(folder), size, passes)
        assert count == len(frames)
        reel, settings = Reel(Path(folder)), preset(name)
        kind = Begun if way == "begun" else Painter
        data: dict[str, Any] = {"style": str(STYLE / painting), "size": size}
        trainer = {"accelerator": "cpu", "max_steps": settings["trainer"]["max_steps"]}
        painter = kind(StyleTransfer(**settings["model"]), data, trainer, 0, weight, flow)
        scenes = reel.scenes() if way != "alone" else [range(number, number + 1) for number in range(count)]
        for scene in scenes:
            painter.paint(reel, scene, passes)
        return [reel.result(number, passes) for number in range(count)]


def error(clip: Moving, results: list[Tensor]) -> float:
    """The warping error of results by the true flow (Lai et al. 2018)."""
    moves = zip(results, results[1:], clip.flows, clip.seen, strict=False)
    return fmean(warping_error(before, after, flow, seen) for before, after, flow, seen in moves)


def style_distance(result: Tensor, painting: str = "starry_night.jpg") -> float:
    """To the painting, on layers that nobody optimises."""
    from nst_lightning.objective.distances import distances

    pair = ImagePair(style=str(STYLE / painting), size=max(result.shape[2:]))
    pair.setup("fit")
    with torch.no_grad():
        return float(distances(result, None, pair.styles[0].image)["style_distance"])
