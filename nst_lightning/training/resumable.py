"""The hooks of checkpoints: what a run puts into them, and how it goes on from one."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer

from nst_lightning.pictures.mapped import zeros
from nst_lightning.training import carry
from nst_lightning.training.guard import Guard
from nst_lightning.training.measuring import Measuring


class Resumable(Measuring):
    """The part of :class:`~nst_lightning.module.StyleTransfer` that is saved and goes on, to the last bit."""

    _guard: Guard

    def make_optimizer(self, parameters: list[nn.Parameter]) -> Optimizer:
        """The optimiser of this run for some parameters."""
        raise NotImplementedError

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The running average goes along: without it a resumed run would have another result."""
        if self.stage is not None:  # in a run: a checkpoint of an image that is no number would replace a good one
            with self._guard.restoring(self.image, self.progress.average):
                self._guard.check()
        self._keep_matches()
        self.resuming.save(checkpoint)

    def _keep_matches(self) -> None:
        if self.stage is not None:
            self.resuming.matches = self.targets.matches()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the image in the checkpoint's shape, before its values are loaded."""
        if self._trainer is not None:
            self.resuming.check(checkpoint, str(self.trainer.ckpt_path), self.pair, self.stages)
        self.image = nn.Parameter(zeros(checkpoint["state_dict"]["image"].shape))
        self.resuming.load(checkpoint)

    def on_fit_start(self) -> None:
        """The optimiser is there: let it go on where that of the checkpoint was."""
        self.resuming.restore(*carry.moving(self.trainer), self.make_optimizer)
