"""``python -m nst_lightning``."""

import sys

from nst_lightning.threads import let_threads_sleep


def main() -> int:
    """Run the command line, with threads that sleep while they wait."""
    let_threads_sleep()
    from nst_lightning.main import main as command  # loads torch, which reads the environment

    return command()


if __name__ == "__main__":
    sys.exit(main())
