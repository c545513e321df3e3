"""Where the cells of a study run: here one by one, in several processes, or on the machines of a Ray cluster.

One seam for all: ``map(function, jobs)`` gives outcomes as they come. A worker lives for many cells, so what a cell caches
(the network's weights and their calibration) is made once per worker.
"""

from __future__ import annotations

import _thread
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any, Protocol

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from nst_lightning.errors import BadArgument, reason
from nst_lightning.study.cells import Job, Outcome
from nst_lightning.threads import cores, let_threads_sleep

TRIES = 4  # of a cell whose worker dies each time: then it is the cell
ANSWER = 10.0  # seconds that a Ray address has to answer
ENDING = 3.0  # seconds that a cell has to end when the parent process is gone

Function = Callable[[Job], Outcome]


class Engine(Protocol):
    """Runs jobs somewhere.

    Attributes:
        packs: whether jobs have to carry the content of the files they name.
    """

    packs: bool

    def map(self, function: Function, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """The number of each job and its outcome, in the order in which they are done.

        Args:
            function: importable by name on the workers.
            jobs: may be made when they are asked for.
        """
        ...

    def close(self) -> None:
        """End the workers, busy or not."""
        ...


class Sequential:
    """One cell after the other, in this process."""

    packs = False

    def map(self, function: Function, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        for number in range(len(jobs)):
            yield number, function(jobs[number])

    def close(self) -> None:
        pass


class Processes:
    """Several processes of this machine, which share its cores.

    Args:
        workers: how many, 1 or more.

    Raises:
        BadArgument: for fewer than 1.
    """

    packs = False

    def __init__(self, workers: int = 2) -> None:
        if workers < 1:
            raise BadArgument("engine.workers", workers, "the number of processes is 1 or more")
        self.workers = workers
        self.threads = max(1, cores() // workers)
        let_threads_sleep()  # the processes inherit the environment, and load torch before the first line of ours
        self._pool = self._make_pool()

    def _make_pool(self) -> ProcessPoolExecutor:
        # spawn: a fork of a process with torch's threads can hang
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, mp_context=context, initializer=_begin_worker, initargs=(self.threads,))

    def map(self, function: Function, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        tries = dict.fromkeys(range(len(jobs)), 0)
        waiting = list(tries)
        running: dict[Future[Outcome], int] = {}
        while waiting or running:
            while waiting and len(running) < self.workers:
                number = waiting.pop(0)
                tries[number] += 1
                running[self._pool.submit(function, jobs[number])] = number
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            lost = []
            for future in done:
                number = running.pop(future)
                try:
                    yield number, future.result()
                except BrokenProcessPool:
                    lost.append(number)
            if lost:  # one process died, and the pool gives up all its cells
                lost += running.values()
                running.clear()
                self.close()
                self._pool = self._make_pool()
                for number in sorted(lost):
                    if tries[number] < TRIES:
                        waiting.append(number)
                    else:
                        yield number, Outcome(error=f"the process that ran it died {TRIES} times")

    def close(self) -> None:
        for process in list((self._pool._processes or {}).values()):  # left alone they would finish their cells first
            process.terminate()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _begin_worker(threads: int) -> None:
    """Set up a process: Ctrl-C is the parent's business, SIGTERM ends a cell at once, and no worker outlives its parent."""
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def stop(number: int, frame: Any) -> None:
    """A handler for SIGTERM that ends what runs, wherever it is, with its clean-up."""
    raise SIGTERMException


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    # so that a cell removes its temporary files; os.kill would be the end of the process on Windows
    _thread.interrupt_main(signal.SIGTERM) if os.name == "nt" else os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ENDING)
    os._exit(1)


class RayCluster:
    """The machines of a Ray cluster, or this one as a cluster of its own. Needs ``pip install 'nst_lightning[ray]'``.

    Pictures travel with the jobs and come back with the outcomes; no disk is shared. A cell whose worker or machine is lost
    is run again.

    Args:
        address: of a running cluster, ``host:port``, ``ray://host:port`` or ``auto``; None starts one on this machine.
        workers: cells at once on a cluster of its own; ignored with an address.
        cpus: of each cell, above 0.
        gpus: of each cell, 0 or more; a fraction shares a GPU.

    Raises:
        BadArgument: for numbers out of range, if Ray is not installed, or if the address does not answer.
    """

    packs = True

    def __init__(
        self, address: str | None = None, workers: int | None = None, cpus: float = 1.0, gpus: float = 0.0
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise BadArgument("engine", "ray", "is not installed; pip install 'nst_lightning[ray]'") from error
        if not 0 < cpus < float("inf"):
            raise BadArgument("engine.cpus", cpus, "the CPUs of a cell, a number above 0")
        if not 0 <= gpus < float("inf"):
            raise BadArgument("engine.gpus", gpus, "the GPUs of a cell, 0 or more")
        if workers is not None and workers < 1:
            raise BadArgument("engine.workers", workers, "the number of workers is 1 or more")
        self.ray = ray
        self.cpus, self.gpus = cpus, gpus
        if address is None:
            available = cores() if workers is None else workers * cpus
            # "local": without it, Ray joins a cluster that runs on this machine, whoever started it
            self._start(address="local", num_cpus=max(1, round(available)), include_dashboard=False)
        else:
            self._join(address)
        most = self.ray.cluster_resources()
        if cpus > most.get("CPU", 0) or gpus > most.get("GPU", 0):
            there = f"{most.get('CPU', 0):g} CPUs and {most.get('GPU', 0):g} GPUs"
            self.ray.shutdown()
            raise BadArgument("engine.cpus", cpus, f"and --engine.gpus {gpus}: the cluster has {there}")

    def _start(self, **options: Any) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a notice among the study's own lines
        # on each machine of a cluster, before a worker loads torch
        hook = f"{let_threads_sleep.__module__}.{let_threads_sleep.__name__}"
        options["runtime_env"] = {"worker_process_setup_hook": hook}
        self.ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=False, **options)

    def _join(self, address: str) -> None:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if address != "auto":
            if not host or not port.isdigit():
                raise BadArgument("engine.address", address, "give host:port, ray://host:port or auto")
            try:
                socket.create_connection((host, int(port)), timeout=ANSWER).close()
            except (OSError, OverflowError) as error:
                expected = f"no Ray cluster answers there ({reason(error)}); start one with `ray start --head`"
                raise BadArgument("engine.address", address, expected) from error
        failed: list[Exception] = []

        def join() -> None:
            try:
                self._start(address=address)
            except Exception as error:  # whatever Ray makes of what is not a cluster
                failed.append(error)

        thread = threading.Thread(target=join, daemon=True)
        thread.start()
        thread.join(ANSWER)
        if thread.is_alive() or failed:
            why = reason(failed[0]) if failed else f"nothing in {ANSWER:.0f} s"
            expected = f"no Ray cluster answers there ({why}); is RAY_AUTH_MODE=token set, and the head's token here?"
            raise BadArgument("engine.address", address, expected)

    def map(self, function: Function, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        ray = self.ray
        pickle = ray.cloudpickle
        stored: dict[str, object] = {}  # a picture that many cells use travels once

        @ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=TRIES - 1)
        def run(packed: bytes, names: list[str], threads: int, *contents: bytes) -> Outcome:
            let_threads_sleep()  # a worker does not inherit from here, and unpacking loads torch
            function, job = pickle.loads(packed)
            return function(replace(job, files=dict(zip(names, contents, strict=True)), threads=threads))

        running = {}
        for number in range(len(jobs)):
            job = jobs[number]
            for name, content in job.files.items():
                if name not in stored:
                    stored[name] = ray.put(content)
            refs = [stored[name] for name in job.files]
            threads = max(1, int(self.cpus))
            packed = pickle.dumps((function, replace(job, files={})))
            running[run.remote(packed, list(job.files), threads, *refs)] = number
        while running:
            done, _ = ray.wait(list(running), num_returns=1)
            number = running.pop(done[0])
            try:
                outcome = ray.get(done[0])
            except ray.exceptions.RayError as error:
                outcome = Outcome(error=f"Ray: {reason(error)}"[:400])
            yield number, outcome

    def close(self) -> None:
        self.ray.shutdown()
