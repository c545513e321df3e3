"""One line that says how far the films are, whoever paints them: it counts what lies on the disk."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence

from nst_lightning.video.film import Film
from nst_lightning.wording import duration

EVERY = 0.5  # seconds
FIRST = 5.0  # times as long as others the first frame of a scene takes, until that is known


class Progress:
    """Shows lines in place of each other; those that are said stay."""

    def __init__(self) -> None:
        self.out = sys.stdout  # which is turned away while a run is built
        self._width, self._line = 0, ""
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def show(self, line: str) -> None:
        """A line in place of the last one."""
        if line == self._line:
            return
        self._line = line
        self.out.write(f"\r{line.ljust(self._width)}")
        self.out.flush()
        self._width = len(line)

    def say(self, line: str) -> None:
        """A line that stays."""
        self.show(line)
        self.out.write("\n")
        self._width = 0

    def begin(self, films: Sequence[Film]) -> None:
        """Count the frames of some films until :meth:`end`."""
        self._counting = _Counting(films)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ending.wait(EVERY):
            self.show(self._counting.line())

    def end(self) -> None:
        """Leave the last line as it is."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self.show(self._counting.line())
        if self._width:
            self.out.write("\n")
            self.out.flush()


class _Counting:
    def __init__(self, films: Sequence[Film]) -> None:
        self.missing = [
            (film, number, turn)
            for film in films
            for turn in range(1, film.steadiness.passes + 1)
            for number in range(len(film.reel))
        ]
        self.total = len(self.missing)
        self.taken: dict[bool, list[float]] = {True: [], False: []}  # seconds of first frames, of others
        self.steps = 0
        self.started = time.monotonic()
        self.looked()
        self.there = self.total - len(self.missing)
        self.taken = {True: [], False: []}

    def looked(self) -> None:
        missing = []
        for film, number, turn in self.missing:
            if film.reel.done(number, turn):
                measured = film.reel.measured(number, turn)
                self.taken[self._begins(film, number, turn)].append(measured["seconds"])
                self.steps = int(measured["steps"])
            else:
                missing.append((film, number, turn))
        self.missing = missing

    @staticmethod
    def _begins(film: Film, number: int, turn: int) -> bool:
        return turn == 1 and number in film.reel.record.cuts

    def line(self) -> str:
        """How far it is."""
        self.looked()
        done = self.total - len(self.missing)
        parts = [f"frame {done} of {self.total}"]
        means = {kind: sum(taken) / len(taken) for kind, taken in self.taken.items() if taken}
        if means:
            of_others = means.get(False, means.get(True, 0.0) / FIRST)
            of_first = means.get(True, of_others * FIRST)
            work = sum(of_first if self._begins(*one) else of_others for one in self.missing)
            # several at once: seconds of work that were done in each of the clock
            spent = time.monotonic() - self.started
            speed = max(1.0, sum(sum(taken) for taken in self.taken.values()) / max(spent, 1e-3))
            parts += [f"{self.steps} steps", f"{of_others:.1f} s a frame"] if False in means else []
            parts += [f"{duration(work / speed)} left"] if self.missing else []
        return " · ".join(parts)
