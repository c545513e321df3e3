"""A study file with the configs of its cells, all checked before anything runs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.cli.shipped import shipped
from nst_lightning.cli.words import home
from nst_lightning.engines.packing import files_of
from nst_lightning.errors import UsageError
from nst_lightning.pictures.folders import kind_of, pictures_in
from nst_lightning.study.cells import Job
from nst_lightning.study.grid import cells_of, read_study, with_values, words_of
from nst_lightning.study.results import key_of

# what the study itself decides for every cell
OF_THE_STUDY = ("output", "bits", "quality", "background", "metadata", "turns", "ckpt_path", "config", "checkpoint")
OF_THE_STUDY_IN_TRAINER = ("logger", "callbacks", "enable_progress_bar", "enable_checkpointing")
FACTOR = re.compile(r"x(\d+(?:\.\d*)?(?:e[+-]?\d+)?)")
PICTURES = ("data.content", "data.style")  # settings that the rest of a config does not depend on
Values = Mapping[str, Sequence[str]]


class Plan:
    """A study file, or a shipped one by its name, with the configs of its cells.

    Over the file go ``flags`` of ``fit``, ``others`` (values, by ``rows`` and ``columns``) and, if the file has some,
    ``seconds``. ``configs`` and ``keys`` belong to the cells: plain values, and what the result depends on. ``meanings``
    explains the settings that differ from cell to cell, as ``fit`` does.

    Raises:
        UsageError: naming the place in the file, or the flag. A cell whose pictures or values do not go together is no
            reason unless all are so: what is wrong with it stands in its place in the figure.
    """

    def __init__(self, path: str, flags: Sequence[str], output: Path, others: Values, seconds: float | None = None) -> None:
        self.name = Path(shipped(path, ["studies"])).stem
        self.folder = output / self.name
        self.study = with_values(read_study(path), others)
        if seconds is not None and self.study.seconds is not None:
            self.study = replace(self.study, seconds=seconds)
        self.rows, self.columns, self.cells = cells_of(self.study, path)
        # the flags alone, so that what is wrong with them is not said of the file
        parser = NSTCommandLine(["fit", *flags], until="parsed")
        helps = {action.dest: str(action.help).split("(type")[0].strip() for action in parser.fit_parser._actions}
        self.meanings = {name: helps.get(name) or "a setting of fit" for cell in self.cells for name in cell.settings}
        try:
            resolve = cache(lambda *words: parser.resolve(list(words)))
            words = [self._words(cell.settings, flags, resolve) for cell in self.cells]
            self.configs = [_essence(config) for config in self._resolved(flags, resolve)]
            _check_one_of(words)
        except UsageError as error:
            raise UsageError(f"--config {path}: {error.message.replace('--config ', 'its config ', 1)}") from error
        self.keys = [key_of(config, self.study.seconds) for config in self.configs]

    def _words(self, settings: dict[str, Any], flags: Sequence[str], resolve: Callable[..., dict[str, Any]]) -> list[str]:
        """The command line of a cell; ``x0.5`` is half of the number that the cell has without it."""
        factors = {name: match for name, value in settings.items() if (match := FACTOR.fullmatch(str(value)))}
        if factors:
            plain = {name: value for name, value in settings.items() if name not in factors}
            there = resolve(*words_of(self.study, plain, flags))
            for name, match in factors.items():
                value: Any = there
                for key in name.split("."):
                    value = value.get(key) if isinstance(value, dict) else None
                if isinstance(value, int | float) and not isinstance(value, bool):
                    settings = settings | {name: float(f"{value * float(match[1]):.12g}")}
        return words_of(self.study, settings, flags)

    def _resolved(self, flags: Sequence[str], resolve: Callable[..., dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The whole config of each cell, of ten thousand: what can be put together is not parsed again.

        Cells that differ in their pictures only are parsed once, and of several settings each by itself where it changes
        nothing but its own place: forty weights with fifty seeds are ninety command lines, not two thousand.
        """

        known: dict[tuple[str, str], tuple[bool, Any]] = {}

        def alone(name: str, value: Any) -> tuple[bool, Any]:
            """Whether a setting changes its own place only, and the value that it then has there."""
            key = name, repr(value)
            if key not in known:
                known[key] = False, None
                with contextlib.suppress(UsageError):  # what is wrong is said of the cell
                    plain, config = (resolve(*self._words(one, flags, resolve)) for one in ({}, {name: value}))
                    (rest, _), (others, found) = _parted(plain, name.split(".")), _parted(config, name.split("."))
                    known[key] = rest == others, found
            return known[key]

        def whole(settings: dict[str, Any]) -> dict[str, Any]:
            if len(settings) > 1 and not any(FACTOR.fullmatch(str(value)) for value in settings.values()):
                parts = {name: alone(name, value) for name, value in settings.items()}
                if all(by_itself for by_itself, _ in parts.values()):
                    config = resolve(*self._words({}, flags, resolve))
                    for name, (_, value) in parts.items():
                        config = _replaced(config, name.split("."), value)
                    return config
            return resolve(*self._words(settings, flags, resolve))

        for cell in self.cells:
            files = {name: cell.settings[name] for name in PICTURES if kind_of(cell.settings.get(name)) == "file"}
            others = {name: value for name, value in cell.settings.items() if name not in files}
            config = whole(others)
            data = config["data"] | {name.partition(".")[2]: home(value) for name, value in files.items()}
            yield config | {"data": data}

    def job(self, number: int, packs: bool) -> Job:
        """The job of a cell; if it ``packs``, with the files that its config names."""
        config = self.configs[number]
        there = [name for name in files_of(config) if kind_of(name) == "file"] if packs else []
        return Job(config, {name: Path(name).read_bytes() for name in there}, self.study.seconds)


def _essence(config: dict[str, Any]) -> dict[str, Any]:
    """A config without what the study itself decides, and with folders as the pictures in them."""
    trainer = {name: value for name, value in config["trainer"].items() if name not in OF_THE_STUDY_IN_TRAINER}
    style = config["data"].get("style")
    style = pictures_in(style, "style") if kind_of(style) == "folder" else style
    kept = {name: value for name, value in config.items() if name not in OF_THE_STUDY}
    return kept | {"trainer": trainer, "data": config["data"] | {"style": style}}


def _parted(config: dict[str, Any], place: list[str]) -> tuple[dict[str, Any], Any]:
    """A config without the value at a place, and that value.

    >>> _parted({"a": 1, "b": {"c": 2, "d": 3}}, ["b", "c"])
    ({'a': 1, 'b': {'d': 3}}, 2)
    """
    first, *further = place
    rest = {name: value for name, value in config.items() if name != first}
    value = config.get(first)
    if not further or not isinstance(value, dict):
        return rest, value
    inner, found = _parted(value, further)
    return rest | {first: inner}, found


def _replaced(config: dict[str, Any], place: list[str], value: Any) -> dict[str, Any]:
    """A config with another value at a place.

    >>> _replaced({"a": 1, "b": {"c": 2, "d": 3}}, ["b", "c"], 4)
    {'a': 1, 'b': {'c': 4, 'd': 3}}
    """
    first, *further = place
    return config | {first: _replaced(config[first], further, value) if further else value}


def _check_one_of(words: Sequence[Sequence[str]]) -> None:
    """Whether any cell can run; the first one's complaint if none can."""
    complaints = []
    for cell in words:
        try:
            NSTCommandLine(cell, until="checked")
            return
        except UsageError as error:
            complaints.append(error)
    raise complaints[0]
