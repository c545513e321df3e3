"""The folder beside a film: the clip's frames, the flow between them, and what is painted, each whole or not there."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nst_lightning.errors import UsageError
from nst_lightning.pictures.atomic import free_bytes, write_file
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.write import write_image
from nst_lightning.video.clips import Damaged, Frame, at_size, frames_of, look_at
from nst_lightning.video.flow import Motion, flow_between, is_cut, motion

RECORD = "clip.json"
PHOTOS = 6  # in memory: a frame and those before it to which it may be held
RESULT_BYTES = 5  # of a pixel in a PNG of 16 bits, about; so has the frame of the clip, and the flow 8


@dataclass(frozen=True)
class Part:
    """Which part of which clip, with which masks."""

    clip: str
    start: float = 0.0
    end: float | None = None
    every: int = 1
    mask: str | None = None  # a clip of flat colours, one for each region


@dataclass
class Record:
    """What is known of a clip that was read."""

    part: dict[str, object]
    size: int
    times: list[float] = field(default_factory=list)  # when each frame is shown
    cuts: list[int] = field(default_factory=list)  # the first frame of each scene
    damaged: str | None = None  # where and why it could not be read on


class Reel:
    """Frames on disk; in memory are those in use.

    Args:
        folder: beside the film.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._record: Record | None = None
        self._photos: dict[int, Tensor] = {}

    # ---- what was read -----------------------------------------------------------------------------------------------

    @property
    def record(self) -> Record:
        if self._record is None:
            self._record = Record(**json.loads((self.folder / RECORD).read_text(encoding="utf-8")))
        return self._record

    def __len__(self) -> int:
        return len(self.record.times)

    def scenes(self) -> list[range]:
        """The numbers of the frames of each scene."""
        return [range(*ends) for ends in pairwise([*self.record.cuts, len(self)])]

    def photo_file(self, number: int) -> Path:
        return self.folder / "photo" / f"{number:06d}.png"

    def mask_file(self, number: int) -> Path:
        return self.folder / "mask" / f"{number:06d}.png"

    def flow_file(self, number: int) -> Path:
        return self.folder / "flow" / f"{number:06d}.npy"

    def photo(self, number: int) -> Tensor:
        """``(1, 3, H, W)`` in ``[0, 1]``, a frame of the clip at the size of the film."""
        if number not in self._photos:  # each is asked for several times, by the frames after it
            self._photos = dict(list(self._photos.items())[1 - PHOTOS :])
            self._photos[number] = read_image(str(self.photo_file(number))).rgb[None]
        return self._photos[number]

    def between(self, number: int, other: int) -> Motion:
        """From a frame to another."""
        frame, before = self.photo(number), self.photo(other)
        if abs(number - other) != 1:
            there, back = flows(frame, before)
        else:
            both = torch.from_numpy(np.load(self.flow_file(max(number, other)))).float()
            there, back = (both[:1], both[1:]) if number > other else (both[1:], both[:1])
        return motion(frame, before, there, back)

    # ---- what is painted ---------------------------------------------------------------------------------------------

    def result_file(self, number: int, turn: int) -> Path:
        return self.folder / f"pass{turn}" / f"{number:06d}.png"

    def done(self, number: int, turn: int) -> bool:
        """Whether a frame is painted in some pass."""
        return self.result_file(number, turn).with_suffix(".json").is_file()

    def result(self, number: int, turn: int) -> Tensor:
        """``(1, 3, H, W)`` in ``[0, 1]``."""
        return read_image(str(self.result_file(number, turn))).rgb[None]

    def keep(self, number: int, turn: int, result: Tensor, measured: dict[str, float]) -> None:
        """Write a result, then what says that it is whole."""
        path = self.result_file(number, turn)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(result, path, bits=16)
        write_file(path.with_suffix(".json"), json.dumps(measured).encode())

    def measured(self, number: int, turn: int) -> dict[str, float]:
        """What was kept with a result."""
        found: dict[str, float] = json.loads(self.result_file(number, turn).with_suffix(".json").read_text())
        return found

    def latest(self, turns: int) -> list[tuple[int, int]]:
        """Each frame from the first on that is painted, with the latest pass that has it."""
        found = []
        for number in range(len(self)):
            turn = next((turn for turn in range(turns, 0, -1) if self.done(number, turn)), None)
            if turn is None:
                break
            found.append((number, turn))
        return found

    def clear(self, key: str) -> None:
        """Remove what was read and painted with other settings."""
        mark = self.folder / "key.txt"
        if not mark.is_file() or mark.read_text(encoding="utf-8") != key:
            for old in (path for name in ("photo", "flow", "mask", "pass[0-9]*") for path in self.folder.glob(name)):
                shutil.rmtree(old)
            (self.folder / RECORD).unlink(missing_ok=True)
            write_file(mark, key.encode())


def flows(frame: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """The flow from a frame to the one before, and from that to the frame."""
    return flow_between(frame, before), flow_between(before, frame)


def unroll(part: Part, folder: Path, size: int, turns: int) -> Iterator[int]:
    """Read a clip into its folder: frames at the size of the film, the flow between neighbours, cuts.

    Args:
        part: which.
        folder: of the reel; what was read before is taken as it is.
        size: the longer side of the film in pixels.
        turns: passes that will be painted, for the room on the disk.

    Yields:
        How many frames are read, now and then.

    Raises:
        UsageError: if there is no frame, no room on the disk, or the masks are of another length.
    """
    reel, wanted = Reel(folder), Record(asdict(part), size)
    if (folder / RECORD).is_file() and (reel.record.part, reel.record.size) == (wanted.part, size):
        return
    for name in ("photo", "flow", "mask"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    masks = None if part.mask is None else frames_of(part.mask, part.start, part.end, part.every)
    before: Tensor | None = None
    try:
        for number, frame in enumerate(frames_of(part.clip, part.start, part.end, part.every)):
            frame = at_size(frame, size)
            if number == 0:
                _check_room(part, folder, frame, turns)
            if before is not None and frame.image.shape != before.shape:
                raise Damaged(f"{part.clip}: its pictures have another shape from {frame.time:.2f} s on")
            write_image(frame.image, reel.photo_file(number), bits=16)
            photo = reel.photo(number)  # as it will be read
            if before is None or _cut(reel, number, photo, before):
                wanted.cuts.append(number)
            if masks is not None:
                mask = next(masks, None)
                if mask is None:
                    raise UsageError(f"--data.content_mask {part.mask}: ends after {number} frames, before {part.clip}")
                write_image(mask.image, reel.mask_file(number))
            wanted.times.append(frame.time)
            before = photo
            yield number + 1
        if masks is not None and next(masks, None) is not None:
            raise UsageError(
                f"--data.content_mask {part.mask}: goes on after the {len(wanted.times)} frames of {part.clip}"
            )
    except Damaged as error:
        if not wanted.times:
            raise UsageError(str(error)) from error
        wanted.damaged = str(error)
    if not wanted.times:
        raise UsageError(f"{part.clip}: has no frame from {part.start:g} s on, or before --end")
    write_file(folder / RECORD, json.dumps(asdict(wanted)).encode())


def _cut(reel: Reel, number: int, photo: Tensor, before: Tensor) -> bool:
    """Keep the flow between two frames; whether the film is cut there."""
    backward, forward = flows(photo, before)
    file = io.BytesIO()
    # half precision: a displacement of 32 pixels to a sixtieth of one
    np.save(file, torch.cat([backward, forward]).half().numpy())
    write_file(reel.flow_file(number), file.getvalue())
    return is_cut(before, photo, reel.between(number, number - 1))


def _check_room(part: Part, folder: Path, frame: Frame, turns: int) -> None:
    """Whether what will be written fits the disk, as far as the number of frames is known."""
    look = look_at(part.clip)
    count = look.frames
    if part.end is not None and count:
        count = min(count, round((part.end - part.start) * look.rate) + 1)
    count //= part.every
    needed = count * int(frame.image.shape[2] * frame.image.shape[3]) * (RESULT_BYTES * (1 + turns) + 8)
    free = free_bytes(folder)
    if needed > free:
        raise UsageError(
            f"--output: {count} frames need about {needed / 2**30:.1f} GiB at {folder}, {free / 2**30:.1f} are free;"
            " give --end, --every or a smaller --data.size"
        )
