"""torch.compile: the same objective, and a line that says what it brought."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from nst_lightning.data import StyleImage
from nst_lightning.losses import make_style_losses
from nst_lightning.main import main
from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.layers import find_layer
from nst_lightning.objective.tiled import TiledObjective
from nst_lightning.training import compilation
from nst_lightning.training.compilation import Compilation

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def objective() -> TiledObjective:
    layers = {name: find_layer(name, "vgg16") for name in ("relu1_1", "relu2_1")}
    features = VGGFeatures(layers.values(), VGGSettings())
    weights = {"content": 1.0, "style": 8.0, "tv": 0.1}
    content_layers, style_layers = {layers["relu2_1"]: 1.0}, dict.fromkeys(layers.values(), 0.5)
    made = TiledObjective(features, content_layers, style_layers, make_style_losses("wasserstein"), weights)
    generator = torch.Generator().manual_seed(0)
    content, style = (torch.rand(1, 3, 24, 32, generator=generator) for _ in range(2))
    made.set_targets(content, [StyleImage(style, None, 1.0)], None)
    return made


def image() -> torch.Tensor:
    return torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()


def timed(monkeypatch, *seconds: float) -> None:
    """Let the work be done, and take this long."""
    original, times = Compilation._seconds, list(seconds)

    def measure(function, image, trials=1):
        original(function, image, trials=1)
        return times.pop(0)

    monkeypatch.setattr(Compilation, "_seconds", staticmethod(measure))


@pytest.mark.slow
def test_the_compiled_objective_is_the_same(objective, monkeypatch, capsys):
    """Fails if the compiler changes value or gradient, or compiles again at every step."""
    timed(monkeypatch, 1.0, 99.0, 0.5)
    compiled, pixels = Compilation(True, objective), image()
    compiled.choose(pixels, 1000)
    said = capsys.readouterr().out
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT" and "compile: not possible here" in said:
        # torch's compiler fails on processors without AVX2; then the run goes on without it
        torch.testing.assert_close(compiled(pixels, 0)["total"], objective(pixels, 0)["total"], rtol=0, atol=0)
        return
    assert "compile: 32 x 24: 0.500 s a step instead of 1.000 s, compiled in" in said
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs >= 1
    for step in range(3):
        ours, theirs = compiled(pixels, step), objective(pixels, step)
        assert list(ours) == list(theirs)
        for name in theirs:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-5)
        (one,), (other,) = (torch.autograd.grad(terms["loss"], pixels) for terms in (ours, theirs))
        assert (one - other).norm() <= 1e-2 * other.norm()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs
    objective.tile = 16  # memory ran out
    torch.testing.assert_close(compiled(pixels, 3)["total"].detach(), theirs["total"].detach(), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("seconds", "steps", "said"),
    [
        pytest.param((0.1,), 50, "does not pay: 50 steps of 0.100 s are soon over", id="few"),
        pytest.param(
            (1.0, 40.0, 2.0), 1000, "does not pay, going on without: 2.000 s a step instead of 1.000 s", id="slower"
        ),
        pytest.param((1.0, 40.0, 0.9), 30, "0.900 s a step instead of 1.000 s", id="barely"),
    ],
)
def test_it_says_what_compiling_brings(objective, monkeypatch, capsys, seconds, steps, said):
    """Fails if a run is slower by compiling and nobody is told."""
    timed(monkeypatch, *seconds)
    monkeypatch.setattr(compilation.torch, "compile", lambda function, **_: function)
    compiled = Compilation(True, objective)
    compiled.choose(image(), steps)
    line = capsys.readouterr().out.strip()
    assert said in line
    assert ("; 30 steps do not win that back" in line) == (seconds[-1] == 0.9)


def test_what_cannot_be_compiled_is_computed_all_the_same(objective, monkeypatch, capsys):
    """Fails if a compiler that gives up ends the run."""

    def broken(function, **_):
        def fail(*args):
            raise RuntimeError("no C++ compiler here")

        return fail

    monkeypatch.setattr(compilation, "LEAST", 0.0)
    monkeypatch.setattr(compilation.torch, "compile", broken)
    compiled, pixels = Compilation(True, objective), image()
    for _ in range(2):
        compiled.choose(pixels, 1000)
    said = capsys.readouterr().out
    assert said == "compile: not possible here, going on without (no C++ compiler here)\n"
    assert torch.equal(compiled(pixels, 0)["total"], objective(pixels, 0)["total"])


def test_memory_that_is_short_is_left_to_the_step(objective, monkeypatch):
    """Fails if a trial that does not fit ends a run that could go on with tiles."""

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Compilation, "_seconds", staticmethod(full))
    compiled, pixels = Compilation(True, objective), image()
    compiled.choose(pixels, 1000)
    assert torch.equal(compiled(pixels, 0)["total"], objective(pixels, 0)["total"])


@pytest.mark.parametrize(
    ("flags", "said"), [([], "does not pay"), (["--model.tile", "32"], "computed from tiles, which are not compiled")]
)
def test_on_the_command_line(pictures, workdir, capsys, flags, said):
    """Fails if the flag does nothing, or the run is another one by it."""
    words = ["fit", *map(str, pictures), "--data.size", "64", "--trainer.max_steps", "2", "--model.scales", "none", *flags]
    assert main([*words, "--output", "plain.png"]) == 0
    assert "compile" not in capsys.readouterr().out
    assert main([*words, "--output", "out.png", "--model.compile", "true"]) == 0
    assert f"compile: 64 x 48 {'is ' if flags else ''}{said}" in capsys.readouterr().out
    # the files differ: each says by which settings it was made
    assert np.array_equal(*(np.asarray(Image.open(workdir / name)) for name in ("out.png", "plain.png")))
