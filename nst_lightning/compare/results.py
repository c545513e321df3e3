"""What lies in folders of results: which method made which picture, and what is known of what it was made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from nst_lightning.cli.early import nearest_file, read_config
from nst_lightning.errors import BadArgument, UsageError
from nst_lightning.pictures.folders import pictures_in
from nst_lightning.wording import label_of, slug

RESULT, CONFIG = "result.png", "config.yaml"
INPUTS = ("content", "style")


class Result(NamedTuple):
    """A picture that a method made.

    Attributes:
        name: the same for the results of all methods that are compared with each other.
        file: the picture.
        said: what its settings say it was made from, by ``content`` and ``style``; nothing where they say nothing.
    """

    name: str
    file: Path
    said: dict[str, list[str]]


Methods = dict[str, dict[str, Result]]


def methods_of(folders: Sequence[str]) -> Methods:
    """The results of each method by their names; what the method is called comes from the folders' names.

    Args:
        folders: one for each method, or a single study whose cells are of several methods.

    Raises:
        UsageError: for what is no folder of results, or a single folder of one method.
    """
    found = [results_in(folder) for folder in folders]
    if len(found) == 1:
        return _methods_of_cells(folders[0], found[0])
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice}: is given twice")
    return dict(zip(_labels(folders), found, strict=True))


def results_in(folder: str) -> dict[str, Result]:
    """The results in a folder, by name: its pictures, its runs, or its cells if it is of a study.

    Raises:
        UsageError: if there are none, or two of one name.
    """
    home = Path(folder)
    try:
        if not home.is_dir():
            problem = "is no folder" if home.exists() else f"no such folder{nearest_file(folder)}"
            raise UsageError(f"{folder}: {problem}; give a folder of results")
        home = home / "cells" if (home / "cells").is_dir() else home
        runs = sorted(path.parent for path in home.glob(f"*/{RESULT}"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if (home / RESULT).is_file() and (home / CONFIG).is_file():  # one run, called by what it was made from
        said = _said(home / RESULT)
        return {name: Result(name, home / RESULT, said) for name in [_name_of(said) or home.name]}
    if runs:
        named = [(re.sub(r"^version_\d+_(?=.)", "", run.name), run / RESULT) for run in runs]
    else:
        try:
            named = [(Path(name).stem, Path(name)) for name in pictures_in(home)]
        except BadArgument as error:
            raise UsageError(f"{folder}: {error.expected}") from error
    results: dict[str, Result] = {}
    for name, file in named:
        if name in results:
            raise UsageError(
                f"{folder}: has two results called {name}: {results[name].file} and {file}; move one elsewhere"
            )
        results[name] = Result(name, file, _said(file))
    return results


def in_common(methods: Methods) -> list[str]:
    """The names that every method has a result of, sorted.

    Raises:
        UsageError: if there is none.
    """
    names = sorted(set.intersection(*(set(results) for results in methods.values())))
    if not names:
        (one, its), (other, others) = list(methods.items())[:2]
        examples = f"{one} has {min(its)}, {other} has {min(others)}"
        raise UsageError(f"{', '.join(methods)}: no result has the same name in all of them; {examples}")
    return names


def _methods_of_cells(folder: str, results: dict[str, Result]) -> Methods:
    """The methods within a study: where rows or columns are pictures, the other direction is the methods.

    A cell is called ``row-column``. Settings are not compared: cells of equal time differ in their steps.
    """
    one = (
        f"{folder}: one folder is compared with itself only if it is a study whose cells differ in more than their pictures"
    )
    pictures = {name: str(result.said) for name, result in results.items()}
    if not all(set(INPUTS) <= set(result.said) for result in results.values()) or len(results) < 2:
        raise UsageError(f"{one}; give two or more folders")
    if len(set(pictures.values())) == 1:  # one photograph and painting, and every cell a method
        name = _name_of(next(iter(results.values())).said)
        return {cell: {name: result._replace(name=name)} for cell, result in results.items()}
    parts = {cell: cell.split("-") for cell in results}
    if all(len(part) == 2 for part in parts.values()):
        for side in (0, 1):
            seen = {(part[side], pictures[cell]) for cell, part in parts.items()}
            if len(seen) == len({value for value, _ in seen}):  # this direction decides the pictures
                methods: Methods = {}
                for cell, part in parts.items():
                    methods.setdefault(part[1 - side], {})[part[side]] = results[cell]._replace(name=part[side])
                return methods
    raise UsageError(f"{one}; give two or more folders")


def _labels(folders: Sequence[str]) -> list[str]:
    """What methods are called: the folders' bare names, or as much of their paths as tells them apart.

    >>> _labels(["runs/gram/", "runs/w2"]), _labels(["a/out", "b/out"])
    (['gram', 'w2'], ['a/out', 'b/out'])
    """
    paths = [Path(folder).absolute().parts for folder in folders]
    for many in range(1, max(map(len, paths)) + 1):
        labels = ["/".join(parts[-many:]) for parts in paths]
        if len(set(labels)) == len(labels):
            return labels
    return list(folders)


def _name_of(said: dict[str, list[str]]) -> str:
    """As runs are called: ``kitten_great_wave``."""
    return slug("_".join(label_of(file) for kind in INPUTS for file in said.get(kind, [])))


def _said(file: Path) -> dict[str, list[str]]:
    """What a result was made from: by the config of its run, or by the settings that are kept in a PNG."""
    config = file.with_name(CONFIG)
    if file.name == RESULT and config.is_file():
        try:
            data = read_config(str(config)).get("data")
        except BadArgument as error:
            raise UsageError(f"{config}: {error.expected}") from error
        return {kind: names for kind in INPUTS if (names := _listed(data.get(kind) if isinstance(data, dict) else None))}
    try:
        with Image.open(file, formats=("PNG",)) as image:
            text = str(image.info.get("Settings", ""))
    except Exception:  # no PNG, or a damaged one: who reads its pixels says so
        return {}
    found = {kind: re.search(rf"(?:^|, )data\.{kind}=(.*?)(?=, [\w.]+=|$)", text) for kind in INPUTS}
    return {kind: _listed(match[1]) for kind, match in found.items() if match and match[1] not in ("None", "")}


def _listed(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one]
