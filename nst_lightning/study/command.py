"""``python -m nst_lightning study``: run the grids of study files, and write figure, table and page."""

from __future__ import annotations

import argparse
import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lightning.pytorch.utilities.exceptions import SIGTERMException

from nst_lightning.errors import BadArgument, UsageError
from nst_lightning.pictures.atomic import write_file
from nst_lightning.study.cells import Job, Outcome, run_cell
from nst_lightning.study.engines import Engine, Processes, RayCluster, Sequential, stop
from nst_lightning.study.page import page
from nst_lightning.study.plan import Plan
from nst_lightning.study.present import Results
from nst_lightning.study.results import load, save, write_table

ENGINES = ("sequential", "processes", "ray")
DESCRIPTION = """Run a grid of stylisations: rows and columns of settings, as a study file describes them. Every other flag
is one of `fit` and overrides the base config of all cells. A study that was stopped goes on with what is missing."""


class Jobs(Sequence[Job]):
    """The jobs of some cells, each made when it is asked for: their pictures need not be in memory together."""

    def __init__(self, plan: Plan, numbers: Sequence[int], packs: bool) -> None:
        self.plan, self.numbers, self.packs = plan, numbers, packs

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        return self.plan.job(self.numbers[index], self.packs)


def study(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: after ``study``.

    Returns:
        0, or 1 if a cell failed.

    Raises:
        UsageError: with what to say, before anything is run or written.
        KeyboardInterrupt: on Ctrl-C; what is done is kept.
        SIGTERMException: likewise on SIGTERM.
    """
    parser = _parser()
    options, flags = parser.parse_known_args(list(words))
    if not options.config:
        raise UsageError("--config: give a study file, such as configs/studies/gallery.yaml")
    output = Path(options.output)
    others = {name: values for name in ("rows", "columns") if (values := getattr(options, name)) is not None}
    if others and len(options.config) > 1:
        raise UsageError(f"--{next(iter(others))}: is for one study file, not {len(options.config)}")
    if options.seconds is not None and not 0 < options.seconds < float("inf"):
        raise UsageError(f"--seconds {options.seconds}: give a number above 0")
    plans = [Plan(path, flags, output, others, options.seconds) for path in options.config]
    names = [plan.name for plan in plans]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--config: two study files are called {name}, and would be written to one folder")
    try:
        engine = _engine(options)
    except BadArgument as error:
        raise UsageError(f"--{error.name} {error.value}: {error.expected}") from error
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        engine.close()
        raise UsageError(f"--output {output}: cannot be written ({error.strerror})") from error
    started = time.monotonic()
    with contextlib.closing(engine), _sigterm_raises():
        results = [_run(plan, engine) for plan in plans]
    if options.report is not None:
        path = Path(options.report) / "index.html"
        write_file(path, page("Style transfer: the studies", [result.section() for result in results]).encode())
        print(f"{path} · {len(results)} studies · {duration(time.monotonic() - started)}", flush=True)
    return int(any(outcome.error is not None for result in results for outcome in result.outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m nst_lightning study", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "--config", nargs="+", action="extend", metavar="FILE", help="Study files, such as configs/studies/gallery.yaml."
    )
    for direction in ("rows", "columns"):
        parser.add_argument(
            f"--{direction}", nargs="+", metavar="VALUE", help=f"Values in place of those of the file's {direction}."
        )
    parser.add_argument("--seconds", type=float, help="Time of a cell, above 0, for studies that give every cell the same.")
    parser.add_argument("--output", default="logs/studies", help="Folder in which every study has one (logs/studies).")
    parser.add_argument("--report", metavar="FOLDER", help="Write one page about all the studies to FOLDER/index.html.")
    group = parser.add_argument_group("engine", "where the cells run")
    group.add_argument("--engine", choices=ENGINES, default="sequential", help="In this process, several, or on Ray.")
    group.add_argument("--engine.workers", type=int, help="Cells at once: processes (2), or those of a local Ray.")
    group.add_argument("--engine.address", help="Ray cluster to join: host:port, ray://host:port or auto.")
    group.add_argument("--engine.cpus", type=float, help="CPUs of a cell on Ray, above 0 (1).")
    group.add_argument("--engine.gpus", type=float, help="GPUs of a cell on Ray, 0 or more; fractions share one (0).")

    def fail(message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))

    parser.error = fail  # type: ignore[method-assign]
    return parser


def _engine(options: argparse.Namespace) -> Engine:
    """The engine that the flags ask for; a flag of another engine is an error, not ignored."""
    of = {"sequential": (), "processes": ("workers",), "ray": ("workers", "address", "cpus", "gpus")}
    given = {name: value for name in of["ray"] if (value := getattr(options, f"engine.{name}")) is not None}
    for name, value in given.items():
        if name not in of[options.engine]:
            raise BadArgument(f"engine.{name}", value, f"is not for --engine {options.engine}")
    return {"sequential": Sequential, "processes": Processes, "ray": RayCluster}[options.engine](**given)


def _run(plan: Plan, engine: Engine) -> Results:
    """Run what is missing of a study, and write what a person sees of it."""
    kept = [load(plan.folder / "cells" / cell.name, key) for cell, key in zip(plan.cells, plan.keys, strict=True)]
    outcomes = [outcome or Outcome(error="not run") for outcome in kept]
    missing = [number for number, outcome in enumerate(kept) if outcome is None]
    if len(missing) < len(kept):
        print(f"{plan.name}: {len(kept) - len(missing)} of {len(kept)} cells are there already", flush=True)
    started = time.monotonic()
    count = len(kept) - len(missing)
    try:
        for done, (index, outcome) in enumerate(engine.map(run_cell, Jobs(plan, missing, engine.packs)), start=1):
            number = missing[index]
            if outcome.error is None:
                save(plan.folder / "cells" / plan.cells[number].name, plan.keys[number], outcome)
            outcomes[number] = outcome
            left = duration((time.monotonic() - started) / done * (len(missing) - done))
            how = outcome.error or f"{outcome.measured['seconds']:.1f} s"
            count += 1
            print(f"{plan.name}: {count}/{len(kept)} cells · {plan.cells[number].label} · {how} · {left} left", flush=True)
    except (KeyboardInterrupt, SIGTERMException):
        print(f"{plan.name}: stopped with {count} of {len(kept)} cells; the same command goes on with the rest", flush=True)
        raise
    results = Results(plan, outcomes)
    write_file(plan.folder / "figure.png", results.figure_png)
    write_table(plan.folder / "table.csv", results.table(everything=True))
    write_file(plan.folder / "index.html", page(plan.study.title, [results.section()]).encode())
    failed = sum(outcome.error is not None for outcome in outcomes)
    ending = f" · {failed} failed" if failed else ""
    print(
        f"{plan.folder / 'index.html'} · {len(outcomes)} cells · {duration(time.monotonic() - started)}{ending}", flush=True
    )
    return results


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Inside, SIGTERM ends the study in an orderly way: engines are closed, the part that is done is named."""
    if threading.current_thread() is not threading.main_thread():  # Python lets no other one handle signals
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(7.4), duration(192), duration(7260)
    ('7 s', '3 min 12 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
