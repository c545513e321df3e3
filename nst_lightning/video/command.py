"""``nst video``: paint a clip, frame after frame, and write the film."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.errors import UsageError
from nst_lightning.objective.distances import distances
from nst_lightning.pictures.atomic import write_file, write_table
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.write import write_image
from nst_lightning.training.precision import choose_precision
from nst_lightning.training.silence import silence
from nst_lightning.video.clips import Damaged, Frame, at_size, frames_of
from nst_lightning.video.frames import EARLIER, Painter
from nst_lightning.video.options import parse
from nst_lightning.video.writing import check_film, write_film
from nst_lightning.wording import duration

OF_THE_FILM = ("--trainer.logger=false", "--trainer.enable_checkpointing=false")
COLUMNS = ("frame", "time", "steps", "cut", "warping_error", "floor")


def video(words: Sequence[str]) -> int:
    """Run the command with the words after ``video``; 0, 1 if the clip is damaged in the middle, 130 after Ctrl-C.

    Raises:
        UsageError: with what to say, before the work.
    """
    options, flags = parse(words)
    check_film(options.output)
    clip = frames_of(options.clip, options.start, options.end, options.every)
    try:
        first = next(clip, None)
    except Damaged as error:
        raise UsageError(str(error)) from error
    if first is None:
        raise UsageError(f"{options.clip}: has no frame from {options.start:g} s on, or before --end")
    folder = Path(f"{options.output}.frames")
    folder.mkdir(parents=True, exist_ok=True)
    photo = folder / "first.png"
    write_image(first.image, photo)
    with silence():
        line = NSTCommandLine(
            ["fit", str(photo), options.painting, *flags, *OF_THE_FILM, f"--output={folder / 'one.png'}"],
            until="checked",
        )
        settings = line.resolve(["fit", str(photo), options.painting, *flags])
        painter = _painter(line, settings, options)
        return _film(options, painter, folder, settings, line)


def _painter(line: NSTCommandLine, settings: dict[str, Any], options: Any) -> Painter:
    asked = settings["trainer"]
    trainer = {
        "accelerator": asked.get("accelerator") or "auto",
        "devices": 1,
        "precision": asked.get("precision") or choose_precision(None)[0],
        "max_epochs": -1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "limit_val_batches": 0,
    }
    data = {name: value for name, value in settings["data"].items() if name != "content"}
    data["size"] = line.datamodule.size
    seed = int(settings.get("seed_everything") or 0)
    painter = Painter(line.model, data, trainer, seed, options.temporal_weight, options.flow, options.steps)
    painter.trainer_steps = asked["max_steps"]
    return painter


def _key(options: Any, settings: dict[str, Any]) -> str:
    """What the frames depend on."""
    files = [(path, Path(path).stat().st_size, Path(path).stat().st_mtime) for path in (options.clip, options.painting)]
    asked = {name: value for name, value in vars(options).items() if name not in ("output", "end")}
    own = {name: settings[name] for name in ("data", "model", "trainer", "seed_everything")}
    return hashlib.sha256(json.dumps([files, asked, own], sort_keys=True, default=str).encode()).hexdigest()


def _film(options: Any, painter: Painter, folder: Path, settings: dict[str, Any], line: NSTCommandLine) -> int:
    key, mark = _key(options, settings), folder / "key.txt"
    if not mark.is_file() or mark.read_text() != key:
        for old in folder.glob("[0-9]*.*"):
            old.unlink()
        write_file(mark, key.encode())
    size, started, made, code = line.datamodule.size, time.monotonic(), 0, 0
    rows: list[dict[str, Any]] = []
    before: list[tuple[Tensor, Tensor]] = []
    said = ""
    writer = SummaryWriter(str(folder))
    try:
        for number, frame in enumerate(frames_of(options.clip, options.start, options.end, options.every)):
            frame = at_size(frame, size)
            path, numbers = folder / f"{number:06d}.png", folder / f"{number:06d}.json"
            if not (path.is_file() and numbers.is_file()):
                result, measured = painter.paint(frame.image, before)
                write_image(result, path, bits=16)
                write_file(numbers, json.dumps(measured).encode())
                made += 1
            row = _row(number, frame, json.loads(numbers.read_text()))
            rows.append(row)
            for name in COLUMNS[2:]:
                if row[name] is not None:
                    writer.add_scalar(name, row[name], number)
            # as it is in the file: a film that was interrupted goes on with the same
            before = [*before, (frame.image, read_image(str(path)).rgb[None])][-max(EARLIER) :]
            each = (time.monotonic() - started) / max(made, 1)
            print(
                f"\rframe {number + 1} · {frame.time:.2f} s · {row['steps']} steps · {each:.1f} s a frame ",
                end="",
                flush=True,
            )
    except Damaged as error:
        said, code = str(error), 1
    except (KeyboardInterrupt, SystemExit) as stop:
        code = int(stop.code or 1) if isinstance(stop, SystemExit) and isinstance(stop.code, int) else 130
        said = "stopped; the same command goes on"
    finally:
        writer.close()
    print(flush=True)
    if not rows:
        return code
    pictures = [folder / f"{row['frame']:06d}.png" for row in rows]
    write_film(options.output, pictures, [row["time"] for row in rows], options.clip if options.every == 1 else None)
    write_table(folder / "metrics.csv", rows)
    if said:
        print(said, flush=True)
    print(_final(options, rows, pictures, time.monotonic() - started), flush=True)
    return code


def _row(number: int, frame: Frame, measured: dict[str, float]) -> dict[str, Any]:
    row = {"frame": number, "time": round(frame.time, 4), **{name: measured.get(name) for name in COLUMNS[2:]}}
    return row | {"steps": int(measured["steps"]), "cut": int(measured["cut"])}


@torch.no_grad()
def _final(options: Any, rows: list[dict[str, Any]], pictures: list[Path], seconds: float) -> str:
    style = read_image(options.painting).rgb[None]
    of_style = [
        distances(read_image(str(picture)).rgb[None], None, style).get("style_distance")
        for picture in (pictures[0], pictures[-1])
    ]
    parts = [options.output, f"{len(rows)} frames", duration(seconds)]
    following = [row for row in rows if row["warping_error"] is not None]
    if following:
        error, floor = (fmean(row[name] for row in following) for name in ("warping_error", "floor"))
        parts.append(f"warping error {error:.5f} (clip {floor:.5f})")
    shown = [f"{distance:.3f}" for distance in of_style if distance is not None]
    if len(shown) == 2:
        parts.append(f"style distance {' to '.join(shown)}")
    return " · ".join(parts)
