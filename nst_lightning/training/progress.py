"""One line that says how far a run is and how long it will take."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm.auto import tqdm

from nst_lightning.training.scales import Stage
from nst_lightning.wording import duration

COLUMNS = 80  # of the line, at most
EVERY = 0.2  # seconds between two looks at the losses: each look waits for the device
STEADY = 3  # steps at a scale before their time is trusted


class TimeLeft:
    """Foretells the rest of a run from the steps so far; later scales are larger, and slower.

    A step takes a + b · pixels: from two scales by both, from one with a = 0 (measured, a is some milliseconds). What a
    scale takes to begin, mostly its targets, is b' · pixels likewise.

    Args:
        stages: the scales of the run.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = list(stages)
        self._steps: dict[int, list[float]] = {}  # seconds of each step at a scale, the first of it left out
        self._begin: dict[int, float] = {}  # seconds of the first one

    def _number(self, step: int) -> int:
        return next((number for number, stage in enumerate(self.stages) if step < stage.last), len(self.stages) - 1)

    def add(self, step: int, seconds: float) -> None:
        """Take note of a step.

        Args:
            step: its number, from 0.
            seconds: since the end of the one before, so with all that happens between steps.
        """
        number = self._number(step)
        if number in self._begin:
            self._steps.setdefault(number, []).append(seconds)
        else:
            self._begin[number] = seconds

    def _seconds(self, number: int) -> float | None:
        """Of a step at a scale, measured or foretold."""
        means = {known: sum(times) / len(times) for known, times in self._steps.items() if len(times) >= STEADY}
        if number in means:
            return means[number]
        pixels = [stage.shape[0] * stage.shape[1] for stage in self.stages]
        known = sorted((other for other in means if other < number), reverse=True)[:2]
        if not known:
            return None
        last = known[0]
        if len(known) == 2 and means[known[0]] > means[known[1]]:
            slope = (means[known[0]] - means[known[1]]) / (pixels[known[0]] - pixels[known[1]])
            # never beyond proportion: small scales run in the processor's cache
            return max(means[last] + slope * (pixels[number] - pixels[last]), means[last])
        return means[last] * pixels[number] / pixels[last]

    def seconds(self, done: int) -> float | None:
        """What is left after ``done`` steps, or None where too little is known."""
        here = self._number(done)
        total = 0.0
        for number in range(here, len(self.stages)):
            stage, each = self.stages[number], self._seconds(number)
            if each is None:
                return None
            total += each * (stage.last - max(done, stage.first))
            if number > here or done == stage.first:
                known = max(self._begin, default=None)
                if known is not None:
                    pixels = [shape[0] * shape[1] for shape in (stage.shape, self.stages[known].shape)]
                    total += max(self._begin[known] - (self._seconds(known) or 0.0), 0.0) * pixels[0] / pixels[1]
        return total


class Progress(ProgressBar):
    """Size, steps, objective, speed and time left, in one line of a terminal or a notebook; silent elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: Any = None

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not self._enabled:
            return
        columns = min(COLUMNS, shutil.get_terminal_size((COLUMNS, 24)).columns) - 1
        notebook = "notebook" in tqdm.__module__
        self._bar = tqdm(
            total=trainer.max_steps,
            initial=trainer.global_step,
            ncols=None if notebook else columns,
            nrows=24,  # there are terminals that say they have none, and nothing would be shown there
            bar_format=None if notebook else "{desc} {bar} {n_fmt}/{total_fmt}{postfix}",
            leave=False,
            disable=False if notebook else None,  # None: silent where nobody looks
            mininterval=EVERY,
        )
        self._left = TimeLeft(pl_module.stages)
        self._clock, self._shown = time.monotonic(), 0.0

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._bar is None or self._bar.disable:
            return
        now, step = time.monotonic(), trainer.global_step
        self._left.add(step - 1, now - self._clock)
        self._clock = now
        if now - self._shown < EVERY and step < trainer.max_steps:
            return
        self._shown = now
        height, width = pl_module.image.shape[2:]
        left = self._left.seconds(step)
        said = [f"loss {float(outputs['total'].detach()):.3g}"] if "total" in outputs else []
        said += [] if left is None else [f"{duration(left)} left"]
        self._bar.set_description_str(f"{width} x {height}", refresh=False)
        self._bar.set_postfix_str(" · ".join(said), refresh=False)
        self._bar.n = step
        self._bar.refresh()
        if step >= trainer.max_steps:  # what is said next begins on a line of its own
            self._close()

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
