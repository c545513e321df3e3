"""``python -m nst_lightning``: what has to be so in the process before the first line of the program."""

import io
import sys

from nst_lightning.allocator import keep_freed
from nst_lightning.threads import let_threads_sleep


def main() -> int:
    """Run the command line, with threads that sleep, freed memory that stays, and streams that can say every name."""
    let_threads_sleep()
    keep_freed()  # before threads begin
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # on Windows, or without a locale, not every name can be spelt
            stream.reconfigure(errors="backslashreplace")
    from nst_lightning.main import main as command  # loads torch, which reads the environment

    return command()


if __name__ == "__main__":
    sys.exit(main())
