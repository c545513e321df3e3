"""What a person turns while a run goes on: the one object that the module reads at each step, and that remembers."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nst_lightning.errors import BadArgument, Stopped, nearest, reason
from nst_lightning.pictures.atomic import expand, write_file

WEIGHTS = ("content_weight", "style_weight", "tv_weight")
COLORS = ("style", "luminance", "match", "oklab")
NO_TERM = "this run has no such term: its weight was 0 when it began"
UNDO = 4  # turns that can be taken back: each keeps a copy of the image and of its average
DIALS = (*WEIGHTS, "style_scale", "color")


class Turn(NamedTuple):
    """One turn of a dial.

    Attributes:
        step: before which it acts, from 0.
        name: of the dial, or ``undo`` or ``stop``.
        value: what it is turned to; None for the latter two.
    """

    step: int
    name: str
    value: float | str | None = None


class Controls:
    """The dials of a run. They may be turned from any thread; they act before the next step.

    ``content_weight``, ``style_weight`` and ``tv_weight`` act at once; ``style_scale`` (the size of strokes) and ``color``
    by new targets. :meth:`undo` takes back the last turn, four in a row at most, with the picture as it was then. What was
    turned is in ``turns``, and a run that is given these turns makes the same picture again.

    Args:
        turns: of a run before, to be repeated; more may be turned.

    Attributes:
        turns: those that have acted, in their order.

    >>> controls = Controls()
    >>> controls.set(style_weight=30.0)
    >>> controls.due(7), controls.due(8)
    ([Turn(step=7, name='style_weight', value=30.0)], [])
    """

    def __init__(self, turns: Iterable[Turn] = ()) -> None:
        self.turns: list[Turn] = []
        self._coming = sorted(turns, key=lambda turn: turn.step)
        self._waiting: list[tuple[str, Any]] = []
        self._stopping = False
        self._lock = threading.Lock()

    def set(self, **dials: Any) -> None:
        """Turn one dial, or several at once.

        Raises:
            BadArgument: for a dial that there is not, or a value that it cannot have.
        """
        self._wait([(name, _checked(name, value)) for name, value in dials.items()])

    def undo(self) -> None:
        """Take the last turn back: its dial, and the picture as it was before it."""
        self._wait([("undo", None)])

    def stop(self) -> None:
        """End the run, in the middle of a step if that takes long; the picture so far is its result."""
        self._wait([("stop", None)])
        self._stopping = True

    def heed(self) -> None:
        """End the step that is being computed, if the run is to end: the module asks before each tile, and more often.

        Raises:
            Stopped: if so.
        """
        if self._stopping:
            raise Stopped

    def _wait(self, dials: list[tuple[str, Any]]) -> None:
        with self._lock:
            self._waiting += dials

    def due(self, step: int) -> list[Turn]:
        """The turns that act before a step, which are then among ``turns``: the module asks once a step."""
        if not self._coming and not self._waiting:  # nearly always
            return []
        with self._lock:
            found = [turn for turn in self._coming if turn.step <= step]
            self._coming = self._coming[len(found) :]
            found += [Turn(step, name, value) for name, value in self._waiting]
            self._waiting = []
            self.turns += found
        return found

    def check(self, weights: Mapping[str, float]) -> None:
        """Whether a run with these weights of terms can make the turns that it is given.

        Raises:
            BadArgument: naming the first that it cannot.
        """
        for turn in self._coming:
            if turn.name in WEIGHTS and not weights[turn.name.removesuffix("_weight")]:
                raise BadArgument("turns", turn.name, f"turned before step {turn.step}: {NO_TERM}")

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write ``turns`` as JSON, atomically."""
        write_file(path, json.dumps([turn._asdict() for turn in self.turns], indent=1).encode())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Controls:
        """Controls that repeat the turns of a file.

        Raises:
            BadArgument: if it cannot be read, or holds something else.
        """
        try:
            content = json.loads(Path(expand(path)).read_text(encoding="utf-8"))
            if not isinstance(content, list):
                raise TypeError("it is no list of turns")
            turns = [Turn(int(one["step"]), str(one["name"]), one["value"]) for one in content]
        except OSError as error:
            raise BadArgument("turns", os.fspath(path), f"cannot be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError) as error:
            expected = f"a turns.json from the folder of a run ({reason(error)})"
            raise BadArgument("turns", os.fspath(path), expected) from error
        try:
            return cls(
                turn if turn.name in ("undo", "stop") else turn._replace(value=_checked(*turn[1:])) for turn in turns
            )
        except BadArgument as error:
            raise BadArgument("turns", os.fspath(path), f"{error.name} {error.value}: {error.expected}") from error


def _checked(name: str, value: Any) -> float | str:
    if name not in DIALS:
        raise BadArgument(name, value, f"no such dial{nearest(name, DIALS)}; dials: {', '.join(DIALS)}")
    if name == "color":
        if value not in COLORS:
            raise BadArgument(name, value, f"one of {', '.join(COLORS)}")
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise BadArgument(name, value, "a number above 0")
    return float(value)
