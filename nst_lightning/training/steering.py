"""What the turn of a dial does to a run."""

from __future__ import annotations

import contextlib
import copy
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nst_lightning.errors import BadArgument, Stopped
from nst_lightning.objective.ranks import world
from nst_lightning.pictures.picture import resize
from nst_lightning.training.controls import NO_TERM, UNDO, WEIGHTS, Controls, Turn
from nst_lightning.training.measuring import Measuring


class Before(NamedTuple):
    """A run before a turn.

    Attributes:
        image: ``(1, 3, H, W)``.
        average: the state of the running average.
        settings: the dial that was turned, and where it was.
    """

    image: Tensor
    average: Any
    settings: dict[str, Any]


class Steering:
    """Lets the turns of :class:`~nst_lightning.training.controls.Controls` act on a run.

    Args:
        module: the run.
        begin: computes the module's targets anew.

    Attributes:
        stopped: whether a stop ended a step, which then changes nothing.
    """

    def __init__(self, module: Measuring, begin: Callable[[], None]) -> None:
        self.module = module
        self.begin = begin
        self.before: deque[Before] = deque(maxlen=UNDO)
        self.stopped = False
        self._stoppable = False

    def heed(self, controls: Controls) -> None:
        """Let a stop act in the middle of a step: what takes long asks before each tile, or more often."""

        def ask() -> None:
            if self._stoppable:
                controls.heed()

        if world() == 1 and not self.module.targets.compilation.asked:  # processes would wait for each other
            self.module.objective.features.register_forward_pre_hook(lambda *_: ask())
            self.module.objective.pointed.heed = ask

    @contextlib.contextmanager
    def stopping(self) -> Iterator[None]:
        """Inside, a stop ends what is being computed, and with it the run; what is measured afterwards is measured."""
        self._stoppable = True
        try:
            yield
        except Stopped:
            self.stopped = self.module.trainer.should_stop = True
        finally:
            self._stoppable = False

    def act(self, turns: Sequence[Turn]) -> None:
        """Let some turns act, in their order; the targets are computed once.

        Raises:
            BadArgument: for the weight of a term that the run does not have.
        """
        anew = False
        for turn in turns:
            if turn.name == "stop":
                self.module.trainer.should_stop = True
            elif turn.name == "undo":
                anew = self._undo() or anew
            else:
                image = self.module.image.detach().clone()
                average = copy.deepcopy(self.module.progress.average.state())
                self.before.append(Before(image, average, {turn.name: self._value(turn.name)}))
                self.module.detail.drop()  # what was small is not what is wanted now
                anew = self._set(turn.name, turn.value) or anew
        if anew:
            self.begin()
        self.module.forget_measured()

    def _value(self, name: str) -> Any:
        return self.module.objective.weights[_term(name)] if name in WEIGHTS else self.module.pair.settings[name]

    def _set(self, name: str, value: Any) -> bool:
        """Turn a dial; whether the targets have to be computed anew."""
        if name in WEIGHTS:
            weights = self.module.objective.weights
            if not weights[_term(name)]:
                raise BadArgument(name, value, NO_TERM)
            weights[_term(name)] = float(value)
            return self.module.targets.compilation.asked  # what is compiled has the weights in it
        self.module.pair.change(**{name: value})
        self.module.resuming.begin(self.module.pair)
        return True

    @torch.no_grad()
    def _undo(self) -> bool:
        if not self.before:
            return False
        image, average, settings = self.before.pop()
        now = self.module.image
        if image.shape == now.shape:
            now.copy_(image)
            self.module.progress.average.load(average)
            self.module.progress.average.to(now.device)
        else:
            now.copy_(resize(image, (int(now.shape[2]), int(now.shape[3])), self.module.circular).clamp(0, 1))
            self.module.progress.average.restart()
        return any(self._set(name, value) for name, value in settings.items())


def _term(name: str) -> str:
    return name.removesuffix("_weight")
