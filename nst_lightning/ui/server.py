"""What stands behind the page: history, estimate and easel of one folder."""

from __future__ import annotations

from pathlib import Path

from nst_lightning.ui.estimate import Estimate
from nst_lightning.ui.history import History
from nst_lightning.ui.painting import Easel


def make_easel(folder: Path) -> Easel:
    """The easel of a folder; a step is timed meanwhile, so that the first estimate is there when it is asked for."""
    estimate = Estimate(folder / "seconds.json")
    estimate.begin()
    return Easel(History(folder), estimate)
