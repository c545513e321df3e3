"""Fifty pictures begun and stopped at random: what is left behind."""

from __future__ import annotations

import gc
import os
import random
import threading
import time

import psutil
import pytest

from nst_lightning.ui.estimate import Estimate
from nst_lightning.ui.history import History
from nst_lightning.ui.painting import Easel
from nst_lightning.ui.wishes import Wishes

RUNS = 50
WARM = 10  # runs until caches and pools are as large as they get


@pytest.mark.soak
def test_nothing_is_left_behind(tmp_path, pictures):
    """If this fails, a page that stays open for a week fills the machine: threads, files or memory are left of each run."""
    easel, chance, process = (
        Easel(History(tmp_path / "ui"), Estimate(tmp_path / "s.json")),
        random.Random(0),
        psutil.Process(),
    )
    before: tuple[int, int, int, int] | None = None
    slowest = 0.0
    for number in range(RUNS):
        wishes = Wishes(str(pictures[0]), (str(pictures[1]),), "draft", chance.choice([48, 64, 96]), seed=number)
        painting = easel.put(wishes)
        time.sleep(chance.random() * 2)
        if chance.random() < 0.3:
            painting.turn(chance.choice([-2.0, 0.5, 3.0]), 1.0, chance.choice(["style", "luminance"]))
        start = time.monotonic()
        easel.stop(painting)
        assert painting.ended.wait(60) and painting.state in ("stopped", "done"), painting.error
        slowest = max(slowest, time.monotonic() - start)
        if number == WARM:
            gc.collect()
            before = threading.active_count(), len(process.children()), process.num_fds(), process.memory_info().rss
    gc.collect()
    after = threading.active_count(), len(process.children()), process.num_fds(), process.memory_info().rss
    easel.close()
    assert before is not None
    print(f"before {before}, after {after}; the slowest stop took {slowest:.1f} s, with {os.cpu_count()} cores")
    assert after[:3] == before[:3] and after[3] <= 1.05 * before[3]
    assert slowest < 10
