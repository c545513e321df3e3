"""Every file in configs/ runs as it stands, and says what the program does anyway."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nst_lightning import StyleTransfer, VGGFeatures, VGGSettings
from nst_lightning.data import StyleImage
from nst_lightning.main import main
from nst_lightning.network.layers import find_layer
from nst_lightning.objective.matching import Start
from nst_lightning.objective.whole import Objective
from nst_lightning.pictures.picture import fit_size, resize
from nst_lightning.pictures.read import read_image
from nst_lightning.training.scales import Scale

ROOT = Path(__file__).parents[2]
# studies describe grids of runs: test_study.py
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.yaml") if path.parent.name != "studies")
SMALL = ["--data.size", "64", "--trainer.accelerator", "cpu"]


def printed(capsys: pytest.CaptureFixture[str], *flags: str) -> dict:
    capsys.readouterr()
    assert main(["fit", *flags, "--print_config"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs(config, monkeypatch, workdir):
    """If this fails, a config names a setting or a file that does not exist, or its settings do not go together."""
    (workdir / "images").symlink_to(ROOT / "images")
    base = ["--config", str(ROOT / "configs" / "transfer.yaml")] if config.parent.name == "recipes" else []
    size = ["--data.size", "256"] if base else []  # a recipe's first scale is a quarter of it
    assert main(["fit", *base, "--config", str(config), *SMALL, *size, "--trainer.fast_dev_run", "true"]) == 0
    assert [path.name for path in workdir.iterdir()] == ["images"], "a trial leaves something"


@pytest.mark.parametrize("config", [path for path in CONFIGS if path.parent.name == "recipes"], ids=lambda path: path.stem)
def test_every_recipe_gets_on(config, monkeypatch, workdir):
    """If this fails, a recipe's optimiser throws the picture out in its first steps, as L-BFGS does on a bad scale."""
    (workdir / "images").symlink_to(ROOT / "images")
    words = ["--config", str(ROOT / "configs" / "transfer.yaml"), "--config", str(config), *SMALL]
    size = ["--data.size", "64", "--model.scales", "none", "--model.content_layers", "relu2_1"]
    layers = ["--model.style_layers", "{relu1_1: 1.0, relu2_1: 1.0, relu3_1: 1.0}"]
    run = ["--trainer.max_steps", "12", "--log.every_n_steps", "1", "--trainer.enable_progress_bar", "false"]
    assert main(["fit", *words, *size, *layers, *run]) == 0
    (version,) = (workdir / "logs" / "transfer").iterdir()
    totals = [event.value for event in EventAccumulator(str(version)).Reload().Scalars("loss/total")]
    assert len(totals) == 12 and totals[-1] < totals[0] / 1.4, totals


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_value_has_a_reason(config):
    """If this fails, a reader of the config is not told why a value is what it is."""
    lines = config.read_text().splitlines()
    assert lines[0].startswith("# ")
    values = [n for n, line in enumerate(lines) if ":" in line and not line.strip().startswith("#") and line[0] == " "]
    reasons = [n for n, line in enumerate(lines) if line.strip().startswith("#")]
    assert len(reasons) >= len(values) / 3


def test_the_defaults_are_those_of_transfer(capsys):
    """If this fails, `fit photo.jpg painting.jpg` and `fit --config configs/transfer.yaml` make different pictures."""
    defaults = printed(capsys)
    config = printed(capsys, "--config", str(ROOT / "configs" / "transfer.yaml"))
    defaults["data"] |= {name: config["data"][name] for name in ("content", "style")}
    for one in (config, defaults):  # with what a scale has where nothing is said
        one["model"]["scales"] = [Scale(**scale) for scale in one["model"]["scales"]]
    assert config == defaults


def test_later_settings_win(capsys, tmp_path):
    """If this fails, an overlay or a flag is overridden by what stands before it."""
    (tmp_path / "a.yaml").write_text("model: {style_weight: 1, tv_weight: 1}")
    (tmp_path / "b.yaml").write_text("model: {style_weight: 2}")
    files = ["--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml")]
    config = printed(capsys, *files, "--model.tv_weight", "3")
    assert (config["model"]["style_weight"], config["model"]["tv_weight"]) == (2, 3)


def test_a_printed_config_runs_again(capsys, tmp_path):
    """If this fails, a run cannot be repeated from its own description."""
    config = printed(capsys, "--config", str(ROOT / "configs" / "texture.yaml"), "--model.optimizer", "Adam")
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(config))
    assert printed(capsys, "--config", str(tmp_path / "again.yaml")) == config
    assert config["model"]["optimizer"]["class_path"] == "torch.optim.Adam"


def test_layers_as_a_map(capsys):
    """If this fails, layers cannot be weighted one by one."""
    config = printed(capsys, "--model.style_layers", "{conv_1: 0.5, conv_2: 2}")
    assert config["model"]["style_layers"] == {"conv_1": 0.5, "conv_2": 2}


# ---- recipes: the objective of each source, calculated from its formula ------------------------------------------------

BLOCKS = [f"relu{n}_1" for n in range(1, 6)]
SOURCES = {
    "assignment": (["conv_4"], [f"conv_{n}" for n in range(1, 6)]),
    "gatys": (["relu4_2"], BLOCKS),
    "johnson": (["relu4_2"], BLOCKS),
    "crowson": (["relu4_2"], BLOCKS),
    "spst": (["relu4_2"], BLOCKS),
}


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a - b) ** 2))


def gram(features: np.ndarray, divisor: float) -> np.ndarray:
    return features @ features.T / divisor


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """mean(Δμ²) + (1/C)·tr(Σs + Σ − 2(Σs^½ Σ Σs^½)^½), 1e-4 on the diagonals, roots by SciPy."""
    ridge = 1e-4 * np.eye(len(a))
    ours, theirs = np.cov(a, bias=True) + ridge, np.cov(b, bias=True) + ridge
    root = scipy.linalg.sqrtm(theirs).real
    middle = scipy.linalg.sqrtm(root @ ours @ root).real
    return mse(a.mean(1), b.mean(1)) + float(np.trace(ours + theirs - 2 * middle)) / len(a)


def objective_of_the_source(name: str, image: dict, content: dict, style: dict, pixels: np.ndarray) -> float:
    """peers.md's line for each source, on features (C, N)."""
    contents, styles = SOURCES[name]
    total = {"assignment": 1, "gatys": 1, "johnson": 5, "crowson": 0.015, "spst": 1}[name] * sum(
        mse(image[layer], content[layer]) for layer in contents
    )
    for number, layer in enumerate(styles):
        f, s = image[layer], style[layer]
        c = len(f)
        if name == "assignment":
            total += 1e6 * mse(gram(f, c * f.shape[1]), gram(s, c * s.shape[1]))
        elif name == "gatys":
            total += 1e3 / c**2 * mse(gram(f, f.shape[1]), gram(s, s.shape[1]))
        elif name == "johnson":
            total += 100 * mse(gram(f, c * f.shape[1]), gram(s, c * s.shape[1]))
        elif name == "crowson":
            total += [256, 64, 16, 4, 1][number] / 341 * wasserstein(f, s)
        else:
            total += 1e3 / c**2 * mse(gram(f, f.shape[1]), gram(s, s.shape[1]))
            total += 1e4 * (mse(f.mean(1), s.mean(1)) + mse(f.std(1), s.std(1)))
    if name in ("johnson", "crowson"):
        x = np.pad(pixels, ((0, 0), (1, 1), (1, 1)), mode="edge")
        across, down = x[:, 1:-1, 2:] - x[:, 1:-1, 1:-1], x[:, 2:, 1:-1] - x[:, 1:-1, 1:-1]
        falling, rising = x[:, 1:, 1:] - x[:, :-1, :-1], x[:, 1:, :-1] - x[:, :-1, 1:]
        variation = 2 * sum((d**2).mean() / w for d, w in ((across, 3), (down, 3), (falling, 12), (rising, 12)))
        total += {"johnson": 1e-3, "crowson": 2.0}[name] * variation
    return total


@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_has_the_objective_of_its_source(name):
    """If this fails, a recipe does not do what its name says."""
    recipe = yaml.safe_load((ROOT / "configs" / "recipes" / f"{name}.yaml").read_text())["model"]
    torch.manual_seed(0)
    sizes = {"image": (40, 48), "content": (40, 48), "style": (48, 36)}
    pictures = {
        part: read_image(ROOT / "images" / file).rgb[None, :, 100 : 100 + sizes[part][0], 200 : 200 + sizes[part][1]]
        for part, file in (
            ("image", "content/stream.jpg"),
            ("content", "content/kitten.jpg"),
            ("style", "style/harvest.jpg"),
        )
    }
    contents, styles = SOURCES[name]
    layers = {layer: find_layer(layer, "vgg16") for layer in contents + styles}
    network = VGGFeatures(layers.values(), VGGSettings(**recipe["features"])).double()
    settings = {key: value for key, value in recipe.items() if key not in ("optimizer", "features", "scales")}
    module = StyleTransfer(**settings)
    wanted = module.wanted
    tables = (wanted.layers["content"], wanted.layers["style"], wanted.style_losses, wanted.weights)
    objective = Objective(network, *tables)
    double = {part: picture.double() for part, picture in pictures.items()}
    objective.set_targets(double["content"], [StyleImage(double["style"], None, 1.0)], None)
    found = float(objective(double["image"])["total"])
    features = {
        part: {n: network(picture)[layer][0].flatten(1).numpy() for n, layer in layers.items()}
        for part, picture in double.items()
    }
    expected = objective_of_the_source(name, *(features[part] for part in sizes), double["image"][0].numpy())
    assert found == pytest.approx(expected, rel=1e-4)


NNST = ["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu4_1", "relu4_2", "relu4_3"]
STROTSS = ["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu4_3", "relu5_3"]


def module_of(recipe: dict, **changes) -> StyleTransfer:
    settings = {key: value for key, value in recipe.items() if key not in ("optimizer", "features")}
    return StyleTransfer(**{**settings, **changes})


def bilinear(features: np.ndarray, points: np.ndarray, cell: int) -> np.ndarray:
    """Features ``(C, H, W)`` at points ``(N, 2)``, between the middles of cells; by SciPy."""
    along = [np.clip(points[:, axis] / cell - 0.5, 0, features.shape[axis + 1] - 1) for axis in (0, 1)]
    return np.stack([scipy.ndimage.map_coordinates(one, along, order=1, mode="nearest") for one in features], axis=1)


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    ours, theirs = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (ours, theirs))
    return 1 - ours @ theirs.T


def small(file: str, height: int, width: int) -> torch.Tensor:
    return read_image(ROOT / "images" / file).rgb[None, :, 100 : 100 + height, 200 : 200 + width].double()


def test_nnst_has_the_objective_of_its_source():
    """If this fails, the recipe is not Kolkin's method: its hypercolumns, matches, rotations or final pass are others."""
    recipe = yaml.safe_load((ROOT / "configs" / "recipes" / "nnst.yaml").read_text())["model"]
    module = module_of(recipe, neighbors={**recipe["neighbors"], "axes": 0})  # exact: there are few places here
    names = {layer.name: layer for layer in module.wanted.layers["style"]}
    assert list(names) == NNST
    network = VGGFeatures(names.values(), VGGSettings(**recipe["features"])).double()
    tables = ({}, module.wanted.layers["style"], module.wanted.style_losses, module.wanted.weights)
    image, content, style = (
        small("content/stream.jpg", 40, 48),
        small("content/kitten.jpg", 40, 48),
        small("style/harvest.jpg", 48, 36),
    )

    def features(picture: torch.Tensor) -> dict[str, np.ndarray]:
        found = network(picture)
        return {name: found[layer][0].numpy() for name, layer in names.items()}

    def hypercolumns(picture: torch.Tensor) -> np.ndarray:
        height, width = (int(side) // 4 for side in picture.shape[2:])
        points = np.array([(4 * y + 2.0, 4 * x + 2.0) for y in range(height) for x in range(width)])
        found = features(picture)
        return np.concatenate(
            [bilinear(found[n], points, 1 << names[n].pools_before) / len(found[n]) for n in NNST], axis=1
        )

    # the four sizes: three parts photograph, one part result with the photograph's detail
    blurred = [torch.nn.functional.interpolate(p, (20, 24), mode="bilinear", antialias=True) for p in (image, content)]
    coarse = [torch.nn.functional.interpolate(p, (40, 48), mode="bilinear") for p in blurred]
    query = 0.75 * content + 0.25 * (coarse[0] + content - coarse[1])
    theirs = np.concatenate([hypercolumns(torch.rot90(style, turns, (2, 3))) for turns in range(4)])
    asked = hypercolumns(query)
    matches = cosines(asked - asked.mean(axis=0), theirs - theirs.mean(axis=0)).argmin(axis=1)
    ours = hypercolumns(image)
    expected = np.mean([cosines(one[None], theirs[m][None]) for one, m in zip(ours, matches, strict=True)])
    objective = Objective(network, *tables)
    target = [StyleImage(style, None, 1.0)]
    objective.set_targets(content, target, None, Start(image, False, module.scales[1].weights))
    assert float(objective(image)["total"]) == pytest.approx(10 * expected, rel=1e-9)  # ten layers of weight 1

    # the final pass: all positions here, there are fewer than 4096
    objective.set_targets(content, target, None, Start(image, False, module.scales[-1].weights))
    found, style_features = features(image), features(style)
    expected = 0.0
    for name in NNST:
        one, other = (f[name].reshape(len(f[name]), -1).T for f in (found, style_features))
        expected += cosines(one - one.mean(axis=0), other - other.mean(axis=0)).min(axis=1).mean()
    assert float(objective(image)["total"]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [0, 3])
def test_strotss_has_the_objective_of_its_source(scale):
    """If this fails, the recipe is not Kolkin's method: (a lC + lR + lm + lp / max(a, 1)), a halved at each size."""
    recipe = yaml.safe_load((ROOT / "configs" / "recipes" / "strotss.yaml").read_text())["model"]
    module = module_of(recipe)
    names = {layer.name: layer for layer in module.wanted.layers["style"]}
    assert list(names) == STROTSS == [layer.name for layer in module.wanted.layers["content"]]
    network = VGGFeatures(names.values(), VGGSettings(**recipe["features"])).double()
    tables = (
        module.wanted.layers["content"],
        module.wanted.layers["style"],
        module.wanted.style_losses,
        module.wanted.weights,
        module.wanted.content_loss,
    )
    files = (("content/stream.jpg", 30, 34), ("content/kitten.jpg", 30, 34), ("style/harvest.jpg", 24, 28))
    image, content, style = (small(*file) for file in files)  # fewer pixels than samples: all are taken

    def hypercolumns(picture: torch.Tensor) -> np.ndarray:
        height, width = picture.shape[2:]
        points = np.array([(y + 0.5, x + 0.5) for y in range(height) for x in range(width)])
        found = network(picture)
        # in the units of a network whose input has a variance of 1, as the source's has
        parts = [bilinear(found[names[n]][0].numpy(), points, 1 << names[n].pools_before) / 255 / 0.226 for n in STROTSS]
        return np.concatenate([picture[0].flatten(1).numpy().T / 0.226, *parts], axis=1)

    def relaxed(costs: np.ndarray) -> float:
        return max(costs.min(axis=1).mean(), costs.min(axis=0).mean())

    x, c, s = (hypercolumns(picture) for picture in (image, content, style))
    relations = [(d := cosines(one, one)) / d.sum(axis=0, keepdims=True) for one in (x, c)]
    l_c = np.abs(relations[0] - relations[1]).mean() * len(x)
    l_m = np.abs(x.mean(0) - s.mean(0)).mean() + np.abs(np.cov(x.T, bias=True) - np.cov(s.T, bias=True)).mean()
    colours = [one[:, :3] * 0.226 for one in (x, s)]
    l_p = relaxed(cosines(*colours) + np.linalg.norm(colours[0][:, None] - colours[1][None], axis=2))
    a = 16 / 2**scale
    expected = a * l_c + relaxed(cosines(x, s)) + l_m + l_p / max(a, 1)
    objective = Objective(network, *tables)
    start = Start(image, scale == 0, module.scales[scale].weights)
    objective.set_targets(content, [StyleImage(style, None, 1.0)], None, start)
    # the recipe's ninths have six digits
    assert float(objective(image)["total"]) == pytest.approx(expected, rel=1e-5)


def test_the_balance_is_the_same_at_every_size():
    """If this fails, a weight that looks right at one size is wrong at another: the terms depend on the size.

    The picture is halfway between photograph and a result of this program, so between photograph and painting in both
    terms, and no term is optimised here: what is compared is the objective alone.
    """
    module = StyleTransfer()
    wanted = module.wanted
    layers = {*wanted.layers["content"], *wanted.layers["style"]}
    objective = Objective(
        VGGFeatures(layers), wanted.layers["content"], wanted.layers["style"], wanted.style_losses, wanted.weights
    )
    names = ("results/chenonceau_starry_night.jpg", "content/chenonceau.jpg", "style/starry_night.jpg")
    pictures = [read_image(ROOT / "images" / name).rgb[None] for name in names]
    balance = {}
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for size in (256, 512, 1024):
            result, content, style = (resize(p, fit_size(*p.shape[-2:], size)) for p in pictures)
            objective.set_targets(content, [StyleImage(style, None, 1.0)], None)
            terms = objective((content + resize(result, tuple(content.shape[-2:]))) / 2)
            balance[size] = float(wanted.weights["style"] * terms["style"] / terms["content"])
    assert max(balance.values()) < 2 * min(balance.values()), balance
