"""Runs with losses of hypercolumns: stopped and resumed, from tiles, with all colours, regions and several paintings."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pytest
import torch
from PIL import Image, ImageDraw

from nst_lightning import ImagePair, StyleTransfer
from nst_lightning.errors import BadArgument
from nst_lightning.main import main
from nst_lightning.pictures.read import read_image

SCALES = "[{size: 0.5, steps: 1, weights: {gram: 0}}, {size: 1.0, steps: 1}, {size: 1.0, steps: 1, weights: {palette: 2}}]"
LOSSES = "{nearest_neighbor: 1, nearest_neighbor_layers: 0.5, relaxed_emd: 1, palette: 0.5, gram: 0.1}"


def fit(pictures: tuple[Path, ...], *flags: str) -> None:
    content, *styles = map(str, pictures)
    layers = ["--model.style_layers", "relu1_1", "relu2_1", "--model.content_layers", "relu2_1"]
    common = [
        "--data.size",
        "48",
        "--trainer.precision",
        "32-true",
        "--trainer.accelerator",
        "cpu",
        "--model.scales",
        SCALES,
    ]
    words = ["--model.style_loss", LOSSES, "--model.content_loss", "self_similarity", "--model.optimizer", "pyramid_adam"]
    run = ["--trainer.enable_progress_bar", "false"]
    style = ["--data.style", str(styles)] if len(styles) > 1 else ["--data.style", styles[0]]
    assert main(["fit", "--data.content", content, *style, *common, *layers, *words, *run, *flags]) == 0


def image_of(checkpoint: Path) -> torch.Tensor:
    return torch.load(checkpoint, weights_only=True)["state_dict"]["image"]


@pytest.mark.parametrize(("tile", "steps"), [("none", (2, 5, 8, 10)), ("16", (7,))])
def test_a_run_resumes_bit_for_bit_from_anywhere(pictures, workdir, tile, steps):
    """If this fails, a resumed run matches or samples other places, or its optimiser has forgotten.

    In the middle of a scale, between two matches, at the step of one, and where a scale ends, with another size or not.
    """
    every = ["--checkpoint.every_n_train_steps", "1", "--checkpoint.save_top_k", "-1", "--trainer.max_steps", "15"]
    settings = ["--model.tile", tile, "--model.neighbors.refresh", "3", "--model.neighbors.occurrence", "0.05"]
    fit(pictures, *every, *settings)
    runs = workdir / "logs" / "transfer"

    def checkpoints(number: int) -> Path:
        (folder,) = runs.glob(f"version_{number}_*")
        return folder / "checkpoints"

    whole = checkpoints(0)
    # with two threads: what they add up in any order differs from run to run
    for number, step in enumerate(steps, start=1):
        fit(pictures, *every, *settings, "--ckpt_path", str(whole / f"step={step}.ckpt"))
        again = checkpoints(number)
        for later in (step + 1, 15):
            assert torch.equal(image_of(whole / f"step={later}.ckpt"), image_of(again / f"step={later}.ckpt")), (
                step,
                later,
            )


def test_colours_regions_paintings_and_a_cut_out(pictures, workdir):
    """If this fails, some of these settings do not go together with the losses of hypercolumns."""
    content, style = pictures
    for name in ("a.png", "b.png"):
        mask = Image.new("RGB", (64, 48), "#ff0000")
        ImageDraw.Draw(mask).rectangle([32 if name == "a.png" else 16, 0, 64, 48], "#0000ff")
        mask.save(name)
    cut_out = Image.open(content).convert("RGBA")
    cut_out.putalpha(Image.new("L", (64, 48), 0))
    cut_out.paste(Image.open(content), (10, 0))
    cut_out.save("cut_out.png")
    short = ["--trainer.max_steps", "3", "--data.content_mask", "a.png", "--data.style_mask", "[b.png, a.png]"]
    other = [
        "--model.neighbors.rotations",
        "true",
        "--model.features.padding",
        "circular",
        "--data.style_weights",
        "[1, 3]",
    ]
    fit((Path("cut_out.png"), style, content), *short, *other, "--data.color", "oklab", "--output", "one.png")
    assert Image.open("one.png").mode == "RGBA" and read_image("one.png").rgb.std() > 0.02
    fit((content, style), "--trainer.max_steps", "3", "--data.color", "luminance", "--output", "two.png")
    assert read_image("two.png").rgb.std() > 0.02


def test_a_texture_of_neighbours(pictures, workdir):
    """If this fails, neighbours need a photograph, where a texture has none."""
    words = ["--data.style", str(pictures[1]), "--data.size", "32", "--model.style_loss", "nearest_neighbor"]
    run = ["--trainer.max_steps", "6", "--model.init", "noise", "--output", "out.png", "--model.scales", "none"]
    more = ["--trainer.accelerator", "cpu", "--model.neighbors.refresh", "2", "--trainer.enable_progress_bar", "false"]
    assert main(["fit", *words, *run, *more]) == 0
    assert read_image("out.png").rgb.std() > 0.01


def test_weights_of_scales_that_name_nothing():
    """If this fails, a typing error in a scale's weights is passed over."""
    for weights, message in (
        ({"styel": 1.0}, "did you mean 'style'"),
        ({"gram": -1.0}, "0 or more"),
        ({"palete": 1.0}, "did you mean 'palette'"),
    ):
        with pytest.raises(BadArgument, match=message):
            StyleTransfer(style_loss="gram", scales=[{"size": 1.0, "steps": 1, "weights": weights}])
    with pytest.raises(BadArgument, match="nothing is left"):
        off = {"content": 0.0, "style": 0.0}
        StyleTransfer(style_loss="gram", scales=[{"size": 1.0, "steps": 1, "weights": off}])


class Measures(L.Callback):
    """Measures the result after each step, at the scale of the run and at the last."""

    def on_train_batch_end(self, trainer, pl_module, *args) -> None:
        before = pl_module.targets.matches()
        pl_module.evaluate(pl_module.stage)
        after = pl_module.targets.matches()
        assert before and all(torch.equal(before[name], after[name]) for name in before)
        self.full = pl_module.evaluate()  # of two scales of one size that of the run
        assert pl_module.at_full_size is (pl_module.targets.stage is pl_module.stage)
        again = pl_module.targets.matches()
        assert all(torch.equal(before[name], again[name]) for name in before)
        if pl_module.targets.stage is not pl_module.stage:
            pl_module.targets.enter(pl_module.stage, pl_module.image, pl_module.global_step, before)


def test_measuring_leaves_the_matches_of_the_run(pictures):
    """If this fails, who looks at a result changes it, or a checkpoint written after a look has the look's matches."""
    images = []
    scales = [{"size": size, "steps": 1, "weights": {"palette": f}} for size, f in ((0.5, 1.0), (1.0, 0.0), (1.0, 1.0))]
    for callbacks in ([], [Measures()]):
        module = StyleTransfer(
            style_loss={"nearest_neighbor": 1.0, "palette": 1.0},
            style_layers=["relu1_1", "relu2_1"],
            content_layers=["relu2_1"],
            scales=scales,
            optimizer="pyramid_adam",
            neighbors={"refresh": 2},
        )
        quiet = {
            "logger": False,
            "enable_progress_bar": False,
            "enable_checkpointing": False,
            "enable_model_summary": False,
        }
        trainer = L.Trainer(max_steps=12, accelerator="cpu", callbacks=callbacks, **quiet)
        trainer.fit(module, datamodule=ImagePair(*map(str, pictures), size=48))
        images.append(module.image.detach())
    assert torch.equal(*images)


def test_hues_come_with_a_checkpoint(pictures, workdir):
    """If this fails, a picture of a checkpoint has other colours than the run showed."""
    pair = ImagePair(*map(str, pictures), size=48, color="oklab")
    module = StyleTransfer(style_layers=["relu1_1"], content_layers=["relu2_1"], scales="none")
    trainer = L.Trainer(max_steps=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.fit(module, datamodule=pair)
    trainer.save_checkpoint("run.ckpt")
    again = StyleTransfer.load_from_checkpoint("run.ckpt", weights_only=True)
    assert torch.equal(again.result, module.result)
    assert not torch.allclose(module.result, module.progress.at(module.image, (36, 48)), atol=0.01)
