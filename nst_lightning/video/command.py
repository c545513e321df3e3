"""``nst video``: paint clips, frame after frame, and write the films."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.exceptions import SIGTERMException

from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.engines.choice import make_engine, sigterm_raises
from nst_lightning.engines.engine import Engine, Lost
from nst_lightning.engines.packing import files_of
from nst_lightning.errors import UsageError
from nst_lightning.pictures.atomic import write_file
from nst_lightning.pictures.picture import ImageError
from nst_lightning.pictures.thumbnails import stamp
from nst_lightning.pictures.write import write_image
from nst_lightning.training.silence import silence
from nst_lightning.video.clips import Damaged, frames_of, look_at
from nst_lightning.video.film import Film
from nst_lightning.video.masks import write_all_regions
from nst_lightning.video.options import is_film, parse
from nst_lightning.video.progress import Progress
from nst_lightning.video.reel import Part, Reel, unroll
from nst_lightning.video.scenes import Scene, Scenes, Steadiness, paint_scene, why
from nst_lightning.video.writing import check_film
from nst_lightning.wording import duration

OF_THE_FILM = ("--trainer.logger=false", "--trainer.enable_checkpointing=false")
STOPPED = "stopped; the same command goes on"


def video(words: Sequence[str]) -> int:
    """Run the command with the words after ``video``; 0, 1 if a clip is damaged or a scene failed, 130 after Ctrl-C.

    Raises:
        UsageError: with what to say, before the work.
    """
    options, flags = parse(words)
    steadiness = Steadiness(options.temporal_weight, options.flow, options.steps, options.passes)
    mask = options.mask
    if mask is not None and not (is_film(mask) or Path(mask).is_dir()):  # one picture for all frames
        flags, mask = [*flags, f"--data.content_mask={mask}"], None
    films = []
    for clip, output in zip(options.clips, _outputs(options), strict=True):
        check_film(output)
        part = Part(clip, options.start, options.end, options.every, mask)
        settings, size = _settled(part, options.painting, flags)
        films.append(Film(part, output, Reel(Path(f"{output}.frames")), settings, size, steadiness))
    with contextlib.closing(make_engine(options)) as engine, sigterm_raises():
        return _paint(films, engine)


def _outputs(options: argparse.Namespace) -> list[str]:
    """The name of each film; several go to one folder, named after their clips."""
    if len(options.clips) == 1:
        return [options.output]
    found: list[str] = []
    for clip in options.clips:
        name = str(Path(options.output) / Path(clip).stem)
        found.append(f"{name}{f'-{len(found) + 1}' if f'{name}.mp4' in found else ''}.mp4")
    return found


def _settled(part: Part, painting: str, flags: Sequence[str]) -> tuple[dict[str, Any], int]:
    """The whole config of a clip's first frame, and the size of the film; checked as ``fit`` does, nothing is written."""
    try:
        first = next(frames_of(part.clip, part.start, part.end, part.every), None)
        shown = None if part.mask is None else next(frames_of(part.mask, part.start, part.end, part.every), None)
    except Damaged as error:
        raise UsageError(str(error)) from error
    if first is None:
        raise UsageError(f"{part.clip}: has no frame from {part.start:g} s on, or before --end")
    if part.mask is not None and shown is None:
        raise UsageError(f"--data.content_mask {part.mask}: has no frame from {part.start:g} s on, or before --end")
    with silence(), tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "first.png"
        write_image(first.image, photo)
        words = ["fit", str(photo), painting, *flags]
        if part.mask is not None:
            style_mask = NSTCommandLine(words, until="parsed").resolve(words)["data"]["style_mask"]
            if not style_mask:
                raise UsageError(f"--data.content_mask {part.mask}: needs --data.style_mask, with a region for each colour")
            write_all_regions(Path(folder) / "mask.png", style_mask)
            words.append(f"--data.content_mask={Path(folder) / 'mask.png'}")
        line = NSTCommandLine([*words, *OF_THE_FILM, f"--output={Path(folder) / 'one.png'}"], until="checked")
        settings = line.resolve(words)
    settings["data"] |= {"content": None, "content_mask": settings["data"]["content_mask"] if shown is None else None}
    return settings | {"output": None}, line.datamodule.size


def _key(film: Film) -> str:
    """What the frames depend on."""
    part, steady = film.part, film.steadiness
    sources = [part.clip, *([] if part.mask is None else [part.mask]), *files_of(film.settings)]
    files = [(path, *stamp(path)) for path in sources]
    # more of the clip may be painted later, unless later frames act on earlier ones
    asked: list[Any] = [part.start, part.every, part.end if steady.passes > 1 else None, film.size]
    asked += [steady.temporal_weight, steady.flow, steady.steps]
    own = {name: film.settings[name] for name in ("data", "model", "trainer", "seed_everything")}
    return hashlib.sha256(json.dumps([files, asked, own], sort_keys=True, default=str).encode()).hexdigest()


def _paint(films: Sequence[Film], engine: Engine) -> int:
    started, code = time.monotonic(), 0
    said: list[str] = []
    progress = Progress()
    try:
        for film in films:
            try:
                film.reel.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"--output {film.output}: cannot be written ({error.strerror})") from error
            film.reel.clear(_key(film))
            if look_at(film.part.clip).interlaced:
                progress.say(f"{film.part.clip}: is interlaced; the lines of its frames are painted as they are")
            for count in unroll(film.part, film.reel.folder, film.size, film.steadiness.passes):
                progress.show(f"{film.part.clip}: {count} frames read")
            if film.reel.record.damaged:
                said, code = [*said, film.reel.record.damaged], 1
        scenes = [
            Scene(film.settings, str(film.reel.folder), scene.start, scene.stop, film.steadiness)
            for film in films
            for scene in film.reel.scenes()
        ]
        progress.begin(films)
        for number, painted in engine.map(paint_scene, Scenes(scenes, engine.packs)):
            if painted.error is not None:
                said, code = [*said, painted.error], 1
            for name, content in [] if isinstance(painted, Lost) else sorted(painted.files.items(), reverse=True):
                # in this order: pictures before what says that they are whole
                write_file(Path(scenes[number].folder) / name, content)
    except (OSError, ImageError) as error:
        said, code = [*said, f"{film.reel.folder}: {why(error)}"], 1
    except (KeyboardInterrupt, SIGTERMException) as stop:
        said, code = [*said, STOPPED], 130 if isinstance(stop, KeyboardInterrupt) else 143
    finally:
        progress.end()
    for text in said:
        print(text, flush=True)
    for film in films:
        try:
            written = film.write()
        except (OSError, ImageError) as error:
            written, code = f"{film.output}: {why(error)}", 1
        if written is not None:
            print(f"{written} · {duration(time.monotonic() - started)}", flush=True)
    return code
