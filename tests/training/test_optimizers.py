"""Any optimiser: over a change of scale, with a schedule, by name, by class path, and out of a checkpoint."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.optim import lr_scheduler

from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.errors import BadArgument
from nst_lightning.main import main
from nst_lightning.training.carry import resized

CPU = {"accelerator": "cpu", "precision": "32-true", "enable_progress_bar": False, "enable_model_summary": False}
LAYERS: dict[str, Any] = {"content_layers": ["relu1_2"], "style_layers": ["relu1_1", "relu2_1"]}
TWO = [{"size": 0.5, "steps": 1}, {"size": 1.0, "steps": 1}]


class Own(torch.optim.Adam):
    """An optimiser of somebody's own, which keeps a picture and a number under names of its own."""

    def step(self, closure=None):
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state["far"] = state.get("far", torch.zeros_like(parameter)).lerp(parameter.detach(), 0.5)
                state["mine"] = state.get("mine", 0) + 1
        return loss


class Whole(torch.optim.SGD):
    """One that keeps what has no place at another size."""

    def step(self, closure=None):
        loss = super().step(closure)
        for parameter in self.param_groups[0]["params"]:
            state = self.state[parameter]
            state["flat"] = state.get("flat", torch.zeros(parameter.numel())) + parameter.detach().flatten()
            state["many"] = state.get("many", 0) + 1
        return loss


KINDS = {
    "ASGD": partial(torch.optim.ASGD, lr=1e-5),
    "Adadelta": partial(torch.optim.Adadelta, lr=20.0),
    "Adafactor": partial(torch.optim.Adafactor, lr=0.02),
    "Adagrad": partial(torch.optim.Adagrad, lr=0.02),
    "Adam": partial(torch.optim.Adam, lr=0.01, amsgrad=True),
    "Adam, foreach": partial(torch.optim.Adam, lr=0.01, foreach=True),
    "Adam, fused": partial(torch.optim.Adam, lr=0.01, fused=True),
    "AdamW": partial(torch.optim.AdamW, lr=0.01),
    "Adamax": partial(torch.optim.Adamax, lr=0.01),
    "LBFGS": partial(torch.optim.LBFGS, lr=1.0, max_iter=4),
    "NAdam": partial(torch.optim.NAdam, lr=0.01),
    "RAdam": partial(torch.optim.RAdam, lr=0.01),
    "RMSprop": partial(torch.optim.RMSprop, lr=0.005, centered=True, momentum=0.5),
    "Rprop": partial(torch.optim.Rprop, lr=0.005),
    "SGD": partial(torch.optim.SGD, lr=1e-6, momentum=0.9, nesterov=True),
    "SGD, plain": partial(torch.optim.SGD, lr=1e-5),
    "own": partial(Own, lr=0.01),
    "whole": partial(Whole, lr=1e-5),
}


class Record(L.Callback):
    """The loss of every step, the optimiser's state and the learning rate after it."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.states: list[dict[str, Any]] = []
        self.rates: list[float] = []
        self.sizes: list[int] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        optimizer = trainer.optimizers[0]
        self.losses.append(float(outputs["total"].detach()))
        self.sizes.append(pl_module.image.shape[-1])
        self.rates.append(optimizer.param_groups[0]["lr"])
        state = optimizer.state[pl_module.image]
        self.states.append({name: value.clone() if isinstance(value, Tensor) else value for name, value in state.items()})


def fit(
    pictures: tuple[Path, Path], steps: int, kind: type[StyleTransfer] = StyleTransfer, ckpt: str | None = None, **settings
) -> tuple[StyleTransfer, Record]:
    module, record = kind(**({"scales": TWO, **LAYERS} | settings)), Record()
    quiet = {"logger": False, "enable_checkpointing": False}
    trainer = L.Trainer(**CPU, **quiet, max_steps=steps, max_epochs=-1, limit_val_batches=0, callbacks=[record])
    trainer.fit(module, datamodule=ImagePair(*map(str, pictures), 48), ckpt_path=ckpt)
    return module, record


@pytest.mark.parametrize("name", KINDS)
def test_every_optimizer_of_torch_goes_through_a_change_of_scale(pictures, name):
    """If this fails, a run with this optimiser crashes, becomes NaN or gets no better at the second scale."""
    module, record = fit(pictures, 12, optimizer=KINDS[name])
    assert record.sizes == [24] * 6 + [48] * 6
    assert torch.isfinite(module.result).all() and all(map(torch.isfinite, map(torch.tensor, record.losses)))
    assert record.losses[5] < record.losses[0] and record.losses[11] < record.losses[6]
    before, after = record.states[5], record.states[6]
    kept = name not in ("LBFGS", "whole")
    for count in ("step", "n_iter", "mine", "many"):
        if count in before:
            assert float(after[count]) == (float(before[count]) + 1 if kept else (4 if name == "LBFGS" else 1)), count
    for value in after.values():
        if isinstance(value, Tensor):
            assert torch.isfinite(value).all()


def test_state_is_carried_by_what_it_is(pictures):
    """If this fails, squares become negative, pictures are dropped, or half a state is carried."""
    squares, signed = torch.rand(1, 3, 6, 8) ** 8, torch.randn(1, 3, 6, 8)
    rows, columns = squares.sum(-1, keepdim=True), signed.sum(-2, keepdim=True)
    state = {"any": squares, "other": signed, "rows": rows, "columns": columns, "n": 3, "t": torch.tensor(2.0), "no": None}
    carried = resized(state, (1, 3, 6, 8), (1, 3, 12, 16))
    assert carried is not None and (carried["any"] >= 0).all()
    shapes = {name: tuple(value.shape) for name, value in carried.items() if isinstance(value, Tensor)}
    picture, row, column = (1, 3, 12, 16), (1, 3, 12, 1), (1, 3, 1, 16)
    assert shapes == {"any": picture, "other": picture, "rows": row, "columns": column, "t": ()}
    assert carried["n"] == 3 and carried["t"] == 2 and carried["no"] is None
    for foreign in (torch.zeros(144), [torch.zeros(144)], torch.zeros(1, 3, 5, 8), torch.zeros(3)):
        assert resized({**state, "foreign": foreign}, (1, 3, 6, 8), (1, 3, 12, 16)) is None


@pytest.mark.parametrize(
    ("settings", "argument", "words"),
    [
        ({"optimizer": torch.optim.Muon}, "optimizer", "Muon.*2D"),
        ({"optimizer": torch.optim.SparseAdam}, "optimizer", "SparseAdam.*dense"),
        ({"optimizer": partial(torch.optim.SGD, lr=float("nan"))}, "optimizer", "learning rate is nan"),
        ({"optimizer": partial(torch.optim.Adam, lr=float("inf"))}, "optimizer", "learning rate is inf"),
        ({"optimizer": partial(torch.optim.Adam, lr=1e39)}, "optimizer", "learning rate is 1e.39"),
        ({"optimizer": partial(torch.optim.Adam, lr=-1.0)}, "optimizer", "Invalid learning rate"),
        ({"optimizer": partial(torch.optim.Adam, rate=1.0)}, "optimizer", "rate"),
        ({"lr_scheduler": partial(lr_scheduler.StepLR, step=3)}, "lr_scheduler", "step"),
        ({"lr_scheduler": lambda optimizer: 3}, "lr_scheduler", "int"),
    ],
)
def test_what_cannot_optimise_an_image_is_refused_before_the_run(pictures, settings, argument, words):
    """If this fails, the run ends at its first step with the words of a library, or in a picture of NaN."""
    with pytest.raises(BadArgument, match=words) as caught:
        fit(pictures, 2, **settings)
    assert caught.value.name == argument


@pytest.mark.parametrize(
    ("settings", "argument", "words"),
    [
        ({"optimizer": "sgd"}, "optimizer", "none of lbfgs, adam"),
        ({"optimizer": "adma"}, "optimizer", "did you mean 'adam'"),
        ({"optimizer": "torch.optim.Nope"}, "optimizer", "torch.optim.Nope"),
        ({"optimizer": 3}, "optimizer", "class path"),
        ({"lr_scheduler": "cosine"}, "lr_scheduler", "class path"),
        ({"learning_rate": 0.0}, "learning_rate", "above 0"),
        ({"learning_rate": -1.0}, "learning_rate", "above 0"),
        ({"learning_rate": float("nan")}, "learning_rate", "above 0"),
        ({"learning_rate": float("inf")}, "learning_rate", "above 0"),
        ({"learning_rate": 1e300}, "learning_rate", "above 0"),
        ({"optimizer": torch.optim.SGD, "learning_rate": 0.1}, "learning_rate", "ready"),
    ],
)
def test_bad_settings_are_named_at_once(settings, argument, words):
    """If this fails, a misspelt optimiser is a KeyError, or a rate that cannot be is found in the run."""
    with pytest.raises(BadArgument, match=words) as caught:
        StyleTransfer(**settings)
    assert caught.value.name == argument


@pytest.mark.parametrize(("name", "rate"), [("lbfgs", 0.5), ("adam", 0.004)])
def test_the_learning_rate_of_the_ready_ones(pictures, name, rate):
    """If this fails, `learning_rate` is ignored, or lost at a change of scale."""
    _, record = fit(pictures, 4, optimizer=name, learning_rate=rate)
    assert record.rates == [rate] * 4


# ---- schedules -------------------------------------------------------------------------------------------------------


class Scheduled(StyleTransfer):
    """A subclass with an optimiser and a schedule of its own."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD([self.image], lr=0.5, momentum=0.9)
        schedule = lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


SCHEDULES = {
    "step": partial(lr_scheduler.StepLR, step_size=3, gamma=0.5),
    "cosine": partial(lr_scheduler.CosineAnnealingLR, T_max=8),
    "one cycle": partial(lr_scheduler.OneCycleLR, max_lr=0.05, total_steps=10),
    "sequence": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer,
        [lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3), lr_scheduler.ExponentialLR(optimizer, 0.9)],
        milestones=[3],
    ),
    "lambda": partial(lr_scheduler.LambdaLR, lr_lambda=lambda step: 1 / (1 + step)),
    "milestones": partial(lr_scheduler.MultiStepLR, milestones=[2, 5]),
}


def alone(make, schedule, steps: int) -> list[float]:
    """The learning rates that torch's scheduler sets after each step of one optimiser that lives all along."""
    optimizer = make([nn.Parameter(torch.ones(1, 3, 2, 2))])
    scheduler = schedule(optimizer)
    rates = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_counts_the_steps_of_the_whole_run(pictures, name):
    """If this fails, the learning rate starts anew at each scale: its new optimiser has forgotten it."""
    make = partial(torch.optim.Adam, lr=0.02)
    _, record = fit(pictures, 8, optimizer=make, lr_scheduler=SCHEDULES[name])
    assert record.sizes[3:5] == [24, 48]
    # the record sees the rate before the scheduler's step of the last one
    assert record.rates == pytest.approx(alone(make, SCHEDULES[name], 8), rel=1e-6)


def test_a_schedule_of_a_subclass(pictures):
    """If this fails, only the ready way to give a schedule goes on over a change of scale."""
    _, record = fit(pictures, 8, kind=Scheduled)
    make = partial(torch.optim.SGD, lr=0.5)
    assert record.rates == pytest.approx(alone(make, SCHEDULES["cosine"], 8), rel=1e-6)


def test_a_plateau_is_one_of_the_objective(pictures):
    """If this fails, ReduceLROnPlateau is refused for want of something to look at, or never sees it."""
    plateau = partial(lr_scheduler.ReduceLROnPlateau, patience=0, threshold=0.5, factor=0.5)  # 50 % better each step: never
    _, record = fit(pictures, 8, learning_rate=0.02, lr_scheduler=plateau)
    assert record.rates[0] == 0.02 and record.rates[7] < 0.005
    assert record.rates[4] == record.rates[3] / 2 or record.rates[4] == record.rates[3]  # not that of the start again


@pytest.mark.parametrize("name", ["step", "one cycle", "milestones", "sequence"])
def test_a_schedule_resumes(pictures, tmp_path, name):
    """If this fails, a resumed run has another learning rate or ends in another picture."""
    settings = {"optimizer": partial(torch.optim.Adam, lr=0.02), "lr_scheduler": SCHEDULES[name]}
    for stop in (3, 4, 5):
        path = tmp_path / f"{stop}.ckpt"

        class Stop(L.Callback):
            def on_train_batch_end(self, trainer, *rest, stop=stop, path=path):
                if trainer.global_step == stop:
                    trainer.save_checkpoint(path)

        module, record = StyleTransfer(scales=TWO, **LAYERS, **settings), Record()
        quiet = {"logger": False, "enable_checkpointing": False}
        trainer = L.Trainer(**CPU, **quiet, max_steps=8, max_epochs=-1, limit_val_batches=0, callbacks=[record, Stop()])
        trainer.fit(module, datamodule=ImagePair(*map(str, pictures), 48))
        again, rest = fit(pictures, 8, ckpt=str(path), **settings)
        assert rest.rates == record.rates[stop:]
        assert torch.equal(again.image, module.image)


def test_the_learning_rate_monitor_follows(pictures, tmp_path):
    """If this fails, Lightning's own monitor loses the scheduler at a change of scale."""
    module = StyleTransfer(scales=TWO, **LAYERS, lr_scheduler=SCHEDULES["step"])
    logger = CSVLogger(tmp_path)
    monitor = LearningRateMonitor("step")
    trainer = L.Trainer(
        **CPU,
        logger=logger,
        enable_checkpointing=False,
        max_steps=8,
        max_epochs=-1,
        callbacks=[monitor],
        log_every_n_steps=1,
    )
    trainer.fit(module, datamodule=ImagePair(*map(str, pictures), 48))
    rates = monitor.lrs["lr-Adam"]
    assert rates == pytest.approx([0.02] * 3 + [0.01] * 3 + [0.005] * 2)


# ---- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "scheduler"),
    [
        (torch.optim.SGD, None),
        (partial(torch.optim.RMSprop, lr=0.004, momentum=0.3), SCHEDULES["step"]),
        (lambda parameters: torch.optim.AdamW(parameters, lr=0.007), SCHEDULES["one cycle"]),
        (lambda parameters: Own(parameters, lr=0.007), lambda optimizer: lr_scheduler.StepLR(optimizer, 7)),
        ("lbfgs", lr_scheduler.ConstantLR),
    ],
    ids=["class", "partial", "function", "own", "ready"],
)
def test_optimizer_and_schedule_survive_load_from_checkpoint(pictures, tmp_path, optimizer, scheduler):
    """If this fails, a checkpoint that is loaded in Python is fitted with another optimiser, without a word."""
    module, _ = fit(pictures, 2, optimizer=optimizer, lr_scheduler=scheduler)
    module.trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = StyleTransfer.load_from_checkpoint(tmp_path / "a.ckpt")

    def settings(one: StyleTransfer) -> list[Any]:
        made = one.optimization.configure([nn.Parameter(torch.ones(1, 3, 4, 4))])
        if not isinstance(made, dict):
            return [type(made), made.state_dict()]
        schedule = made["lr_scheduler"]["scheduler"]
        return [type(made["optimizer"]), made["optimizer"].state_dict(), type(schedule), schedule.state_dict()]

    assert settings(loaded) == settings(module)


FLAGS = [
    "--data.size=48",
    "--model.scales=[{size: 0.5, steps: 1}, {size: 1.0, steps: 1}]",
    "--model.content_layers=[relu1_2]",
    "--model.style_layers=[relu1_1]",
    "--trainer.precision=32-true",
    "--trainer.enable_progress_bar=false",
    "--trainer.val_check_interval=1000",
]


def command(pictures, *flags: str) -> int:
    return main(["fit", *map(str, pictures), *FLAGS, *flags])


SGD = ["--model.optimizer=torch.optim.SGD", "--model.optimizer.init_args.momentum=0.9"]
ADAM = ["--model.optimizer=torch.optim.Adam", "--model.optimizer.init_args.lr=0.01"]
CHANGES = {
    "adam to lbfgs": (
        ["--model.optimizer=adam"],
        ["--model.optimizer=lbfgs"],
        "is Adam, this run's BoundedLBFGS: its state is dropped",
    ),
    "lbfgs to adam": (["--model.optimizer=lbfgs", "--model.learning_rate=0.7"], ["--model.optimizer=adam"], "is dropped"),
    "adam to class": (
        ["--model.optimizer=adam", "--model.learning_rate=0.01"],
        SGD,
        "this run's SGD: its state is dropped",
    ),
    "class to class": (SGD, ADAM, "is SGD, this run's Adam: its state is dropped"),
    "rate": ([], ["--model.learning_rate=0.003"], ""),
    "rate of a class": (ADAM, [ADAM[0], "--model.optimizer.init_args.lr=0.003"], ""),
    "fused": (ADAM, [*ADAM, "--model.optimizer.init_args.fused=true"], ""),
    "foreach": (
        [*ADAM, "--model.optimizer.init_args.foreach=true"],
        [*ADAM, "--model.optimizer.init_args.foreach=false"],
        "",
    ),
    "amsgrad": (ADAM, [*ADAM, "--model.optimizer.init_args.amsgrad=true"], "Adam has other settings"),
    "no amsgrad": (
        [*ADAM, "--model.optimizer.init_args.amsgrad=true"],
        [*ADAM, "--model.optimizer.init_args.amsgrad=false"],
        "",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_resuming_with_another_optimizer(pictures, workdir, capsys, monkeypatch, name):
    """If this fails, --ckpt_path with another optimiser is a traceback, or the settings given with it are ignored."""
    first, second, line = CHANGES[name]
    record = Record()
    began = StyleTransfer.on_fit_start

    def on_fit_start(self: StyleTransfer) -> None:
        began(self)
        group = self.trainer.optimizers[0].param_groups[0]
        record.states.append(
            {"lr": group["lr"], "fused": group.get("fused"), "kept": len(self.trainer.optimizers[0].state)}
        )

    monkeypatch.setattr(StyleTransfer, "on_fit_start", on_fit_start)
    assert command(pictures, *first, "--trainer.max_steps=3") == 0
    assert command(pictures, *second, "--trainer.max_steps=5", "--ckpt_path=logs/transfer") == 0
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert (line in said.out) if line else ("dropped" not in said.out), said.out
    last = record.states[-1]
    assert last["kept"] == (0 if line else 1)
    asked = [float(flag.split("=")[1]) for flag in second if "rate=" in flag or "lr=" in flag]
    if asked:
        assert last["lr"] == asked[-1]
    if name == "fused":
        assert last["fused"] is True
    assert "2 steps (5 in all)" in said.out


def test_a_schedule_that_is_changed_on_resuming(pictures, workdir, monkeypatch):
    """If this fails, the flags of a schedule lose against the checkpoint, or its steps are counted from there."""
    rates: list[float] = []
    step = StyleTransfer.on_train_batch_end

    def on_train_batch_end(self: StyleTransfer, *args: Any) -> None:
        step(self, *args)
        rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    monkeypatch.setattr(StyleTransfer, "on_train_batch_end", on_train_batch_end)
    cosine = "--model.lr_scheduler=torch.optim.lr_scheduler.CosineAnnealingLR"
    cosine_adam = [cosine, "--model.optimizer=adam"]
    assert command(pictures, *cosine_adam, "--model.lr_scheduler.init_args.T_max=8", "--trainer.max_steps=3") == 0
    again = [*cosine_adam, "--model.lr_scheduler.init_args.T_max=16", "--trainer.max_steps=6", "--ckpt_path=logs/transfer"]
    assert command(pictures, *again) == 0
    make = partial(torch.optim.Adam, lr=0.02)
    assert rates[:3] == pytest.approx(alone(make, partial(lr_scheduler.CosineAnnealingLR, T_max=8), 3))
    assert rates[3:] == pytest.approx(alone(make, partial(lr_scheduler.CosineAnnealingLR, T_max=16), 6)[3:])
