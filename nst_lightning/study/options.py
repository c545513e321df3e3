"""The words of ``study``: its flags and its help. Loads no torch, so that help comes at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

from nst_lightning.cli.words import home
from nst_lightning.engines.flags import add_engine
from nst_lightning.errors import UsageError


def help_of(words: Sequence[str]) -> str | None:
    """The help that some words ask for, or None.

    >>> help_of(["gallery", "-h"])[:9], help_of(["gallery"])
    ('nst study', None)
    """
    name = "help_all" if "--help_all" in words else "help" if {"-h", "--help"} & set(words) else None
    return Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8").rstrip() if name else None


def parse(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """What the words after ``study`` say (help_all.txt explains them), and those that are for ``fit``.

    Raises:
        UsageError: if they are not understood.

    >>> options, flags = parse(["gallery", "losses", "--data.size", "64", "--output", "here"])
    >>> options.config, options.output, flags
    (['gallery', 'losses'], 'here', ['--data.size', '64'])
    """
    parser = argparse.ArgumentParser("nst study", add_help=False, allow_abbrev=False)
    parser.add_argument("--config", nargs="+", action="extend")
    for direction in ("rows", "columns"):
        parser.add_argument(f"--{direction}", nargs="+")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--output", default="logs/studies")
    parser.add_argument("--report")
    add_engine(parser)

    def fail(message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))

    parser.error = fail  # type: ignore[method-assign]
    first = list(takewhile(lambda word: not word.startswith("-"), words))
    options, flags = parser.parse_known_args(words[len(first) :])
    options.config = [*first, *(options.config or [])]
    for name in ("config", "output", "report", "rows", "columns"):  # ~ is the home folder, also after "="
        setattr(options, name, home(getattr(options, name)))
    if not options.config:
        raise UsageError("study: give a study, such as gallery, or a file of your own; nst study --help says more")
    for direction in ("rows", "columns"):
        if getattr(options, direction) is not None and len(options.config) > 1:
            raise UsageError(f"--{direction}: is for one study, not {len(options.config)}")
    if options.seconds is not None and not 0 < options.seconds < float("inf"):
        raise UsageError(f"--seconds {options.seconds}: give a number above 0")
    return options, flags
