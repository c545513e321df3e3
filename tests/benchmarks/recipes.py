"""Time, memory and distances of the presets and recipes at full length: ``python -m tests.benchmarks.recipes``.

Writes the table of configs/README.md, between its two marks.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.cli.shipped import ROOT, names_of
from nst_lightning.pictures.atomic import write_file
from nst_lightning.study.cells import Job, Outcome, run_cell
from nst_lightning.training.precision import choose_precision
from tests.benchmarks.__main__ import cpu_name
from tests.benchmarks.steps import PICTURES

MARKS = re.compile("(<!-- table of recipes[^\\n]*-->\\n).*?(<!-- end of table -->)", re.DOTALL)
HEAD = "| config | steps | time | memory | style distance | content distance |\n|---|---|---|---|---|---|\n"


def measure(name: str, size: int) -> Outcome:
    """Run a config, ``transfer`` or a recipe over it, at full length."""
    words = ["fit", *PICTURES, *(["--recipe", name] if name in names_of("recipes") else ["--config", name])]
    config = NSTCommandLine(["fit"], until="parsed").resolve([*words, f"--data.size={size}", *PICTURES_OVER])
    return run_cell(Job(config))


# a config's own pictures are not those that are compared
PICTURES_OVER = [f"--data.content={PICTURES[0]}", f"--data.style={PICTURES[1]}"]


def row(name: str, outcome: Outcome) -> str:
    """A line of the table."""
    if outcome.error is not None:
        return f"| `{name}` | {outcome.error} | | | | |\n"
    found = outcome.measured
    values = [f"{found['steps']:.0f}", f"{found['seconds']:.0f} s", f"{found['peak_memory_mib'] / 1024:.1f} GiB"]
    values += [f"{found['style_distance']:.3f}", f"{found['content_distance']:.2f}"]
    return f"| `{name}` | {' | '.join(values)} |\n"


def main() -> None:
    """Measure all, or some, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.recipes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="longer side in pixels")
    parser.add_argument(
        "--names", nargs="+", default=["draft", "transfer", "fine", *names_of("recipes")], help="configs and recipes"
    )
    parser.add_argument("--table", type=Path, default=ROOT / "README.md", help="the file with the marks")
    args = parser.parse_args()
    rows = []
    for name in args.names:
        rows.append(row(name, measure(name, args.size)))
        print(rows[-1], end="", flush=True)
    how = (
        f"At {args.size} px, chenonceau.jpg and starry_night.jpg, full length, on {cpu_name()} with two threads in "
        f"{choose_precision(None)[0]}. Distances are of layers that nothing here optimises: 0 is the picture itself, about "
        "1 an unrelated one; statistics do not see strokes.\n\n"
    )
    text = args.table.read_text(encoding="utf-8")
    write_file(args.table, MARKS.sub(lambda marks: marks[1] + how + HEAD + "".join(rows) + marks[2], text).encode())


if __name__ == "__main__":
    main()
