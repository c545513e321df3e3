"""VGGFeatures against torchvision's own networks, and the sources that its weights come from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from nst_lightning.errors import BadArgument
from nst_lightning.network import weights
from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.layers import Layer, find_layer, layers_of
from nst_lightning.network.weights import BUNDLED, BUNDLED_SHA256, CALIBRATION, load_weights
from nst_lightning.pictures.read import read_image
from tests.arithmetic import assert_features_close

CONFIGURATION = {"vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}  # as torchvision calls them
README = Path(weights.__file__).with_name("README.md")
PICTURE = torch.rand(1, 3, 37, 50, generator=torch.Generator().manual_seed(1))  # odd sizes: pooling drops a row


@pytest.fixture(autouse=True)
def fresh_weights():
    """No test sees the weights that another has read."""
    weights._load_weights.cache_clear()
    yield
    weights._load_weights.cache_clear()


def torchvision_network(arch: str) -> nn.Sequential:
    """torchvision's convolutions with random kernels and biases, rounded to half precision."""
    network = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs[CONFIGURATION[arch]])
    generator = torch.Generator().manual_seed(2)
    for module in network:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.uniform_(module.bias, -0.5, 0.5, generator=generator)
    return network.half().float().requires_grad_(False)


def state_dict(network: nn.Sequential) -> dict[str, Tensor]:
    """The state dict of torchvision's whole network, in half precision to be written fast."""
    return {f"features.{key}": value.half() for key, value in network.state_dict().items()}


def torchvision_features(network: nn.Sequential, transforms, picture: Tensor) -> list[Tensor]:
    """The output of every module, for a picture normalised as torchvision's transforms for these weights say."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (transforms.mean, transforms.std))
    x, outputs = (picture - mean) / std, []
    for module in network:
        x = module(x)
        outputs.append(x.clone())  # the ReLUs work in place
    return outputs


def assert_one_factor_per_layer(found: dict[Layer, Tensor], expected: list[Tensor]) -> None:
    """Every layer is a positive multiple of torchvision's, the same for all its values; ReLU and pooling keep it."""
    factors: dict[int, float] = {}
    for layer, features in found.items():
        reference = expected[layer.position]
        factor = ((features * reference).sum() / reference.square().sum()).item()
        assert factor > 0
        assert factor == pytest.approx(factors.setdefault(layer.count, factor), rel=1e-3)
        torch.testing.assert_close(features, factor * reference, rtol=1e-3, atol=1e-4 * features.abs().max().item())


# ---- the numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arch", "ending"), [("vgg11", ".pth"), ("vgg13", ".safetensors"), ("vgg16", ".pth")])
def test_features_are_torchvisions_up_to_one_factor_per_layer(arch, ending, tmp_path):
    """If this fails, a layer is computed wrong: kernel, bias, order, padding, normalisation or rescaling."""
    network, path = torchvision_network(arch), tmp_path / f"weights{ending}"
    save = torch.save if ending == ".pth" else safetensors.torch.save_file
    save(state_dict(network), path)
    found = VGGFeatures(layers_of(arch), VGGSettings(arch, str(path), padding="zeros"))(PICTURE)
    assert list(found) == list(layers_of(arch))
    transforms = torchvision.models.get_model_weights(arch).IMAGENET1K_V1.transforms()
    assert_one_factor_per_layer(found, torchvision_features(network, transforms, PICTURE))


def test_preprocessing_of_a_file_can_be_chosen(tmp_path):
    """If this fails, a Caffe network read from a file sees the wrong input."""
    network = torchvision_network("vgg11")
    torch.save(state_dict(network), tmp_path / "caffe.pth")
    settings = VGGSettings("vgg11", str(tmp_path / "caffe.pth"), preprocessing="caffe", padding="zeros")
    transforms = torchvision.models.VGG16_Weights.IMAGENET1K_FEATURES.transforms()
    found = VGGFeatures(layers_of("vgg11"), settings)(PICTURE)
    assert_one_factor_per_layer(found, torchvision_features(network, transforms, PICTURE))


@pytest.mark.parametrize("settings", [VGGSettings(), VGGSettings("vgg19", "random")])
def test_mean_activation_over_the_calibration_pictures_is_one(settings):
    """If this fails, a weight means something else for every layer and network."""
    relus = [layer for layer in layers_of(settings.arch) if layer.kind == "relu"]
    features = VGGFeatures(relus, settings)
    pictures = [features(read_image(path).rgb[None]) for path in CALIBRATION]
    for layer in relus:
        mean = sum(picture[layer].mean().item() for picture in pictures) / len(pictures)
        assert mean == pytest.approx(1, abs=1e-3), layer.name


def test_features_do_not_depend_on_what_else_is_wanted():
    """If this fails, a ReLU in place overwrites a layer that somebody wants, or the deepest one has another scale."""
    settings, layers = VGGSettings("vgg13", "random"), layers_of("vgg13")[:8]
    together = VGGFeatures(layers, settings)(PICTURE)
    for layer in layers:
        alone = VGGFeatures([layer], settings)(PICTURE)
        assert list(alone) == [layer]
        assert_features_close(alone[layer], together[layer])


def test_nothing_is_computed_beyond_the_deepest_layer():
    """If this fails, shallow layers cost as much as deep ones."""
    features = VGGFeatures([find_layer("conv2_1", "vgg16")], VGGSettings("vgg16", "random"))
    assert [layer.name for layer in features.layers][-2:] == ["pool1", "conv2_1"]
    assert len([name for name, _ in features.named_buffers() if name.startswith("kernel_")]) == 3


def test_input_is_left_alone_and_the_gradient_reaches_it():
    """If this fails, computing features changes the image, or there is nothing to optimise it with."""
    features = VGGFeatures([find_layer("relu1_1", "vgg11"), find_layer("pool2", "vgg11")], VGGSettings("vgg11", "random"))
    image = PICTURE.clone().requires_grad_()
    sum(value.sum() for value in features(image).values()).backward()
    assert torch.equal(image, PICTURE)
    assert image.grad.abs().min() > 0


# ---- a part of the module, but no parameter of it --------------------------------------------------------------------


def test_nothing_is_a_parameter_or_in_the_state_dict():
    """If this fails, the network is trained, or 30 MB of it are in every checkpoint."""
    features = VGGFeatures([find_layer("conv_2", "vgg11")], VGGSettings("vgg11", "random"))
    assert not list(features.parameters())
    assert not features.state_dict()
    assert all(not buffer.requires_grad for buffer in features.buffers())


def test_weights_follow_the_type_after_they_were_used():
    """If this fails, the copy of the weights made for autocast outlives a move to another type or device."""
    layer = find_layer("conv_2", "vgg11")
    features = VGGFeatures([layer], VGGSettings("vgg11", "random"))
    before = features(PICTURE)[layer]
    after = features.double()(PICTURE.double())[layer]
    assert after.dtype == torch.float64
    assert_features_close(after.float(), before)


def test_loading_again_gives_the_same_features():
    """If this fails, the rescaling of one network is done to the weights that the next one starts from."""
    layer = find_layer("conv_4", "vgg11")
    first, second = (VGGFeatures([layer], VGGSettings("vgg11", "random")) for _ in range(2))
    assert torch.equal(first(PICTURE)[layer], second(PICTURE)[layer])


# ---- half precision --------------------------------------------------------------------------------------------------


def test_bf16_under_autocast():
    """If this fails, bf16-mixed computes in float32 (slow) or something else than float32 does (wrong)."""
    layers = [find_layer(name, "vgg16") for name in ("conv1_1", "relu2_1", "pool3", "conv4_2")]
    features = VGGFeatures(layers)
    image = read_image(CALIBRATION[0]).rgb[None, :, :64, :64].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        half = features(image)
    half[layers[-1]].float().sum().backward()
    assert image.grad.dtype == torch.float32
    for layer, reference in features(image).items():
        assert half[layer].dtype == torch.bfloat16
        assert reference.dtype == torch.float32
        error = (half[layer].float() - reference).norm() / reference.norm()
        assert error < 0.02, layer.name


def test_looking_in_inference_mode_does_not_stop_the_training():
    """If this fails, features computed once under inference_mode make every later gradient an error."""
    layer = find_layer("conv_2", "vgg11")
    features = VGGFeatures([layer], VGGSettings("vgg11", "random"))
    with torch.autocast("cpu", torch.bfloat16):
        with torch.inference_mode():
            features(PICTURE)
        image = PICTURE.clone().requires_grad_()
        features(image)[layer].float().sum().backward()
    assert image.grad.abs().sum() > 0


# ---- where the weights come from -------------------------------------------------------------------------------------


def test_bundled_weights_are_the_published_ones():
    """If this fails, the file holds another network, or its input channels are in another order."""
    quoted = re.search(r"published ones \(([^…]*), …\)", README.read_text(encoding="utf-8"))
    published = [float(number.replace("−", "-")) for number in quoted[1].split(", ")]
    assert published == [0.42947057, 0.373467, -0.06136011]
    # the first row of the first kernel for Keras' first channel, which is blue, as in Caffe
    kernel, _ = load_weights("vgg16", "bundled").convolutions[0]
    torch.testing.assert_close(kernel[0, 2, 0], torch.tensor(published), rtol=1e-3, atol=0)
    rescaled = VGGFeatures([find_layer("conv1_1", "vgg16")]).kernel_1[0, 2, 0]
    torch.testing.assert_close(rescaled / rescaled[0], torch.tensor(published) / published[0], rtol=1e-3, atol=0)


def test_bundled_weights_expect_the_input_that_torchvision_documents():
    """If this fails, the bundled network sees a picture of the wrong range or colours."""
    transforms = torchvision.models.VGG16_Weights.IMAGENET1K_FEATURES.transforms()
    bundled = load_weights("vgg16", "bundled")
    assert bundled.mean == pytest.approx(transforms.mean)
    assert bundled.std == pytest.approx(transforms.std)


def test_bundled_checksum():
    """If this fails, the file, the code and the README do not speak of the same weights."""
    assert hashlib.sha256(BUNDLED.read_bytes()).hexdigest() == BUNDLED_SHA256
    assert BUNDLED_SHA256 in README.read_text(encoding="utf-8")


def test_damaged_bundled_weights_are_refused(tmp_path, monkeypatch):
    """If this fails, one wrong byte in the file gives another picture without a word."""
    data = bytearray(BUNDLED.read_bytes())
    data[-1] ^= 1
    (tmp_path / BUNDLED.name).write_bytes(data)
    monkeypatch.setattr(weights, "BUNDLED", tmp_path / BUNDLED.name)
    with pytest.raises(BadArgument, match="SHA-256"):
        load_weights("vgg16", "bundled")


@pytest.mark.parametrize(("arch", "name"), [("vgg19", "IMAGENET1K_V1"), ("vgg16", "IMAGENET1K_FEATURES")])
def test_torchvision_names_load_through_torchvisions_cache(arch, name, tmp_path, monkeypatch):
    """If this fails, torchvision's weights are downloaded again, misread, or given the wrong input."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", None)  # no download
    entry = torchvision.models.get_model_weights(arch)[name]
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    network = torchvision_network(arch)
    torch.save(state_dict(network), cache / Path(entry.url).name)
    wanted = [find_layer(layer, arch) for layer in ("conv1_1", "relu2_2", "pool4", "conv5_3")]
    found = VGGFeatures(wanted, VGGSettings(arch, name, padding="zeros"))(PICTURE)
    assert_one_factor_per_layer(found, torchvision_features(network, entry.transforms(), PICTURE))


def test_random_weights_are_the_same_every_time():
    """If this fails, a test with random weights is not reproducible."""
    first = load_weights("vgg11", "random").convolutions
    weights._load_weights.cache_clear()
    torch.manual_seed(99)
    assert all(
        torch.equal(a, b) for (a, _), (b, _) in zip(first, load_weights("vgg11", "random").convolutions, strict=True)
    )


def test_a_file_written_anew_is_read_anew(tmp_path):
    """If this fails, weights changed on disk in one session (a notebook) are silently the old ones."""
    path, network = tmp_path / "weights.pth", torchvision_network("vgg11")
    torch.save(state_dict(network), path)
    load_weights("vgg11", str(path))
    network[0].weight.mul_(2)
    torch.save(state_dict(network), path)
    kernel, _ = load_weights("vgg11", str(path)).convolutions[0]
    assert torch.equal(kernel, network[0].weight)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (("vgg12", "random"), "features.arch"),
        (("vgg19", "bundled"), "features.weights"),
        (("vgg11", "IMAGENET1K_FEATURES"), "features.weights"),
        (("vgg11", "nowhere.pth"), "features.weights"),
        (("vgg11", "random", "cafe"), "features.preprocessing"),
        (("vgg11", "random", "auto", "median"), "features.pooling"),
    ],
    ids=str,
)
def test_what_cannot_be_had_names_the_argument(settings, name):
    """If this fails, a wrong setting ends in a traceback that does not say which one."""
    with pytest.raises(BadArgument) as error:
        VGGFeatures([layers_of("vgg11")[0]], VGGSettings(*settings))
    assert error.value.name == name


@pytest.mark.parametrize("damage", ["missing key", "wrong shape", "not a dict", "not a file of torch's", "empty file"])
def test_file_that_is_not_this_network_is_refused(damage, tmp_path):
    """If this fails, a wrong weights file ends in a traceback or in a wrong picture."""
    path, state = tmp_path / "weights.pth", state_dict(torchvision_network("vgg11"))
    if damage == "missing key":
        del state["features.3.bias"]
    elif damage == "wrong shape":
        state["features.3.weight"] = torch.zeros(128, 64, 1, 1)
    torch.save([1, 2] if damage == "not a dict" else state, path)
    if damage == "not a file of torch's":
        path.write_bytes(b"<html>404</html>")
    elif damage == "empty file":
        path.write_bytes(b"")
    with pytest.raises(BadArgument, match=r"features\.weights"):
        load_weights("vgg11", str(path))
