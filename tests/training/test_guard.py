"""A run looks after itself without waiting for its device."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.errors import NonFiniteLoss
from nst_lightning.training.guard import EVERY, Guard
from tests.runs import Diverging

ROOT = Path(__file__).parents[2]
CONTENT, STYLE = (str(ROOT / "images" / name) for name in ("content/chenonceau.jpg", "style/starry_night.jpg"))
NAN = torch.tensor(float("nan"))


@pytest.fixture
def never_waits(monkeypatch):
    """Guards that behave as on a GPU."""
    made = Guard.__init__

    def init(self: Guard, image: torch.Tensor) -> None:
        made(self, image)
        self.waits = False

    monkeypatch.setattr(Guard, "__init__", init)


def image(value: float) -> torch.Tensor:
    return torch.full((1, 3, 4, 5), value)


def test_the_last_good_image_is_kept_without_a_look(never_waits):
    """Fails if on a GPU a picture of NaN is kept, or the wrong step is blamed."""
    guard = Guard(image(0.0))
    guard.see(image(0.25), torch.tensor(1.0), 3)
    guard.see(image(0.5), torch.tensor(1.0), 4)
    guard.see(image(float("nan")), NAN, 5)
    guard.see(image(0.75), torch.tensor(1.0), 6)  # too late: what made it is lost
    assert torch.equal(guard.image, image(0.5).half())
    with pytest.raises(NonFiniteLoss, match="step 5"):
        guard.check()
    guard.check()  # said once


def test_a_bad_step_is_noticed_after_some_steps(never_waits):
    """Fails if a run on a GPU goes on to its end with a picture that is lost."""
    guard = Guard(image(0.0))
    guard.see(image(0.5), NAN, 1)
    with pytest.raises(NonFiniteLoss, match="step 1"):
        for step in range(2, EVERY + 1):
            guard.see(image(0.5), NAN, step)


@pytest.mark.parametrize("scales", ["none", [{"size": 24, "steps": 3}, {"size": 32, "steps": 3}]], ids=["one", "two"])
def test_a_run_that_is_not_looked_at_ends_with_the_last_good_image(never_waits, scales, tmp_path):
    """Fails if the end of a run, or a change of scale, passes on a picture that is lost."""
    module = StyleTransfer(scales=scales, optimizer=Diverging)
    pair = ImagePair(CONTENT, STYLE, 32)
    with pytest.raises(NonFiniteLoss, match="step 1"):
        fit(module, pair, 6, tmp_path)
    assert torch.isfinite(module.image).all()
    shape = (int(module.image.shape[2]), int(module.image.shape[3]))
    torch.testing.assert_close(module.image.detach(), pair.content_at(shape), rtol=0, atol=1e-3)


class Looks(TorchDispatchMode):
    """Counts what waits for a device: values brought to Python, and sizes that depend on values."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal")

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().split("::")[1].split(".")[0]
        if name in self.WAITS:
            self.count[name] += 1
        return func(*args, **(kwargs or {}))


class CountSteps(Callback):
    """The looks of each step, up to the gradient. (torch's Adam reads its count of steps, which is never on a GPU.)"""

    def __init__(self) -> None:
        self.counts: list[Counter[str]] = []

    def on_train_batch_start(self, *args: Any) -> None:
        self.mode = Looks()
        self.mode.__enter__()

    def on_before_optimizer_step(self, *args: Any) -> None:
        self.mode.__exit__(None, None, None)
        self.counts.append(self.mode.count)


def fit(module: StyleTransfer, pair: ImagePair, steps: int, folder: Path, *callbacks: Callback) -> None:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    L.Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", default_root_dir=folder, callbacks=list(callbacks), **quiet
    ).fit(module, datamodule=pair)


@pytest.mark.parametrize("style_loss", ["wasserstein", "gram", "mean_std", "sliced_wasserstein", "histogram"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "regions"])
def test_a_step_waits_for_nothing(never_waits, tmp_path, style_loss, masked):
    """Fails if every step asks the device for a value: a GPU then stands still while Python prepares the next step."""
    masks = {"content_mask": CONTENT, "style_mask": STYLE} if masked else {}
    if masked:
        masks = {name: str(half_and_half(tmp_path / f"{name}.png")) for name in masks}
    counting = CountSteps()
    settings: dict[str, Any] = {"style_layers": ["relu1_1", "relu2_1"], "content_layers": ["relu2_2"], "scales": "none"}
    module = StyleTransfer(style_loss=style_loss, tv_weight=0.1, **settings)
    fit(module, ImagePair(CONTENT, STYLE, 32, **masks), 6, tmp_path, counting)
    assert len(counting.counts) == 6
    # the first makes what is kept for all others; of the last the answer is wanted
    assert all(not count for count in counting.counts[1:-1]), counting.counts


def half_and_half(path: Path) -> Path:
    picture = Image.new("RGB", (32, 32), "red")
    picture.paste("blue", (16, 0, 32, 32))
    picture.save(path)
    return path
