"""Two thousand cells on Ray: workers killed every minute, and the program itself once."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

CELLS = int(os.environ.get("NST_SOAK_CELLS", "2000"))
KILLED = float(os.environ.get("NST_SOAK_KILL", "60"))  # seconds between two workers that are killed


def kill_a_worker(program: psutil.Process) -> bool:
    """Kill a process that is at work on a cell."""
    for child in program.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.cmdline()[:1] == ["ray::run"]:
                child.kill()
                return True
    return False


@pytest.mark.soak
def test_two_thousand_cells_on_ray(workdir, pictures):
    """If this fails, a large study loses cells with a worker, fills the memory, or begins anew when it is killed."""
    pytest.importorskip("ray")
    content, style = map(str, pictures)
    model = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1", "relu2_1"], "scales": "none", "init": "noise"}
    model |= {"style_loss": "wasserstein", "optimizer": "adam"}
    trainer = {"max_steps": 2, "accelerator": "cpu", "precision": "32-true"}
    base = {"data": {"content": content, "style": style, "size": 32}, "model": model, "trainer": trainer}
    Path("base.yaml").write_text(yaml.safe_dump(base))
    rows = {"setting": "seed_everything", "values": list(range(CELLS // 40))}
    columns = {"setting": "model.style_weight", "values": list(range(1, 41))}
    Path("many.yaml").write_text(yaml.safe_dump({"title": "Many", "base": "base.yaml", "rows": rows, "columns": columns}))
    words = [sys.executable, "-m", "nst_lightning", "study", "--config", "many.yaml", "--output", "out", "--engine", "ray"]
    words += ["--engine.workers", "2"]
    kills, memory, said = 0, [], []
    for end in (CELLS // 2, CELLS):  # killed when half of the cells are there; the same command goes on
        with Path("said.txt").open("w") as file, subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT) as process:
            program, begun, last = psutil.Process(process.pid), time.monotonic(), time.monotonic()
            while process.poll() is None:
                time.sleep(1)
                done = len(list(Path("out").glob("many/cells/*/cell.json")))
                with contextlib.suppress(psutil.Error):
                    memory.append((done, program.memory_info().rss / 2**20))
                if time.monotonic() - last > KILLED and kill_a_worker(program):
                    kills, last = kills + 1, time.monotonic()
                if end < CELLS and done >= end:
                    process.kill()
        said.append(Path("said.txt").read_text())
        left = re.findall(r"· ([^·]+) left", said[-1])
        print(
            f"{time.monotonic() - begun:.0f} s, {done} cells, {kills} workers killed; {left[len(left) // 2 :][:1]} at half"
        )
        for worker in psutil.process_iter(["cmdline"]):  # a killed program's cluster ends by itself, in a while
            if worker.info["cmdline"] and worker.info["cmdline"][0].startswith("ray::"):
                with contextlib.suppress(psutil.Error):
                    worker.wait(60)
    assert process.returncode == 0, said[-1][-2000:]
    cells = [json.loads(path.read_text()) for path in Path("out").glob("many/cells/*/cell.json")]
    assert len(cells) == CELLS and not any(cell.get("error") for cell in cells)
    assert kills >= 1
    # memory: that of the second half of a run is not more than that of its beginning
    early = [mib for done, mib in memory if CELLS // 10 <= done < CELLS // 4]
    late = [mib for done, mib in memory if CELLS // 2 * 0.9 <= done < CELLS // 2]
    print(f"program {max(early):.0f} MiB with a tenth of the cells, {max(late):.0f} MiB with half")
    assert max(late) < 1.1 * max(early)
