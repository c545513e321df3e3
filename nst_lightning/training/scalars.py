"""The numbers of a run: to the Trainer's loggers and to those who monitor them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor


class Scalars:
    """Writes the losses of some steps; the only writer of them.

    ``LightningModule.log`` costs about 0.3 ms for each of ten terms at every step. Here a step costs a few microseconds:
    ``callback_metrics`` get the tensors as they are, and only what is written is waited for.

    Attributes:
        every: steps between two entries, the first and the last step besides; None: the Trainer's ``log_every_n_steps``,
            as for any other module.
    """

    every: int | None = None

    def begin(self, trainer: L.Trainer) -> None:
        """A run begins, or goes on."""
        self._clock, self._step = time.monotonic(), trainer.global_step
        self._first = True

    def due(self, trainer: L.Trainer) -> bool:
        """Whether the step that was just made is written."""
        step = trainer.global_step
        if self.every is None:
            return step % max(trainer.log_every_n_steps, 1) == 0  # type: ignore[attr-defined]
        return self._first or step % self.every == 0 or step >= trainer.max_steps or trainer.should_stop

    def see(self, trainer: L.Trainer, losses: Mapping[str, Tensor]) -> None:
        """Let monitors see the losses of a step: ``loss/total`` and so on."""
        trainer.callback_metrics.update(
            {f"loss/{name}": value.detach() for name, value in losses.items() if name != "loss"}
        )

    def step(self, trainer: L.Trainer, losses: Mapping[str, Tensor], size: int) -> None:
        """A step was made.

        Args:
            trainer: whose ``global_step`` counts it.
            losses: what it returned.
            size: longer side of the image.
        """
        if not self.due(trainer):
            return
        now, step = time.monotonic(), trainer.global_step
        values: dict[str, Any] = {f"loss/{name}": float(value.detach()) for name, value in losses.items() if name != "loss"}
        values["size"] = float(size)
        values["learning_rate"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        values["steps_per_second"] = (step - self._step) / max(now - self._clock, 1e-9)
        self._clock, self._step, self._first = now, step, False
        self.write(trainer, values)

    @staticmethod
    def write(trainer: L.Trainer, values: Mapping[str, Any]) -> None:
        """Write numbers to every logger, at the number of steps that were made."""
        found = {name: float(value) for name, value in values.items()}
        trainer.logged_metrics.update({name: torch.tensor(value) for name, value in found.items()})
        for logger in trainer.loggers:
            logger.log_metrics(found, step=trainer.global_step)
