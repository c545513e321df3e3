"""The words of ``video``: its flags and its help. Loads no torch, so that help comes at once."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

from nst_lightning.cli.words import home
from nst_lightning.engines.flags import add_engine
from nst_lightning.errors import UsageError

FILMS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".m4v", ".mpg", ".ogv")


def help_of(words: Sequence[str]) -> str | None:
    """The help that some words ask for, or None.

    >>> help_of(["-h"])[:9], help_of(["a", "b"])
    ('nst video', None)
    """
    asked = {"-h", "--help", "--help_all"} & set(words)
    return Path(__file__).with_name("help.txt").read_text(encoding="utf-8").rstrip() if asked else None


def parse(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """What the words after ``video`` say (help.txt explains them), and those that are for ``fit``.

    Raises:
        UsageError: if they are not understood.
    """
    parser = argparse.ArgumentParser("nst video", add_help=False, allow_abbrev=False)
    parser.add_argument("-o", "--output")
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--end", type=float)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--data.content_mask", "--content_mask", dest="mask")
    parser.add_argument("--video.temporal_weight", dest="temporal_weight", type=float, default=3000.0)
    parser.add_argument("--video.flow", dest="flow", choices=("dis", "none"), default="dis")
    parser.add_argument("--video.steps", dest="steps", type=int)
    parser.add_argument("--video.passes", dest="passes", type=int, default=1)
    add_engine(parser)

    def fail(message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))

    parser.error = fail  # type: ignore[method-assign]
    first = list(takewhile(lambda word: not word.startswith("-"), words))
    options, flags = parser.parse_known_args(list(words)[len(first) :])
    if len(first) < 2:
        raise UsageError("video: give a clip and a painting, nst video clip.mp4 painting.jpg; nst video --help says more")
    *options.clips, options.painting = (str(home(word)) for word in first)
    options.output = str(home(options.output or ("painted.mp4" if len(options.clips) == 1 else "painted")))
    options.mask = home(options.mask)
    _check_files(options)
    _check_numbers(options)
    return options, flags


def _check_files(options: argparse.Namespace) -> None:
    for name, paths in (("clip", options.clips), ("painting", [options.painting])):
        for path in paths:
            if not Path(path).exists():
                raise UsageError(f"{path}: no such {name}")
    if is_film(options.painting):
        raise UsageError(f"{options.painting}: is a film; the clip comes first, then the painting")
    if len(options.clips) > 1 and Path(options.output).suffix:
        raise UsageError(f"--output {options.output}: {len(options.clips)} clips need a folder")
    if options.mask is not None and len(options.clips) > 1:
        raise UsageError(f"--data.content_mask {options.mask}: is for one clip, not {len(options.clips)}")


def _check_numbers(options: argparse.Namespace) -> None:
    if not (math.isfinite(options.start) and options.start >= 0):
        raise UsageError(f"--start {options.start}: give seconds, 0 or more")
    if options.end is not None and not options.end > options.start:
        raise UsageError(f"--end {options.end}: give seconds, more than --start {options.start}")
    if not 0 <= options.temporal_weight <= 1e9:
        raise UsageError(f"--video.temporal_weight {options.temporal_weight}: give a number from 0 to 1e9")
    for flag, value in (("--every", options.every), ("--video.steps", options.steps), ("--video.passes", options.passes)):
        if value is not None and value < 1:
            raise UsageError(f"{flag} {value}: give 1 or more")


def is_film(path: str) -> bool:
    """Whether a file is one by its name."""
    return Path(path).suffix.lower() in FILMS


def check_installed() -> None:
    """Whether the libraries of films are there.

    Raises:
        UsageError: saying how to install them.
    """
    for module in ("av", "cv2"):
        if find_spec(module) is None:
            raise UsageError("video: films need PyAV and OpenCV; pip install 'nst_lightning[video]'")
