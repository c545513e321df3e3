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

from nst_lightning.cli.early import read_config
from nst_lightning.errors import BadArgument, UsageError, nearest
from nst_lightning.pictures.formats import ENDINGS
from nst_lightning.pictures.sources import pictures_in

PATTERN = re.compile(r"[*?\[]")
PICTURES = ("data.content", "data.style", "model.init")


@dataclass(frozen=True)
class Axis:
    """One direction of the grid.

    Args:
        setting: a flag of `fit` without its dashes, or several that change together. `config` lays a config file over
            the base.
        values: one for each row or column; with several settings a list each. A text with `*`, `?` or `[` stands for the
            files that match it, a folder as data.content for the pictures in it.
        labels: what the figure calls them; made from the values if not given.
    """

    setting: str | list[str]
    values: list[Any]
    labels: list[str] | None = None


@dataclass(frozen=True)
class StudyFile:
    """What a study file says.

    Args:
        title: the headline of the figure.
        base: the config file of every cell, or several, later ones over earlier ones.
        text: what to see in the figure; an empty line begins a new paragraph.
        settings: flags of `fit` (without dashes) and their values, over the base.
        rows: the setting that differs from row to row.
        columns: the setting that differs from column to column.
        show: the pictures of a cell: `start` (the image before the first step), `result`, `content`, `style`.
        difference: `rows` adds a row, `columns` a column, with the difference of the first and the last result.
        seconds: give every cell this time and choose its number of steps by it, in place of trainer.max_steps; above 0.
        wrap: cells in a line where there is only one direction, 1 or more.
    """

    title: str
    base: str | list[str] = "configs/transfer.yaml"
    text: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    rows: Axis | None = None
    columns: Axis | None = None
    show: list[Literal["start", "result", "content", "style"]] = field(default_factory=lambda: ["result"])
    difference: Literal["rows", "columns"] | None = None
    seconds: float | None = None
    wrap: int = 6


@dataclass(frozen=True)
class Mark:
    """One row or column of a grid.

    Attributes:
        label: what the figure calls it.
        settings: its flags of `fit`, without dashes, and their values.
        picture: the input picture that stands at the figure's edge, or None.
    """

    label: str
    settings: dict[str, Any]
    picture: str | None = None


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        name: unique in the study, and good as a folder's name.
        row: number of its row, from 0.
        column: number of its column, from 0.
        label: for people.
        settings: what sets it apart from the other cells.
    """

    name: str
    row: int
    column: int
    label: str
    settings: dict[str, Any]


def read_study(path: str) -> StudyFile:
    """Read a study file.

    Args:
        path: a YAML file with the arguments of :class:`StudyFile`.

    Raises:
        UsageError: if it cannot be read, is not YAML, or says something that is not understood.
    """
    try:
        read_config(path)
    except BadArgument as error:
        raise UsageError(f"--config {path}: {error.expected.replace('config', 'study file')}") from error
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
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
    if not study.show:
        raise UsageError(f"--config {path}: show []: give at least one of start, result, content, style")
    return study


def with_values(study: StudyFile, others: Mapping[str, Sequence[str]]) -> StudyFile:
    """A study with other values than its file's.

    Args:
        study: the file's content.
        others: by ``rows`` and ``columns`` words as a command line has them, each read as YAML.

    Raises:
        UsageError: for a direction that the file does not have.
    """
    for direction, words in others.items():
        axis = getattr(study, direction)
        if axis is None:
            raise UsageError(f"--{direction} {' '.join(words)}: the study file has no {direction}")
        try:
            values = [yaml.safe_load(word) for word in words]
        except yaml.YAMLError as error:
            raise UsageError(
                f"--{direction} {' '.join(words)}: not understood; lists look like [conv_1, conv_2]"
            ) from error
        axis = Axis(axis.setting, values)
        study = replace(study, rows=axis) if direction == "rows" else replace(study, columns=axis)
    return study


def marks(axis: Axis | None, path: str, direction: str) -> list[Mark]:
    """The rows or columns of a grid; a single one without settings if there is no axis.

    Args:
        axis: from the study file.
        path: of the study file, for errors.
        direction: ``rows`` or ``columns``, likewise.

    Raises:
        UsageError: if there is none, a pattern matches nothing, or the numbers of values or labels do not fit.
    """
    if axis is None:
        return [Mark("", {})]
    where = f"--config {path}: {direction}"
    settings = [axis.setting] if isinstance(axis.setting, str) else axis.setting
    if not settings:
        raise UsageError(f"{where}: setting []: give a flag of fit without its dashes")
    rows = [[value] for value in _files(axis.values, axis.setting, where)] if len(settings) == 1 else axis.values
    for row in rows:
        if not isinstance(row, list) or len(row) != len(settings):
            raise UsageError(f"{where}: value {row}: give a list of {len(settings)}, for {', '.join(settings)}")
    if not rows:
        raise UsageError(f"{where}: values []: an empty grid; give at least one value")
    labels = axis.labels or distinct([", ".join(map(label_of, row)) for row in rows], rows)
    if len(labels) != len(rows):
        raise UsageError(f"{where}: {len(labels)} labels for {len(rows)} values")
    found = []
    for label, row in zip(labels, rows, strict=True):
        pairs = dict(zip(settings, row, strict=True))
        picture = next((v for s, v in pairs.items() if s in PICTURES and isinstance(v, str) and Path(v).is_file()), None)
        found.append(Mark(label, pairs, picture))
    return found


def _files(values: Sequence[Any], setting: str | list[str], where: str) -> list[Any]:
    """Values with patterns and folders replaced by the files they stand for."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, str) and PATTERN.search(value) and not Path(value).exists():
            matches = sorted(m for m in glob.glob(value, recursive=True) if Path(m).is_file())  # noqa: PTH207 (absolute too)
            if not matches:
                raise UsageError(f"{where}: {value}: no file matches this pattern")
            found += matches
        elif isinstance(value, str) and setting in ("data.content", ["data.content"]) and Path(value).is_dir():
            try:
                found += pictures_in(value)
            except BadArgument as error:
                raise UsageError(f"{where}: {value}: {error.expected}") from error
        else:
            found.append(value)
    return found


def distinct(labels: list[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Labels that differ: where ``a.jpg`` and ``a.png`` are both "a", the ending is said too, or else the whole path.

    >>> distinct(["a", "a", "b"], [["x/a.jpg"], ["x/a.png"], ["x/b.jpg"]])
    ['a.jpg', 'a.png', 'b']
    """
    for words in (lambda value: Path(value).name if isinstance(value, str) else label_of(value), str):
        twice = {slug(label) for label in labels if sum(slug(label) == slug(other) for other in labels) > 1}
        named = zip(labels, rows, strict=True)
        labels = [", ".join(map(words, row)) if slug(label) in twice else label for label, row in named]
    return labels


def label_of(value: Any) -> str:
    """A value as the figure shows it.

    >>> label_of("images/style/great_wave.jpg"), label_of(1e6), label_of(0.5), label_of(["conv_1", "conv_2"])
    ('great wave', '1e6', '0.5', 'conv_1, conv_2')
    """
    if isinstance(value, str):
        is_file = "/" in value or Path(value).suffix.lower() in (*ENDINGS, ".yaml", ".yml")
        return Path(value).stem.replace("_", " ") if is_file else value
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float):
        short = f"{value:g}"
        return re.sub(r"e([+-])0*", lambda match: "e-" if match.group(1) == "-" else "e", short) if "e" in short else short
    if isinstance(value, dict):
        return ", ".join(f"{name} {label_of(item)}" for name, item in value.items())
    return ", ".join(map(label_of, value)) if isinstance(value, list) else str(value)


def cells_of(study: StudyFile, path: str) -> tuple[list[Mark], list[Mark], list[Cell]]:
    """The rows, the columns and the cells of a study, row by row.

    Args:
        study: the file's content.
        path: of the file, for errors and for the name of a single cell.

    Raises:
        UsageError: see :func:`marks`; if a setting is in both directions, or two cells would have one name.
    """
    rows, columns = marks(study.rows, path, "rows"), marks(study.columns, path, "columns")
    for setting in rows[0].settings:
        if setting in columns[0].settings:
            raise UsageError(f"--config {path}: {setting} is the setting of rows and of columns; give one of them")
    for name, there in (("rows", len(rows)), ("columns", len(columns))):
        if study.difference == name and there < 2:
            raise UsageError(f"--config {path}: difference {name}: there is only one of the {name}; give two or more")
    cells: list[Cell] = []
    seen: dict[str, str] = {}
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            label = " · ".join(part for part in (row.label, column.label) if part) or study.title
            name = "-".join(part for part in (slug(row.label), slug(column.label)) if part) or slug(Path(path).stem)
            if name in seen:
                expected = f"{seen[name]} and {label} would be written to one name, {name}; give labels that differ"
                raise UsageError(f"--config {path}: {expected}")
            seen[name] = label
            cells.append(Cell(name, i, j, label, row.settings | column.settings))
    return rows, columns, cells


def slug(label: str) -> str:
    """A label as a part of a file's name.

    >>> slug("Style weight 1e6, noise"), slug("conv_4")
    ('style_weight_1e6_noise', 'conv_4')
    """
    return re.sub(r"[^\w.]+", "_", label.lower()).strip("_.")[:80]


def words_of(study: StudyFile, settings: dict[str, Any], flags: Sequence[str]) -> list[str]:
    """The command line of one cell: the base, over it the study's settings, the flags given, and the cell's own.

    Args:
        study: the file's content.
        settings: the cell's.
        flags: words given after ``study`` that belong to ``fit``.

    >>> words_of(StudyFile("t", "a.yaml", settings={"data.size": 64}), {"model.init": "noise"}, ["--bits", "8"])
    ['fit', '--config=a.yaml', '--data.size=64', '--bits', '8', '--model.init=noise']
    """
    base = [study.base] if isinstance(study.base, str) else study.base
    overlays = [str(value) for name, value in settings.items() if name == "config"]
    own = [_word(name, value) for name, value in settings.items() if name != "config"]
    over = [_word(name, value) for name, value in study.settings.items()]
    return ["fit", *(f"--config={path}" for path in [*base, *overlays]), *over, *flags, *own]


def _word(name: str, value: Any) -> str:
    return f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
