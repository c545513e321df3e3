"""From a study file to the cells of its grid: what each one runs, and what it is called."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from nst_lightning.cli.early import read_study_file
from nst_lightning.cli.shipped import ROOT, shipped
from nst_lightning.errors import BadArgument, UsageError, nearest
from nst_lightning.pictures.folders import kind_of, pictures_in
from nst_lightning.wording import digest, label_of, slug

PICTURES = ("data.content", "data.style", "model.init")


@dataclass(frozen=True)
class Axis:
    """One direction of the grid; help_all.txt says what the keys of a study file mean."""

    setting: str | list[str]
    values: list[Any]
    labels: list[str] | None = None


@dataclass(frozen=True)
class StudyFile:
    """What a study file says; help_all.txt says what its keys mean."""

    title: str
    base: str | list[str] = "transfer"
    text: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    rows: Axis | None = None
    columns: Axis | None = None
    show: list[Literal["start", "result", "content", "style"]] = field(default_factory=lambda: ["result"])
    difference: Literal["rows", "columns"] | None = None
    seconds: float | None = None
    wrap: int = 6
    scatter: list[str] | None = None


@dataclass(frozen=True)
class Mark:
    """One row or column of a grid: its label, its flags of ``fit`` without dashes, and the input picture at its edge."""

    label: str
    settings: dict[str, Any]
    picture: str | None = None


@dataclass(frozen=True)
class Cell:
    """One run of a study: a name for its folder, a label for people, and the settings that set it apart."""

    name: str
    label: str
    settings: dict[str, Any]


def read_study(path: str) -> StudyFile:
    """Read a study file, or a shipped one by its name.

    Raises:
        UsageError: if it cannot be read, is not YAML, or says something that is not understood.
    """
    content = read_study_file(path)
    known = [item.name for item in fields(StudyFile)]
    for name in content:
        if name not in known:
            raise UsageError(f"--config {path}: {name}: no such key{nearest(str(name), known)}; keys: {', '.join(known)}")
    for direction in ("rows", "columns"):
        axis = content.get(direction)
        if axis is not None and not (isinstance(axis, dict) and {"setting", "values"} <= set(axis)):
            raise UsageError(f"--config {path}: {direction}: give a setting and its values")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(StudyFile)
    try:
        study = StudyFile(**parser.instantiate_classes(parser.parse_object(content)))
    except (ArgumentError, TypeError, ValueError) as error:
        raise UsageError(f"--config {path}: {' '.join(str(error).split())[:300]}") from error
    if study.seconds is not None and not 0 < study.seconds < float("inf"):
        raise UsageError(f"--config {path}: seconds {study.seconds}: give a number above 0")
    if study.wrap < 1:
        raise UsageError(f"--config {path}: wrap {study.wrap}: give 1 or more")
    if study.scatter is not None and len(study.scatter) != 2:
        raise UsageError(f"--config {path}: scatter {study.scatter}: give two columns of the table, such as style_distance")
    if not study.show:
        raise UsageError(f"--config {path}: show []: give at least one of start, result, content, style")
    return study


def with_values(study: StudyFile, others: Mapping[str, Sequence[str]]) -> StudyFile:
    """A study with other values than its file's: by ``rows`` and ``columns`` the words of a command line, read as YAML.

    Raises:
        UsageError: for a direction that the file does not have, or a word that is not understood.
    """
    for direction, words in others.items():
        axis = getattr(study, direction)
        if axis is None:
            raise UsageError(f"--{direction} {' '.join(words)}: the study file has no {direction}")
        try:
            axis = Axis(axis.setting, [yaml.safe_load(word) for word in words])
        except yaml.YAMLError as error:
            given = f"--{direction} {' '.join(words)}"
            raise UsageError(f"{given}: not understood; lists look like [conv_1, conv_2]") from error
        study = replace(study, rows=axis) if direction == "rows" else replace(study, columns=axis)
    return study


def marks(axis: Axis | None, where: str) -> list[Mark]:
    """The rows or columns of a grid, a single one if there is no axis; ``where`` it stands is said first in an error.

    Raises:
        UsageError: if there is none, a pattern matches nothing, numbers of values and labels do not fit, or two are alike.
    """
    if axis is None:
        return [Mark("", {})]
    settings = [axis.setting] if isinstance(axis.setting, str) else axis.setting
    if not settings:
        raise UsageError(f"{where}: setting []: give a flag of fit without its dashes")
    rows = [[value] for value in _files(axis.values, settings[0], where)] if len(settings) == 1 else axis.values
    for row in rows:
        if not isinstance(row, list) or len(row) != len(settings):
            raise UsageError(f"{where}: value {row}: give a list of {len(settings)}, for {', '.join(settings)}")
    if not rows:
        raise UsageError(f"{where}: values []: an empty grid; give at least one value")
    labels = axis.labels or _labels(rows)
    if len(labels) != len(rows):
        raise UsageError(f"{where}: {len(labels)} labels for {len(rows)} values")
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise UsageError(f"{where}: two are called {twice}; give values, or labels, that differ")
    pairs = [dict(zip(settings, row, strict=True)) for row in rows]
    pictures = [next((v for s, v in one.items() if s in PICTURES and kind_of(v) == "file"), None) for one in pairs]
    return [Mark(*one) for one in zip(labels, pairs, pictures, strict=True)]


def _labels(rows: Sequence[Sequence[Any]]) -> list[str]:
    """What rows are called: files by their bare names, and those that share one by as much of their paths as they need."""
    parts = (label_of, lambda value: Path(value).name if isinstance(value, str) else label_of(value), str)
    forms = [[", ".join(part(value) for value in row) for row in rows] for part in parts]
    labels = forms[0]
    for form in forms[1:]:
        labels = [longer if labels.count(label) > 1 else label for label, longer in zip(labels, form, strict=True)]
    return labels


def _files(values: Sequence[Any], setting: str, where: str) -> list[Any]:
    """Values with patterns and folders replaced by the files they stand for."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, str) and re.search(r"[*?\[]", value) and kind_of(value) is None:
            # recipes of the package are found from everywhere, by patterns too
            patterns = [value, *([str(ROOT / value.removeprefix("configs/"))] if setting == "config" else [])]
            matches = [[name for name in glob.glob(one, recursive=True) if kind_of(name) == "file"] for one in patterns]  # noqa: PTH207
            if not any(matches):
                raise UsageError(f"{where}: {value}: no file matches this pattern")
            found += sorted(next(filter(None, matches)))
        elif setting == "data.content" and kind_of(value) == "folder":
            try:
                found += pictures_in(value)
            except BadArgument as error:
                raise UsageError(f"{where}: {value}: {error.expected}") from error
        else:
            found.append(value)
    return found


def cells_of(study: StudyFile, path: str) -> tuple[list[Mark], list[Mark], list[Cell]]:
    """The rows, the columns and the cells of a study, row by row.

    Raises:
        UsageError: see :func:`marks`; if a setting is in both directions, or a difference is of one.
    """
    rows, columns = (marks(getattr(study, name), f"--config {path}: {name}") for name in ("rows", "columns"))
    for setting in rows[0].settings:
        if setting in columns[0].settings:
            raise UsageError(f"--config {path}: {setting} is the setting of rows and of columns; give one of them")
    for name, there in (("rows", len(rows)), ("columns", len(columns))):
        if study.difference == name and there < 2:
            raise UsageError(f"--config {path}: difference {name}: there is only one of the {name}; give two or more")
    cells: dict[str, Cell] = {}
    for row in rows:
        for column in columns:
            label = " · ".join(part for part in (row.label, column.label) if part) or study.title
            name = "-".join(part for part in (slug(row.label), slug(column.label)) if part) or slug(Path(path).stem)
            name += f"-{digest(label)}" if name in cells else ""  # labels that differ in what no file's name can have
            cells[name] = Cell(name, label, row.settings | column.settings)
    return rows, columns, list(cells.values())


def words_of(study: StudyFile, settings: dict[str, Any], flags: Sequence[str]) -> list[str]:
    """The command line of one cell: the base, over it the study's settings, the flags given, and the cell's own.

    >>> words_of(StudyFile("t", "a.yaml", settings={"data.size": 64}), {"model.init": "noise"}, ["--bits", "8"])
    ['fit', '--config=a.yaml', '--data.size=64', '--bits', '8', '--model.init=noise']
    """
    base = [study.base] if isinstance(study.base, str) else study.base
    configs = [*base, *(str(value) for name, value in settings.items() if name == "config")]
    over, own = ([_word(*item) for item in some.items() if item[0] != "config"] for some in (study.settings, settings))
    return ["fit", *(f"--config={shipped(path)}" for path in configs), *over, *flags, *own]


def _word(name: str, value: Any) -> str:
    return f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
