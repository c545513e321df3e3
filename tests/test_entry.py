"""The program as a process of a system that is not like this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_names_that_the_terminal_cannot_spell(pictures, tmp_path, encoding):
    """If this fails, a run on Windows or without a locale ends in a traceback at its last line, for a file's name."""
    words = [*map(str, pictures), "--data.size", "32", "--trainer.max_steps", "1", "--output", "猫.png"]
    command = [sys.executable, "-m", "nst_lightning", "fit", *words, "--trainer.accelerator", "cpu"]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert rb"\u732b.png" in done.stdout.splitlines()[-1]
    assert (tmp_path / "猫.png").is_file()
