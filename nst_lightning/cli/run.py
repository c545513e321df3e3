"""A run of ``fit`` from words to exit code."""

from __future__ import annotations

from collections.abc import Sequence

from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.training.silence import silence


def run(words: Sequence[str]) -> int:
    """Run ``fit``.

    Args:
        words: in full, the first of them ``fit``.

    Returns:
        0, or 1 if the run failed.

    Raises:
        UsageError: before anything is written, with what to say.
        SystemExit: with 130 on Ctrl-C; Lightning's SIGTERMException on SIGTERM.
    """
    with silence():
        command_line = NSTCommandLine(words)
    return 0 if command_line.trainer.state.finished else 1
