"""The words of ``compare``: its flags and its help. Loads no torch, so that help comes at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from nst_lightning.cli.words import home
from nst_lightning.errors import UsageError, nearest

OUTPUT = "logs/compare"
# what belongs to one of the two jobs alone
OF_THE_PAGE, OF_THE_TALLY = ("content", "style", "seed", "repeats"), ("key",)


def help_of(words: Sequence[str]) -> str | None:
    """The help that some words ask for, or None.

    >>> help_of(["a", "b", "-h"])[:11], help_of(["a", "b"])
    ('nst compare', None)
    """
    asked = {"-h", "--help", "--help_all"} & set(words)
    return Path(__file__).with_name("help.txt").read_text(encoding="utf-8").rstrip() if asked else None


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What the words after ``compare`` say; help.txt explains them.

    Returns:
        With ``folders`` and what belongs to a page, or with ``tally`` and what belongs to it; what was not given is None,
        but for ``seed``, ``repeats`` and a page's ``output``.

    Raises:
        UsageError: if they are not understood.

    >>> options = parse(["gram", "w2", "--seed", "3"])
    >>> options.folders, options.seed, options.repeats, options.output, options.tally
    (['gram', 'w2'], 3, 1, 'logs/compare', None)
    """
    parser = argparse.ArgumentParser("nst compare", add_help=False, allow_abbrev=False)
    parser.add_argument("folders", nargs="*")
    for name in ("content", "style"):
        parser.add_argument(f"--{name}")
    parser.add_argument("-o", "--output")
    for name in ("seed", "repeats"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("tally", "key"):
        parser.add_argument(f"--{name}", nargs="+", action="extend")

    def fail(message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))

    parser.error = fail  # type: ignore[method-assign]
    options, unknown = parser.parse_known_intermixed_args(words)
    if unknown:
        near = nearest(unknown[0].split("=")[0], [f"--{name}" for name in vars(options) if name != "folders"])
        raise UsageError(f"{unknown[0]}: no such flag of compare{near}; nst compare --help lists them")
    for name in ("folders", "content", "style", "output", "tally", "key"):  # ~ is the home folder, also after "="
        setattr(options, name, home(getattr(options, name)))
    others = OF_THE_PAGE if options.tally else OF_THE_TALLY
    for name in others:
        if getattr(options, name) is not None:
            raise UsageError(f"--{name}: is {'for a page, not for --tally' if options.tally else 'for --tally'}")
    if options.tally:
        if options.folders:
            raise UsageError(f"{options.folders[0]}: --tally takes files of answers, after it, and no folders")
        return options
    if not options.folders:
        raise UsageError(
            "compare: give two or more folders of results, or --tally answers.csv; nst compare --help says more"
        )
    options.seed = 0 if options.seed is None else options.seed
    options.repeats = 1 if options.repeats is None else options.repeats
    if options.repeats < 1:
        raise UsageError(f"--repeats {options.repeats}: give 1 or more")
    options.output = options.output or OUTPUT
    return options
