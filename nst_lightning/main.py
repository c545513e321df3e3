"""The commands: ``fit`` makes one picture, ``study`` a grid, ``compare`` asks which people prefer, ``ui`` is a page.

What needs no torch is answered before it is loaded: help, version, flags and files that there are not.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nst_lightning
from nst_lightning.cli import help as texts
from nst_lightning.cli.early import check_words, read_study_file
from nst_lightning.cli.words import expand
from nst_lightning.compare import options as comparing
from nst_lightning.errors import LostProcess, NonFiniteLoss, UsageError, nearest
from nst_lightning.study.options import help_of, parse
from nst_lightning.ui import options as painting
from nst_lightning.video import options as filming

SAMPLES = Path(__file__).parent / "pictures" / "samples"
Command = Callable[[Sequence[str]], int]


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Inside, modules are loaded: what they make stays, and looking for garbage in it takes a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def fit(words: Sequence[str]) -> int:
    """One picture; ``words`` follow the command."""
    if {"-h", "--help"} & set(words):
        print(texts.FIT, end="")
        return 0
    expanded = expand(["fit", *words])
    every = "--help_all" in expanded
    if not every:
        check_words(expanded)
    with loading():
        from nst_lightning.cli.run import run  # loads torch

    return run(["fit", "--help"] if every else expanded)


def study(words: Sequence[str]) -> int:
    """A grid of pictures."""
    if text := help_of(words):
        print(text)
        return 0
    options, flags = parse(words)
    for name in options.config:
        read_study_file(name)
    check_words(expand(["fit", *flags]))
    with loading():
        from nst_lightning.study.command import study as command

    return command(words)


def compare(words: Sequence[str]) -> int:
    """A page that asks which results people prefer, or the tally of what they said."""
    if text := comparing.help_of(words):
        print(text)
        return 0
    with loading():
        from nst_lightning.compare.command import compare as command

    return command(words)


def ui(words: Sequence[str]) -> int:
    """A page to paint on."""
    if text := painting.help_of(words):
        print(text)
        return 0
    painting.parse(words)
    painting.check_installed()
    with loading():
        from nst_lightning.ui.command import ui as command

    return command(words)


def video(words: Sequence[str]) -> int:
    """A film."""
    if text := filming.help_of(words):
        print(text)
        return 0
    filming.parse(words)
    filming.check_installed()
    with loading():
        from nst_lightning.video.command import video as command

    return command(words)


def demo(words: Sequence[str]) -> int:
    """A picture of two that come along, in the current folder; ``words`` are flags of ``fit``."""
    pictures = [str(SAMPLES / name) for name in ("photo.jpg", "painting.jpg")]
    return fit([*pictures, "--data.size=384", "--output=nst_demo.png", *words])


COMMANDS: dict[str, Command] = {"fit": fit, "study": study, "compare": compare, "ui": ui, "video": video, "demo": demo}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: the words after the program's name; those of this process if None.

    Returns:
        The exit code: 0 done, 1 failed in the run, 2 bad input, 130 Ctrl-C, 143 SIGTERM.
    """
    words = list(sys.argv[1:] if args is None else args)
    try:
        return _run(words)
    except UsageError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    except (NonFiniteLoss, LostProcess) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that went away
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the first step: there is no picture yet
        return 128 + signal.SIGINT
    except SystemExit as stop:
        if isinstance(stop.code, int):
            return stop.code
        # Lightning's SIGTERMException, which is not imported here: torch would be
        return 128 + signal.SIGTERM if type(stop).__name__.startswith("SIGTERM") else 1


def _run(words: list[str]) -> int:
    first = words[0] if words else ""
    if first in COMMANDS:
        return COMMANDS[first](words[1:])
    if first in ("-h", "--help"):
        print(texts.PROGRAM, end="")
        return 0
    if first == "--version":
        print(f"nst_lightning {nst_lightning.__version__}")
        return 0
    if not words:
        raise UsageError("nothing to do; give a photo and a painting, nst fit photo.jpg painting.jpg, or see nst --help")
    if first.startswith("-") or Path(first).suffix or os.sep in first or _is_there(first):
        return fit(words)  # pictures or flags: the command may be left out
    known = f"give {', '.join(COMMANDS)}, or two pictures"
    raise UsageError(f"{first}: no such command or picture{nearest(first, COMMANDS)}; {known}")


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # a name that no file can have
        return False
