"""From flags to an engine."""

from __future__ import annotations

import argparse
import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from nst_lightning.engines.cluster import RayCluster
from nst_lightning.engines.engine import Engine
from nst_lightning.engines.flags import given
from nst_lightning.engines.local import Processes, Sequential, stop
from nst_lightning.errors import BadArgument, UsageError


def make_engine(options: argparse.Namespace) -> Engine:
    """The engine that flags ask for.

    Raises:
        UsageError: for settings out of range, or a cluster that does not answer.
    """
    settings: dict[str, Any] = given(options)
    try:
        return {"sequential": Sequential, "processes": Processes, "ray": RayCluster}[options.engine](**settings)
    except BadArgument as error:
        raise UsageError(f"--{error.name} {error.value}: {error.expected}") from error


@contextlib.contextmanager
def sigterm_raises() -> Iterator[None]:
    """Inside, SIGTERM ends what runs in an orderly way: engines are closed, the part that is done is named."""
    main = threading.current_thread() is threading.main_thread()  # Python lets no other one handle signals
    before = signal.signal(signal.SIGTERM, stop) if main else None
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
