"""What can be known to be wrong before torch is loaded: flags and files that there are not.

Whoever mistypes is answered at once. All of it is checked again, with everything else, where it is used.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from nst_lightning.cli.flags import what_is_wrong
from nst_lightning.cli.messages import unknown_word
from nst_lightning.cli.shipped import names_of, shipped
from nst_lightning.errors import BadArgument, UsageError, nearest, reason

FILES = ("data.content", "data.style", "data.content_mask", "data.style_mask", "ckpt_path")


def check_words(words: Sequence[str]) -> None:
    """Whether the flags exist, and the files that they and the configs name.

    Args:
        words: of ``fit``, in full (:func:`nst_lightning.cli.words.expand`).

    Raises:
        UsageError: with what to say.
    """
    for word in words[1:]:
        if not word.startswith("-"):
            raise UsageError(unknown_word(word))
        name = word.split("=")[0]
        if name.startswith("--") and what_is_wrong(name):
            raise UsageError(unknown_word(name))
    named: dict[str, tuple[Any, str]] = {}  # flag: value, the config that gives it
    try:
        for word in words[1:]:
            name, _, value = word[2:].partition("=")
            if name == "config":
                named |= {flag: (value_, value) for flag, value_ in _files_of(read_config(value))}
            elif name in FILES:
                named[name] = (_plain(value), "")
    except BadArgument as error:
        raise UsageError(f"--{error.name} {error.value}: {error.expected}") from error
    for flag, (value, config) in named.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                _check_file(flag, os.path.expanduser(one), config)


def read_config(path: str, kind: str = "config") -> dict[str, Any]:
    """The settings in a file; whether they are known ones, the parser says.

    Args:
        path: of the file.
        kind: what a person calls such a file.

    Raises:
        BadArgument: if it cannot be read, is not YAML, or is not a map from settings to values.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: bytes that are no text, or a name that no file can have
        why = error.strerror if isinstance(error, OSError) else reason(error)
        raise BadArgument("config", path, f"cannot be read ({why})") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise BadArgument("config", path, f"not YAML: {getattr(error, 'problem', 'syntax error')}{line}") from error
    if not isinstance(content, dict):
        raise BadArgument("config", path, f"holds no settings; a {kind} is a map such as `model: {{style_weight: 10}}`")
    return content


def read_study_file(name: str) -> dict[str, Any]:
    """What a study file says, one's own or a shipped one by its name.

    Raises:
        UsageError: if there is none, or it is no YAML map.
    """
    file = shipped(name, ["studies"])
    try:
        return read_config(file, "study file")
    except BadArgument as error:
        near = nearest(name, names_of("studies")) if file == name else ""
        raise UsageError(f"--config {name}: {error.expected}{near}") from error


def _files_of(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The files that a config names, by their flags."""
    data = config.get("data")
    for flag in FILES:
        section, _, name = flag.rpartition(".")
        settings = data if section else config
        if isinstance(settings, dict) and name in settings:
            yield flag, settings[name]


def _plain(value: str) -> Any:
    """A value as the words have it: a list of the lists that :mod:`nst_lightning.cli.words` makes, else a text."""
    if value in ("", "null"):
        return None
    try:
        found = json.loads(value) if value.startswith("[") else value
    except json.JSONDecodeError:
        return None  # the parser's business
    return found


def _check_file(flag: str, path: str, config: str) -> None:
    try:
        Path(path).stat()
        return
    except (FileNotFoundError, NotADirectoryError):
        problem = "no such file" + (" or folder" if flag == "ckpt_path" else "")
    except (OSError, ValueError) as error:  # no file can have this name, or nobody may look
        problem = f"cannot be read ({getattr(error, 'strerror', None) or reason(error)})"
    if config and not Path(path).is_absolute():
        problem += f" in the current folder; the paths in {config} start where the command runs"
    raise UsageError(f"--{flag} {path}: {problem}{nearest_file(path)}")


def nearest_file(path: str) -> str:
    """Half a sentence that names the file beside a missing one with the name most like it, or nothing."""
    try:
        beside = [file.name for file in Path(path).parent.iterdir()]
    except (OSError, ValueError):
        return ""
    match = difflib.get_close_matches(Path(path).name, beside, n=1, cutoff=0.75)
    return f"; did you mean '{Path(path).parent / match[0]}'?" if match else ""
