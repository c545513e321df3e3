"""Coarse to fine: the schedule, what is carried from scale to scale, the average, and resuming at a change of scale."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.errors import BadArgument
from nst_lightning.main import main
from nst_lightning.pictures.picture import resize
from nst_lightning.training.carry import carry_over
from nst_lightning.training.optimizers import adam, lbfgs
from nst_lightning.training.scales import Scale, Stage, automatic, schedule
from tests.runs import run_folder

TWO = [{"size": 0.5, "steps": 4}, {"size": 1.0, "steps": 4}]

# ---- the schedule ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 128, 200, 256, 500, 512, 1024, 4096])
def test_automatic_scales_go_up_by_the_root_of_2(size):
    """If this fails, the pyramid has other steps than documented, or begins too small or too large."""
    scales = automatic(size)
    assert scales[-1].size == size
    for coarse, fine in pairwise(scales):
        assert fine.size / coarse.size == pytest.approx(2**0.5)
        assert coarse.steps / fine.steps == pytest.approx(2**0.5)
    assert scales[0].size >= min(size, 126) and scales[0].size < 128 * 2**0.5


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 8, 9, 20, 180, 1000])
@pytest.mark.parametrize("size", [32, 256, 512, 1024])
def test_stages_cover_every_step_once(size, steps):
    """If this fails, steps are lost or done twice, or the result has another size than asked for."""
    shape = (round(size * 0.75), size)
    stages = schedule("auto", size, shape, steps)
    assert stages[0].first == 0 and stages[-1].last == steps
    assert all(one.last == other.first for one, other in pairwise(stages))
    assert all(stage.last > stage.first for stage in stages)
    assert stages[-1].shape == shape and stages[-1].size == size
    assert all(max(stage.shape) == stage.size for stage in stages)
    assert [stage.size for stage in stages] == sorted({stage.size for stage in stages})


def test_scales_in_pixels_and_in_parts():
    """If this fails, explicit scales are not those of `--model.scales`."""
    expected = [Stage(100, (75, 100), 0, 30), Stage(200, (150, 200), 30, 40)]
    assert schedule([Scale(0.5, 3), Scale(1.0, 1)], 200, (150, 200), 40) == expected
    assert schedule([Scale(100, 3), Scale(200, 1)], 200, (150, 200), 40) == expected
    assert schedule("none", 200, (150, 200), 40) == [Stage(200, (150, 200), 0, 40)]


def test_few_steps_still_end_at_the_final_size():
    """If this fails, `max_steps 1` writes a thumbnail."""
    for steps in range(1, 6):
        stages = schedule([Scale(0.25, 100), Scale(0.5, 1), Scale(1.0, 1)], 80, (80, 60), steps)
        assert stages[-1].shape == (80, 60) and len(stages) == min(steps, 3)
        assert [stage.last - stage.first >= 1 for stage in stages] == [True] * len(stages)


@pytest.mark.parametrize(
    "scales",
    [
        [],
        [Scale(1.0, 1), Scale(0.5, 1)],
        [Scale(0.5, 1)],
        [Scale(100, 1), Scale(300, 1)],
        [Scale(0.0, 1), Scale(1.0, 1)],
        [Scale(-1.0, 1), Scale(1.0, 1)],
        [Scale(0.5, 0), Scale(1.0, 1)],
        [Scale(0.5, -2), Scale(1.0, 1)],
        [Scale(float("nan"), 1), Scale(1.0, 1)],
        [Scale(0.5, float("nan")), Scale(1.0, 1)],
        [Scale(0.5, float("inf")), Scale(1.0, 1)],
        [Scale(0.5, 1), Scale(1.0, 1, most=-5)],
        [Scale(1.0, 1, most=float("nan"))],  # type: ignore[arg-type]
        [Scale(0.5, 1, most=100), Scale(1.0, 1)],
        [Scale(200, 1, most=100)],
    ],
)
def test_scales_that_cannot_work_name_the_argument(scales):
    """If this fails, wrong scales end in a traceback, or the result has another size than asked for."""
    with pytest.raises(BadArgument) as caught:
        schedule(scales, 200, (150, 200), 40)
    assert caught.value.name == "scales"


# ---- what the optimiser takes along ----------------------------------------------------------------------------------


def stepped(make, image: nn.Parameter, steps: int) -> torch.optim.Optimizer:
    optimizer = make([image])
    for step in range(steps):

        def closure(step: int = step) -> Tensor:
            optimizer.zero_grad()
            loss = ((image - 0.1 * step) ** 2 * torch.linspace(1, 2, image.shape[-1])).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
    return optimizer


def test_adams_moments_are_resized_like_pictures():
    """If this fails, Adam forgets what it knew at the scale before, or its second moment is below 0."""
    image = nn.Parameter(torch.rand(1, 3, 6, 8))
    old = stepped(adam, image, 3)
    larger = nn.Parameter(torch.rand(1, 3, 12, 16))
    new = adam([larger])
    carry_over(old, image, new, larger)
    before, state = old.state[image], new.state[larger]
    assert float(state["step"]) == 3
    torch.testing.assert_close(state["exp_avg"], F.interpolate(before["exp_avg"], (12, 16), mode="bicubic"))
    torch.testing.assert_close(state["exp_avg_sq"], F.interpolate(before["exp_avg_sq"], (12, 16), mode="bilinear"))
    assert state["exp_avg_sq"].min() >= 0
    flat = nn.Parameter(torch.zeros(1, 3, 12, 16))  # known values: a constant stays that constant
    before["exp_avg"].fill_(0.25)
    carry_over(old, image, other := adam([flat]), flat)
    torch.testing.assert_close(other.state[flat]["exp_avg"], torch.full((1, 3, 12, 16), 0.25))


def test_lbfgs_begins_anew():
    """If this fails, curvature pairs of one size are used at another."""
    image = nn.Parameter(torch.rand(1, 3, 6, 8))
    old, larger = stepped(lbfgs, image, 3), nn.Parameter(torch.rand(1, 3, 12, 16))
    new = lbfgs([larger])
    carry_over(old, image, new, larger)
    assert old.state and not new.state


# ---- a run -----------------------------------------------------------------------------------------------------------


class Record(L.Callback):
    """The image after every step, and the state that the optimiser had for it."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []
        self.states: list[dict[str, Tensor]] = []
        self.results: list[Tensor] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.images.append(pl_module.image.detach().clone())
        state = trainer.optimizers[0].state[pl_module.image]
        self.states.append({name: value.clone() for name, value in state.items() if isinstance(value, Tensor)})
        self.results.append(pl_module.current.clone())


def run(pictures: tuple[Path, Path], steps: int = 8, size: int = 48, **settings) -> tuple[StyleTransfer, Record]:
    L.seed_everything(0, verbose=False)
    module = StyleTransfer(**({"scales": TWO, "style_layers": ["relu1_1", "relu2_1"]} | settings))
    record = Record()
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    clock = {"max_steps": steps, "max_epochs": -1, "limit_val_batches": 0}
    trainer = L.Trainer(**silent, **clock, accelerator="cpu", precision="32-true", callbacks=[record])
    trainer.fit(module, datamodule=ImagePair(*map(str, pictures), size))
    return module, record


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_one_fit_passes_through_every_scale(pictures, optimizer):
    """If this fails, a scale is left out, comes in another order or gets other steps than planned."""
    scales = [{"size": 16, "steps": 3}, {"size": 0.5, "steps": 2}, {"size": 1.0, "steps": 2}]
    module, record = run(pictures, 7, optimizer=optimizer, scales=scales)
    shapes = [tuple(image.shape[2:]) for image in record.images]
    assert shapes == [(12, 16)] * 3 + [(18, 24)] * 2 + [(36, 48)] * 2
    assert module.trainer.global_step == 7
    assert tuple(module.result.shape[2:]) == (36, 48)
    (group,) = module.trainer.optimizers[0].param_groups
    assert group["params"] == [module.image]  # the optimiser moves the image of this scale


def test_adams_state_survives_the_change_of_scale(pictures):
    """If this fails, Adam starts anew at every scale: its first steps then move every pixel by the learning rate."""
    _, record = run(pictures)
    before, after = record.states[3], record.states[4]
    assert float(after["step"]) == 5
    carried = F.interpolate(before["exp_avg_sq"], size=(36, 48), mode="bilinear")
    grown = (after["exp_avg_sq"] - 0.99 * carried) / 0.01  # the square of the new gradient
    assert (grown > -1e-4 * carried.max()).all()
    gradient = (after["exp_avg"] - 0.9 * F.interpolate(before["exp_avg"], size=(36, 48), mode="bicubic")) / 0.1
    torch.testing.assert_close(gradient.square(), grown.clamp(min=0), rtol=1e-2, atol=1e-3 * float(grown.max()))
    fresh = after["exp_avg"] / 0.1
    assert not torch.allclose(fresh.square(), grown, rtol=0.1)


def test_lbfgs_starts_anew_at_the_change_of_scale(pictures):
    """If this fails, L-BFGS carries a state of another size along."""
    module, _ = run(pictures, optimizer="lbfgs")
    state = module.trainer.optimizers[0].state[module.image]
    assert state["n_iter"] == 4 and state["d"].numel() == module.image.numel()


@pytest.mark.parametrize("decay", [0.9, 0.5])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_result_is_the_corrected_average_of_the_scale(pictures, optimizer, decay):
    """If this fails, the first iterates, or those of another scale, count too much or too little in the result."""
    _, record = run(pictures, optimizer=optimizer, average_decay=decay)
    for stage in (range(4), range(4, 8)):
        for last in stage:
            steps = np.arange(stage[0], last + 1)
            weights = decay ** (last - steps)
            images = [record.images[step][0].double().numpy() for step in steps]
            expected = np.average(images, axis=0, weights=weights)
            np.testing.assert_allclose(record.results[last][0].numpy(), expected.clip(0, 1), atol=2e-6)


def test_without_average_the_result_is_the_image(pictures):
    """If this fails, `average_decay 0` still averages."""
    _, record = run(pictures, average_decay=0.0)
    for image, result in zip(record.images, record.results, strict=True):
        assert torch.equal(result, image.clamp(0, 1))


@pytest.mark.parametrize("decay", [0.9, 0.0])
def test_the_average_is_the_start_of_the_next_scale(pictures, decay):
    """If this fails, a scale begins from the last iterate, with its noise, or not from the scale before."""
    still = torch.optim.SGD  # without steps of its own the image after the change is what it began with

    def frozen_after_the_change(parameters):
        parameters = list(parameters)
        coarse = parameters[0].shape[-1] < 48
        return still(parameters, lr=2e-6 if coarse else 0.0)

    _, record = run(pictures, optimizer=frozen_after_the_change, average_decay=decay)
    assert not torch.equal(record.images[0], record.images[3])
    weights = decay ** np.arange(3, -1, -1.0) if decay else np.array([0, 0, 0, 1.0])
    average = np.average([image.double().numpy() for image in record.images[:4]], axis=0, weights=weights)
    expected = resize(torch.from_numpy(average).float(), (36, 48)).clamp(0, 1)
    torch.testing.assert_close(record.images[4], expected, atol=1e-5, rtol=0)


def test_the_targets_belong_to_the_scale(pictures):
    """If this fails, the image of a scale is compared with the pictures of another."""
    module, _ = run(pictures)
    features = module.objective.features(resize(module.pair.content_image, (36, 48)))
    for layer, target in module.objective.content_targets.items():
        assert torch.equal(target, features[layer])


# ---- resuming --------------------------------------------------------------------------------------------------------


def fit(pictures: tuple[Path, Path], *flags: str) -> None:
    content, style = map(str, pictures)
    common = ["--data.size", "48", "--trainer.precision", "32-true", "--trainer.max_steps", "8"]
    scales = ["--model.scales", "[{size: 0.5, steps: 4}, {size: 1.0, steps: 4}]"]
    layers = ["--model.style_layers", "relu1_1", "relu3_1", "--model.content_layers", "relu3_1"]
    quiet = ["--trainer.enable_progress_bar", "false"]
    assert main(["fit", content, style, *common, *scales, *layers, *quiet, *flags]) == 0


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_resuming_around_a_change_of_scale_is_the_same_run(pictures, workdir, optimizer):
    """If this fails, a run resumed before, at or after a change of scale ends in another picture."""
    flags = ["--model.optimizer", optimizer, "--model.init", "noise", "--model.style_loss", "sliced_wasserstein"]
    flags += ["--checkpoint.every_n_train_steps", "1", "--checkpoint.save_top_k", "-1"]
    fit(pictures, *flags)
    runs = workdir / "logs" / "transfer"

    def end(version: int) -> tuple[dict, np.ndarray]:
        folder = run_folder(version, runs)
        saved = torch.load(folder / "checkpoints" / "step=8.ckpt", weights_only=True)
        return saved, np.asarray(Image.open(folder / "result.png"))

    whole, picture = end(0)
    shapes = []
    for version, step in enumerate((3, 4, 5), start=1):
        start = run_folder(0, runs) / "checkpoints" / f"step={step}.ckpt"
        shapes.append(tuple(torch.load(start, weights_only=True)["state_dict"]["image"].shape[2:]))
        fit(pictures, *flags, "--ckpt_path", str(start))
        saved, again = end(version)
        assert torch.equal(saved["state_dict"]["image"], whole["state_dict"]["image"]), step
        assert torch.equal(saved["average"]["value"], whole["average"]["value"]), step
        assert saved["average"]["steps"] == whole["average"]["steps"] == 4
        assert np.array_equal(again, picture), step
    assert shapes == [(18, 24), (18, 24), (36, 48)]


def test_a_checkpoint_of_other_scales_says_so(pictures, workdir, capsys):
    """If this fails, a checkpoint of another size ends in a traceback."""
    flags = ["--checkpoint.every_n_train_steps", "2", "--checkpoint.save_top_k", "-1"]
    fit(pictures, *flags)
    start = run_folder() / "checkpoints" / "step=2.ckpt"
    content, style = map(str, pictures)
    other = ["--data.size", "40", "--trainer.max_steps", "8", "--ckpt_path", str(start), "--trainer.precision", "32-true"]
    assert main(["fit", content, style, *other]) == 2
    assert "--ckpt_path" in capsys.readouterr().err
