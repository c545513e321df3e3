"""Where runs are."""

from __future__ import annotations

from pathlib import Path


def run_folder(number: int = 0, root: str | Path = "logs/transfer") -> Path:
    """The folder of a run by its number; its name goes on with those of the pictures."""
    (folder,) = (path for path in Path(root).absolute().iterdir() if path.name.split("_")[:2] == ["version", str(number)])
    return folder
