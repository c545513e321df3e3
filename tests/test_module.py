"""The module: one parameter, the objective, its scale, and how far it comes down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch

from nst_lightning import ImagePair, StyleTransfer, VGGFeatures, VGGSettings
from nst_lightning.errors import BadArgument, NonFiniteLoss
from nst_lightning.network.features import _scales
from nst_lightning.network.layers import find_layer
from nst_lightning.pictures.read import read_image
from nst_lightning.training.initial import initial_image
from nst_lightning.training.precision import choose_precision
from tests.runs import Diverging

ROOT = Path(__file__).parents[1]
CONTENT = str(ROOT / "images" / "content" / "chenonceau.jpg")
STYLE = str(ROOT / "images" / "style" / "starry_night.jpg")
# one size, Gram matrices and L-BFGS, as Gatys et al. 2016
PLAIN: dict[str, Any] = {"style_loss": "gram", "scales": "none", "optimizer": "lbfgs", "average_decay": 0.0}
BLOCKS = [f"relu{n}_1" for n in range(1, 6)]
TASKS = pytest.mark.parametrize(
    ("settings", "pair", "times"),
    [
        ({"content_layers": ["conv_4"], "style_weight": 0}, (CONTENT, None), 1000),
        ({"style_layers": [f"conv_{n}" for n in range(1, 6)], "content_weight": 0}, (None, STYLE), 1000),
        ({"style_layers": BLOCKS, "style_weight": 100}, (CONTENT, STYLE), 20),
    ],
    ids=["reconstruction", "texture", "transfer"],
)


def fit(module: StyleTransfer, pair: ImagePair, steps: int, **trainer) -> list[float]:
    """Fit and return the total loss of every step."""

    class Curve(L.Callback):
        losses: list[float] = []  # noqa: RUF012

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.losses.append(float(outputs["total"].detach()))

    curve = Curve()
    curve.losses = []
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    L.seed_everything(0, verbose=False)
    clock = {"max_steps": steps, "max_epochs": -1, "limit_val_batches": 0}
    L.Trainer(**silent, **clock, accelerator="cpu", callbacks=[curve], **trainer).fit(module, datamodule=pair)
    return curve.losses


def test_the_image_is_the_only_parameter_and_the_only_state():
    """If this fails, the network is trained, or half a gigabyte of it is in every checkpoint."""
    module = StyleTransfer()
    fit(module, ImagePair(CONTENT, STYLE, 32), 1)
    assert [name for name, _ in module.named_parameters()] == ["image"]
    assert list(module.state_dict()) == ["image"]
    assert module.image.dtype == torch.float32
    assert any(True for _ in module.objective.features.buffers())


def test_the_objective_is_the_weighted_sum_of_the_formulas():
    """If this fails, a weight, a layer or a normalisation is applied wrongly. Compared with NumPy on the features."""
    layers = {"conv_2": 0.3, "relu3_1": 2.0}
    module = StyleTransfer(["conv_3"], layers, 2.0, 5.0, 0.5, **{**PLAIN, "init": "noise"})
    pair = ImagePair(CONTENT, STYLE, 48)
    fit(module, pair, 1, precision="32-true")
    image = torch.rand_like(module.image)
    found = {name: float(value) for name, value in module.objective(image).items()}

    names = {name: find_layer(name, "vgg16") for name in ("conv_3", *layers)}
    network = VGGFeatures(names.values(), VGGSettings())

    def features(picture: torch.Tensor, name: str) -> np.ndarray:
        return network(picture)[names[name]][0].detach().double().numpy().reshape(names[name].channels, -1)

    content = np.mean((features(image, "conv_3") - features(pair.content_image, "conv_3")) ** 2)
    style = 0.0
    for name, weight in layers.items():
        grams = [f @ f.T / f.shape[1] for f in (features(image, name), features(pair.styles[0].image, name))]
        style += weight * np.mean((grams[0] - grams[1]) ** 2)
    assert found["content"] == pytest.approx(content, rel=1e-4)
    assert found["style"] == pytest.approx(style, rel=1e-3)  # a small difference of sums over 1728 positions, squared
    assert found["total"] == pytest.approx(2 * content + 5 * style + 0.5 * found["tv"], rel=1e-4)


def test_a_term_without_weight_or_picture_is_not_computed():
    """If this fails, a term that is switched off still costs time or still pulls."""
    module = StyleTransfer(style_weight=0)
    fit(module, ImagePair(CONTENT, STYLE, 32), 1)
    assert "style" not in module.objective(module.image)
    assert module.objective.features.wanted == {find_layer("relu4_2", "vgg16")}
    module = StyleTransfer(init="noise")
    fit(module, ImagePair(None, STYLE, 32), 1)
    assert set(module.objective(module.image)) == {"loss", "total", "style"} | {f"style/relu{n}_1" for n in range(1, 5)}


@pytest.mark.parametrize("factor", [1e6, 1e-6])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_only_the_ratio_of_the_weights_matters(factor, optimizer):
    """If this fails, an absolute tolerance or the float range decides the picture."""
    pictures = []
    for scale in (1, factor):
        module = StyleTransfer(content_weight=scale, style_weight=20 * scale, **{**PLAIN, "optimizer": optimizer})
        fit(module, ImagePair(CONTENT, STYLE, 48), 30, precision="32-true")
        pictures.append(module.result)
    assert (pictures[0] - pictures[1]).abs().max() < 1 / 255


def test_a_style_weight_of_1e12_still_moves_the_picture():
    """If this fails, a sweep of weights from 1 to 1e12 ends in a number range instead of a picture."""
    module = StyleTransfer(style_weight=1e12, **PLAIN)
    losses = fit(module, ImagePair(CONTENT, STYLE, 48), 30, precision="32-true")
    assert np.isfinite(losses).all() and losses[-1] < losses[0] / 10


@TASKS
def test_the_objective_comes_down(settings, pair, times):
    """If this fails, the optimiser stops early or the objective is badly scaled. 256 px and 200 steps: `make slow`."""
    losses = fit(StyleTransfer(init="noise", **PLAIN, **settings), ImagePair(*pair, 64), 200, precision="32-true")
    assert min(losses) * times < losses[0]


@pytest.mark.slow
@TASKS
def test_the_objective_comes_down_at_256(settings, pair, times):
    """The same at the size that people use."""
    losses = fit(StyleTransfer(init="noise", **PLAIN, **settings), ImagePair(*pair, 256), 200, precision="32-true")
    print(f"{losses[0] / min(losses):.0f} times")
    assert min(losses) * times < losses[0]


def test_bf16_agrees_with_float32():
    """If this fails, statistics or losses are computed in bf16: their final values differ by more than 2 %."""
    finals = []
    steps = 100 if choose_precision(None)[0] == "bf16-mixed" else 10  # a step without the instructions takes seconds
    for precision in ("32-true", "bf16-mixed"):
        module = StyleTransfer()
        finals.append(fit(module, ImagePair(CONTENT, STYLE, 64), steps, precision=precision)[-1])
        assert module.image.dtype == torch.float32
        targets = [regions[0][0][1] for regions in module.objective.style_targets.values()]
        assert all(part.dtype == torch.float32 for part in targets)
    assert finals[1] == pytest.approx(finals[0], rel=0.02)


def test_the_style_image_keeps_its_aspect_ratio():
    """If this fails, strokes are squeezed into the content's shape."""
    pair = ImagePair(CONTENT, str(ROOT / "images" / "style" / "cafe_terrace.jpg"), 100)
    pair.setup("fit")
    assert tuple(pair.content_image.shape[-2:]) == (75, 100)
    assert tuple(pair.styles[0].image.shape[-2:]) == (100, 80)


@pytest.mark.parametrize("init", ["content", "style", "gray", "noise", "file"])
def test_the_image_starts_as_asked(init, tmp_path):
    """If this fails, `init` does not do what its documentation says."""
    pair = ImagePair(CONTENT, STYLE, 32)
    module = StyleTransfer(init=STYLE if init == "file" else init)
    fit(module, pair, 1)
    L.seed_everything(0, verbose=False)
    start = initial_image(module.init, pair, pair.image_size)
    assert start.shape == pair.content_image.shape
    if init == "content":
        assert torch.equal(start, pair.content_image)
    elif init == "gray":
        assert (start == 0.5).all()
    elif init == "noise":
        assert 0.045 < start.std() < 0.055 and abs(start.mean() - 0.5) < 0.01
    else:
        assert torch.allclose(start.mean((2, 3)), read_image(STYLE).rgb.mean((1, 2))[None], atol=0.05)


def test_adam_stays_in_range_and_lbfgs_is_not_clamped():
    """If this fails, clamping falsifies L-BFGS's curvature pairs, or Adam's image leaves [0, 1]."""
    module = StyleTransfer(style_weight=1e4)
    fit(module, ImagePair(CONTENT, STYLE, 32), 20)
    assert module.image.min() >= 0 and module.image.max() <= 1
    module = StyleTransfer(style_weight=1e4, **PLAIN)
    fit(module, ImagePair(CONTENT, STYLE, 32), 20)
    assert module.image.min() < 0 or module.image.max() > 1
    assert module.result.min() >= 0 and module.result.max() <= 1


def test_any_torch_optimizer():
    """If this fails, an injected optimiser is not used."""
    module = StyleTransfer(optimizer=lambda parameters: torch.optim.RMSprop(parameters, lr=0.01))
    fit(module, ImagePair(CONTENT, STYLE, 32), 2)
    assert isinstance(module.trainer.optimizers[0], torch.optim.RMSprop)


def test_a_loss_that_is_no_number_keeps_the_last_good_image():
    """If this fails, a diverging run overwrites its picture with NaN. (The good one is kept in half precision.)"""
    module = StyleTransfer(optimizer=Diverging)
    with pytest.raises(NonFiniteLoss, match="step 1"):
        fit(module, ImagePair(CONTENT, STYLE, 32), 5)
    torch.testing.assert_close(module.image.detach(), module.pair.content_image, rtol=0, atol=1e-3)


def test_load_from_checkpoint_without_a_trainer(tmp_path):
    """If this fails, a checkpoint can only be read by the program that wrote it."""
    module = StyleTransfer(style_weight=3.0)
    fit(module, ImagePair(CONTENT, STYLE, 32), 2)
    module.trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = StyleTransfer.load_from_checkpoint(tmp_path / "a.ckpt")
    assert torch.equal(loaded.image, module.image) and loaded.wanted.weights["style"] == 3.0


def test_bad_values_name_the_argument():
    """If this fails, a Python user is not told which argument is wrong."""
    for name, settings in {"tv_weight": {"tv_weight": -1.0}, "content_layers": {"content_layers": ["conv_77"]}}.items():
        with pytest.raises(BadArgument, match=name):
            StyleTransfer(**settings)


@pytest.mark.parametrize("init", ["content", "blurred", "style", "noise", "gray"])
def test_a_network_and_an_image_made_for_another_device(pictures, init):
    """If this fails, no run works on a GPU: Lightning has what ``configure_model`` makes made on the Trainer's device."""
    module, pair = StyleTransfer(init=init, optimizer="lbfgs"), ImagePair(*pictures, size=32)
    trainer = L.Trainer(accelerator="cpu", max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    _scales.cache_clear()  # of the network, from another test

    def elsewhere(*args):
        return torch.device("meta")  # a device of which every mix with the CPU is an error

    trainer.strategy.tensor_init_context = elsewhere
    trainer.fit(module, datamodule=pair)
    assert module.result.device.type == "cpu"
    assert torch.isfinite(module.result).all()
