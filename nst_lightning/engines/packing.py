"""Files that travel with a job, and where they lie on the machine that does it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nst_lightning.pictures.folders import kind_of
from nst_lightning.training.initial import INITS


def files_of(config: Mapping[str, Any]) -> list[str]:
    """The files that a config of ``fit`` names: pictures, masks, weights.

    >>> files_of({"data": {"content": "a.jpg", "style": ["b.jpg"]}, "model": {"init": "noise", "features": {}}})
    ['a.jpg', 'b.jpg']
    """
    data, init, weights = config["data"], config["model"].get("init"), config["model"]["features"].get("weights")
    values = [data.get(name) for name in ("content", "style", "content_mask", "style_mask")]
    values += [None if init in INITS else init, weights if kind_of(weights) == "file" else None]
    named = [name for value in values for name in (value if isinstance(value, list) else [value])]
    return list(dict.fromkeys(name for name in named if name))


@contextlib.contextmanager
def unpacked(config: dict[str, Any], files: Mapping[str, bytes], folder: Path) -> Iterator[dict[str, Any]]:
    """A config with the files it names in reach: those that came along lie under the current folder."""
    if not files:
        yield config
        return
    names = {}
    for number, (name, content) in enumerate(files.items()):
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        names[name] = name if inside else f"files/{number}/{Path(name).name}"
        path = folder / "inputs" / names[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    before = Path.cwd()
    os.chdir(folder / "inputs")
    try:
        yield renamed(config, names)
    finally:
        os.chdir(before)


def renamed(value: Any, names: dict[str, str]) -> Any:
    """A nested setting with file names replaced.

    >>> renamed({"data": {"style": ["/a/b.jpg", "c"]}}, {"/a/b.jpg": "b.jpg"})
    {'data': {'style': ['b.jpg', 'c']}}
    """
    if isinstance(value, dict):
        return {key: renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value
