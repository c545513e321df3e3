"""The machines of a Ray cluster, or this one as a cluster of its own."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from nst_lightning.engines.engine import TRIES, J, Lost, R
from nst_lightning.errors import BadArgument, reason
from nst_lightning.threads import cores, let_threads_sleep

ANSWER = 10.0  # seconds that an address has to answer
AGAIN = 5.0  # seconds until the machines of a cluster are counted again
STORED = 64  # files that travel once for many jobs


class RayCluster:
    """The machines of a Ray cluster, or this one as a cluster of its own. Needs ``pip install 'nst_lightning[ray]'``.

    Files travel with the jobs and come back with the outcomes; no disk is shared. A job whose worker or machine is lost is
    run again.

    Args:
        address: of a running cluster, ``host:port``, ``ray://host:port`` or ``auto``; None starts one on this machine.
        workers: jobs at once on a cluster of its own; ignored with an address.
        cpus: of each job, above 0.
        gpus: of each job, 0 or more; a fraction shares a GPU.

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
            raise BadArgument("engine.cpus", cpus, "the CPUs of a job, a number above 0")
        if not 0 <= gpus < float("inf"):
            raise BadArgument("engine.gpus", gpus, "the GPUs of a job, 0 or more")
        if workers is not None and workers < 1:
            raise BadArgument("engine.workers", workers, "the number of workers is 1 or more")
        self.ray = ray
        self.cpus, self.gpus = cpus, gpus
        self._counted, self._most = 0.0, 2
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
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a notice among our own lines
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

    def map(self, function: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[int, R | Lost]]:
        ray = self.ray
        pickle = ray.cloudpickle
        stored: dict[str, object] = {}  # a file that many jobs use travels once

        @ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=TRIES - 1)
        def run(packed: bytes, names: list[str], threads: int, *contents: bytes) -> Any:
            let_threads_sleep()  # a worker does not inherit from here, and unpacking loads torch
            function, job = pickle.loads(packed)
            return function(replace(job, files=dict(zip(names, contents, strict=True)), threads=threads))

        running: dict[Any, int] = {}
        waiting, left = iter(range(len(jobs))), len(jobs)
        while left:
            # jobs are made and handed out as workers come free: neither here nor in Ray's store do ten thousand lie
            while len(running) < self._slots() and (number := next(waiting, None)) is not None:
                job = jobs[number]
                for name, content in job.files.items():
                    if name not in stored:
                        stored[name] = ray.put(content)
                refs = [stored[name] for name in job.files]
                while len(stored) > STORED:  # what a running job uses stays
                    del stored[next(iter(stored))]
                packed = pickle.dumps((function, replace(job, files={})))  # type: ignore[type-var]  # a dataclass
                running[run.remote(packed, list(job.files), max(1, int(self.cpus)), *refs)] = number
            done, _ = ray.wait(list(running), num_returns=1, timeout=AGAIN)
            for reference in done:
                number, left = running.pop(reference), left - 1
                try:
                    outcome = ray.get(reference)
                except ray.exceptions.RayError as error:
                    outcome = Lost(f"Ray: {reason(error)}"[:400])
                yield number, outcome

    def _slots(self) -> int:
        """How many jobs to have handed out: those that run, and as many that wait where the workers are."""
        now = time.monotonic()
        if now - self._counted > AGAIN:  # machines come and go
            self._counted, there = now, self.ray.cluster_resources()
            most = there.get("CPU", 0) / self.cpus
            most = min(most, there.get("GPU", 0) / self.gpus) if self.gpus else most
            self._most = max(2, 2 * int(most))
        return self._most

    def close(self) -> None:
        self.ray.shutdown()
