"""What a person sees of a run: TensorBoard, the progress bar, the saved picture and the final line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeRemainingColumn
from torch import Tensor

from nst_lightning.errors import BadArgument, LostProcess
from nst_lightning.module import StyleTransfer
from nst_lightning.pictures.picture import fit_size, resize
from nst_lightning.pictures.write import write_image

PREVIEW = 512  # pixels; TensorBoard's add_image takes 99 ms at 512 px and 408 ms at 1024 px


class RunLog(Callback):
    """Write the losses and the forming image to the Trainer's loggers.

    Args:
        every_n_steps: steps between two entries, 1 or more. The first and the last step are always written.
    """

    def __init__(self, every_n_steps: int = 25) -> None:
        if every_n_steps < 1:
            raise BadArgument("every_n_steps", every_n_steps, "the number of steps between two entries is 1 or more")
        self.every_n_steps = every_n_steps
        self.settings: dict[str, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, StyleTransfer)
        self._clock, self._step = time.monotonic(), trainer.global_step
        self._first = True
        pair = pl_module.pair
        if pair.content_image is not None:
            self._add_image(trainer, "content", pair.content_image, 0)
        for number, style in enumerate(pair.styles):
            self._add_image(trainer, "style" if len(pair.styles) == 1 else f"style/{number + 1}", style.image, 0)
        if trainer.global_step == 0:
            self._add_image(trainer, "image", pl_module.result, 0)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, StyleTransfer)
        step = trainer.global_step
        if not trainer.loggers or not (self._first or step % self.every_n_steps == 0 or step >= trainer.max_steps):
            return
        now = time.monotonic()
        values = {f"loss/{name}": float(value.detach()) for name, value in outputs.items() if name != "loss"}
        values["size"] = float(max(pl_module.image.shape[2:]))
        values["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        values["steps_per_second"] = (step - self._step) / max(now - self._clock, 1e-9)
        self._clock, self._step = now, step
        for logger in trainer.loggers:
            if self._first and isinstance(logger, TensorBoardLogger):
                start = {f"val/{name}": float(value) for name, value in pl_module.similarity().items()}
                logger.log_hyperparams(self._hyperparameters(trainer, pl_module), start | values, step=step)
            else:
                logger.log_metrics(values, step=step)
        self._first = False
        self._add_image(trainer, "image", pl_module.result, step)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)

    def _add_image(self, trainer: L.Trainer, name: str, image: Tensor, step: int) -> None:
        size = fit_size(image.shape[-2], image.shape[-1], min(PREVIEW, max(image.shape[-2:])))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, resize(image.detach().float().cpu(), size)[0], step)

    def _hyperparameters(self, trainer: L.Trainer, pl_module: StyleTransfer) -> dict[str, Any]:
        pair = pl_module.pair
        data = {name: value for name in ("content", "style", "size") if (value := getattr(pair, name)) is not None}
        run = {"max_steps": trainer.max_steps, "precision": trainer.precision, "seed": torch.initial_seed()}
        return flatten({"model": dict(pl_module.hparams), "data": data, "trainer": run})


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, with the values that TensorBoard can show.

    >>> flatten({"model": {"init": "noise", "layers": ["a", "b"]}})
    {'model/init': 'noise', 'model/layers': 'a b'}
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}/")
        elif isinstance(value, list | tuple):
            flat[prefix + name] = " ".join(map(str, value))
        else:
            flat[prefix + name] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat


class SaveResult(Callback):
    """Write the picture when the run ends, whatever ends it, and say so in one line.

    The picture goes to ``result.png`` in the logger's folder, next to the run's config and checkpoints, and to ``output``.

    Args:
        output: file to write as well, or None.
        bits: bits a channel of ``output``, 8 or 16 (16 for .png and .tif).
        quiet: whether to print nothing.
        quality: of ``output``, 1 to 100, for .jpg and .webp.
        background: what is behind transparent pixels where ``output`` has no transparency.
    """

    def __init__(
        self,
        output: str | None = None,
        bits: int = 8,
        quiet: bool = False,
        quality: int | None = None,
        background: str = "white",
    ) -> None:
        self.output = output
        self.options: dict[str, Any] = {"bits": bits, "quality": quality, "background": background}
        self.quiet = quiet
        self._line = ""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start, self._first_step = time.monotonic(), trainer.global_step

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._line = self._save(trainer, pl_module)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._line and not self.quiet:  # now that the progress bar is gone
            print(self._line, flush=True)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if getattr(pl_module, "image", None) is None or not hasattr(self, "_start"):
            return
        reason = "interrupted" if isinstance(exception, KeyboardInterrupt) else type(exception).__name__
        # the process that ended may be the one that writes; all have the same picture
        line = self._save(trainer, pl_module, alone=isinstance(exception, LostProcess))
        if line and not self.quiet:
            print(f"stopped at step {trainer.global_step} of {trainer.max_steps} ({reason}) · {line}", flush=True)

    def _save(self, trainer: L.Trainer, pl_module: L.LightningModule, alone: bool = False) -> str:
        """Write the files and return what to say of them; only one process does, unless it may be ``alone``."""
        assert isinstance(pl_module, StyleTransfer)
        if trainer.fast_dev_run or not (trainer.is_global_zero or alone):  # type: ignore[attr-defined]
            return ""
        # not `trainer.log_dir`, which waits for the other processes: they are not here
        log_dir = getattr(trainer.logger, "log_dir", None) or getattr(trainer.logger, "save_dir", None)
        folder = [Path(log_dir) / "result.png"] if log_dir and trainer.is_global_zero else []
        output = [Path(self.output)] if self.output else []
        for path in folder + output:
            options = self.options if path in output else {}
            write_image(pl_module.result, path, pl_module.pair.alpha, dpi=pl_module.pair.dpi, **options)
        where = " and ".join(map(str, output + folder)) or "(not saved)"
        height, width = pl_module.result.shape[-2:]
        seconds = time.monotonic() - self._start
        steps = trainer.global_step - self._first_step
        units = {"psnr": "PSNR {:.2f} dB", "ssim": "SSIM {:.3f}"}
        similarity = [units[name].format(float(value)) for name, value in pl_module.similarity().items()]
        if similarity:
            similarity[-1] += " to the content image"
        parts = [where, f"{width} x {height}", f"{steps} steps", f"{seconds:.1f} s", *similarity]
        return " · ".join(parts)


class StepsPerSecondColumn(ProgressColumn):
    """Steps per second, averaged by rich over the last half minute."""

    def render(self, task: Any) -> str:
        return f"{task.speed:.2f} steps/s" if task.speed else "- steps/s"


class Progress(RichProgressBar):
    """A bar of steps with total, content and style loss, steps/s and the time left."""

    INTERVAL = 0.2  # seconds between two looks at the losses: each look waits for the device

    def __init__(self) -> None:
        super().__init__(refresh_rate=5)
        self._losses: dict[str, Any] = {}
        self._shown = 0.0

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        return [
            TextColumn("{task.description} step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=24),
            StepsPerSecondColumn(),
            TimeRemainingColumn(),
        ]

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        return self._losses

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self._shown > self.INTERVAL or trainer.global_step >= trainer.max_steps:
            self._shown = now
            names = ("total", "content", "style")
            self._losses = {name: f"{float(outputs[name].detach()):.3g}" for name in names if name in outputs}
            if self.progress is not None and self.train_progress_bar_id is not None:
                assert isinstance(pl_module, StyleTransfer)
                size = f"{pl_module.image.shape[3]} x {pl_module.image.shape[2]}"
                self.progress.update(self.train_progress_bar_id, description=size, total=trainer.max_steps)
        # the Trainer's count, which goes on where a checkpoint left off
        super().on_train_batch_end(trainer, pl_module, outputs, batch, trainer.global_step - 1)
