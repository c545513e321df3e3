"""Checkpoints: by steps, by the clock and where a scale ends; the newest two kept, the newest readable one found again."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from nst_lightning.errors import BadArgument, reason
from nst_lightning.network.weights import UNREADABLE
from nst_lightning.training.checkpoint_io import BesideCheckpointIO, load

COMPLETE = {"optimizer_states", "loops", "global_step", "pytorch-lightning_version", "average", "run", "made"}


class Saved(NamedTuple):
    """What a checkpoint says of itself.

    Attributes:
        path: the file.
        settings: of the model that made it.
        run: ``size``, height and width of its result, and ``inputs``, their fingerprint.
        shape: height and width of its picture, which may be of an earlier scale.
    """

    path: str
    settings: dict[str, Any]
    run: dict[str, Any]
    shape: tuple[int, int]


SELDOM = 120.0  # seconds between two checkpoints, however few steps those are: a step of a large picture takes minutes
SCALE = 10.0  # the same where a scale ends: the next one's first step may take longer than all steps so far
SHARE = 0.02  # of the time of a run, which writing them by the clock may take


class NewestCheckpoint(ModelCheckpoint):
    """Lightning's checkpoint callback, which also saves by the clock, sooner where a scale ends, and the end of a run.

    The one before the newest is kept too: if the newest is damaged, little is lost. Between two steps a checkpoint is
    written beside computing, where the Trainer has a :class:`~nst_lightning.training.checkpoint_io.BesideCheckpointIO`.
    """

    _before = ""
    _saved_at = 0.0
    _cost = 0.0  # seconds that the last one took

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any, **kwargs: Any) -> None:
        io = trainer.strategy.checkpoint_io
        with contextlib.ExitStack() as inside:
            if isinstance(io, BesideCheckpointIO):
                io.see()
                inside.enter_context(io.beside())
            super().on_train_batch_end(trainer, pl_module, *args, **kwargs)
            self._save_by_the_clock(trainer, pl_module)

    def _save_by_the_clock(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.monitor is not None or trainer.global_step == self._last_global_step_saved:
            return
        stage = getattr(pl_module, "stage", None)
        seldom = SELDOM if stage is None or trainer.global_step < stage.last else SCALE
        due = time.monotonic() - self._saved_at >= max(seldom, self._cost / SHARE)
        # processes have to agree: all of them take part in a checkpoint
        if trainer.strategy.broadcast(due) and not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def _save_none_monitor_checkpoint(self, trainer: L.Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        start = time.monotonic()
        self._save(trainer, monitor_candidates)
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - start

    def _save(self, trainer: L.Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        newest = self.best_model_path
        keep, self.save_top_k = self.save_top_k, -1  # save, and remove nothing
        try:
            super()._save_none_monitor_checkpoint(trainer, monitor_candidates)
        finally:
            self.save_top_k = keep
        old, self._before = self._before, newest
        if keep == 1 and old and self._should_remove_checkpoint(trainer, old, self.best_model_path):
            self._remove_checkpoint(trainer, old)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._last_global_step_saved = trainer.global_step  # nothing is new yet
        self._saved_at, self._cost = time.monotonic(), 0.0

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if trainer.global_step != self._last_global_step_saved:
            super().on_exception(trainer, pl_module, exception)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return  # leaves nothing
        if self.save_top_k != 0 and self._last_global_step_saved != trainer.global_step and self.dirpath:
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))


def find_checkpoint(path: str) -> Saved:
    """The checkpoint to resume from.

    Args:
        path: a file, or a folder: the newest readable checkpoint in it, at any depth.

    Raises:
        BadArgument: if there is none that can be read.
    """
    if not Path(path).is_dir():
        return read_checkpoint(path)
    newest = sorted(Path(path).rglob("*.ckpt"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in newest:
        try:
            saved = read_checkpoint(str(file))
        except BadArgument as error:
            print(f"{file}: {error.expected}; taking the one before", flush=True)
        else:
            print(f"resuming from {file}", flush=True)
            return saved
    raise BadArgument("ckpt_path", path, f"no checkpoint in this folder can be read ({len(newest)} found)")


def read_checkpoint(path: str) -> Saved:
    """What a checkpoint says of itself.

    Raises:
        BadArgument: if the file is not there, cannot be read, or is no checkpoint of this program.
    """
    if not Path(path).is_file():
        raise BadArgument("ckpt_path", path, "no such file or folder")
    try:
        saved = load(path)
        settings, found = dict(saved.get("hyper_parameters", {})), tuple(saved.get("state_dict", ()))
        complete = set(saved) >= COMPLETE
    except UNREADABLE as error:
        raise BadArgument("ckpt_path", path, f"not a checkpoint that can be read ({reason(error)})") from error
    if found != ("image",) or not complete:
        raise BadArgument("ckpt_path", path, "not a checkpoint of this program")
    settings.pop("_instantiator", None)
    height, width = saved["state_dict"]["image"].shape[2:]
    return Saved(path, settings, saved["run"], (int(height), int(width)))
