"""One cell of a study: a run of ``fit`` in this process, and everything it leaves, as values.

A job and its outcome hold no paths of the machine they were made on, so they can go to another one and back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.callbacks import Callback

import nst_lightning
from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.data import ImagePair
from nst_lightning.engines.job import run_job
from nst_lightning.engines.packing import unpacked
from nst_lightning.module import StyleTransfer
from nst_lightning.objective.distances import distances
from nst_lightning.objective.memory import peak_memory, reset_peak_memory
from nst_lightning.pictures.write import write_image
from nst_lightning.training.initial import initial_image
from nst_lightning.training.scales import Scale, schedule

PROBE_STEPS = 20  # at each scale, timed to choose the number of steps that fills the seconds of a cell
POINTS = 250  # of a loss curve, about


@dataclass(frozen=True)
class Job:
    """What a worker needs to run a cell."""

    config: dict[str, Any]  # of ``fit``, whole
    files: dict[str, bytes] = field(default_factory=dict)  # that it names, by that name; none if the worker can read them
    seconds: float | None = None  # to fill with steps; None: the config's own number of steps
    threads: int | None = None  # for torch; None: as it is


@dataclass
class Outcome:
    """What a cell leaves."""

    error: str | None = None  # why it failed
    files: Mapping[str, bytes] = field(default_factory=dict)  # result.png, start.png, TensorBoard's events, by name
    measured: dict[str, float] = field(default_factory=dict)  # final losses, PSNR, SSIM, distances, steps, seconds, memory
    curve: list[tuple[int, float, float]] = field(default_factory=list)  # step, seconds since the first, objective
    config: dict[str, Any] = field(default_factory=dict)  # that was run, with the number of steps chosen for ``seconds``
    version: str = ""  # of nst_lightning
    date: str = ""  # when it was done, local time


class Curve(Callback):
    """Keeps the objective over steps and seconds, and the terms of the last step."""

    def __init__(self) -> None:
        self.points: list[tuple[int, float, float]] = []
        self.losses: dict[str, float] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = time.perf_counter()
        self._every = max(1, trainer.max_steps // POINTS)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any) -> None:
        step = trainer.global_step
        if step == 1 or step % self._every == 0 or step >= trainer.max_steps:
            terms = ("total", "content", "style", "tv")
            self.losses = {name: float(outputs[name].detach()) for name in terms if name in outputs}
            self.points.append((step, time.perf_counter() - self._start, self.losses["total"]))


def run_cell(job: Job) -> Outcome:
    """Run a cell; whatever goes wrong in it is its outcome."""

    def work(folder: Path) -> Outcome:
        with unpacked(job.config, job.files, folder) as config:
            return _fit(config, folder, job.seconds)

    return run_job(work, lambda error: Outcome(error=error), job.threads)


def _fit(config: dict[str, Any], folder: Path, seconds: float | None) -> Outcome:
    run, curve = folder / "run", Curve()
    if seconds is not None:
        config = config | {"trainer": config["trainer"] | {"max_steps": steps_for(seconds, config, folder)}}
    where = {"save_dir": str(run), "name": "", "version": "", "default_hp_metric": False}
    logger = {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": where}
    reset_peak_memory()
    command_line = _run(config, folder, logger, [curve])
    module, pair = command_line.model, command_line.datamodule
    assert isinstance(module, StyleTransfer)
    shape = (int(module.result.shape[2]), int(module.result.shape[3]))
    measured = curve.losses | {name: float(value) for name, value in module.similarity().items()}
    measured |= {"steps": float(command_line.trainer.global_step), "seconds": curve.points[-1][1]}
    measured["peak_memory_mib"] = peak_memory() / 2**20
    measured |= distances(module.result, pair.content_image, pair.styles[0].image if pair.styles else None)
    write_image(initial_image(module.init, pair, shape), run / "start.png")
    files = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file() and path.suffix != ".yaml"}
    date = datetime.now().astimezone().isoformat(" ", "seconds")
    return Outcome(None, files, measured, curve.points, config, nst_lightning.__version__, date)


def _run(config: dict[str, Any], folder: Path, logger: Any, callbacks: list[Callback]) -> NSTCommandLine:
    trainer = config["trainer"] | {"logger": logger, "enable_progress_bar": False, "enable_checkpointing": False}
    path = folder / "cell.yaml"
    path.write_text(yaml.safe_dump(config | {"trainer": trainer}), encoding="utf-8")
    return NSTCommandLine(["fit", "--config", str(path)], callbacks=callbacks)


def steps_for(seconds: float, config: dict[str, Any], folder: Path) -> int:
    """How many steps, 1 or more, fill a time: some are timed at every scale, in a run that writes to ``folder``."""
    data, given = config["data"], config["model"]["scales"]
    if data["size"] == "original":
        (pair := ImagePair(**data)).setup("fit")
        data = data | {"size": pair.size}
    scales: Any = given if isinstance(given, str) else [Scale(**scale) for scale in given]
    many = 100_000  # for the share of each scale
    stages = schedule(scales, data["size"], (data["size"], data["size"]), many)
    model = config["model"] | {"scales": [{"size": stage.size, "steps": 1} for stage in stages]}
    trainer = config["trainer"] | {"max_steps": PROBE_STEPS * len(stages)}
    curve = Curve()
    _run(config | {"output": str(folder / "probe.png"), "model": model, "trainer": trainer}, folder, False, [curve])
    times = [now[1] - before[1] for before, now in pairwise(curve.points)]
    step = 0.0
    for number, stage in enumerate(stages):
        # the later half: by then memory is found and L-BFGS's history is full
        steady = times[PROBE_STEPS * number + PROBE_STEPS // 2 : PROBE_STEPS * (number + 1) - 1]
        step += median(steady) * (stage.last - stage.first) / many
    return max(1, round(seconds / step))
