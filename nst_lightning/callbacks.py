"""What a person sees of a run: TensorBoard, the saved picture and the final line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.tensorboard.summary import hparams

import nst_lightning
from nst_lightning.errors import BadArgument, LostProcess
from nst_lightning.module import StyleTransfer
from nst_lightning.objective.ranks import world
from nst_lightning.pictures.films import check_film, fps_of, longest_of, write_film
from nst_lightning.pictures.picture import ImageError, fit_size, resize, to_pil
from nst_lightning.pictures.write import write_image
from nst_lightning.training.description import describe, without_folders
from nst_lightning.training.timelapse import Timelapse

PREVIEW = 512  # pixels; TensorBoard's add_image takes 99 ms at 512 px and 408 ms at 1024 px


class RunLog(Callback):
    """Show the run in the Trainer's loggers: the losses, the forming image, the settings and what came of them.

    Args:
        every_n_steps: steps between two entries, 1 or more. The first and the last step are always written.
        save_every_n_steps: steps between two picture files in the run's folder, `steps/00050.png` and so on, each of the
            size of the result; none if not given.
        timelapse: file of a film of the forming image, .mp4, .webm, .gif or .webp: evenly in what is seen to change, at one
            size.
        timelapse_seconds: how long it is, above 0.
    """

    def __init__(
        self,
        every_n_steps: int = 25,
        save_every_n_steps: int | None = None,
        timelapse: str | None = None,
        timelapse_seconds: float = 6.0,
    ) -> None:
        if every_n_steps < 1:
            raise BadArgument("every_n_steps", every_n_steps, "the number of steps between two entries is 1 or more")
        if save_every_n_steps is not None and save_every_n_steps < 1:
            expected = "the number of steps between two picture files is 1 or more"
            raise BadArgument("save_every_n_steps", save_every_n_steps, expected)
        if not 0 < timelapse_seconds <= 600:
            raise BadArgument("timelapse_seconds", timelapse_seconds, "a number above 0, 600 at most")
        self.timelapse = timelapse
        self.timelapse_seconds = timelapse_seconds
        if timelapse is not None:
            try:
                check_film(timelapse)
            except ImageError as error:
                raise BadArgument("timelapse", timelapse, str(error)) from error
        self.every_n_steps = every_n_steps
        self.save_every_n_steps = save_every_n_steps
        self._film: Timelapse | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        assert isinstance(pl_module, StyleTransfer)
        pl_module.scalars.every = self.every_n_steps
        for logger in trainer.loggers:  # Lightning writes hparams.yaml once, before the first step
            if isinstance(logger, TensorBoardLogger):
                logger.hparams.update(describe(pl_module, pl_module.pair, trainer).whole)
        if self.save_every_n_steps is not None and run_folder(trainer) is None and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            expected = "there is no folder of the run to write to; it needs a logger"
            raise BadArgument("save_every_n_steps", self.save_every_n_steps, expected)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, StyleTransfer)
        self._described = False
        pair = pl_module.pair
        if self.timelapse is not None and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            frames = max(2, round(self.timelapse_seconds * fps_of(self.timelapse)))
            self._film = Timelapse(frames, longest_of(self.timelapse))
            self._look(trainer, pl_module)
        if trainer.global_step == 0:
            self._add_image(trainer, "image", pl_module.current, 0)
        # TensorBoard sorts by name: the forming image comes first
        if pair.content_image is not None:
            self._add_image(trainer, "input/content", pair.content_image, 0)
        for number, style in enumerate(pair.styles):
            name = "input/style" if len(pair.styles) == 1 else f"input/style_{number + 1}"
            self._add_image(trainer, name, style.image, 0)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, StyleTransfer)
        step, folder = trainer.global_step, run_folder(trainer)
        if self.save_every_n_steps and step % self.save_every_n_steps == 0 and folder and trainer.is_global_zero:
            write_image(pl_module.result, folder / "steps" / f"{step:05}.png", pl_module.pair.alpha)
        self._look(trainer, pl_module)
        if not trainer.loggers or not pl_module.scalars.due(trainer):
            return
        if not self._described:
            self._described = True
            measured = {f"val/{name}": float(value) for name, value in pl_module.evaluate(pl_module.stage).items()}
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):  # its table shows the last values of these metrics
                    log_table(logger, describe(pl_module, pl_module.pair, trainer).for_table, measured, step)
        self._add_image(trainer, "image", pl_module.current, step)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, StyleTransfer)
        self._write_film(trainer, pl_module)
        pl_module.scalars.write(trainer, {f"val/{name}": value for name, value in pl_module.evaluate().items()})

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        assert isinstance(pl_module, StyleTransfer)
        if pl_module.image is not None:
            self._write_film(trainer, pl_module)
        if measured := measure(pl_module):
            pl_module.scalars.write(trainer, {f"val/{name}": value for name, value in measured.items()})

    def _look(self, trainer: L.Trainer, pl_module: StyleTransfer, last: bool = False) -> None:
        """Show the image to the film, if there is one."""
        if self._film is not None and trainer.is_global_zero:
            alpha = pl_module.pair.alpha
            self._film.see(pl_module.current, lambda: to_pil(pl_module.result, alpha), last)

    def _write_film(self, trainer: L.Trainer, pl_module: StyleTransfer) -> None:
        if self._film is None or self.timelapse is None or not trainer.is_global_zero:
            return
        self._look(trainer, pl_module, last=True)
        fps = fps_of(self.timelapse)
        write_film(self._film.film(), self.timelapse, [number / fps for number in range(self._film.frames)])
        self._film = None

    def _add_image(self, trainer: L.Trainer, name: str, image: Tensor, step: int) -> None:
        size = fit_size(image.shape[-2], image.shape[-1], min(PREVIEW, max(image.shape[-2:])))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, resize(image.detach().float().cpu(), size)[0], step)


def log_table(logger: TensorBoardLogger, settings: Mapping[str, Any], metrics: Mapping[str, float], step: int) -> None:
    """Write a run's line of TensorBoard's table.

    As ``logger.log_hyperparams`` does, but for the list of columns: TensorBoard would take that of one run for all.
    """
    _, start, end = hparams(dict(settings), dict(metrics))
    logger.log_metrics(dict(metrics), step)
    writer = logger.experiment._get_file_writer()
    if writer is not None:  # it is None where another process writes
        for summary in (start, end):
            writer.add_summary(summary, step)


def run_folder(trainer: L.Trainer) -> Path | None:
    """The folder of the first logger that has one.

    Not ``trainer.log_dir``, which waits for the other processes: they may not be here.
    """
    folder = getattr(trainer.logger, "log_dir", None) or getattr(trainer.logger, "save_dir", None)
    return Path(folder) if folder else None


def measure(module: StyleTransfer) -> dict[str, Tensor]:
    """What can be said of the picture of a run that did not end by itself; what failed there may fail here again.

    Where the last scale was not reached, its objective is not computed: who stops a run does not wait for that.
    """
    if module.stage is None or world() > 1:
        return {}
    try:
        return module.evaluate() if module.at_full_size else module.similarity()
    except Exception:
        return {}


class SaveResult(Callback):
    """Write the picture when the run ends, whatever ends it, and say so in one line.

    The picture goes to ``result.png`` in the logger's folder, next to the run's config and checkpoints, and to ``output``.

    Args:
        output: file to write as well, or None.
        bits: bits a channel of ``output``, 8 or 16 (16 for .png and .tif).
        quiet: whether to print nothing.
        quality: of ``output``, 1 to 100, for .jpg and .webp.
        background: what is behind transparent pixels where ``output`` has no transparency.
        metadata: whether a PNG says by which version, settings and seed it was made; files by their bare names.
    """

    def __init__(
        self,
        output: str | None = None,
        bits: int = 8,
        quiet: bool = False,
        quality: int | None = None,
        background: str = "white",
        metadata: bool = True,
    ) -> None:
        self.output = output
        self.options: dict[str, Any] = {"bits": bits, "quality": quality, "background": background}
        self.quiet = quiet
        self.metadata = metadata
        self._line = ""
        self._start: float | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._line, self._start = "", None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start, self._first_step = time.monotonic(), trainer.global_step

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, StyleTransfer)
        where = self._write(trainer, pl_module)
        early = trainer.global_step < trainer.max_steps
        before = self._stopped(trainer, pl_module, "") if early else ""
        measured = pl_module.evaluate()  # in every process
        self._line = self._said(trainer, where, before, measured, bool(pl_module.last_terms()))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._start is not None:
            return
        # there was no step to make: the checkpoint's picture is the result
        assert isinstance(pl_module, StyleTransfer)
        self._start, self._first_step = time.monotonic(), trainer.global_step
        has = f"nothing left to do: {trainer.ckpt_path} has {trainer.global_step} of {trainer.max_steps} steps"
        where = self._write(trainer, pl_module)
        self._line = self._said(trainer, where, f"{has}{self._scale(pl_module)} · ", pl_module.similarity())

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._line and not self.quiet:  # now that the progress bar is gone
            print(self._line, flush=True)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        assert isinstance(pl_module, StyleTransfer)
        if pl_module.image is None or self._start is None:
            return
        reason = "interrupted" if isinstance(exception, KeyboardInterrupt) else type(exception).__name__
        # the process that ended may be the one that writes; all have the same picture
        alone = isinstance(exception, LostProcess)
        where = self._write(trainer, pl_module, alone)  # first: what is measured may take long
        line = self._said(trainer, where, self._stopped(trainer, pl_module, reason), measure(pl_module))
        if line and not self.quiet:
            print(line, flush=True)

    @staticmethod
    def _stopped(trainer: L.Trainer, pl_module: StyleTransfer, reason: str) -> str:
        """At which step, why, and at which scale."""
        why = (f" ({reason})" if reason else "") + SaveResult._scale(pl_module)
        return f"stopped at step {trainer.global_step} of {trainer.max_steps}{why} · "

    @staticmethod
    def _scale(pl_module: StyleTransfer) -> str:
        """The scale, where it is not the last: the picture is brought to the full size."""
        height, width = pl_module.image.shape[2:]
        return "" if pl_module.at_full_size else f", at the scale {width} x {height}"

    def _write(self, trainer: L.Trainer, pl_module: StyleTransfer, alone: bool = False) -> list[str]:
        """Write the files and return what to say of them; only one process does, unless it may be ``alone``."""
        if trainer.fast_dev_run or not (trainer.is_global_zero or alone):  # type: ignore[attr-defined]
            return []
        log_dir = run_folder(trainer) if trainer.is_global_zero else None
        folder = [log_dir / "result.png"] if log_dir else []
        output = [Path(self.output)] if self.output else []
        result, text = pl_module.result, None
        if self.metadata:
            settings = without_folders(describe(pl_module, pl_module.pair, trainer).whole)
            said = ", ".join(f"{name.replace('/', '.')}={value}" for name, value in settings.items())
            text = {"Software": f"nst_lightning {nst_lightning.__version__}", "Settings": said}
        for path in folder + output:
            options = self.options if path in output else {}
            write_image(result, path, pl_module.pair.alpha, dpi=pl_module.pair.dpi, text=text, **options)
        if log_dir and pl_module.controls is not None and pl_module.controls.turns:
            pl_module.controls.write(log_dir / "turns.json")
        height, width = result.shape[-2:]
        return [" and ".join(map(str, output + folder)) or "(not saved)", f"{width} x {height}"]

    def _said(
        self, trainer: L.Trainer, where: list[str], before: str, measured: Mapping[str, Tensor], older: bool = False
    ) -> str:
        """The final line, of the process that wrote; ``older``: whether the terms are those before the last step."""
        if not where:
            return ""
        assert self._start is not None
        made, all_steps = trainer.global_step - self._first_step, trainer.global_step
        steps = f"{made} steps" + (f" ({all_steps} in all)" if made < all_steps else "")
        units = {"total": "loss {:.4g}" + " before the last step" * older, "psnr": "PSNR {:.2f} dB", "ssim": "SSIM {:.3f}"}
        numbers = [unit.format(float(measured[name])) for name, unit in units.items() if name in measured]
        if "psnr" in measured:
            numbers[-1] += " to the content image"
        return before + " · ".join([*where, steps, f"{time.monotonic() - self._start:.1f} s", *numbers])
