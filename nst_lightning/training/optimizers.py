"""The optimiser of a run and its learning rates: ready ones, those by class path, and which of them can work."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import LBFGS, Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from nst_lightning.errors import BadArgument, nearest, reason
from nst_lightning.training.pyramid import pyramid_adam

Parameters = Iterable[nn.Parameter]
Scheduler = LRScheduler | ReduceLROnPlateau


class BoundedLBFGS(LBFGS):
    """torch's L-BFGS without line search, whose steps are bounded.

    Where the objective is almost flat (a grey image) the first curvature pairs say little, and one step can throw every
    pixel out by thousands; the history never recovers. Scaling the direction keeps direction and curvature pair the same.
    """

    MAX_CHANGE = 0.1  # root mean square over the values of the image, in units of its range; usual steps make 0.01

    def _add_grad(self, step_size: float, direction: torch.Tensor) -> None:
        change = abs(float(step_size)) * float(direction.norm()) / direction.numel() ** 0.5
        if change > self.MAX_CHANGE:
            direction.mul_(self.MAX_CHANGE / change)  # in place: torch forms the curvature pair from this tensor
        super()._add_grad(step_size, direction)


def lbfgs(parameters: Parameters, lr: float = 1.0) -> LBFGS:
    """L-BFGS as style transfer needs it: one evaluation a step, no stopping by itself.

    ``max_iter=1`` makes a step one evaluation; N such steps equal one step of N without line search. torch's history of
    100 would keep 2.4 kB a pixel. Its tolerances are absolute and end a well-scaled objective silently.
    """
    return BoundedLBFGS(parameters, lr=lr, max_iter=1, history_size=10, tolerance_grad=0.0, tolerance_change=0.0)


def adam(parameters: Parameters, lr: float = 0.02) -> Adam:
    """Adam with the learning rate and betas of crowsonkb/style-transfer-pytorch, for an image in [0, 1].

    Large images are updated in place by torch's fused Adam: the plain one makes copies of the image in between. (Lightning
    cannot clip gradients with it, so smaller ones are not.)
    """
    images = list(parameters)
    fused = sum(image.numel() for image in images) >= LARGE and all(
        image.device.type in ("cpu", "cuda") for image in images
    )
    return Adam(images, lr=lr, betas=(0.9, 0.99), fused=fused)


LARGE = 3 * 2048 * 2048  # values of an image
LARGEST = torch.finfo(torch.float32).max

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"lbfgs": lbfgs, "adam": adam, "pyramid_adam": pyramid_adam}


class Optimization:
    """How the image is moved: the optimiser and the schedule of its learning rate, made anew at each scale.

    Args:
        optimizer: a name of :data:`OPTIMIZERS`, a class path, ``{"class_path": …, "init_args": …}``, or what makes an
            optimiser of parameters.
        learning_rate: of a ready optimiser, above 0, or None: its own.
        lr_scheduler: the same kinds for what makes a scheduler of an optimiser, or None: the rate stays.
        circular: whether the image's opposite edges continue each other; for optimisers that know the word.

    Raises:
        BadArgument: for a name or a path that is not there, or a learning rate that cannot work.
    """

    def __init__(
        self, optimizer: Any, learning_rate: float | None = None, lr_scheduler: Any = None, circular: bool = False
    ) -> None:
        self.optimizer, self.lr_scheduler, self.circular = optimizer, lr_scheduler, circular
        ready = isinstance(optimizer, str) and optimizer in OPTIMIZERS
        if learning_rate is not None:
            if not ready:
                expected = (
                    "is for the ready optimisers, lbfgs, adam and pyramid_adam; another takes its own, such as init_args.lr"
                )
                raise BadArgument("learning_rate", learning_rate, expected)
            if not 0 < learning_rate <= LARGEST:
                raise BadArgument("learning_rate", learning_rate, f"a number above 0 and up to {LARGEST:.0e}")
        self._make = _factory("optimizer", optimizer, OPTIMIZERS)
        if learning_rate is not None:
            self._make = partial(self._make, lr=learning_rate)
        self._schedule = None if lr_scheduler is None else _factory("lr_scheduler", lr_scheduler, {})

    def make(self, parameters: list[nn.Parameter]) -> Optimizer:
        """The optimiser of some parameters."""
        optimizer = self._make(parameters)
        for group in optimizer.param_groups if self.circular else []:
            if "circular" in group:
                group["circular"] = True
        return optimizer

    def configure(self, parameters: list[nn.Parameter], pace: float = 1.0) -> Any:
        """What ``configure_optimizers`` returns: the scheduler counts steps, on a plateau it looks at ``loss/total``.

        Args:
            parameters: the image.
            pace: what the learning rate is multiplied by, but for L-BFGS, whose steps follow the slope.
        """
        optimizer = self.make(parameters)
        for group in [] if isinstance(optimizer, LBFGS) else optimizer.param_groups:
            group["lr"] *= pace
        if self._schedule is None:
            return optimizer
        schedule = {"scheduler": self._schedule(optimizer), "interval": "step", "monitor": "loss/total"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def check(self) -> None:
        """Try a step on a small image.

        Raises:
            BadArgument: naming ``optimizer`` or ``lr_scheduler``.
        """
        try:
            rates = [float(group.get("lr", 0.0)) for group in self.make([small_image()]).param_groups]
            sane = all(abs(rate) <= LARGEST for rate in rates)
            moved = sane and bool(torch.isfinite(tried(self.make).param_groups[0]["params"][0]).all())
        except Exception as error:  # whatever somebody's own optimiser raises
            expected = f"cannot optimise an image, a tensor (1, 3, height, width): {reason(error)}"
            raise BadArgument("optimizer", _name(self.optimizer), expected) from error
        if not moved:
            expected = f"its first step would make an image that is no number; its learning rate is {rates[0]:g}"
            raise BadArgument("optimizer", _name(self.optimizer), expected)
        if self._schedule is None:
            return
        try:
            made = self._schedule(self.make([small_image()]))
        except Exception as error:
            raise BadArgument("lr_scheduler", _name(self.lr_scheduler), reason(error)) from error
        if not isinstance(made, Scheduler):
            expected = f"makes a {type(made).__name__}, which is no learning rate scheduler of torch"
            raise BadArgument("lr_scheduler", _name(self.lr_scheduler), expected)

    def settings(self) -> dict[str, Any]:
        """``optimizer`` and ``lr_scheduler`` as plain values from which they can be made again, those that have such.

        A class, or a partial of one, is its class path with its arguments. Of any other function, what it makes is
        described, if that description makes the same again.
        """

        def plain(given: Any, make: Callable[[], Any], again: Callable[[dict[str, Any]], Any]) -> Any:
            if not callable(given):
                return given
            with _quiet():
                made = make()
                for found in (_written(given), _described(made)):
                    with _quiet():
                        if _plain(found) and found and _same(made, again(found)):
                            return found
            return None

        optimizer = plain(
            self.optimizer,
            lambda: self.make([small_image()]),
            lambda found: _factory("optimizer", found, {})([small_image()]),
        )
        scheduler = plain(
            self.lr_scheduler,
            lambda: self._schedule and self._schedule(self.make([small_image()])),
            lambda found: _factory("lr_scheduler", found, {})(self.make([small_image()])),
        )
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


class _quiet:
    """Inside, an error ends the block: what cannot be described is left out, and `check` says what is wrong with it."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        return kind is not None and issubclass(kind, Exception)


def small_image() -> nn.Parameter:
    return nn.Parameter(torch.full((1, 3, 4, 5), 0.5))


def tried(make: Callable[[list[nn.Parameter]], Optimizer]) -> Optimizer:
    """An optimiser of a small image after its first step, with the state that it keeps."""
    image = small_image()
    optimizer = make([image])

    def closure() -> Any:
        image.grad = torch.ones_like(image)
        return torch.ones(())

    optimizer.step(closure)
    return optimizer


def class_path(kind: type) -> str:
    """Where a class is found: its module and its name."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _name(given: Any) -> str | None:
    if isinstance(given, Mapping):
        return str(given.get("class_path"))
    if isinstance(given, str):
        return given
    return class_path(given) if isinstance(given, type) else None


def _factory(argument: str, given: Any, known: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """What makes an optimiser or a scheduler.

    Raises:
        BadArgument: naming ``argument``.
    """
    if callable(given):
        return given
    if isinstance(given, str) and given in known:
        return known[given]
    plain: Any = {"class_path": given} if isinstance(given, str) else given
    path = plain.get("class_path") if isinstance(plain, Mapping) else None
    if not isinstance(path, str):
        raise BadArgument(argument, given, f"one of {', '.join(known) or 'null'}, or a class path")
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name) if module else None
    except (ImportError, AttributeError):
        found = None
    if not callable(found):
        ready = f"none of {', '.join(known)}, and " if known else ""
        raise BadArgument(argument, path, f"is {ready}no class path that can be imported{nearest(path, known)}")
    return partial(found, **(plain.get("init_args") or {}))


def _written(given: Any) -> dict[str, Any] | None:
    """A class, or a partial of one, by its path."""
    arguments: dict[str, Any] = {}
    if isinstance(given, functools.partial) and not given.args:
        given, arguments = given.func, dict(given.keywords)
    return {"class_path": class_path(given), "init_args": arguments} if isinstance(given, type) else None


def _described(made: Any) -> dict[str, Any] | None:
    """An optimiser or a scheduler by its class and those of its values that its class takes as arguments."""
    if made is None:
        return None
    values = made.param_groups[0] if isinstance(made, Optimizer) else made.state_dict()
    takes = list(inspect.signature(type(made)).parameters)[1:]
    arguments = {name: values[name] for name in takes if name in values and name != "last_epoch"}  # that is a state
    return {"class_path": class_path(type(made)), "init_args": arguments}


def _same(one: Any, other: Any) -> bool:
    """Whether two fresh optimisers, or schedulers, are alike."""

    def values(made: Any) -> Any:
        return made.state_dict()["param_groups"] if isinstance(made, Optimizer) else made.state_dict()

    return type(one) is type(other) and _plain(values(one)) and values(one) == values(other)


def _plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str | int) and _plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
