"""What a worker does with a job: whatever goes wrong in it is what comes of it."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from nst_lightning.errors import UsageError
from nst_lightning.training.silence import silence

T = TypeVar("T")


def run_job(work: Callable[[Path], T], failed: Callable[[str], T], threads: int | None) -> T:
    """Do the work of a job in silence.

    Args:
        work: gets a folder that is removed afterwards.
        failed: makes an outcome of what went wrong.
        threads: for torch; None: as it is.

    Raises:
        KeyboardInterrupt: on Ctrl-C, which ends all jobs.
        SIGTERMException: on SIGTERM, likewise.
    """
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with tempfile.TemporaryDirectory() as folder, silence(), contextlib.redirect_stdout(io.StringIO()):
            return work(Path(folder))
    except UsageError as error:
        return failed(error.message)
    except SIGTERMException:
        raise
    except SystemExit as stop:
        if stop.code == 130:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from stop
        return failed(f"ended with exit code {stop.code}")
    except Exception as error:  # a job of its own: the others go on
        return failed(f"{type(error).__name__}: {' '.join(str(error).split())}"[:400])
    finally:
        torch.set_num_threads(before)
