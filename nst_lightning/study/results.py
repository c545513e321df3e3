"""What a study keeps on disk: a folder for each cell, found again by what was run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from nst_lightning.engines.packing import files_of
from nst_lightning.pictures.atomic import write_file
from nst_lightning.pictures.thumbnails import stamp
from nst_lightning.study.cells import Outcome

RECORD = "cell.json"
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


def save(folder: Path, key: str, outcome: Outcome) -> None:
    """Write a cell in place of an earlier one; its record last, so that a folder with a record is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    config = yaml.safe_dump(outcome.config, sort_keys=False).encode()
    for name, content in (outcome.files | {"config.yaml": config}).items():
        write_file(folder / name, content)
    record = {"key": key} | {name: getattr(outcome, name) for name in RECORDED}
    write_file(folder / RECORD, json.dumps(record, indent=1).encode())


def load(folder: Path, key: str) -> Outcome | None:
    """A cell that was run before, or None if there is none, or it was run with other settings."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["key"] != key:
            return None
        files = {name: (folder / name).read_bytes() for name in ("result.png", "start.png")}
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        record["curve"] = [(int(step), float(seconds), float(loss)) for step, seconds, loss in record["curve"]]
        return Outcome(files=files, config=config, **{name: record[name] for name in RECORDED})
    except (OSError, ValueError, KeyError, TypeError):  # damaged: run again
        return None
