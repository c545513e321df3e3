"""What a step, a matrix root and a whole picture cost: ``python -m tests.benchmarks --output logs/bench.json``.

``steps``: the program against a bare loop with the same work. ``roots``: the Wasserstein loss by one eigendecomposition
against Newton–Schulz iterations. ``crowson``: a picture against crowsonkb/style-transfer-pytorch's schedule and objective.
``breakdown``: where the time of a step goes. ``serial``: what only one thread works at. ``tiles``: time and memory from 256
to 4096 px. ``ranks``: two processes at one image. ``cells``: the engines of studies. ``startup``: what a person waits for.
``beside``: two runs at once, and one beside a busy core. ``presets``: time and memory of each at 512 px. ``page``: nst ui.
``film``: steadiness against the temporal weight. ``quality``: distances of each method against seconds, and their figure.
``hundred``: memory of a step at 100 million pixels; an hour, so only where it is asked for.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import warnings
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from nst_lightning.objective.memory import peak_memory
from nst_lightning.training.precision import choose_precision
from tests.benchmarks import (
    beside,
    breakdown,
    crowson,
    film,
    hundred,
    many,
    page,
    presets,
    quality,
    roots,
    serial,
    startup,
    steps,
    tiled,
)

PARTS = (
    "startup",
    "steps",
    "breakdown",
    "serial",
    "roots",
    "crowson",
    "tiles",
    "ranks",
    "cells",
    "beside",
    "presets",
    "page",
    "film",
    "quality",
    "hundred",
)
LONG = ("hundred",)  # only where it is asked for


def cpu_name() -> str:
    """The processor as Linux names it, or else as Python knows it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def verdict(reached: bool) -> str:
    """How a table says it."""
    return "yes" if reached else "NO"


def run_steps(console: Console, args: argparse.Namespace, precisions: list[str]) -> dict[str, Any]:
    """The step times, printed and as numbers."""
    columns = ["objective", "size", "precision", "ours", "bare", "ratio", "with log", "target", "ok"]
    table = Table(*columns, title="seconds a step")
    rows, networks = [], []
    for size in args.sizes:
        for precision in precisions:
            networks.append(network := steps.measure_network(size, precision, args.steps // 2))
            table.add_row("network alone", str(size), precision, "", f"{network['seconds']:.4f}", "", "", "", "")
            for objective in steps.OBJECTIVES:
                rows.append(row := steps.measure(objective, size, precision, args.steps))
                times = [f"{row['ours']:.4f}", f"{row['bare']:.4f}", f"{row['ratio']:.3f}", f"{row['ratio_of_totals']:.3f}"]
                ok = verdict(row["ratio"] <= steps.TARGET)
                table.add_row(objective, str(size), precision, *times, str(steps.TARGET), ok)
    console.print(table)
    return {"target": steps.TARGET, "steps": rows, "networks": networks}


def run_roots(console: Console) -> dict[str, Any]:
    """The times of the matrix roots."""
    columns = ["layer", "channels", "positions", "eigh", f"N–S, {roots.ITERATIONS}", "times faster", "ok"]
    errors = ["eigh: value", "gradient", "N–S: value", "gradient"]
    table = Table(*columns, *errors, title="Wasserstein loss with gradient: seconds, and relative difference to float64")
    rows = roots.measure_roots()
    for row in rows:
        names = [f"{name}_{kind}_error" for name in ("exact", "newton_schulz") for kind in ("value", "gradient")]
        table.add_row(
            row["layer"],
            str(row["channels"]),
            str(row["positions"]),
            f"{row['exact']:.4f}",
            f"{row['newton_schulz']:.4f}",
            f"{row['speedup']:.1f}",
            verdict(row["speedup"] >= roots.TARGET) if row["channels"] == 512 else "",
            *[f"{row[name]:.0e}" for name in names],
        )
    console.print(table)
    return {"target": roots.TARGET, "layers": rows}


def run_crowson(console: Console, args: argparse.Namespace, precision: str) -> dict[str, Any]:
    """The whole picture."""
    total = crowson.total_steps()
    found = crowson.measure_crowson(precision, args.ours_steps, total if args.full else args.crowson_steps)
    table = Table(
        "size", "steps of crowson", "s a step, crowson", "s a step, ours", title=f"{crowson.SIZE} px, {precision}"
    )
    for scale, (size, count) in zip(found["scales"], crowson.SCHEDULE, strict=True):
        table.add_row(str(size), str(count), f"{scale['crowson']:.3f}", f"{scale['ours']:.3f}")
    console.print(table)
    whole = found["crowson_extrapolated" if found["extrapolated"] else "crowson"]
    how = f"extrapolated from the steps above to {total}" if found["extrapolated"] else f"{total} steps, run whole"
    console.print(f"crowson: {whole:.0f} s ({how}); ours: {found['ours']:.1f} s ({found['ours_steps']} steps)")
    ok = verdict(found["speedup"] >= crowson.TARGET)
    console.print(f"ours is {found['speedup']:.1f} times faster (target {crowson.TARGET:g}): {ok}")
    console.print(f"{found['speedup_of_steps']:.1f} times by the steps above alone, timed in turn")
    console.print(f"objective in float32 at {crowson.SIZE} px: ours {found['ours_objective']:.6g}")
    if found["crowson_steps"]:
        shorter = "" if found["crowson_steps"] >= total else f", {found['crowson_steps']} of its {total} steps"
        ok = verdict(found["ours_objective"] <= found["crowson_objective"])
        console.print(f"crowson's {found['crowson_objective']:.6g}{shorter} ({found['crowson']:.0f} s): {ok}")
    else:
        console.print("crowson's is not computed without --full or --crowson_steps")
    return {"target": crowson.TARGET, **found}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("logs/bench.json"), help="file for all numbers, JSON")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=[part for part in PARTS if part not in LONG], help="what is measured"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="steps: longer sides in pixels")
    parser.add_argument("--steps", type=int, default=50, help=f"steps: timed ones, a multiple of {steps.BLOCK}")
    parser.add_argument("--ours_steps", type=int, default=crowson.STEPS, help="crowson: steps of ours")
    parser.add_argument("--crowson_steps", type=int, default=0, help="crowson: run that many of its steps, in proportion")
    parser.add_argument("--full", action="store_true", help="crowson: run all of its steps, about half an hour")
    parser.add_argument("--tile_steps", type=int, default=3, help="tiles: steps at each size, 2 or more")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    args = parser.parse_args()
    if args.steps < steps.BLOCK or args.steps % steps.BLOCK:
        parser.error(f"--steps {args.steps}: a multiple of {steps.BLOCK}")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    precisions = list(dict.fromkeys(["32-true", choose_precision(None)[0]]))
    console = Console()
    console.width = max(console.width, 120)
    found: dict[str, Any] = {"torch": torch.__version__, "threads": torch.get_num_threads(), "cpu": cpu_name()}
    print(f"{found['cpu']}, {found['threads']} threads, torch {found['torch']}")
    if "startup" in args.parts:
        found["startup"] = startup.report(console)
    if "steps" in args.parts:
        found["steps"] = run_steps(console, args, precisions)
    if "breakdown" in args.parts:
        found["breakdown"] = breakdown.report(console, args.sizes[-1], precisions[-1], args.steps)
    if "serial" in args.parts:
        found["serial"] = serial.report(console)
    if "roots" in args.parts:
        found["roots"] = run_roots(console)
    if "crowson" in args.parts:
        found["crowson"] = run_crowson(console, args, precisions[-1])
    if "cells" in args.parts:
        found["cells"] = many.report_cells(console, args.threads)
    if "ranks" in args.parts:
        found["ranks"] = many.report_ranks(console)
    if "beside" in args.parts:
        found["beside"] = beside.report(console)
    if "presets" in args.parts:
        found["presets"] = presets.report(console, precisions[-1])
    if "page" in args.parts:
        found["page"] = page.report(console)
    if "film" in args.parts:
        found["film"] = film.report(console)
    if "quality" in args.parts:
        found["quality"] = quality.report(console, args.output.parent / "quality.png")
    if "hundred" in args.parts:
        found["hundred"] = hundred.report(console)
    found["peak_bytes"] = peak_memory()
    if "tiles" in args.parts:  # forgets the peak so far
        found["tiles"] = tiled.report(console, precisions[-1], args.tile_steps, args.output.with_name("tiles.png"))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    part = args.output.with_name(args.output.name + ".part")
    part.write_text(json.dumps(found, indent=1), encoding="utf-8")
    part.replace(args.output)
    print(f"peak memory {found['peak_bytes'] / 2**20:.0f} MiB; all numbers: {args.output}")


if __name__ == "__main__":
    main()
