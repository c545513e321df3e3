"""One scene of a film as a job of an engine: on this machine in the film's folder, elsewhere with files that travel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.engines.job import run_job
from nst_lightning.engines.packing import files_of, unpacked
from nst_lightning.errors import reason
from nst_lightning.pictures.picture import ImageError
from nst_lightning.training.precision import choose_precision
from nst_lightning.video.frames import Painter
from nst_lightning.video.masks import write_all_regions
from nst_lightning.video.reel import RECORD, Reel


@dataclass(frozen=True)
class Steadiness:
    """The settings of a film beside those of a picture, see :class:`~nst_lightning.video.frames.Painter`."""

    temporal_weight: float
    flow: str
    steps: int | None
    passes: int


@dataclass(frozen=True)
class Scene:
    """What a worker needs to paint a scene."""

    config: dict[str, Any]  # of ``fit``, whole, with the first frame as content
    folder: str  # of the reel
    first: int
    last: int  # is not painted any more
    steadiness: Steadiness
    files: dict[str, bytes] = field(default_factory=dict)
    threads: int | None = None


@dataclass
class Painted:
    """What comes of it."""

    error: str | None = None
    files: dict[str, bytes] = field(
        default_factory=dict
    )  # if they cannot be written where they belong, by their names there


class Scenes(Sequence[Scene]):
    """The jobs of scenes, each with its files when it is asked for."""

    def __init__(self, scenes: Sequence[Scene], packs: bool) -> None:
        self.scenes, self.packs = scenes, packs

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: Any) -> Any:
        return _packed(self.scenes[index]) if self.packs else self.scenes[index]


def why(error: Exception) -> str:
    """What went wrong with a file, as half a sentence."""
    return getattr(error, "strerror", None) or reason(error)


def _packed(scene: Scene) -> Scene:
    reel = Reel(Path(scene.folder))
    paths = [Path(name) for name in files_of(scene.config)] + [reel.folder / RECORD]
    for number in range(scene.first, scene.last):
        files = (reel.photo_file(number), reel.mask_file(number), reel.flow_file(number))
        results = [reel.result_file(number, turn) for turn in range(1, scene.steadiness.passes + 1)]
        paths += [*files, *results, *(path.with_suffix(".json") for path in results)]
    return replace(scene, files={str(path): path.read_bytes() for path in paths if path.is_file()})


def paint_scene(scene: Scene) -> Painted:
    """Paint what is missing of a scene; whatever goes wrong in it is what comes of it."""

    def work(temporary: Path) -> Painted:
        away = {name: content for name, content in scene.files.items() if not Path(name).is_relative_to(scene.folder)}
        folder = temporary / "reel" if scene.files else Path(scene.folder)
        for name in scene.files.keys() - away.keys():
            path = folder / Path(name).relative_to(scene.folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(scene.files[name])
        try:
            with unpacked(scene.config, away, temporary) as config:
                _paint(scene, config, folder, temporary)
        except (OSError, ImageError) as error:
            return Painted(f"{scene.folder}: {why(error)}")
        made = [path for path in folder.glob("pass*/*") if path.is_file()] if scene.files else []
        return Painted(files={str(path.relative_to(folder)): path.read_bytes() for path in made})

    return run_job(work, Painted, scene.threads)


def _paint(scene: Scene, config: dict[str, Any], folder: Path, work: Path) -> None:
    reel = Reel(folder)
    data = config["data"] | {"content": str(reel.photo_file(scene.first))}
    if reel.mask_file(scene.first).is_file():
        write_all_regions(work / "mask.png", data["style_mask"])
        data["content_mask"] = str(work / "mask.png")
    path = work / "scene.yaml"
    path.write_text(yaml.safe_dump(config | {"data": data, "output": str(work / "one.png")}), encoding="utf-8")
    line = NSTCommandLine(["fit", "--config", str(path)], until="checked")
    asked = config["trainer"]
    trainer = {
        "accelerator": asked.get("accelerator") or "auto",
        "devices": 1,
        "precision": asked.get("precision") or choose_precision(None)[0],
        "max_steps": asked["max_steps"],
    }
    data = {name: value for name, value in data.items() if name != "content"} | {"size": line.datamodule.size}
    steady = scene.steadiness
    seed = int(config.get("seed_everything") or 0)
    painter = Painter(line.model, data, trainer, seed, steady.temporal_weight, steady.flow, steady.steps)
    painter.paint(reel, range(scene.first, scene.last), steady.passes)
