"""A fit that shows and writes nothing, inside a program of somebody's: what it does is theirs to say."""

from __future__ import annotations

import signal
from typing import Any

import lightning as L

QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "limit_val_batches": 0,
    "max_epochs": -1,
}


def fit_quietly(module: L.LightningModule, pair: L.LightningDataModule, **trainer: Any) -> None:
    """Fit a module.

    Args:
        module: see :class:`~nst_lightning.StyleTransfer`.
        pair: its pictures.
        trainer: arguments of the Trainer, over those of :data:`QUIET`.

    Raises:
        KeyboardInterrupt: on Ctrl-C. Lightning would end the program, and have every other Ctrl-C ignored.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        L.Trainer(**{**QUIET, **trainer}).fit(module, datamodule=pair)
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, before)  # it came, so this is the main thread
        raise KeyboardInterrupt from stop
