"""From a result to the photograph and the painting it was made from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nst_lightning.cli.early import nearest_file
from nst_lightning.compare.results import INPUTS, Result
from nst_lightning.errors import BadArgument, UsageError
from nst_lightning.pictures.folders import kind_of, pictures_in
from nst_lightning.wording import slug

WORDS = {"content": "photograph", "style": "painting"}


class Inputs(NamedTuple):
    """What results of one name were made from: the photograph, and one or several paintings."""

    content: str
    style: list[str]


class Sources:
    """Where photographs and paintings are looked for.

    Args:
        content: a file, which is that of every result, a folder, or None.
        style: likewise.

    Raises:
        UsageError: if one is neither, or a folder without pictures.
    """

    def __init__(self, content: str | None, style: str | None) -> None:
        self.given: dict[str, list[str]] = {}  # files, by what they are
        self.one: dict[str, str] = {}
        for kind, source in zip(INPUTS, (content, style), strict=True):
            if source is None:
                continue
            if kind_of(source) == "file":
                self.one[kind] = source
            elif kind_of(source) == "folder":
                try:
                    self.given[kind] = pictures_in(source, kind)
                except BadArgument as error:
                    raise UsageError(f"--{kind} {source}: {error.expected}") from error
            else:
                raise UsageError(f"--{kind} {source}: no such file or folder{nearest_file(source)}")

    def of(self, results: Iterable[Result]) -> Inputs:
        """What results of one name were made from: by flags that name a file, else by their settings, else by their name.

        Raises:
            UsageError: if it cannot be known, or their settings name different pictures.
        """
        results = list(results)
        name = results[0].name
        found: dict[str, list[str]] = {kind: [file] for kind, file in self.one.items()}
        for kind in INPUTS:
            if kind not in found:
                said = {tuple(files) for result in results if (files := self._by_settings(kind, result))}
                if len({tuple(Path(file).name for file in files) for files in said}) > 1:
                    both = " and ".join(sorted(", ".join(files) for files in said))
                    raise UsageError(
                        f"{name}: its results were made from different {WORDS[kind]}s, {both}; give --{kind} FILE, or "
                        "compare results of the same pictures"
                    )
                if said:
                    found[kind] = list(min(said))
        found = self._by_name(name, [kind for kind in INPUTS if kind not in found]) | found
        for kind in INPUTS:
            if kind not in found:
                named = next(
                    (f", which is {', '.join(r.said[kind])} by its settings" for r in results if kind in r.said), ""
                )
                raise UsageError(
                    f"{results[0].file}: its {WORDS[kind]} is not found{named}; "
                    f"give --{kind} FILE, or a FOLDER that has it, under a name that is part of {name}"
                )
        return Inputs(found["content"][0], found["style"])

    def _by_settings(self, kind: str, result: Result) -> list[str]:
        """The files that settings name, if all are there: in the given folder, or where the settings say."""
        said = result.said.get(kind, [])
        if len(said) == 1 and kind_of(said[0]) == "folder":
            try:
                said = pictures_in(said[0], kind)
            except BadArgument:
                return []
        for names in (said, " ".join(said).split()):  # a PNG has several as words
            files = []
            for name in names:
                beside = [file for file in self.given.get(kind, []) if Path(file).name == Path(name).name]
                files += beside or ([name] if kind_of(name) == "file" else [])
            if files and len(files) == len(names):
                return files
        return []

    def _by_name(self, name: str, kinds: list[str]) -> dict[str, list[str]]:
        """The files whose names a result's name is made of: ``kitten_great_wave``, ``great_wave-kitten``.

        Raises:
            UsageError: if several pairs of files fit.
        """
        word = slug(name)
        stems = {kind: {file: slug(Path(file).stem) for file in self.given.get(kind, [])} for kind in kinds}
        if set(kinds) == set(INPUTS):
            pairs = [
                {"content": [content], "style": [style]}
                for content, one in stems["content"].items()
                for style, other in stems["style"].items()
                if word in (f"{one}_{other}", f"{other}_{one}")
            ]
            if len(pairs) > 1:
                several = " or ".join(f"{pair['content'][0]} and {pair['style'][0]}" for pair in pairs)
                raise UsageError(f"{name}: may be made from {several}; rename one")
            if pairs:
                return pairs[0]
        found = {}
        for kind, files in stems.items():
            fitting = [file for file, stem in files.items() if f"_{stem}_" in f"_{word}_"]
            longest = max((len(files[file]) for file in fitting), default=0)
            best = [file for file in fitting if len(files[file]) == longest]
            if len(best) > 1:
                raise UsageError(f"{name}: its {WORDS[kind]} may be {' or '.join(best)}; give --{kind} FILE, or rename one")
            if best:
                found[kind] = best
        if found.get("content") == found.get("style"):  # one word of the name is not both
            found.pop("content", None)
        return found
