"""The hooks of scales: which size the image has at which step, and how it gets from one to the next."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nst_lightning.pictures.mapped import kept
from nst_lightning.pictures.picture import resize
from nst_lightning.training import carry
from nst_lightning.training.guard import Guard
from nst_lightning.training.resumable import Resumable
from nst_lightning.training.scales import Stage, stage_at
from nst_lightning.training.steering import Steering


class Staged(Resumable):
    """The part of :class:`~nst_lightning.module.StyleTransfer` that goes through the scales."""

    _steering: Steering

    def on_train_start(self) -> None:
        """Begin with the scale that the image has: the first, or that of a checkpoint."""
        self.progress.average.to(self.device)
        fitting = [stage for stage in self.stages if stage.shape == self._shape()]
        # at the step where a scale ends the image still has its size
        stage = next((stage for stage in fitting if self.global_step <= stage.last), fitting[-1])
        self._steering = Steering(self, lambda: self._begin(stage_at(self.stages, self.global_step, self._shape())))
        self._seen, self._seen_at = {}, None
        self._begin(stage, self.resuming.matches)
        self.scalars.begin(self.trainer)
        if self.controls is not None:
            self._steering.heed(self.controls)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Enter the next scale when its step has come; a function of the step, so a run resumes from anywhere."""
        assert self.stage is not None
        stage = stage_at(self.stages, self.global_step, self.stage.shape)
        with self._steering.stopping():
            if stage != self.stage:
                if stage.shape != self.stage.shape:
                    self._resize(stage)
                self._begin(stage)
            if self.controls is not None and (turns := self.controls.due(self.global_step)):
                self._steering.act(turns)
            with self.trainer.precision_plugin.forward_context():
                self.targets.refresh(self.image, self.global_step)

    def _resize(self, stage: Stage) -> None:
        """Go on with the result so far at another size, the state of optimiser and schedulers carried over."""
        old, (optimizer, schedulers) = self.image, carry.moving(self.trainer)
        picture = self.progress.average.read(self.image)
        if stage.detail:
            self.detail.begin(picture)
        self.image = nn.Parameter(kept(resize(picture, stage.shape, self.circular).contiguous()))
        self.progress.average.restart()
        self.trainer.strategy.setup_optimizers(self.trainer)
        ours, following = carry.moving(self.trainer)
        carry.carry_over(optimizer, old, ours, self.image, self.circular)
        carry.carry_schedule(schedulers, following)

    def _begin(self, stage: Stage, matches: dict[str, Tensor] | None = None) -> None:
        """Compute what the image is compared with at this scale, but for the matches of a checkpoint."""
        self.stage = stage
        self._guard = Guard(self.image)
        with self.trainer.precision_plugin.forward_context():
            self.targets.enter(stage, self.image, self.global_step, matches)
            self.targets.compilation.choose(self.image, stage.last - self.global_step)
