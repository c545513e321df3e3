"""The tests as other processors would run them: ``make test-processors``.

One variant after the other, so that none disturbs another's clock. Most run the tests that compare numbers; what a
processor has no part in (messages, files, signals) is tested once, by ``make test``, and here in the variant ``whole``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
FORMULAS = ["tests/losses", "tests/network", "tests/objective", "tests/pictures/test_colors.py"]
RUNS = ["tests/training", "tests/cli/test_configs.py", "tests/study/test_study.py"]
NUMBERS = [*FORMULAS, *RUNS, "tests/test_module.py", "tests/test_api.py", "tests/test_texture.py"]


class Variant(NamedTuple):
    """One run of tests.

    Attributes:
        name: in the table.
        why: which processors it stands for.
        settings: of the environment. ATEN_CPU_CAPABILITY: torch's own kernels. ONEDNN_MAX_CPU_ISA: convolutions.
            MKL_CBWR: products of matrices and eigenvalues. Each can be held below what the processor has, not above.
        tests: which; none are all.
        flags: of pytest.
    """

    name: str
    why: str
    settings: dict[str, str]
    tests: list[str] = NUMBERS
    flags: list[str] = []  # noqa: RUF012 (of a tuple: nobody adds to it)


# Without the instructions for bf16 the program chooses float32, here too: it knows of oneDNN's limit. Tests that ask for
# bf16 compute it then by oneDNN's emulation.
VARIANTS = [
    Variant(
        "sse",
        "x86 before 2013, and emulators: no AVX2, no bf16",
        {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
    ),
    Variant(
        "avx2",
        "laptops, and AMD before Zen 4: no AVX-512, no bf16",
        {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    ),
    Variant("avx512", "Xeons before Cooper Lake: AVX-512, no bf16", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}),
    Variant("1 thread", "this processor with all it has, bf16 if it is native", {"OMP_NUM_THREADS": "1"}),
    Variant("2 threads", "the same, sums in two pieces", {"OMP_NUM_THREADS": "2"}),
    Variant("4 threads", "the same, sums in four pieces", {"OMP_NUM_THREADS": "4"}),
    # not on whole runs: each sum costs a second one here; and not where processes of their own have this processor's sums
    Variant(
        "other",
        "a processor that nobody here has: sums off as a plain loop's",
        {},
        FORMULAS,
        ["--other-rounding", "--ignore=tests/objective/test_ranks.py"],
    ),
    Variant(
        "whole", "the whole suite, as avx512: the commonest server without bf16", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, []
    ),
]


def run(variant: Variant, folder: Path) -> tuple[int, str, float]:
    """The exit code, pytest's last line and the seconds of one variant; all it says is in ``folder``."""
    start = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "not slow and not soak and not browser",
        "-p",
        "no:cacheprovider",
        *variant.flags,
        *variant.tests,
    ]
    if "OMP_NUM_THREADS" not in variant.settings:
        command += ["--numprocesses", "2", "--dist", "worksteal"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variant.settings
    log = folder / f"{variant.name.replace(' ', '_')}.log"
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT).returncode
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if " in " in line and line[:1].isdigit()]
    return code, lines[-1] if lines else f"see {log}", time.monotonic() - start


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processors", description=(__doc__ or "").splitlines()[0])
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--logs", type=Path, default=ROOT / "logs" / "processors", help="folder for what pytest says")
    args = parser.parse_args()
    args.logs.mkdir(parents=True, exist_ok=True)
    table = Table("variant", "stands for", "", "tests", "s", title="the tests on other processors")
    red = 0
    for variant in VARIANTS:
        if variant.name in args.only:
            code, said, seconds = run(variant, args.logs)
            red += code != 0
            print(f"{variant.name}: {said}", flush=True)
            table.add_row(
                variant.name, variant.why, "green" if code == 0 else "RED", said.split(" in ")[0], f"{seconds:.0f}"
            )
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)
    return min(red, 1)


if __name__ == "__main__":
    sys.exit(main())
