"""``nst study``: run the grids of study files, and write figure, table and page."""

from __future__ import annotations

import argparse
import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.exceptions import SIGTERMException

from nst_lightning.errors import BadArgument, UsageError
from nst_lightning.pictures.files import write_file
from nst_lightning.study.cells import Job, Outcome, run_cell
from nst_lightning.study.engines import Engine, Processes, RayCluster, Sequential, stop
from nst_lightning.study.options import ENGINES, help_of, parse
from nst_lightning.study.page import page
from nst_lightning.study.plan import Plan
from nst_lightning.study.present import Results
from nst_lightning.study.results import load, save, write_table


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
    text = help_of(words)
    if text is not None:
        print(text)
        return 0
    options, flags = parse(words)
    output = Path(options.output)
    others = {name: values for name in ("rows", "columns") if (values := getattr(options, name)) is not None}
    plans = [Plan(path, flags, output, others, options.seconds) for path in options.config]
    names = [plan.name for plan in plans]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--config: two studies are called {name}, and would be written to one folder")
    try:
        engine = _engine(options)
    except BadArgument as error:
        raise UsageError(f"--{error.name} {error.value}: {error.expected}") from error
    started = time.monotonic()
    with contextlib.closing(engine), _sigterm_raises():
        for flag in ("output", "report"):
            _make_folder(flag, getattr(options, flag))
        results = [_run(plan, engine, words) for plan in plans]
    if options.report is not None:
        path = Path(options.report) / "index.html"
        write_file(path, page("Style transfer: the studies", results, path.parent).encode())
        print(f"{path} · {len(results)} studies · {duration(time.monotonic() - started)}", flush=True)
    return int(any(outcome.error is not None for result in results for outcome in result.outcomes))


def _make_folder(flag: str, name: str | None) -> None:
    try:
        if name is not None:
            Path(name).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise UsageError(f"--{flag} {name}: cannot be written ({getattr(error, 'strerror', error)})") from error


def _engine(options: argparse.Namespace) -> Engine:
    """The engine that the flags ask for; a flag of another engine is an error, not ignored."""
    given = {name: value for name in ENGINES["ray"] if (value := getattr(options, f"engine.{name}")) is not None}
    for name, value in given.items():
        if name not in ENGINES[options.engine]:
            raise BadArgument(f"engine.{name}", value, f"is not for --engine {options.engine}")
    return {"sequential": Sequential, "processes": Processes, "ray": RayCluster}[options.engine](**given)


def _run(plan: Plan, engine: Engine, words: Sequence[str]) -> Results:
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
    results = Results(plan, outcomes, words)
    write_file(plan.folder / "figure.png", results.figure_png())
    write_table(plan.folder / "table.csv", results.table(everything=True))
    write_file(plan.folder / "index.html", page(plan.study.title, [results], plan.folder).encode())
    failed = sum(outcome.error is not None for outcome in outcomes)
    ending = f" · {failed} failed" if failed else ""
    took = duration(time.monotonic() - started)
    print(f"{plan.folder / 'index.html'} · {len(outcomes)} cells · {took}{ending}", flush=True)
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
