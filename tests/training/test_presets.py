"""The presets: what they say, and what their pictures are like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from scipy import ndimage

from nst_lightning import ImagePair, StyleTransfer, preset, stylize
from nst_lightning.errors import BadArgument
from nst_lightning.main import main
from nst_lightning.objective.distances import distances
from nst_lightning.pictures.picture import fit_size, resize
from nst_lightning.pictures.read import read_image
from nst_lightning.presets import PRESETS
from nst_lightning.training.scales import Scale, schedule
from nst_lightning.training.targets import Targets
from tests.runs import run_folder

IMAGES = Path(__file__).parents[2] / "images"
CPU = {"accelerator": "cpu"}


def printed(capsys: pytest.CaptureFixture[str], *flags: str) -> dict:
    capsys.readouterr()
    assert main(["fit", *flags, "--print_config"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("name", PRESETS)
def test_the_command_and_python_mean_the_same(name, pictures, workdir):
    """If this fails, `--preset` and `stylize(preset=…)` paint different pictures."""
    words = ["--data.size", "64", "--steps", "6", "--trainer.accelerator", "cpu", "--preset", name]
    assert main(["fit", *map(str, pictures), *words]) == 0
    found = np.asarray(Image.open(run_folder(0, workdir / "logs" / "transfer") / "result.png"))
    assert np.array_equal(found, np.asarray(stylize(*pictures, size=64, steps=6, preset=name, trainer=CPU)))


def test_a_preset_lies_under_everything_else(capsys, tmp_path):
    """If this fails, a preset takes back what a person's own config, a recipe or a flag says."""
    (tmp_path / "mine.yaml").write_text("model: {style_weight: 7}")
    words = ["--config", str(tmp_path / "mine.yaml"), "--preset", "draft"]
    found = printed(capsys, *words, "--recipe", "gatys", "--steps", "9")
    assert found["model"]["optimizer"] == "lbfgs" and found["trainer"]["max_steps"] == 9
    assert printed(capsys, *words)["model"]["style_weight"] == 7


def test_the_standard_is_what_is_done_without_a_word(capsys):
    """If this fails, `--preset standard` is another picture than no preset."""
    said, unsaid = printed(capsys, "--preset", "standard"), printed(capsys)
    for one in (said, unsaid):
        one["model"]["scales"] = [Scale(**scale) for scale in one["model"]["scales"]]
    assert said["model"] == unsaid["model"] and said["trainer"] == unsaid["trainer"]


def test_a_recipe_is_the_same_over_any_preset(capsys):
    """If this fails, something of the default is left in a published method: a recipe does not say all that it needs."""
    for recipe in ("assignment", "gatys", "johnson", "crowson", "spst", "nnst", "strotss", "wasserstein"):
        models = [printed(capsys, "--preset", name, "--recipe", recipe)["model"] for name in PRESETS]
        for model in models:
            if recipe != "nnst":
                model.pop("neighbors")  # nothing there is matched
            if not model["content_weight"]:
                model.pop("content_layers")
        assert models[0] == models[1] == models[2], recipe


@pytest.mark.parametrize("words", [["--preset", "best"], ["--preset=drafts"]])
def test_another_name_is_refused(words, capsys):
    """If this fails, a mistyped preset is the standard, without a word."""
    assert main(["fit", *words]) == 2
    assert "draft, standard, fine" in capsys.readouterr().err
    with pytest.raises(BadArgument, match="draft, standard, fine"):
        preset("best")


@pytest.mark.parametrize("name", PRESETS)
def test_the_scales_of_every_size(name):
    """If this fails, small pictures have scales that no layer can see, or large ones begin with large forms undecided."""
    module = StyleTransfer(**preset(name)["model"])
    for size in (64, 100, 256, 512, 1024, 4096):
        stages = schedule(module.scales, size, (size * 3 // 4, size), 200)
        assert 64 <= stages[0].size < 128 or len(stages) == 1
        assert stages[-1].size == size and stages[-1].factors.get("nearest_neighbor_layers", 1.0) == 1.0
    assert schedule(module.scales, 512, (80, 512), 200)[0].shape[0] >= 32, "a panorama begins with a line"


# ---- what the pictures are like: minutes --------------------------------------------------------------------------------

PAIRS = [("chenonceau", "starry_night"), ("kitten", "harvest")]


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def painted(request) -> tuple[np.ndarray, np.ndarray]:
    """A picture of the standard preset at 384 px, and its painting at the same size, ``(H, W, 3)`` in [0, 1]."""
    content = next((IMAGES / "content").glob(f"{request.param[0]}.*"))
    style = IMAGES / "style" / f"{request.param[1]}.jpg"
    result = np.asarray(stylize(content, style, size=384, trainer=CPU), dtype=float) / 255
    painting = Image.open(style).convert("RGB")
    factor = 384 / max(painting.size)
    shape = round(painting.width * factor), round(painting.height * factor)
    return result, np.asarray(painting.resize(shape, Image.Resampling.LANCZOS), dtype=float) / 255


def grain(picture: np.ndarray, side: int = 32) -> float:
    """The energy above half of Nyquist in the flattest fifth of a picture.

    That is of its squares of ``side`` pixels, under a window, whose blurred luminance varies least.
    """
    window = np.hanning(side)[:, None] * np.hanning(side)
    frequency = np.abs(np.fft.fftfreq(side))
    high = np.maximum(frequency[:, None], frequency) > 0.25
    found = []
    for top in range(0, picture.shape[0] - side + 1, side // 2):
        for left in range(0, picture.shape[1] - side + 1, side // 2):
            square = picture[top : top + side, left : left + side]
            blurred = ndimage.gaussian_filter(square.mean(axis=2), 4)
            spectrum = np.fft.fft2((square - square.mean(axis=(0, 1))) * window[..., None], axes=(0, 1))
            found.append((blurred.std(), float((np.abs(spectrum[high]) ** 2).sum())))
    found.sort()
    return float(np.mean([energy for _, energy in found[: len(found) // 5]]))


@pytest.mark.slow
def test_calm_areas_are_as_calm_as_the_paintings(painted):
    """If this fails, skies and walls have a noise or a grain that the painting's have not."""
    result, painting = painted
    assert grain(result) <= 1.2 * grain(painting)


@pytest.mark.slow
def test_there_is_no_frame(painted):
    """If this fails, the outer pixels are darker, lighter or stronger than those beside them."""
    result, _ = painted
    rows, columns = (np.minimum(np.arange(side), np.arange(side)[::-1]) for side in result.shape[:2])
    distance = np.minimum(rows[:, None], columns)
    outer, inner = result[distance < 8], result[(distance >= 8) & (distance < 16)]
    assert abs(outer.mean() / inner.mean() - 1) <= 0.1
    assert abs(outer.var() / inner.var() - 1) <= 0.1


@pytest.mark.slow
def test_faces_stay_faces():
    """If this fails, the photograph does not come back at the fine scales: faces crack, or the painting is lost for it."""
    content, style = IMAGES / "content/astronaut.jpg", IMAGES / "style/harvest.jpg"
    photograph, painting = (read_image(path).rgb[None] for path in (content, style))
    painting = resize(painting, fit_size(*painting.shape[2:], 256))
    even = [scale | {"weights": scale["weights"] | {"content": 1.0}} for scale in preset()["model"]["scales"]]
    found = []
    for words in ({}, {"scales": even}):
        result = read_image(stylize(content, style, size=256, trainer=CPU, **words)).rgb[None]
        found.append(distances(result, photograph, painting))
    ours, other = found
    assert ours["content_distance"] <= 0.85 * other["content_distance"]
    assert ours["self_similarity"] <= other["self_similarity"]
    assert ours["style_distance"] <= 2 * other["style_distance"]


@pytest.mark.slow
def test_one_weight_for_every_painting():
    """If this fails, a style weight that suits one painting or size loses another's photograph, or changes nothing."""
    ratios = {name: ratio for size in (256, 512, 1024) for name, ratio in balance(size).items()}
    assert max(ratios.values()) <= 4 * min(ratios.values()), ratios  # within a factor of 2 of the middle


def balance(size: int) -> dict[str, float]:
    """The gradient of the weighted style loss over that of the content loss, near the photograph: under noise of 0.1.

    Of every style with one photograph, and of every photograph with one style.
    """
    styles = sorted((IMAGES / "style").glob("*.jpg"))
    contents = sorted((IMAGES / "content").glob("*.*"))
    pairs = [(contents[0], style) for style in styles] + [(content, styles[-1]) for content in contents]
    module = StyleTransfer(**preset()["model"])
    found = {}
    for content, style in pairs:
        pair = ImagePair(str(content), str(style), size)
        pair.setup("fit")
        stage = schedule(module.scales, size, pair.image_size, 320)[-1]
        objective = module.wanted.objective(pair, module.settings)
        targets = Targets(objective, pair, ["content", "style"], "none", compiles=False)
        content_image = pair.content_at(stage.shape)
        noise = torch.randn(content_image.shape, generator=torch.Generator().manual_seed(0))
        image = (content_image + 0.1 * noise).clamp(0, 1)
        targets.enter(stage, image, 0)
        image.requires_grad_()
        values = objective(image, 0)
        norms = {}
        for term in ("content", "style"):
            (gradient,) = torch.autograd.grad(values[term], image, retain_graph=True)
            norms[term] = float(gradient.norm()) * module.wanted.weights[term] * stage.factors.get(term, 1.0)
        found[f"{content.stem} {style.stem} {size}"] = norms["style"] / norms["content"]
    return found
