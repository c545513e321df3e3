"""The words of ``ui``: its flags and its help. Loads neither torch nor Gradio, so that help comes at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from nst_lightning.cli.words import home
from nst_lightning.errors import UsageError, nearest

LOCAL = ("127.0.0.1", "localhost", "::1")
PORT = 7860
FLAGS = ("--host", "--port", "--password", "--folder")


def help_of(words: Sequence[str]) -> str | None:
    """The help that some words ask for, or None.

    >>> help_of(["-h"])[:6], help_of([])
    ('nst ui', None)
    """
    asked = {"-h", "--help", "--help_all"} & set(words)
    return Path(__file__).with_name("help.txt").read_text(encoding="utf-8").rstrip() if asked else None


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What the words after ``ui`` say: ``host``, ``port``, ``password`` (or None) and ``folder``.

    Raises:
        UsageError: if they are not understood, or the extra is not installed.

    >>> parse(["--port", "8000"]).port
    8000
    """
    parser = argparse.ArgumentParser("nst ui", add_help=False, allow_abbrev=False)
    parser.add_argument("--host", default=LOCAL[0])
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--password")
    parser.add_argument("--folder", default="logs/ui")

    def fail(message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))

    parser.error = fail  # type: ignore[method-assign]
    options, unknown = parser.parse_known_args(list(words))
    if unknown:
        near = nearest(unknown[0].split("=")[0], FLAGS)
        raise UsageError(f"{unknown[0]}: no such flag of ui{near}; nst ui --help lists them")
    if not 1 <= options.port <= 65535:
        raise UsageError(f"--port {options.port}: give a number from 1 to 65535")
    if options.password is not None and not options.password:
        raise UsageError("--password: is empty; leave the flag out to have one made")
    options.folder = home(options.folder)
    return options


def check_installed() -> None:
    """Whether the page's library is there.

    Raises:
        UsageError: saying how to install it.
    """
    if find_spec("gradio") is None:
        raise UsageError("ui: the page needs Gradio; pip install 'nst_lightning[ui]'")
