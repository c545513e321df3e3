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
    parser.add_argument("-o", "--output", default="painted.mp4")
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--end", type=float)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--video.temporal_weight", dest="temporal_weight", type=float, default=3000.0)
    parser.add_argument("--video.flow", dest="flow", choices=("dis", "none"), default="dis")
    parser.add_argument("--video.steps", dest="steps", type=int)

    def fail(message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))

    parser.error = fail  # type: ignore[method-assign]
    first = list(takewhile(lambda word: not word.startswith("-"), words))
    options, flags = parser.parse_known_args(list(words)[len(first) :])
    if len(first) != 2:
        raise UsageError("video: give a clip and a painting, nst video clip.mp4 painting.jpg; nst video --help says more")
    options.clip, options.painting = (str(home(word)) for word in first)
    options.output = str(home(options.output))
    for name in ("clip", "painting"):
        path = getattr(options, name)
        if not Path(path).exists():
            raise UsageError(f"{path}: no such {name}")
    if Path(options.painting).suffix.lower() in FILMS:
        raise UsageError(f"{options.painting}: is a film; the clip comes first, then the painting")
    if not (math.isfinite(options.start) and options.start >= 0):
        raise UsageError(f"--start {options.start}: give seconds, 0 or more")
    if options.end is not None and not options.end > options.start:
        raise UsageError(f"--end {options.end}: give seconds, more than --start {options.start}")
    if options.every < 1:
        raise UsageError(f"--every {options.every}: give 1 or more")
    if not 0 <= options.temporal_weight <= 1e9:
        raise UsageError(f"--video.temporal_weight {options.temporal_weight}: give a number from 0 to 1e9")
    if options.steps is not None and options.steps < 1:
        raise UsageError(f"--video.steps {options.steps}: give 1 or more")
    return options, flags


def check_installed() -> None:
    """Whether the libraries of films are there.

    Raises:
        UsageError: saying how to install them.
    """
    for module in ("av", "cv2"):
        if find_spec(module) is None:
            raise UsageError("video: films need PyAV and OpenCV; pip install 'nst_lightning[video]'")
