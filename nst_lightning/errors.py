"""What is wrong with an argument, said so that a person can act on it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class BadArgument(ValueError):
    """An argument that cannot work.

    Args:
        name: the argument, as the class that declares it calls it (``"content_weight"``, ``"features.arch"``). The
            command line finds the flag that ends in it.
        value: what was given.
        expected: what is wrong and what would be right, in one sentence without the name and the value.

    >>> print(BadArgument("content_weight", -1, "is negative; give 0 or more"))
    content_weight -1: is negative; give 0 or more
    """

    def __init__(self, name: str, value: object, expected: str) -> None:
        self.name = name
        self.value = value
        self.expected = expected
        super().__init__(f"{name} {value}: {expected}")


class UsageError(SystemExit):
    """What was typed cannot work; ``message`` is what to say. Left alone it ends the program with exit code 2."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(2)


class NonFiniteLoss(RuntimeError):
    """The objective became NaN or infinite, at ``step``."""

    def __init__(self, step: int) -> None:
        self.step = step
        super().__init__(
            f"the loss is not a finite number at step {step}; the picture of the step before is kept. "
            "Try a lower learning rate, or --trainer.precision 32-true"
        )


class Stopped(Exception):
    """Somebody ended the run in the middle of a step."""


class SharedOutOfMemory(MemoryError):
    """Memory ran out in one of several processes, and all of them stopped at the same place."""


class LostProcess(RuntimeError):
    """Another process of the run ended or does not answer."""

    def __init__(self) -> None:
        super().__init__("another process of this run ended or does not answer; the picture so far is kept")


def reason(error: BaseException) -> str:
    """What an error of a library says, as half a sentence: its first line without colours, or its kind.

    >>> reason(KeyError(101)), reason(ValueError("no such thing.\\nCall us"))
    ('KeyError', 'no such thing')
    """
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    first = " ".join(line.strip() for line in lines[: 2 if lines and lines[0].endswith(":") else 1]).rstrip(".")
    return first if len(first.split()) > 1 else type(error).__name__


def nearest(word: str, known: Iterable[str]) -> str:
    """Half a sentence that names the known word most like ``word``, or nothing.

    >>> nearest("cnv_4", ["conv_4", "relu_4"])
    "; did you mean 'conv_4'?"
    >>> nearest("xyzzy", ["conv_4"])
    ''
    """
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{match[0]}'?" if match else ""
