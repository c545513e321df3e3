"""Threads that wait sleep soon: in every process that a command starts, and in none that only imports the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch  # noqa: F401 (loads the library of which GNU asks)

from nst_lightning.threads import SLEEP_SOON, let_threads_sleep

ROOT = Path(__file__).parents[1]
MAPS = Path("/proc/self/maps")  # what this process has loaded, torch's libraries among it
GNU = pytest.mark.skipif(not MAPS.exists() or "libgomp" not in MAPS.read_text(), reason="asks GNU's OpenMP library")
WHOSE = (*SLEEP_SOON, "OMP_WAIT_POLICY")
SHORT = ["--data.size", "32", "--trainer.max_steps", "1", "--trainer.accelerator", "cpu", "--model.scales", "none"]
QUIET = ["--trainer.precision", "32-true", "--trainer.enable_progress_bar", "false"]


def run(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A Python process whose environment says nothing of waiting threads but ``settings``.

    GNU's library writes its settings to stderr when it is loaded, with ``OMP_DISPLAY_ENV``: the ones it goes by, too late
    changes of the environment not among them.
    """
    clean = {name: value for name, value in os.environ.items() if name not in WHOSE}
    environment = clean | {"OMP_DISPLAY_ENV": "VERBOSE", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | settings
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def spins(text: str) -> list[str]:
    """The spin count of every process whose library spoke."""
    return sorted(line.split("'")[1] for line in text.splitlines() if "GOMP_SPINCOUNT" in line)


# ---- what is set -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("users", "found"),
    [
        ({}, {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7", "KMP_BLOCKTIME": "1"}),
        ({"KMP_BLOCKTIME": "infinite"}, {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "infinite"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_what_the_user_has_set_stays(monkeypatch, users, found):
    """If this fails, a person's own setting is overruled, or a library of OpenMP is forgotten."""
    for name in WHOSE:
        monkeypatch.delenv(name, raising=False)
    for name, value in users.items():
        monkeypatch.setenv(name, value)
    let_threads_sleep()
    assert {name: os.environ[name] for name in WHOSE if name in os.environ} == found


def test_the_package_neither_sets_anything_nor_loads_torch(tmp_path):
    """If this fails, importing the package changes a process of somebody else, or comes too late to change one of ours."""
    program = "import sys, os, nst_lightning, nst_lightning.__main__, nst_lightning.threads\n"
    program += "assert 'torch' not in sys.modules and 'lightning' not in sys.modules\n"
    program += "assert set(nst_lightning.__all__) <= set(dir(nst_lightning))\n"
    program += "from nst_lightning import *\n"
    program += "print(stylize, [name for name in os.environ if name.startswith(('GOMP', 'KMP'))])"
    assert run(tmp_path, "-c", program).stdout.endswith("[]\n")


def test_a_name_that_is_not_there():
    """If this fails, a wrong name gives another error than Python's, and `hasattr` raises."""
    import nst_lightning

    with pytest.raises(AttributeError, match="module 'nst_lightning' has no attribute 'StyleTransfr'"):
        nst_lightning.StyleTransfr  # noqa: B018 (asked for, not used)


# ---- where it is set -------------------------------------------------------------------------------------------------


@GNU
def test_a_command_and_its_ranks(pictures, tmp_path):
    """If this fails, a command or a process that shares its image spins while it waits."""
    words = ["-m", "nst_lightning", "fit", *map(str, pictures), *SHORT, *QUIET]
    tiles = ["--model.style_loss", "gram", "--model.tile", "24", "--trainer.devices", "2", "--trainer.strategy", "tiles"]
    assert spins(run(tmp_path, *words, *tiles).stderr) == ["1000", "1000"]


@pytest.mark.slow
@GNU
def test_ranks_that_torchrun_starts(pictures, tmp_path):
    """If this fails, only the processes that Lightning starts are set up."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "nst_lightning", "fit"]
    tiles = ["--model.style_loss", "gram", "--model.tile", "24", "--trainer.devices", "2", "--trainer.strategy", "tiles"]
    said = run(tmp_path, *launch, *map(str, pictures), *SHORT, *QUIET, *tiles).stderr
    assert spins(said) == ["1000", "1000", "300000"]  # the last is torchrun's own, which waits for them asleep


WORKER = """
import sys
from contextlib import closing
from pathlib import Path

def spin(job):  # called in a worker; Ray's have a file for stderr
    from nst_lightning.study.cells import Outcome
    errors = Path("/proc/self/fd/2").resolve()
    return Outcome(measured={"said": errors.read_text() if errors.is_file() else ""})

if __name__ == "__main__":
    from nst_lightning.study.cells import Job
    from nst_lightning.engines.cluster import RayCluster
    from nst_lightning.engines.local import Processes

    engine = RayCluster(workers=1) if sys.argv[1] == "ray" else Processes(2)
    with closing(engine):
        for _, outcome in engine.map(spin, [Job({}), Job({})]):
            assert outcome.error is None, outcome.error
            print(outcome.measured.get("said", ""))
"""


@GNU
@pytest.mark.slow
def test_workers_of_a_program_that_has_loaded_torch(tmp_path):
    """If this fails, the workers of a study spin: each of them for each core of the machine."""
    (tmp_path / "program.py").write_text(WORKER)
    said = run(tmp_path, "program.py", "processes").stderr
    assert spins(said) == ["1000", "1000", "300000"]  # the last is the program's own: too late for it


@GNU
@pytest.mark.slow
def test_workers_of_ray(tmp_path):
    """If this fails, workers on a cluster, which do not inherit an environment, spin."""
    pytest.importorskip("ray")
    (tmp_path / "program.py").write_text(WORKER)
    assert set(spins(run(tmp_path, "program.py", "ray").stdout)) == {"1000"}
