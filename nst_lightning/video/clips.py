"""Clips: what PyAV reads, animated pictures, and folders of frames; one frame after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageSequence, UnidentifiedImageError
from torch import Tensor

from nst_lightning.errors import UsageError, reason
from nst_lightning.pictures.folders import pictures_in
from nst_lightning.pictures.picture import ImageError, fit_size, resize
from nst_lightning.pictures.read import read_image

ANIMATED = (".gif", ".webp")
RATE = 25  # frames a second of a folder


class Frame(NamedTuple):
    """One frame: ``(1, 3, H, W)`` in ``[0, 1]``, and when it is shown, in seconds from the start of the clip."""

    image: Tensor
    time: float


class Look(NamedTuple):
    """What a clip says of itself: about how many frames (0: nothing), how many a second, whether it is interlaced."""

    frames: int
    rate: float
    interlaced: bool = False


class Damaged(ValueError):
    """A clip that cannot be read from some place on; the frames before it were given."""


def frames_of(path: str, start: float = 0.0, end: float | None = None, every: int = 1) -> Iterator[Frame]:
    """The frames of a clip, upright.

    Args:
        path: a film, a GIF or animated WebP, or a folder of pictures.
        start: seconds from its beginning, the first that is given.
        end: the end, which is not given, or None.
        every: one of so many.

    Raises:
        UsageError: if it is no clip.
        Damaged: in the middle of it.
    """
    number = 0
    for frame in _all(path):
        if end is not None and frame.time >= end:
            return
        if frame.time >= start - 1e-6:
            if number % every == 0:
                yield frame
            number += 1


def look_at(path: str) -> Look:
    """What a clip says of itself; what it is worth shows when it is read."""
    if Path(path).is_dir():
        return Look(len(pictures_in(path, "clip")), RATE)
    try:
        if Path(path).suffix.lower() in ANIMATED:
            with Image.open(path) as picture:
                return Look(
                    int(getattr(picture, "n_frames", 1)), 1000 / max(float(picture.info.get("duration", 100)), 20.0)
                )
        return _look_at_film(path)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return Look(0, RATE)


def _look_at_film(path: str) -> Look:
    import av

    try:
        with av.open(path) as file:
            stream = file.streams.video[0]
            rate = float(stream.average_rate or RATE)
            seconds = float(file.duration or 0) / av.time_base
            return Look(stream.frames or round(seconds * rate), rate, next(file.decode(stream)).interlaced_frame)
    except (av.FFmpegError, IndexError, StopIteration):
        return Look(0, RATE)


def _all(path: str) -> Iterator[Frame]:
    if not Path(path).exists():
        raise UsageError(f"{path}: no such clip")
    if Path(path).is_dir():
        return _of_folder(path)
    return _of_animation(path) if Path(path).suffix.lower() in ANIMATED else _of_film(path)


def _of_folder(path: str) -> Iterator[Frame]:
    names = pictures_in(path, "clip")
    for number, name in enumerate(names):
        try:
            yield Frame(read_image(name).rgb[None], number / RATE)
        except ImageError as error:
            raise Damaged(f"{name}: {error}") from error


def _of_animation(path: str) -> Iterator[Frame]:
    time, number = 0.0, 0
    try:
        with Image.open(path) as file:
            for picture in ImageSequence.Iterator(file):
                pixels = np.asarray(picture.convert("RGB"))
                yield Frame(_tensor(pixels, 255), time)
                time += max(float(picture.info.get("duration", 100)), 20.0) / 1000
                number += 1
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        _fail(path, number, time, error)


def _of_film(path: str) -> Iterator[Frame]:
    import av

    number, time, first = 0, 0.0, None
    try:
        with av.open(path) as file:
            if not file.streams.video:
                raise UsageError(f"{path}: has no pictures, only sound")
            stream = file.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in file.decode(stream):
                stamp = frame.time if frame.time is not None else number / float(stream.average_rate or RATE)
                first = stamp if first is None else first
                if number and stamp - first <= time:
                    stamp = first + time + 1e-3  # times that do not grow
                time = stamp - first
                # 16 bits: films of 10 keep theirs
                pixels = frame.to_ndarray(format="rgb48le").astype(np.float32)
                turned = np.rot90(pixels, round(frame.rotation / 90) % 4)
                yield Frame(_tensor(turned, 65535), time)
                number += 1
    except (av.FFmpegError, ValueError, MemoryError, IndexError) as error:
        _fail(path, number, time, error)
    if number == 0:
        raise UsageError(f"{path}: has no frame that can be read")


def _tensor(pixels: np.ndarray, most: int) -> Tensor:
    values = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32) / most)
    return values.permute(2, 0, 1)[None].contiguous()


def _fail(path: str, number: int, time: float, error: BaseException) -> None:
    if number == 0:
        raise UsageError(f"{path}: is no clip that can be read ({reason(error)})") from error
    raise Damaged(f"{path}: damaged after frame {number}, at {time:.2f} s ({reason(error)})") from error


def at_size(frame: Frame, size: int) -> Frame:
    """A frame whose longer side is ``size`` pixels."""
    shape = fit_size(int(frame.image.shape[2]), int(frame.image.shape[3]), size)
    return frame._replace(image=resize(frame.image, shape).clamp(0, 1))
