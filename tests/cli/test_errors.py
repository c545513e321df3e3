"""Bad input, one case each: two lines at most that name the flag, the value and what would be right, and exit code 2.

Nothing is built and nothing is written before the complaint: whoever mistypes waits for no network and loses no picture.
"""

from __future__ import annotations

import shlex
import struct
import subprocess
import sys
import urllib.error
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from PIL import Image

import nst_lightning.network.weights
from nst_lightning.main import main
from nst_lightning.network.features import VGGFeatures

Refused = Callable[..., str]
PRECIOUS = b"the picture of another run"
RUN = ["fit", "{content}", "{style}", "--output", "out.png"]


@pytest.fixture(scope="session")
def bad(tmp_path_factory) -> Path:
    """A folder of files that are not what they should be."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "words.jpg").write_text("these are words\n" * 20)
    (folder / "empty.png").touch()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)).save(folder / "whole.png")
    (folder / "half.png").write_bytes((folder / "whole.png").read_bytes()[:3000])
    Image.new("RGB", (1, 1), "red").save(folder / "pixel.png")
    Image.new("RGB", (640, 9)).save(folder / "strip.png")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(99)))
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))

    safetensors.torch.save_file({"classifier.weight": torch.zeros(3)}, folder / "keys.safetensors")
    torch.save({"classifier.weight": torch.zeros(3)}, folder / "keys.pth")
    torch.save({"features.0.weight": 3}, folder / "number.pth")
    torch.save([torch.zeros(3)], folder / "list.pth")
    shapes = {"features.0.weight": torch.zeros(64, 3, 5, 5), "features.0.bias": torch.zeros(64)}
    safetensors.torch.save_file(shapes, folder / "shapes.safetensors")
    (folder / "damaged.safetensors").write_bytes((folder / "keys.safetensors").read_bytes()[:20])
    (folder / "damaged.pth").write_bytes((folder / "keys.pth").read_bytes()[:500])
    torch.save({"state_dict": {"layer.weight": torch.zeros(3)}}, folder / "other.ckpt")
    torch.save({"state_dict": {"image": torch.zeros(1, 3, 48, 64)}}, folder / "half.ckpt")

    configs = {
        "key.yaml": "model: {style_wieght: 3}",
        "section.yaml": "modle: {style_weight: 3}",
        "deep.yaml": "model: {features: {arhc: vgg16}}",
        "logger.yaml": "trainer: {logger: {class_path: TensorBoardLogger, init_args: {save_dri: logs}}}",
        "value.yaml": "model: {style_weight: heavy}",
        "words.yaml": "just words",
        "list.yaml": "[1, 2]",
        "elsewhere.yaml": "data: {content: photos/a.jpg}",
        "syntax.yaml": "model: [style_weight\n  content_weight: }\n",
    }
    for name, text in configs.items():
        (folder / name).write_text(text + "\n")
    return folder


@pytest.fixture
def refused(pictures, bad, workdir, monkeypatch, capsys) -> Refused:
    """Run the command line, assert that it complains as it should, and return what it says."""

    def no_network(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network is built before the input is known to be good")

    monkeypatch.setattr(VGGFeatures, "__init__", no_network)
    (workdir / "out.png").write_bytes(PRECIOUS)

    def run(words: list[str], *expected: str) -> str:
        places = {"content": pictures[0], "style": pictures[1], "bad": bad}
        words = [word.format(**places) if "{" in word and ":" not in word else word for word in words]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            code = main(words)
        said = capsys.readouterr().err
        lines = [line for line in said.splitlines() if line.strip()]
        assert code == 2, said
        assert 1 <= len(lines) <= 2, said
        assert lines[0].startswith("error: "), said
        assert "Traceback" not in said
        assert [str(warning.message) for warning in caught] == [], "a person would see these as well"
        for text in expected:
            assert text.format(**places) in said
        assert [path.name for path in workdir.iterdir()] == ["out.png"], "something was written"
        assert (workdir / "out.png").read_bytes() == PRECIOUS
        return said

    return run


def case(name: str, words: str, *expected: str) -> object:
    """Words after ``fit``, and what the message has to contain."""
    return pytest.param(shlex.split(words), expected, id=name)


PICTURES = [
    case("missing", "{bad}/nope.jpg {style}", "--data.content {bad}/nope.jpg: no such file"),
    case("missing style", "{content} {bad}/nope.jpg", "--data.style {bad}/nope.jpg: no such file"),
    case("missing, by flag", "{content} --data.style {bad}/nope.jpg", "--data.style {bad}/nope.jpg: no such file"),
    case("folder", "{bad} {style}", "--data.content {bad}: is a folder; give a picture file"),
    case("text", "{bad}/words.jpg {style}", "--data.content {bad}/words.jpg: not a picture", "PNG, JPEG, TIFF, WebP"),
    case("empty", "{content} {bad}/empty.png", "--data.style {bad}/empty.png: not a picture"),
    case("truncated", "{bad}/half.png {style}", "--data.content {bad}/half.png: damaged or truncated picture"),
    case("bomb", "{bad}/bomb.png {style}", "--data.content {bad}/bomb.png: too large", "16384 x 16384 pixels at most"),
    case("a pixel", "{bad}/pixel.png {style} --data.size 4", "pixel.png: is 4 x 4 pixels", "relu4_2 needs 8"),
    case("a strip", "{bad}/strip.png {style}", "--data.content {bad}/strip.png: is 512 x 7 pixels", "relu4_2 needs 8"),
    case("too small", "{content} {style} --data.size 8", "is 8 x 6 pixels at size 8; relu4_2 needs 8", "larger size"),
    case(
        "style too small",
        "{content} {style} --data.size 16 --data.style_size 8",
        "--data.style {style}: is 8 x 6",
        "needs 8",
    ),
    case("none", "", "--data.content", "no picture at all; give a content image, a style image or both"),
    case("three", "{content} {style} {style}", "{style}: not understood", "two pictures at most"),
    case("size 0", "{content} {style} --data.size 0", "--data.size 0: ", "1 or more"),
    case("size -1", "{content} {style} --data.size -1", "--data.size -1: ", "1 or more"),
    case("size 99999", "{content} {style} --data.size 99999", "--data.size 99999: makes ", "at its longer side at most"),
    case("size abc", "{content} {style} --data.size abc", "--data.size abc: give the longer side in pixels", "original"),
    case("init misspelt", "{content} {style} --model.init nosie", "--model.init nosie: ", "did you mean 'noise'?", "gray"),
    case("init no file", "{content} {style} --model.init {bad}/no.png", "--model.init {bad}/no.png: no such file"),
    case(
        "init no picture", "{content} {style} --model.init {bad}/words.jpg", "--model.init {bad}/words.jpg: not a picture"
    ),
    case("init style", "{content} --model.init style", "--model.init style: there is no style image; give one"),
    case("init blurred", "--data.style {style}", "--model.init blurred: there is no content image", "noise"),
]

FLAGS = [
    case("misspelt", "--model.style_wieght 3", "--model.style_wieght", "did you mean", "model.style_weight"),
    case("misspelt =", "--data.sise=9", "--data.sise", "did you mean", "data.size"),
    case("misspelt top", "--outptu a.png", "--outptu", "did you mean", "output"),
    case("trainer", "--trainer.max_stpes 3", "--trainer.max_stpes", "did you mean", "trainer.max_steps"),
    case("without section", "--style_wieght 3", "--style_wieght", "did you mean", "model.style_weight"),
    case("without section, value", "--style_weight=-3", "--model.style_weight -3.0", "0 or more"),
    case("deep, of no class", "--model.optimizer.lr 0.1", "--model.optimizer.lr 0.1", "--model.learning_rate"),
    case("deep, of a class", "--model.optimizer SGD --model.optimizer.lrr 1", "--model.optimizer.lrr 1: SGD has no such"),
    case(
        "deep value", "'--model.optimizer={class_path: SGD, init_args: {lr: abc}}'", "--model.optimizer.lr abc: give a num"
    ),
    case("scales", "--model.scales 3", "--model.scales 3: give auto, none, or a list such as"),
    case("scales part", "'--model.scales=[{size: 0.5}]'", "--model.scales: steps is missing; give auto"),
    case("color", "--data.color blue", "--data.color blue: give one of style, luminance, match"),
    case("bool", "--model.compile maybe", "--model.compile maybe: give true or false"),
    case("features", "--model.features vgg19", "--model.features vgg19: give its parts"),
    case("no value", "--model.style_weight", "--model.style_weight", "expected one argument"),
    case("not a number", "--model.style_weight abc", "--model.style_weight", "abc", "float"),
    case("content_weight -1", "--model.content_weight -1", "--model.content_weight -1", "0 or more"),
    case("style_weight -1", "--model.style_weight=-1", "--model.style_weight -1", "0 or more"),
    case("tv_weight -1", "--model.tv_weight -0.5", "--model.tv_weight -0.5", "0 or more"),
    case("weight nan", "--model.style_weight nan", "--model.style_weight", "nan"),
    case("weight .nan", "--model.style_weight .nan", "--model.style_weight nan: ", "0 or more"),
    case("weight .inf", "--model.tv_weight .inf", "--model.tv_weight inf: ", "0 or more"),
    case("weights 0", "--model.content_weight 0 --model.style_weight 0", "--model.style_weight 0", "nothing"),
    case(
        "no term",
        "--data.style null --model.content_weight 0",
        "--data.style",
        "no style image",
        "weight of the other term is 0",
    ),
    case("layer weights 0", "'--model.content_layers={conv_4: 0}' '--model.style_layers={conv_1: 0}'", "_layers", "0"),
    case("layer weight -1", "'--model.style_layers={conv_1: -1}'", "--model.style_layers conv_1: -1", "0 or more"),
    case("layer weight nan", "'--model.style_layers={conv_1: .nan}'", "--model.style_layers conv_1: nan"),
    case("max_steps 0", "--trainer.max_steps 0", "--trainer.max_steps 0: ", "1 or more"),
    case("max_steps -1", "--trainer.max_steps=-1", "--trainer.max_steps -1: ", "1 or more"),
    case("max_steps -2", "--trainer.max_steps=-2", "--trainer.max_steps", "-2"),
    case("every_n_steps 0", "--log.every_n_steps 0", "--log.every_n_steps 0: ", "1 or more"),
    case("seed", "--seed_everything=-1", "--seed_everything", "-1"),
    case("accelerator", "--trainer.accelerator foo", "foo", "cpu"),
    case("strategy", "--trainer.strategy foo", "--trainer.strategy foo: "),
    case("profiler", "--trainer.profiler foo", "--trainer.profiler foo: ", "simple"),
    case("max_time", "--trainer.max_time 5", "--trainer.max_time 5: ", "DD:HH:MM:SS"),
    case("devices", "--trainer.devices abc", "--trainer.devices abc: "),
    case("too many devices", "--trainer.accelerator cpu --trainer.devices 9999", "--trainer.devices 9999: ", "at most"),
    case("two of another kind", "--trainer.devices 2 --trainer.strategy ddp", "--trainer.strategy ddp: ", "tiles"),
    case("no batches", "--trainer.limit_train_batches 0", "--trainer.limit_train_batches 0: above 0"),
    case("no epochs", "--trainer.max_epochs 0", "--trainer.max_epochs 0: a run is one epoch"),
    case("logger", "--trainer.logger nosuch", "--trainer.logger nosuch: give true, false, or the class path of a logger"),
    case("no logger", "--trainer.logger torch.nn.Linear", "--trainer.logger torch.nn.Linear: give true"),
    case("wandb", "--trainer.logger WandbLogger", "--trainer.logger WandbLogger: the package wandb is not installed"),
    case("mlflow", "--trainer.logger MLFlowLogger", "--trainer.logger MLFlowLogger: the package mlflow is not installed"),
    case("comet", "--trainer.logger CometLogger", "--trainer.logger CometLogger: the package comet-ml is not installed"),
    case("callback", "--trainer.callbacks nosuch", "--trainer.callbacks nosuch: give the class path of a callback"),
    case("callback's part", "--trainer.callbacks EarlyStopping", "--trainer.callbacks EarlyStopping: needs monitor"),
    case("callback's flag", "--trainer.callbacks Timer --trainer.callbacks.foo 3", "--trainer.callbacks.foo 3: Timer has"),
    case("timer", "--trainer.callbacks Timer --trainer.callbacks.duration abc", "--trainer.callbacks Timer: ", "DD:HH"),
]

LAYERS = [
    case("unknown", "--model.style_layers cnv_4", "--model.style_layers cnv_4: ", "did you mean 'conv_4'?"),
    case("listed", "--model.content_layers cnv_4", "conv_1 to conv_13", "conv1_1, conv1_2, conv2_1", "pool5"),
    case("in a list", "--model.style_layers conv_1 relu44_1", "--model.style_layers relu44_1", "'relu4_1'"),
    case("in a map", "'--model.style_layers={conv_99: 1}'", "--model.style_layers conv_99: no such layer"),
    case("vgg16 conv_16", "--model.content_layers conv_16", "conv_16: vgg16 has no", "conv_1 to conv_13"),
    case("vgg16 relu5_4", "--model.style_layers relu5_4", "relu5_4: vgg16 has no", "conv1_1 to conv5_3"),
    case(
        "vgg11 conv_9",
        "--model.features.arch vgg11 --model.features.weights random --model.style_layers conv_9",
        "--model.style_layers conv_9: vgg11 has no such layer (vgg13 has)",
        "conv_1 to conv_8",
    ),
    case("twice", "--model.style_layers conv_4 conv2_2", "--model.style_layers conv2_2: named twice"),
]

CONFIGS = [
    case("key", "--config {bad}/key.yaml", "model.style_wieght", "did you mean", "model.style_weight"),
    case("section", "--config {bad}/section.yaml", "modle.style_weight", "did you mean", "model.style_weight"),
    case("deep", "--config {bad}/deep.yaml", "model.features.arhc", "did you mean", "model.features.arch"),
    case("logger", "--config {bad}/logger.yaml", "save_dri"),
    case("value", "--config {bad}/value.yaml", "--model.style_weight", "heavy", "float"),
    case("missing", "--config {bad}/nope.yaml", "--config", "{bad}/nope.yaml", "cannot be read"),
    case("folder", "--config {bad}", "--config", "{bad}", "cannot be read"),
    case("words", "--config {bad}/words.yaml", "--config", "{bad}/words.yaml"),
    case("list", "--config {bad}/list.yaml", "--config", "{bad}/list.yaml"),
    case("empty", "--config {bad}/empty.png", "--config", "{bad}/empty.png"),
    case("syntax", "--config {bad}/syntax.yaml", "--config", "{bad}/syntax.yaml", "line 2"),
    case("a picture", "--config {content}", "--config", "{content}"),
    case("a recipe", "--recipe gaty", "--recipe gaty: ", "did you mean 'gatys'?"),
    case("long", "--config " + 300 * "a", "--config aaa", "File name too long"),
    case(
        "elsewhere",
        "--data.content null --config {bad}/elsewhere.yaml",
        "--data.content photos/a.jpg: no such file in the cur",
    ),
]

OUTPUT = [
    case("gif", "--output a.gif", "--output a.gif: the ending '.gif' is none of .png, .jpg"),
    case("no ending", "--output a", "--output a: the ending '(none)' is none of .png, .jpg"),
    case("empty name", "--output=", "--output"),
    case("below a file", "--output {content}/a.png", "--output {content}/a.png: {content} is not a folder"),
    case("/proc", "--output /proc/a.png", "--output /proc/a.png: the folder /proc cannot be written"),
    case("long", "--output " + 300 * "a" + ".png", "--output aaa", "File name too long"),
    case("16 bit jpg", "--output a.jpg --bits 16", "--output a.jpg: JPEG holds 8 bits a channel", ".png or .tif"),
    case("12 bit", "--output a.png --bits 12", "--bits", "12", "8, 16"),
    case("16 bit nothing", "--bits 16", "--bits", "--output"),
    case("not logged", "--trainer.logger false", "--output", "would be lost; give a file"),
    case(
        "logs below a file", "--trainer.default_root_dir {content}/a", "--trainer.logger {content}/a: ", "default_root_dir"
    ),
    case(
        "logs in /proc",
        "--trainer.logger CSVLogger --trainer.logger.save_dir /proc",
        "--trainer.logger /proc: ",
        "--output",
    ),
    case("checkpoints", "--checkpoint.dirpath {content}/a", "--checkpoint.dirpath {content}/a: {content} is not a folder"),
]

WEIGHTS = [
    case("keys", "{bad}/keys.safetensors", "{bad}/keys.safetensors: lacks", "features.0.weight"),
    case("keys pth", "{bad}/keys.pth", "{bad}/keys.pth: lacks the tensor features.0.weight"),
    case("list", "{bad}/list.pth", "{bad}/list.pth: not a state dict"),
    case("number", "{bad}/number.pth", "{bad}/number.pth", "features.0.weight"),
    case("shapes", "{bad}/shapes.safetensors", "has the shape (64, 3, 5, 5)", "(64, 3, 3, 3)"),
    case("damaged", "{bad}/damaged.safetensors", "{bad}/damaged.safetensors: not a safetensors"),
    case("damaged pth", "{bad}/damaged.pth", "{bad}/damaged.pth: not a state dict"),
    case("no file", "{bad}/nope.pth", "{bad}/nope.pth: no such file", "bundled"),
    case("no name", "bundeld", "bundeld: neither a file", "did you mean 'bundled'?"),
    case(
        "bundled vgg19",
        "bundled --model.features.arch vgg19",
        "bundled: the bundled weights are those of vgg16",
        "IMAGENET1K_V1",
    ),
]

PRECISION = [
    case(
        "16-mixed",
        "--trainer.precision 16-mixed --model.optimizer lbfgs",
        "16-mixed: L-BFGS cannot scale",
        "bf16-mixed",
        "adam",
    ),
    case("16-true", "--trainer.precision 16-true", "16-true: ", "use one of 32-true, bf16-mixed, 16-mixed"),
    case("bf16-true", "--trainer.precision bf16-true", "bf16-true: ", "use one of 32-true, bf16-mixed"),
    case("64-true", "--trainer.precision 64-true", "64-true: ", "use one of 32-true, bf16-mixed"),
    case("unknown", "--trainer.precision 31", "31", "32-true"),
    case("transformer-engine", "--trainer.precision transformer-engine", "transformer-engine"),
]

OPTIMIZER = [
    case("unknown", "--model.optimizer adma", "--model.optimizer", "adma", "one of lbfgs, adam"),
    case("no such class", "--model.optimizer torch.optim.Adma", "--model.optimizer", "torch.optim.Adma"),
    case("no optimizer", "--model.optimizer torch.nn.Linear", "--model.optimizer", "torch.nn.Linear"),
    case(
        "learning rate -1", "--model.optimizer torch.optim.SGD --model.optimizer.init_args.lr=-1", "--model.optimizer", "-1"
    ),
]

CHECKPOINT = [
    case("missing", "--ckpt_path {bad}/nope.ckpt", "--ckpt_path {bad}/nope.ckpt: no such file"),
    case("folder", "--ckpt_path {bad}", "--ckpt_path {bad}: "),
    case("text", "--ckpt_path {bad}/words.jpg", "--ckpt_path {bad}/words.jpg: not a checkpoint"),
    case("weights", "--ckpt_path {bad}/keys.pth", "--ckpt_path {bad}/keys.pth: not a checkpoint"),
    case("other", "--ckpt_path {bad}/other.ckpt", "other.ckpt: not a checkpoint of this program"),
    case("half", "--ckpt_path {bad}/half.ckpt", "--ckpt_path {bad}/half.ckpt: "),
]


@pytest.mark.parametrize(("words", "expected"), PICTURES)
def test_pictures(refused, words, expected):
    refused(["fit", "--output", "out.png", *words], *expected)


@pytest.mark.parametrize(("words", "expected"), FLAGS)
def test_flags(refused, words, expected):
    refused([*RUN, *words], *expected)


@pytest.mark.parametrize(("words", "expected"), LAYERS)
def test_layers(refused, words, expected):
    refused([*RUN, *words], *expected)


@pytest.mark.parametrize(("words", "expected"), CONFIGS)
def test_config_files(refused, words, expected):
    refused([*RUN, *words], *expected)


@pytest.mark.parametrize(("words", "expected"), OUTPUT)
def test_output(refused, words, expected):
    """If this fails, the picture of a long run has nowhere to go."""
    refused(["fit", "{content}", "{style}", *words], *expected)


@pytest.mark.parametrize(("words", "expected"), WEIGHTS)
def test_weights(refused, words, expected):
    refused([*RUN, "--model.features.weights", *words], "--model.features.weights ", *expected)


@pytest.mark.parametrize(("words", "expected"), PRECISION)
def test_precision(refused, words, expected):
    refused([*RUN, *words], "--trainer.precision", *expected)


@pytest.mark.parametrize(("words", "expected"), OPTIMIZER)
def test_optimizer(refused, words, expected):
    refused([*RUN, *words], *expected)


@pytest.mark.parametrize(("words", "expected"), CHECKPOINT)
def test_checkpoint(refused, words, expected):
    refused([*RUN, *words], *expected)


@pytest.mark.parametrize("words", [[], ["fitt"], ["stduy", "--config", "a.yaml"]], ids=["nothing", "misspelt", "study"])
def test_the_command(refused, words):
    said = refused(words)
    assert all(command in said for command in ("fit", "study")) or not words
    assert "fit" in said


@pytest.fixture
def fresh_weights():
    """Nothing read before is remembered, nor is what this test reads."""
    nst_lightning.network.weights._load_weights.cache_clear()
    yield
    nst_lightning.network.weights._load_weights.cache_clear()


def test_bundled_weights_with_a_wrong_checksum(refused, monkeypatch, fresh_weights):
    """If this fails, a damaged installation makes strange pictures."""
    monkeypatch.setattr(nst_lightning.network.weights, "BUNDLED_SHA256", "0" * 64)
    refused(RUN, "--model.features.weights", "SHA-256", "install the package again")


def test_bundled_weights_that_are_gone(refused, monkeypatch, fresh_weights, bad):
    monkeypatch.setattr(nst_lightning.network.weights, "BUNDLED", bad / "gone.safetensors")
    refused(RUN, "--model.features.weights", "gone.safetensors", "install the package again")


@pytest.fixture
def no_internet(tmp_path_factory, monkeypatch, fresh_weights) -> Path:
    """Torch's cache is an empty folder, returned, and there is no network, whatever the machine has."""

    def urlopen(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "urlopen", urlopen)
    cache = tmp_path_factory.mktemp("torch")
    monkeypatch.setenv("TORCH_HOME", str(cache))
    return cache


DOWNLOAD = [*RUN, "--model.features.arch=vgg19", "--model.features.weights=IMAGENET1K_V1"]


def test_download_without_network(refused, no_internet):
    """It says where the file is to be had, where to put it, and what needs no download."""
    refused(
        DOWNLOAD,
        "--model.features.weights IMAGENET1K_V1: ",
        torchvision.models.VGG19_Weights.IMAGENET1K_V1.url,
        str(no_internet / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"),
        "--model.features.weights bundled",
    )


def test_download_that_was_damaged(refused, no_internet):
    """A file in torch's cache, cut off: say which, so that it can be deleted."""
    file = no_internet / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half a download")
    refused(DOWNLOAD, "--model.features.weights IMAGENET1K_V1: ", str(file))


def test_from_the_shell(workdir):
    """The same as its own process: exit code 2 and one line."""
    words = [sys.executable, "-m", "nst_lightning", "fit", "nope.jpg", "b.jpg"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == "error: --data.content nope.jpg: no such file\n"
    assert list(workdir.iterdir()) == []
