"""In somebody's own Trainer, with Lightning's own loggers and callbacks."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    StochasticWeightAveraging,
    Timer,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.errors import BadArgument
from nst_lightning.main import main
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.similarity import similarity
from tests.runs import run_folder

CPU = {"accelerator": "cpu", "precision": "32-true", "enable_progress_bar": False, "enable_model_summary": False}
TWO = [{"size": 0.5, "steps": 1}, {"size": 1.0, "steps": 1}]
TERMS = {"total", "content", "style"}


def module(**settings: Any) -> StyleTransfer:
    return StyleTransfer(**({"content_layers": ["conv_2"], "style_layers": ["conv_1"], "scales": TWO} | settings))


def names(kind: str) -> set[str]:
    return {f"{kind}/{name}" for name in ("total", "content", "style")}


def trainer_for(folder: Path, steps: int = 8, **settings: Any) -> L.Trainer:
    plain = {
        "max_steps": steps,
        "max_epochs": -1,
        "default_root_dir": folder,
        "logger": False,
        "enable_checkpointing": False,
    }
    return L.Trainer(**(CPU | plain | settings))


def pair_of(pictures: tuple[Path, Path], size: int = 48, **settings: Any) -> ImagePair:
    return ImagePair(*map(str, pictures), size, **settings)


def objective_of(fitted: StyleTransfer, picture: torch.Tensor, pair: ImagePair) -> float:
    """The total loss of a picture at the final size, from a module of its own."""
    fresh = module()
    L.Trainer(**CPU, max_steps=1, max_epochs=-1, logger=False, enable_checkpointing=False).fit(fresh, datamodule=pair)
    return float(fresh.objective(picture, 0)["total"].detach())


# ---- loggers and monitors --------------------------------------------------------------------------------------------


def test_losses_reach_the_loggers_at_the_trainers_clock(pictures, tmp_path):
    """If this fails, somebody's own logger stays empty, or every step pays for it."""
    trainer = trainer_for(tmp_path, 9, logger=CSVLogger(tmp_path), log_every_n_steps=3, val_check_interval=4)
    trainer.fit(module(), datamodule=pair_of(pictures))
    with (Path(trainer.logger.log_dir) / "metrics.csv").open() as file:
        rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
    losses = {int(row["step"]): row for row in rows if "loss/total" in row}
    assert sorted(losses) == [3, 6, 9]
    assert names("loss") | {"learning_rate", "size"} <= set(losses[9])
    assert float(losses[9]["loss/total"]) < float(losses[6]["loss/total"])
    looks = {int(row["step"]): row for row in rows if "val/total" in row}
    assert {4, 8} <= set(looks) and names("val") | {"val/psnr", "val/ssim"} <= set(looks[8])


def test_monitors_see_the_losses_of_the_step(pictures, tmp_path):
    """If this fails, ModelCheckpoint or EarlyStopping on the objective stand on nothing, or on an old value."""
    seen: list[tuple[float, float]] = []

    class Look(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append((float(trainer.callback_metrics["loss/total"]), float(outputs["total"].detach())))

    best = ModelCheckpoint(tmp_path, monitor="loss/total", every_n_train_steps=1, filename="{step}")
    stop = EarlyStopping("loss/total", patience=0, min_delta=1e9)  # nothing is so much better
    trainer = trainer_for(tmp_path, 12, enable_checkpointing=True, callbacks=[Look(), best, stop], val_check_interval=2)
    fitted = module()
    trainer.fit(fitted, datamodule=pair_of(pictures))
    assert len(seen) == 4 and all(one == other for one, other in seen)  # the second look ended it
    assert float(best.best_model_score) == min(total for total, _ in seen)
    assert fitted.result.shape[2:] == (36, 48)


def test_a_texture_can_be_monitored_too(pictures, tmp_path):
    """If this fails, there is nothing to validate where there is no content image."""
    stop = EarlyStopping("val/total", patience=0, min_delta=1e9)
    trainer = trainer_for(tmp_path, 12, callbacks=[stop], val_check_interval=2)
    trainer.fit(module(init="noise"), datamodule=ImagePair(None, str(pictures[1]), 48))
    assert trainer.global_step == 4 and "val/psnr" not in trainer.callback_metrics


@pytest.mark.parametrize("callback", [EarlyStopping, ModelCheckpoint], ids=["EarlyStopping", "ModelCheckpoint"])
@pytest.mark.parametrize("monitor", ["loss/totall", "val_loss", "val/tv"])
def test_a_metric_that_is_not_there_is_said_before_the_run(pictures, tmp_path, callback, monitor):
    """If this fails, a long run ends at its first validation, or never keeps a checkpoint, for a misspelt name."""
    trainer = trainer_for(tmp_path, callbacks=[callback(monitor=monitor)], enable_checkpointing=True)
    with pytest.raises(BadArgument, match=rf"monitors {monitor}, which is none of loss/total, .*val/psnr"):
        trainer.fit(module(), datamodule=pair_of(pictures))
    assert trainer.global_step == 0


def test_a_metric_of_a_subclass_is_monitored(pictures, tmp_path):
    """If this fails, somebody's own metric is taken for a misspelt one."""

    class Own(StyleTransfer):
        def training_step(self, batch, batch_idx):
            self.log("mine", 1.0)
            return super().training_step(batch, batch_idx)

    stop = EarlyStopping("mine", patience=0)
    trainer = trainer_for(tmp_path, callbacks=[stop], val_check_interval=2, log_every_n_steps=1)
    trainer.fit(Own(["conv_2"], ["conv_1"]), datamodule=pair_of(pictures))
    assert trainer.global_step == 4


@pytest.mark.parametrize(
    "callback",
    [StochasticWeightAveraging(1e-2), WeightAveraging(), EMAWeightAveraging()],
    ids=["SWA", "WeightAveraging", "EMA"],
)
def test_averages_of_parameters_are_refused_in_a_sentence(pictures, tmp_path, callback):
    """If this fails, the run ends in a traceback at the change of scale, with an average of another image."""
    with pytest.raises(BadArgument, match=f"{type(callback).__name__}.*average_decay") as caught:
        trainer_for(tmp_path, callbacks=[callback], logger=CSVLogger(tmp_path / "logs")).fit(
            module(), datamodule=pair_of(pictures)
        )
    assert caught.value.name == "callbacks" and not (tmp_path / "logs").exists()


def test_a_timer_ends_the_run(pictures, tmp_path):
    """If this fails, max_time loses the picture."""
    fitted = module()
    trainer = trainer_for(tmp_path, 1_000_000, callbacks=[Timer({"seconds": 1})])
    trainer.fit(fitted, datamodule=pair_of(pictures))
    assert 0 < trainer.global_step < 1_000_000 and fitted.result.shape[2:] == (36, 48)


# ---- validate, test, predict, result ---------------------------------------------------------------------------------


@pytest.mark.parametrize("color", ["style", "luminance"])
def test_validate_test_and_predict_are_of_the_result(pictures, tmp_path, color):
    """If this fails, they give nothing, or the numbers of another picture."""
    fitted, pair = module(), pair_of(pictures, color=color)
    trainer = trainer_for(tmp_path)
    trainer.fit(fitted, datamodule=pair)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    result = fitted.result.clone()
    expected = {name: float(value) for name, value in similarity(result, pair.content_image).items()}
    if color == "style":
        expected["total"] = objective_of(fitted, result, pair_of(pictures))
    for again in (fitted, StyleTransfer.load_from_checkpoint(tmp_path / "a.ckpt")):
        assert torch.equal(again.result, result)
        for way in ("validate", "test"):
            (found,) = getattr(trainer_for(tmp_path), way)(again, datamodule=pair_of(pictures, color=color), verbose=False)
            kind = "val" if way == "validate" else "test"
            assert names(kind) | {f"{kind}/psnr", f"{kind}/ssim"} == set(found)
            for name, value in expected.items():
                assert found[f"{kind}/{name}"] == pytest.approx(value, rel=1e-5), name
        (predicted,) = trainer_for(tmp_path).predict(again, datamodule=pair_of(pictures, color=color))
        assert torch.equal(predicted, result)
    empty = module()
    (found,) = trainer_for(tmp_path).validate(
        empty, datamodule=pair_of(pictures, color=color), ckpt_path=tmp_path / "a.ckpt", verbose=False
    )
    assert found["val/psnr"] == pytest.approx(expected["psnr"], rel=1e-5)


def test_validate_without_a_picture_says_so(pictures, tmp_path):
    """If this fails, validating a module that was never fitted is a traceback about None."""
    with pytest.raises(BadArgument, match="no picture yet"):
        trainer_for(tmp_path).validate(module(), datamodule=pair_of(pictures), verbose=False)


def test_the_result_of_an_early_scale_is_loaded_at_full_size(pictures, tmp_path):
    """If this fails, a checkpoint of an early scale shows a thumbnail."""
    fitted, trainer = module(), trainer_for(tmp_path, callbacks=[EarlyStopping("loss/total", patience=0, min_delta=1e9)])
    trainer = trainer_for(tmp_path, 8, max_steps=8)

    class Keep(L.Callback):
        def on_train_batch_end(self, trainer, *rest):
            if trainer.global_step == 2:
                trainer.save_checkpoint(tmp_path / "early.ckpt")

    trainer = trainer_for(tmp_path, 8, callbacks=[Keep()])
    trainer.fit(fitted, datamodule=pair_of(pictures))
    loaded = StyleTransfer.load_from_checkpoint(tmp_path / "early.ckpt")
    assert loaded.image.shape[2:] == (18, 24) and loaded.result.shape[2:] == (36, 48)


# ---- the command line ------------------------------------------------------------------------------------------------

FLAGS = [
    "--data.size=48",
    "--model.content_layers=[conv_2]",
    "--model.style_layers=[conv_1]",
    "--model.scales=[{size: 0.5, steps: 1}, {size: 1.0, steps: 1}]",
    "--trainer.precision=32-true",
    "--trainer.enable_progress_bar=false",
]


def fit(pictures, *flags: str) -> int:
    return main(["fit", *map(str, pictures), "--recipe", "wasserstein", *FLAGS, "--output=out.png", *flags])


def events(version: int = 0) -> EventAccumulator:
    found = EventAccumulator(str(run_folder(version)), size_guidance={"scalars": 0})
    found.Reload()
    return found


def hparams(found: EventAccumulator) -> dict[str, float]:
    """The metrics of TensorBoard's table, with the values that it shows: the last ones."""
    assert "_hparams_/session_start_info" in found.summary_metadata
    assert "_hparams_/experiment" not in found.summary_metadata, "the columns of one run would be those of all"
    return {tag: found.Scalars(tag)[-1].value for tag in found.Tags()["scalars"] if tag.startswith("val/")}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_last_numbers_are_those_of_the_written_picture(pictures, workdir, capsys, precision):
    """If this fails, the table or the final line have numbers of another step, or of an iterate, not the result."""
    # 12 steps and looks at 5 and 10: the last look is not at the end
    flags = ["--trainer.max_steps=12", "--trainer.val_check_interval=5", f"--trainer.precision={precision}", "--bits=16"]
    assert fit(pictures, *flags) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    check_numbers(pictures, line, loose=precision != "32-true")


def check_numbers(pictures, line: str, loose: bool = False) -> None:
    pair = pair_of(pictures)
    pair.setup("fit")
    picture = read_image(Path("out.png")).rgb[None]
    expected = {name: float(value) for name, value in similarity(picture, pair.content_image).items()}
    expected["total"] = objective_of(module(), picture, pair)
    found = hparams(events())
    assert names("val") | {"val/psnr", "val/ssim"} == set(found)
    for name, value in expected.items():
        # the picture is rounded to 8 bits on reading
        assert found[f"val/{name}"] == pytest.approx(value, rel=0.02 if loose else 6e-3), name
    numbers = re.search(r"loss (\S+) · PSNR (\S+) dB · SSIM (\S+) to", line)
    assert numbers, line
    for name, number in zip(("total", "psnr", "ssim"), numbers.groups(), strict=True):
        assert float(number) == pytest.approx(expected[name], rel=0.02 if loose else 6e-3), name


@pytest.mark.parametrize("every", [1, 3, 25])
def test_no_number_is_written_twice(pictures, workdir, every):
    """If this fails, a chart has two curves, or two values at a step."""
    assert fit(pictures, "--trainer.max_steps=7", f"--log.every_n_steps={every}", "--trainer.val_check_interval=7") == 0
    found = events()
    tags = found.Tags()["scalars"]
    assert len(tags) == len({tag.split("/", 1)[-1] if tag.startswith("x") else tag for tag in tags})
    steps = [event.step for event in found.Scalars("loss/total")]
    assert steps == sorted({1, 7} | set(range(every, 8, every)))
    assert names("loss") <= set(tags) and not [tag for tag in tags if tag.startswith("loss/") and tag not in names("loss")]


def test_early_stopping_before_the_last_scale(pictures, workdir, capsys):
    """If this fails, a run stopped early writes a thumbnail, or does not say at which scale it stopped."""
    flags = [
        "--trainer.max_steps=40",
        "--trainer.val_check_interval=2",
        "--trainer.callbacks+=EarlyStopping",
        "--trainer.callbacks.monitor=loss/total",
        "--trainer.callbacks.patience=0",
        "--trainer.callbacks.min_delta=1e9",
    ]
    assert fit(pictures, *flags) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("stopped at step 4 of 40, at the scale 24 x 18 · out.png"), line
    assert Image.open("out.png").size == (48, 36)
    check_numbers(pictures, line)
    saved = torch.load(next(Path("logs").rglob("step=4.ckpt")), weights_only=True)
    assert saved["state_dict"]["image"].shape[2:] == (18, 24), "the checkpoint would not go on at its scale"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_before_the_last_scale(pictures, workdir, capsys, monkeypatch, error):
    """If this fails, Ctrl-C at a coarse scale writes a thumbnail."""
    step = StyleTransfer.training_step

    def training_step(self, batch, batch_idx):
        if self.global_step == 3:
            raise error
        return step(self, batch, batch_idx)

    monkeypatch.setattr(StyleTransfer, "training_step", training_step)
    flags = ["--trainer.max_steps=40"]
    if error is RuntimeError:
        with pytest.raises(RuntimeError):
            fit(pictures, *flags)
    else:
        assert fit(pictures, *flags) == 130
    line = capsys.readouterr().out.splitlines()[-1]
    assert "stopped at step 3 of 40" in line and "at the scale 24 x 18" in line, line
    assert Image.open("out.png").size == Image.open(next(Path("logs").rglob("result.png"))).size == (48, 36)
    psnr = float(re.search(r"PSNR (\S+) dB", line)[1])
    pair = pair_of(pictures)
    pair.setup("fit")
    expected = similarity(read_image(Path("out.png")).rgb[None], pair.content_image)["psnr"]
    assert psnr == pytest.approx(float(expected), abs=0.05)


def test_max_time_says_where_it_stopped(pictures, workdir, capsys):
    """If this fails, a run that is out of time looks like a finished one."""
    assert fit(pictures, "--trainer.max_steps=1000000", "--trainer.max_time=00:00:00:01") == 0
    assert re.search(r"stopped at step \d+ of 1000000, at the scale 24 x 18 · out\.png", capsys.readouterr().out)
    assert Image.open("out.png").size == (48, 36)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=nope"],
            "--trainer.callbacks EarlyStopping: monitors nope",
        ),
        (["--trainer.callbacks+=EMAWeightAveraging"], "--trainer.callbacks EMAWeightAveraging: .*average_decay"),
        (
            ["--trainer.callbacks+=StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=0.1"],
            "--trainer.callbacks StochasticWeightAveraging: .*average_decay",
        ),
        (
            ["--model.style_weight=1e300"],
            r"--model.style_weight 1e\+300: a weight is a number of 0 or more, at most 1e\+20",
        ),
        (["--model.content_weight=1e39"], r"--model.content_weight 1e\+39: a weight"),
        (["--model.tv_weight=1e30"], r"--model.tv_weight 1e\+30: a weight"),
        (["--model.style_weight=nan"], "--model.style_weight.* nan"),
        (["--model.style_layers={conv_1: 1e300}"], r"--model.style_layers conv1_1: 1e\+300: the weight of a layer"),
        (["--model.content_layers={conv_2: 1e39}"], r"--model.content_layers conv1_2: 1e\+39: the weight of a layer"),
        (["--model.style_loss={gram: 1e30}"], r"--model.style_loss 1e\+30: the weight of a loss"),
        (
            ["--model.style_loss={gram: 1e9}", "--model.style_layers={conv_1: 1e9}"],
            r"--model.style_layers conv1_1: 1e\+09: the weight of a layer \(times",
        ),
        (["--model.learning_rate=inf"], "--model.learning_rate inf: "),
        (["--model.learning_rate=nan"], "--model.learning_rate nan: "),
        (["--model.learning_rate=1e300"], r"--model.learning_rate 1e\+300: "),
        (
            ["--model.optimizer=torch.optim.SGD", "--model.optimizer.init_args.lr=1e39"],
            r"--model.optimizer: .*learning rate is 1e\+39",
        ),
        (["--model.optimizer=torch.optim.SparseAdam"], "--model.optimizer.*dense"),
        (["--model.optimizer=torch.optim.Muon"], "--model.optimizer.*2D"),
        (["--log.save_every_n_steps=0"], "--log.save_every_n_steps 0: "),
        (["--log.save_every_n_steps=5", "--trainer.logger=false"], "--log.save_every_n_steps 5: .*logger"),
    ],
)
def test_what_cannot_work_is_one_line_and_nothing_is_written(pictures, workdir, capsys, flags, words):
    """If this fails, a setting that cannot work ends in a traceback, is blamed on another, or leaves files behind."""
    assert fit(pictures, "--trainer.max_steps=4", *flags) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") <= 2 and re.search(words, said.err), said.err
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"content_weight": 1e20, "style_weight": 1e20, "style_layers": {"conv_1": 1e12}},
        {"content_weight": 1e-30, "style_weight": 1e20, "style_loss": {"gram": 1e12}},
        {"style_weight": 1e20, "tv_weight": 1e20, "optimizer": "lbfgs", "content_layers": {"conv_2": 1e12}},
    ],
)
def test_the_largest_weights_still_give_a_picture(pictures, tmp_path, settings):
    """If this fails, weights that are allowed overflow: the run ends with a loss that is no number."""
    fitted = module(**settings)
    trainer_for(tmp_path, 10).fit(fitted, datamodule=pair_of(pictures))
    assert torch.isfinite(fitted.result).all()
    assert not torch.equal(fitted.result, fitted.pair.content_image)


def test_a_picture_file_every_few_steps(pictures, workdir):
    """If this fails, there is no time-lapse, or its pictures have several sizes."""
    assert fit(pictures, "--trainer.max_steps=7", "--log.save_every_n_steps=2") == 0
    folder = run_folder() / "steps"
    assert [path.name for path in sorted(folder.iterdir())] == ["00002.png", "00004.png", "00006.png"]
    frames = [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]
    assert all(frame.shape == (36, 48, 3) for frame in frames)
    assert not np.array_equal(frames[1], frames[2])
