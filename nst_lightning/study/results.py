"""What a study keeps on disk: a folder for each cell, found again by what was run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from nst_lightning.engines.packing import files_of
from nst_lightning.pictures.atomic import write_file
from nst_lightning.pictures.thumbnails import stamp
from nst_lightning.study.cells import Outcome

RECORD, CONFIG = "cell.json", "config.yaml"
FORMAT = 2  # a cell recorded under another is run again
RECORDED = ("measured", "curve", "version", "date")


def key_of(config: Mapping[str, Any], seconds: float | None) -> str:
    """What decides a cell's result, as one word: its config and seconds, and the content of the files that it names."""
    hashes = [_hash(name, *stamp(name)) for name in files_of(config)]
    return hashlib.sha256(json.dumps([FORMAT, config, hashes, seconds], sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=4096)
def _hash(name: str, changed: int, size: int) -> str:
    try:
        return hashlib.sha256(Path(name).read_bytes()).hexdigest()
    except (OSError, ValueError):  # the run itself will say so
        return "missing"


class OnDisk(Mapping[str, bytes]):
    """The files of a cell where they lie, read when they are asked for: of ten thousand cells none stays in the memory.

    Args:
        folder: of the cell.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return (path.name for path in self.folder.iterdir() if path.name not in (RECORD, CONFIG))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def save(folder: Path, key: str, outcome: Outcome) -> Outcome:
    """Write a cell in place of an earlier one; its record last, so that a folder with a record is whole.

    Returns:
        The same with its files on the disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    config = yaml.safe_dump(outcome.config, sort_keys=False).encode()
    for name, content in ({**outcome.files, CONFIG: config}).items():
        write_file(folder / name, content)
    record = {"key": key} | {name: getattr(outcome, name) for name in RECORDED}
    write_file(folder / RECORD, json.dumps(record, indent=1).encode())
    return replace(outcome, files=OnDisk(folder))


def load(folder: Path, key: str) -> Outcome | None:
    """A cell that was run before, or None if there is none, or it was run with other settings."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["key"] != key:
            return None
        if not all((folder / name).stat().st_size for name in ("result.png", "start.png")):
            return None
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        record["curve"] = [(int(step), float(seconds), float(loss)) for step, seconds, loss in record["curve"]]
        return Outcome(files=OnDisk(folder), config=config, **{name: record[name] for name in RECORDED})
    except (OSError, ValueError, KeyError, TypeError):  # damaged: run again
        return None
