"""A study file with the configs of its cells, all checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.errors import UsageError
from nst_lightning.pictures.sources import pictures_in
from nst_lightning.study.cells import Job
from nst_lightning.study.grid import cells_of, read_study, with_values, words_of
from nst_lightning.study.results import files_of, key_of

# what the study itself decides for every cell
OF_THE_STUDY = ("output", "bits", "ckpt_path", "config", "checkpoint")
OF_THE_STUDY_IN_TRAINER = ("logger", "callbacks", "enable_progress_bar", "enable_checkpointing")


class Plan:
    """A study file with the configs of its cells.

    Args:
        path: of the study file.
        flags: of ``fit``, over the study's settings.
        output: folder of all studies.
        others: values in place of the file's, by ``rows`` and ``columns``.
        seconds: in place of the file's, if it has some.

    Attributes:
        configs: the whole config of each cell, as plain values.
        keys: for each cell, what its result depends on (:func:`nst_lightning.study.results.key_of`).

    Raises:
        UsageError: naming the place in the file, or the flag. A cell whose pictures or values do not go together is no
            reason unless all are so: what is wrong with it stands in its place in the figure.
    """

    def __init__(
        self,
        path: str,
        flags: Sequence[str],
        output: Path,
        others: Mapping[str, Sequence[str]],
        seconds: float | None = None,
    ) -> None:
        self.name = Path(path).stem
        self.folder = output / self.name
        self.study = with_values(read_study(path), others)
        if seconds is not None and self.study.seconds is not None:
            self.study = replace(self.study, seconds=seconds)
        self.rows, self.columns, self.cells = cells_of(self.study, path)
        words = [words_of(self.study, cell.settings, flags) for cell in self.cells]
        # the flags alone, so that what is wrong with them is not said of the file
        parser = NSTCommandLine(["fit", *flags], until="parsed")
        try:
            self.configs = [_essence(parser.resolve(cell)) for cell in words]
            _check_one_of(words)
        except UsageError as error:
            raise UsageError(f"--config {path}: {error.message}") from error
        self.keys = [key_of(config, self.study.seconds) for config in self.configs]

    def job(self, number: int, packs: bool) -> Job:
        """The job of a cell.

        Args:
            number: of the cell.
            packs: whether the files that its config names go along.
        """
        config = self.configs[number]
        there = [name for name in files_of(config) if Path(name).is_file()] if packs else []
        return Job(config, {name: Path(name).read_bytes() for name in there}, self.study.seconds)


def _essence(config: dict[str, Any]) -> dict[str, Any]:
    """A config without what the study itself decides, and with folders as the pictures in them."""
    trainer = {name: value for name, value in config["trainer"].items() if name not in OF_THE_STUDY_IN_TRAINER}
    style = config["data"].get("style")
    style = pictures_in(style, "style") if isinstance(style, str) and Path(style).is_dir() else style
    kept = {name: value for name, value in config.items() if name not in OF_THE_STUDY}
    return kept | {"trainer": trainer, "data": config["data"] | {"style": style}}


def _check_one_of(words: Sequence[Sequence[str]]) -> None:
    """Whether any cell can run; the first one's complaint if none can."""
    first: UsageError | None = None
    for cell in words:
        try:
            NSTCommandLine(cell, until="checked")
            return
        except UsageError as error:
            first = first or error
    if first is not None:
        raise first
