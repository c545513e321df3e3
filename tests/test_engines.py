"""Engines: the same cells on processes and on Ray, and what happens when a worker dies."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from PIL import Image

from nst_lightning.engines.engine import TRIES, Engine
from nst_lightning.engines.local import Processes, Sequential
from nst_lightning.engines.packing import renamed
from nst_lightning.main import main
from nst_lightning.network.features import _scales
from nst_lightning.network.weights import _load_weights
from nst_lightning.study.cells import Job, Outcome, run_cell
from nst_lightning.study.plan import Plan


def describe(job: Job) -> Outcome:
    """Where a job ran."""
    return Outcome(measured={"number": job.config["number"], "process": os.getpid()})


def die_at_first(job: Job) -> Outcome:
    """Dies where a file is not there yet, as a worker does that runs out of memory."""
    mark = Path(job.config["folder"]) / str(job.config["number"])
    if job.config["number"] == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return describe(job)


def die_always(job: Job) -> Outcome:
    if job.config["number"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return describe(job)


def outcomes(engine: Engine, function, folder: Path, count: int = 5) -> dict[int, Outcome]:
    jobs = [Job({"number": number, "folder": str(folder)}) for number in range(count)]
    with closing(engine):
        found = list(engine.map(function, jobs))
    assert sorted(number for number, _ in found) == list(range(count)), "a job was lost or given twice"
    return dict(found)


def test_sequential_and_processes_give_every_outcome_to_its_job(tmp_path):
    """Fails if an outcome goes to another cell, or the processes are started anew for each."""
    for engine, processes in ((Sequential(), {os.getpid()}), (Processes(2), None)):
        found = outcomes(engine, describe, tmp_path)
        assert [found[number].measured["number"] for number in range(5)] == list(range(5))
        where = {outcome.measured["process"] for outcome in found.values()}
        assert where == processes or (processes is None and len(where) <= 2 and os.getpid() not in where)


def test_a_process_that_dies_costs_no_cell(tmp_path):
    """Fails if a killed worker takes its cell, or those beside it, with it."""
    assert all(outcome.error is None for outcome in outcomes(Processes(2), die_at_first, tmp_path).values())


@pytest.mark.slow
def test_a_cell_that_kills_its_process_each_time_is_given_up(tmp_path):
    """Fails if a cell that cannot run keeps the study from ending."""
    found = outcomes(Processes(1), die_always, tmp_path, count=3)
    assert found[1].error == f"the process that ran it died {TRIES} times"
    assert found[0].error is None and found[2].error is None


@pytest.fixture
def study(workdir, pictures) -> list[str]:
    """The words of a study of five cells with pictures of their own."""
    content, style = map(str, pictures)
    model = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1", "relu2_1"], "scales": "none", "init": "noise"}
    model |= {"style_loss": "wasserstein", "optimizer": "adam"}  # the fastest steps
    trainer = {"max_steps": 30, "accelerator": "cpu", "precision": "32-true"}
    base = {"data": {"content": content, "style": style, "size": 48}, "model": model, "trainer": trainer}
    (workdir / "base.yaml").write_text(yaml.safe_dump(base))
    columns = {"setting": "seed_everything", "values": [0, 1, 2, 3, 4]}
    (workdir / "seeds.yaml").write_text(yaml.safe_dump({"title": "Seeds", "base": "base.yaml", "columns": columns}))
    return ["study", "--config", "seeds.yaml"]


def pictures_of(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(folder / "seeds" / "cells" / str(seed) / "result.png")) for seed in range(5)]


@pytest.mark.slow
def test_ray_with_a_worker_killed(study, workdir, one_thread):
    """Fails if Ray's workers do not get the pictures, give other results, or a killed one leaves a hole in the figure."""
    pytest.importorskip("ray")
    words = [sys.executable, "-m", "nst_lightning", *study, "--engine", "ray", "--engine.workers", "2", "--output", "ray"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    killed = False
    while process.poll() is None and not killed:
        children = psutil.Process(process.pid).children(recursive=True)
        for child in children:
            with contextlib.suppress(psutil.Error):
                if child.cmdline()[:1] == ["ray::run"]:  # at work on a cell, not idle
                    child.kill()
                    killed = True
                    break
        time.sleep(0.02)
    said, _ = process.communicate(timeout=240)
    assert killed, said
    assert process.returncode == 0, said
    assert (workdir / "ray" / "seeds" / "figure.png").is_file()
    assert main([*study, "--output", "here"]) == 0  # on one thread, as there
    for there, here in zip(pictures_of(workdir / "ray"), pictures_of(workdir / "here"), strict=True):
        assert np.array_equal(there, here)


def test_a_ray_address_that_does_not_answer(study, workdir, capsys):
    """Fails if a wrong address hangs, ends in a traceback, or is noticed only after something was written."""
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", "nowhere", "127.0.0.1:words"):
        assert main([*study, "--engine", "ray", "--engine.address", address]) == 2
        error = capsys.readouterr().err
        assert f"--engine.address {address}" in error and error.count("\n") <= 2
    assert not (workdir / "logs").exists()


def test_packed_jobs_run_where_the_files_are_not(study, workdir, monkeypatch):
    """Fails if a job that carries its pictures still looks for them on the disk of the machine it was made on."""
    plan = Plan("seeds.yaml", [], workdir, {})
    packed = plan.job(0, packs=True)
    here = run_cell(replace(packed, files={}))
    lost = {name: "/not/there/" + Path(name).name for name in packed.files}
    moved = replace(
        packed,
        config=renamed(packed.config, lost),
        files={lost[name]: content for name, content in packed.files.items()},
    )
    there = run_cell(moved)
    assert there.error is None and there.files["result.png"] == here.files["result.png"]
    assert Path.cwd() == workdir


def start_and_wait(words: list[str], cells: int, folder: Path) -> subprocess.Popen[str]:
    """A study in a process of its own, after so many cells are done."""
    command = [sys.executable, "-m", "nst_lightning", *words, "--trainer.max_steps", "200"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while len(list(folder.glob("seeds/cells/*/cell.json"))) < cells:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.parametrize(
    ("engine", "sent", "code"),
    [
        pytest.param("sequential", signal.SIGTERM, 143, id="SIGTERM, one process"),
        pytest.param("processes", signal.SIGINT, 130, id="SIGINT, several processes", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_study_and_keeps_its_cells(study, workdir, engine, sent, code):
    """Fails if a study that is stopped goes on, leaves workers behind, loses what is done, or does not say how to go on."""
    words = [*study, "--output", "out", "--engine", engine]
    with start_and_wait(words, 1, workdir / "out") as process:
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(sent)
        said, errors = process.communicate(timeout=60)
    assert process.returncode == code, said + errors
    assert "Traceback" not in said + errors
    done = len(list(workdir.glob("out/seeds/cells/*/cell.json")))
    assert 1 <= done < 5
    assert said.splitlines()[-1] == f"seeds: stopped with {done} of 5 cells; the same command goes on with the rest"
    assert not (workdir / "out" / "seeds" / "figure.png").exists()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


@pytest.mark.slow
def test_workers_end_with_a_study_that_is_killed(study, workdir):
    """Fails if processes go on computing for nobody when the study itself is gone."""
    with start_and_wait([*study, "--output", "out", "--engine", "processes"], 1, workdir / "out") as process:
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


def test_a_worker_reads_and_calibrates_the_network_once(study, workdir):
    """Fails if every cell pays for reading and calibrating the network again."""
    plan = Plan("seeds.yaml", [], workdir, {})
    counts = []
    for number in (0, 1):
        assert run_cell(plan.job(number, packs=False)).error is None
        counts.append((_load_weights.cache_info().misses, _scales.cache_info().misses))
    assert counts[0] == counts[1] and counts[0][1] >= 1
