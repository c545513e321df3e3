"""``python -m nst_lightning``."""

import sys

from nst_lightning.main import main

if __name__ == "__main__":
    sys.exit(main())
