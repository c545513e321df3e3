"""Configs by name: a file of one's own, or one of those that come with the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nst_lightning.presets import ROOT


def shipped(name: str, folders: Sequence[str] = (".", "recipes")) -> str:
    """The path of a config.

    A file of one's own comes first. Any other name is looked for among the shipped ones, with or without ``configs/``
    before it and ``.yaml`` after it.

    Args:
        name: a path, such as ``mine.yaml``, or the name of a shipped config, such as ``transfer`` or ``gatys``.
        folders: where in the shipped configs a bare name may lie.

    Returns:
        A path that exists, or ``name`` itself: who reads it says that it is not there.

    >>> Path(shipped("gatys")).name, Path(shipped("configs/studies/cats.yaml")).name, shipped("nothing.yaml")
    ('gatys.yaml', 'cats.yaml', 'nothing.yaml')
    """
    inside = name.removeprefix("configs/")
    bare = [ROOT / folder / f"{inside}.yaml" for folder in folders] if Path(inside).name == inside else []
    try:
        return next((str(path) for path in (Path(name), ROOT / inside, *bare) if path.is_file()), name)
    except (OSError, ValueError):  # a name that no file can have
        return name


def names_of(folder: str = ".") -> list[str]:
    """The names of the shipped configs in a folder.

    >>> "transfer" in names_of(), "gallery" in names_of("studies")
    (True, True)
    """
    return sorted(path.stem for path in (ROOT / folder).glob("*.yaml"))
