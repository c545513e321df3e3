"""One after the other in this process, or in several processes of this machine."""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from nst_lightning.engines.engine import TRIES, J, Lost, R
from nst_lightning.errors import BadArgument
from nst_lightning.threads import cores, let_threads_sleep

ENDING = 3.0  # seconds that a job has to end when the parent process is gone


class Sequential:
    """One job after the other, in this process."""

    packs = False

    def map(self, function: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[int, R | Lost]]:
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

    def map(self, function: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[int, R | Lost]]:
        tries = dict.fromkeys(range(len(jobs)), 0)
        waiting = list(tries)
        running: dict[Future[R], int] = {}
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
            if lost:  # one process died, and the pool gives up all its jobs
                lost += running.values()
                running.clear()
                self.close()
                self._pool = self._make_pool()
                for number in sorted(lost):
                    if tries[number] < TRIES:
                        waiting.append(number)
                    else:
                        yield number, Lost(f"the process that ran it died {TRIES} times")

    def close(self) -> None:
        for process in list((self._pool._processes or {}).values()):  # left alone they would finish their jobs first
            process.terminate()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _begin_worker(threads: int) -> None:
    """Set up a process: Ctrl-C is the parent's business, SIGTERM ends a job at once, and no worker outlives its parent."""
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
    # so that a job removes its temporary files; os.kill would be the end of the process on Windows
    _thread.interrupt_main(signal.SIGTERM) if os.name == "nt" else os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ENDING)
    os._exit(1)
