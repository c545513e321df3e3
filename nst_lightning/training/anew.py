"""A Trainer that was used before, as new."""

from __future__ import annotations

import lightning as L


def begin_anew(trainer: L.Trainer) -> None:
    """Set a Trainer's counters of steps to 0: they go on where the fit before ended, and a second one would do nothing.

    A checkpoint that is asked for is loaded after this.
    """
    fit, epoch = trainer.fit_loop, trainer.fit_loop.epoch_loop
    optimization = epoch.automatic_optimization.optim_progress
    for progress in (fit.epoch_progress, epoch.batch_progress, epoch.scheduler_progress, epoch.val_loop.batch_progress):
        progress.reset()
    optimization.reset()
    epoch._batches_that_stepped = 0
