"""The folder of a run: what it is called, and the config in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

import nst_lightning
from nst_lightning.pictures.atomic import write_file
from nst_lightning.wording import slug

LONGEST = 60  # characters of the pictures in a name; with several paintings they would fill the screen


def name_run(logger: Any, *pictures: str) -> None:
    """Let a run be called by its number and its pictures: ``version_3_kitten_great_wave``.

    Args:
        logger: of Lightning's; those with names of their own (WandbLogger) are left alone.
        pictures: names of the content and the style images.
    """
    if not isinstance(logger, TensorBoardLogger | CSVLogger) or not pictures:
        return
    if logger._version is None:  # none was asked for: the next free number
        logger._version = f"version_{logger.version}_{slug('_'.join(pictures))[:LONGEST].strip('_.-')}"


class SaveConfig(SaveConfigCallback):
    """Lightning's, with this program's version in the file as well."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        folder = trainer.log_dir  # asked in every process: they tell each other
        if trainer.is_global_zero and folder:
            path = Path(folder) / self.config_filename
            if path.is_file():
                write_file(path, f"# nst_lightning=={nst_lightning.__version__}\n".encode() + path.read_bytes())
