"""The commands: ``fit`` makes one picture, ``study`` a grid of them. Every end has its exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from lightning.pytorch.utilities.exceptions import SIGTERMException

from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.errors import LostProcess, NonFiniteLoss, UsageError
from nst_lightning.study.command import study
from nst_lightning.training.silence import silence

COMMANDS = ("fit", "study")


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: the words after the program's name; those of this process if None.

    Returns:
        The exit code: 0 done, 1 failed in the run, 2 bad input, 130 Ctrl-C, 143 SIGTERM.
    """
    words = list(sys.argv[1:] if args is None else args)
    try:
        with silence():
            if words[:1] == ["study"]:
                return study(words[1:])
            if words and words[0] not in COMMANDS and not words[0].startswith("-"):
                raise UsageError(f"{words[0]}: no such command; give {' or '.join(COMMANDS)}")
            command_line = NSTCommandLine(words)
    except UsageError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    except (NonFiniteLoss, LostProcess) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that went away
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the first step: there is no picture yet
        return 128 + signal.SIGINT
    except SIGTERMException:
        return 128 + signal.SIGTERM
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0 if command_line.trainer.state.finished else 1
