"""``nst study``: run the grids of study files, and write figure, table and page."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.exceptions import SIGTERMException

from nst_lightning.engines.choice import make_engine, sigterm_raises
from nst_lightning.engines.engine import Engine, Lost
from nst_lightning.errors import UsageError
from nst_lightning.pictures.atomic import atomic_write, write_file, write_table
from nst_lightning.pictures.sheet import contact_sheet
from nst_lightning.study.cells import Job, Outcome, run_cell
from nst_lightning.study.options import parse
from nst_lightning.study.page import Results, page
from nst_lightning.study.plan import Plan
from nst_lightning.study.results import load, save
from nst_lightning.wording import duration


class Jobs(Sequence[Job]):
    """The jobs of some cells, each made when it is asked for: their pictures need not be in memory together."""

    def __init__(self, plan: Plan, numbers: Sequence[int], packs: bool) -> None:
        self.plan, self.numbers, self.packs = plan, numbers, packs

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        return self.plan.job(self.numbers[index], self.packs)


def study(words: Sequence[str]) -> int:
    """Run the command with the words after ``study``; 0, or 1 if a cell failed.

    Raises:
        UsageError: with what to say, before anything is run or written.
        KeyboardInterrupt: on Ctrl-C; what is done is kept.
        SIGTERMException: likewise on SIGTERM.
    """
    options, flags = parse(words)
    others = {name: values for name in ("rows", "columns") if (values := getattr(options, name)) is not None}
    plans = [Plan(path, flags, Path(options.output), others, options.seconds) for path in options.config]
    names = [plan.name for plan in plans]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--config: two studies are called {twice}, and would be written to one folder")
    started = time.monotonic()
    with contextlib.closing(make_engine(options)) as engine, sigterm_raises():
        for flag in ("output", "report"):
            try:
                Path(getattr(options, flag) or ".").mkdir(parents=True, exist_ok=True)
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", error)
                raise UsageError(f"--{flag} {getattr(options, flag)}: cannot be written ({why})") from error
        results = [_run(plan, engine, words) for plan in plans]
    if options.report is not None:
        path = Path(options.report) / "index.html"
        write_file(path, page("Style transfer: the studies", results, path.parent).encode())
        print(f"{path} · {len(results)} studies · {duration(time.monotonic() - started)}", flush=True)
    return int(any(outcome.error is not None for result in results for outcome in result.outcomes))


def _run(plan: Plan, engine: Engine, words: Sequence[str]) -> Results:
    """Run what is missing of a study, and write what a person sees of it."""
    folders = [plan.folder / "cells" / cell.name for cell in plan.cells]
    kept = [load(folder, key) for folder, key in zip(folders, plan.keys, strict=True)]
    outcomes = [outcome or Outcome(error="not run") for outcome in kept]
    missing = [number for number, outcome in enumerate(kept) if outcome is None]
    count, started = len(kept) - len(missing), time.monotonic()
    if count:
        print(f"{plan.name}: {count} of {len(kept)} cells are there already", flush=True)
    try:
        for done, (index, found) in enumerate(engine.map(run_cell, Jobs(plan, missing, engine.packs)), start=1):
            number, outcome = missing[index], Outcome(error=found.error) if isinstance(found, Lost) else found
            if outcome.error is None:
                outcome = save(folders[number], plan.keys[number], outcome)
            if outcome.config == plan.configs[number]:
                outcome.config = plan.configs[number]  # one of two that are alike
            outcomes[number] = outcome
            left = duration((time.monotonic() - started) / done * (len(missing) - done))
            how, count = outcome.error or f"{outcome.measured['seconds']:.1f} s", count + 1
            print(f"{plan.name}: {count}/{len(kept)} cells · {plan.cells[number].label} · {how} · {left} left", flush=True)
    except (KeyboardInterrupt, SIGTERMException):
        # from the disk: the signal may have come between a cell and its count
        count = sum(load(folder, key) is not None for folder, key in zip(folders, plan.keys, strict=True))
        print(f"{plan.name}: stopped with {count} of {len(kept)} cells; the same command goes on with the rest", flush=True)
        raise
    results = Results(plan, outcomes, words)
    figure = contact_sheet(results.sheet(plan.study.show))
    with atomic_write(plan.folder / "figure.png") as file:
        figure.save(file, format="PNG")
    if plot := results.scatter:
        write_file(plan.folder / "scatter.png", plot[1])
    write_table(plan.folder / "table.csv", results.table(everything=True))
    write_file(plan.folder / "index.html", page(plan.study.title, [results], plan.folder).encode())
    failed = sum(outcome.error is not None for outcome in outcomes)
    ending = f"{duration(time.monotonic() - started)}{f' · {failed} failed' if failed else ''}"
    print(f"{plan.folder / 'index.html'} · {len(outcomes)} cells · {ending}", flush=True)
    return results
