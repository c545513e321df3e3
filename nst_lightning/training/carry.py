"""What an optimiser and its schedule take along: to an image of another size, and out of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from nst_lightning.pictures.resampling import resampled
from nst_lightning.training.optimizers import class_path, tried

Shape = Sequence[int]


def moving(trainer: L.Trainer) -> tuple[Optimizer, list[Any]]:
    """The optimiser of a Trainer and its schedulers, as they are now."""
    return trainer.optimizers[0], [config.scheduler for config in trainer.lr_scheduler_configs]


@torch.no_grad()
def resized(state: Mapping[str, Any], old: Shape, new: Shape, circular: bool = False) -> dict[str, Any] | None:
    """An optimiser's state for one image, for an image of another size.

    What has the image's shape is resized like a picture, also where it is a sum over rows or columns (Adafactor). What is
    0 or more everywhere, such as a mean of squares, is resized bilinearly, so that it stays so
    (crowsonkb/style-transfer-pytorch does the same for Adam); the rest bicubically. Single numbers are kept.

    Args:
        state: by name.
        old: of the image that it belongs to, ``(1, 3, H, W)``.
        new: of the other image, ``(1, 3, H', W')``.
        circular: whether opposite edges of the images continue each other.

    Returns:
        None if there is anything else in it, such as L-BFGS's curvature pairs, which belong to another function: half a
        state would be worse than none.
    """
    carried: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, Tensor) and value.dim() > 0:
            sides = [(size, here, there) for size, here, there in zip(value.shape, old, new, strict=False) if size != 1]
            if value.dim() != len(old) or any(size != here for size, here, _ in sides):
                return None
            sides_there = zip(value.shape[2:], old[2:], new[2:], strict=True)
            height, width = (there if side == here else 1 for side, here, there in sides_there)
            mode: Literal["bilinear", "bicubic"] = "bilinear" if bool((value >= 0).all()) else "bicubic"
            value = resampled(value, (height, width), mode, circular=circular).contiguous()
        elif not (value is None or isinstance(value, Tensor | bool | int | float | str)):
            return None
        carried[name] = value
    return carried


def carry_over(old: Optimizer, old_image: Tensor, new: Optimizer, new_image: Tensor, circular: bool = False) -> None:
    """Take the state of the old image's optimiser to the new image of another size: see :func:`resized`.

    An optimiser whose class says ``restarts = True`` begins anew.

    Args:
        old: the optimiser of ``old_image``.
        old_image: ``(1, 3, H, W)``.
        new: the optimiser of ``new_image``, fresh.
        new_image: ``(1, 3, H', W')``.
        circular: whether opposite edges of the images continue each other.
    """
    if type(old) is not type(new) or getattr(old, "restarts", False):
        return
    state = resized(old.state.get(old_image, {}), old_image.shape, new_image.shape, circular)
    if state:
        # torch's own way in: it puts a fused optimiser's count of steps where that is looked for
        new.load_state_dict({"state": {0: state}, "param_groups": new.state_dict()["param_groups"]})


def carry_schedule(old: Sequence[Any], new: Sequence[Any]) -> None:
    """Let schedulers go on, with the learning rates and momenta that they have set, for another optimiser.

    One that waits for a plateau begins to wait anew: at another size the objective has another value.

    Args:
        old: the schedulers of the optimiser before.
        new: the same, fresh, in the same order.
    """
    for before, after in zip(old, new, strict=False):
        if type(before) is not type(after):
            continue
        for theirs, ours in zip(before.optimizer.param_groups, after.optimizer.param_groups, strict=True):
            ours.update({name: value for name, value in theirs.items() if _is_number(value) or name == "betas"})
        fresh = {"best", "num_bad_epochs"} if isinstance(after, ReduceLROnPlateau) else set()
        after.load_state_dict({name: value for name, value in before.state_dict().items() if name not in fresh})


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


# ---- out of a checkpoint ---------------------------------------------------------------------------------------------


def made(optimizer: Optimizer, schedulers: Sequence[Any]) -> dict[str, Any]:
    """What an optimiser and its schedulers are, in plain values, before their first step; kept in checkpoints."""
    groups = optimizer.state_dict()["param_groups"]
    schedules = [{"class": class_path(type(one)), "state": one.state_dict()} for one in schedulers]
    return {"class": class_path(type(optimizer)), "groups": groups, "schedules": schedules}


def restore(
    saved: Mapping[str, Any],
    optimizer: Optimizer,
    schedulers: Sequence[Any],
    make: Callable[[list[Any]], Optimizer],
    step: int,
) -> str:
    """Go on with a checkpoint's optimiser and schedulers; where settings differ, with those of now.

    Args:
        saved: of the checkpoint: ``made`` (see :func:`made`), ``optimizer_states`` and ``lr_schedulers``.
        optimizer: of now, fresh.
        schedulers: of now, fresh.
        make: makes the optimiser of a list of parameters.
        step: of the checkpoint.

    Returns:
        What is not taken from the checkpoint, in a sentence, or nothing.
    """
    then, now = saved["made"], made(optimizer, schedulers)
    state = saved["optimizer_states"][0]
    if then == now:
        optimizer.load_state_dict(state)
        for scheduler, known in zip(schedulers, saved["lr_schedulers"], strict=True):
            scheduler.load_state_dict(known)
        return ""
    said = ""
    if then["class"] != now["class"]:
        before = then["class"].rpartition(".")[2]
        said = f"the checkpoint's optimiser is {before}, this run's {type(optimizer).__name__}: its state is dropped"
    elif not set(_keeps(make, optimizer)) <= set(state["state"].get(0, {})):
        said = f"{type(optimizer).__name__} has other settings than in the checkpoint: its state is dropped"
    else:
        optimizer.load_state_dict({"state": state["state"], "param_groups": optimizer.state_dict()["param_groups"]})
    optimizer._opt_called = True  # type: ignore[attr-defined]  # torch warns of a schedule before the first step
    for scheduler in schedulers:
        # as if it had been there all along; a plateau is waited for anew
        for _ in range(0 if isinstance(scheduler, ReduceLROnPlateau) else step):
            scheduler.step()
    return said


def _keeps(make: Callable[[list[Any]], Optimizer], optimizer: Optimizer) -> list[str]:
    """What an optimiser like this keeps of its image, by name, as a first step shows."""
    trial = tried(make)
    states = list(trial.state.values()) if type(trial) is type(optimizer) else []
    return list(states[0]) if states else []
