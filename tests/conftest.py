"""What every test shares: two threads in all, small real pictures, a folder of its own to run in."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.arithmetic import OtherRounding

IMAGES = Path(__file__).parents[1] / "images"

# a shell starts what runs in its background with Ctrl-C ignored, and the commands that tests start would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def two_threads():
    """Two threads, or with pytest-xdist one for each of its workers; the processes that tests start inherit the number.

    Not where the environment asks for another one.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, 2 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def seeded():
    """The same random numbers in a test each time, so that one that fails does it again."""
    torch.manual_seed(0)


@pytest.fixture
def one_thread():
    """For many small tensors, where a second thread is only waited for, and for sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> tuple[Path, Path]:
    """A content and a style image of 64 x 48 pixels, cut out of real ones."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("content/chenonceau.jpg", "style/starry_night.jpg"):
        Image.open(IMAGES / name).crop((200, 200, 456, 392)).resize((64, 48)).save(folder / f"{Path(name).stem}.png")
    return folder / "chenonceau.png", folder / "starry_night.png"


@pytest.fixture
def workdir(tmp_path, monkeypatch) -> Path:
    """The current folder of the test: runs write their logs here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pytest_addoption(parser) -> None:
    parser.addoption("--other-rounding", action="store_true", help="sums of another processor: see tests/arithmetic.py")


@pytest.fixture(autouse=True)
def other_rounding(request):
    """The sums of a processor that nobody here has, in this process, where that is asked for."""
    with OtherRounding() if request.config.getoption("--other-rounding") else contextlib.nullcontext():
        yield
