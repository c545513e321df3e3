"""Where the weights of the VGG come from, and which input they expect.

Four sources, one form: a list of ``(kernel, bias)`` and the mean and standard deviation to normalise an RGB picture in
``[0, 1]`` with. Nothing outside this file knows that there are differences.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import safetensors
import safetensors.torch
import torch
import torchvision
from torch import Tensor

from nst_lightning.errors import BadArgument, nearest, reason
from nst_lightning.network.layers import layers_of

BUNDLED = Path(__file__).parent / "vgg16_imagenet_features.safetensors"
BUNDLED_SHA256 = "e740d222f53671ed7adb7903a819753ad00eb56aca6b070dbd7276bc033a1e9f"
CALIBRATION = tuple(Path(__file__).parent / "calibration" / name for name in ("photo.jpg", "painting.jpg"))

# (mean, std) of an RGB picture in [0, 1]
PREPROCESSING = {
    # torchvision's transforms for IMAGENET1K_V1
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # the original Caffe release: mean subtracted, 0 to 255; torchvision's transforms for IMAGENET1K_FEATURES
    "caffe": ((0.48235, 0.45882, 0.40784), (1 / 255, 1 / 255, 1 / 255)),
}

# what torch.load raises for files that are cut off or something else
UNREADABLE = (pickle.UnpicklingError, RuntimeError, OSError, EOFError, LookupError, ValueError, TypeError, AttributeError)


@dataclass(frozen=True, eq=False)
class Weights:
    """The frozen network's numbers. Two are equal only if they are one: what is made from them can be cached by them.

    Attributes:
        convolutions: ``(kernel (C_out, C_in, 3, 3), bias (C_out,))`` of every convolution, float32.
        mean: per channel of an RGB picture in ``[0, 1]``.
        std: per channel of an RGB picture in ``[0, 1]``.
    """

    convolutions: tuple[tuple[Tensor, Tensor], ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def load_weights(arch: str, source: str, preprocessing: str = "auto") -> Weights:
    """Read the convolutions of a VGG; again only when a file has changed.

    Args:
        arch: ``vgg11``, ``vgg13``, ``vgg16`` or ``vgg19``.
        source: ``bundled`` (VGG-16, part of this package), the name of a torchvision weights entry such as
            ``IMAGENET1K_V1`` (downloaded once into torchvision's cache), a ``.pth`` or ``.safetensors`` file with
            torchvision's keys, or ``random`` (He initialisation from a fixed seed; for tests).
        preprocessing: ``imagenet``, ``caffe``, or ``auto``: what the source is known to expect, ``imagenet`` for files.

    Raises:
        BadArgument: if the source does not exist, cannot be had, or does not hold this network; names
            ``features.weights``.
    """
    if preprocessing not in ("auto", *PREPROCESSING):
        raise BadArgument("features.preprocessing", preprocessing, f"one of auto, {', '.join(PREPROCESSING)}")
    stamp = Path(source).stat().st_mtime_ns if Path(source).is_file() else 0
    return _load_weights(arch, source, preprocessing, stamp)


@lru_cache(maxsize=4)
def _load_weights(arch: str, source: str, preprocessing: str, stamp: int) -> Weights:
    known = {entry.name: entry for entry in torchvision.models.get_model_weights(arch)}
    expects = "imagenet"
    if source == "bundled":
        state, expects = _read_bundled(arch), "caffe"
    elif source == "random":
        state = _random_state(arch)
    elif source in known:
        state = _read_torchvision(known[source], arch)
        expects = "caffe" if source == "IMAGENET1K_FEATURES" else "imagenet"
    elif source.endswith((".pth", ".pt", ".safetensors")):
        state = _read_file(Path(source))
    else:
        names = ["bundled", *known, "random"]
        raise BadArgument(
            "features.weights",
            source,
            f"neither a file (.pth, .safetensors) nor one of {', '.join(names)}{nearest(source, names)}",
        )
    mean, std = PREPROCESSING[expects if preprocessing == "auto" else preprocessing]
    return Weights(_convolutions(state, arch, source), mean, std)


def _shapes(arch: str) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor in torchvision's state dict of this network's convolutions."""
    shapes: dict[str, tuple[int, ...]] = {}
    channels_in = 3
    for layer in layers_of(arch):
        if layer.kind == "conv":
            shapes[f"features.{layer.position}.weight"] = (layer.channels, channels_in, 3, 3)
            shapes[f"features.{layer.position}.bias"] = (layer.channels,)
            channels_in = layer.channels
    return shapes


def _convolutions(state: dict[str, Tensor], arch: str, source: str) -> tuple[tuple[Tensor, Tensor], ...]:
    for key, shape in _shapes(arch).items():
        if not isinstance(state.get(key), Tensor):
            raise BadArgument("features.weights", source, f"lacks the tensor {key} of torchvision's {arch}")
        if tuple(state[key].shape) != shape:
            expected = f"{key} has the shape {tuple(state[key].shape)}, that of {arch} is {shape}"
            raise BadArgument("features.weights", source, expected)
        if not torch.isfinite(state[key]).all():
            raise BadArgument("features.weights", source, f"{key} holds values that are no numbers")
    positions = [layer.position for layer in layers_of(arch) if layer.kind == "conv"]
    return tuple((state[f"features.{p}.weight"].float(), state[f"features.{p}.bias"].float()) for p in positions)


def _read_bundled(arch: str) -> dict[str, Tensor]:
    if arch != "vgg16":
        raise BadArgument(
            "features.weights",
            "bundled",
            f"the bundled weights are those of vgg16, not of {arch}; for {arch} give IMAGENET1K_V1 (downloaded once), "
            "a file or random",
        )
    return _read_safetensors(BUNDLED, BUNDLED_SHA256)


def _read_safetensors(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    again = "; install the package again" if sha256 else ""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadArgument("features.weights", path, f"cannot be read ({error.strerror}){again}") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        expected = f"has not the SHA-256 {sha256[:12]}…; the file is damaged, install the package again"
        raise BadArgument("features.weights", path, expected)
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise BadArgument("features.weights", path, f"not a safetensors file that can be read ({error})") from error


def _read_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise BadArgument("features.weights", path, "no such file; `bundled` needs none")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise BadArgument("features.weights", path, f"not a state dict that torch can read ({reason(error)})") from error
    if not isinstance(state, dict):
        raise BadArgument("features.weights", path, "not a state dict: a dict from names to tensors is needed")
    return state


def _read_torchvision(entry: torchvision.models.WeightsEnum, arch: str) -> dict[str, Tensor]:
    try:
        return dict(entry.get_state_dict(progress=True, check_hash=True))
    except UNREADABLE as error:  # URLError is an OSError
        cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
        why = f"the file {cache} is damaged, delete it" if cache.exists() else str(error)
        raise BadArgument(
            "features.weights",
            entry.name,
            f"cannot be loaded ({why}). Put {entry.url} into {cache}, "
            f"or use `--model.features.weights bundled` with arch vgg16, which needs no download",
        ) from error


def _random_state(arch: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in _shapes(arch).items():
        # He et al. 2015, equation 10: the variance of the activations stays the same from layer to layer
        deviation = (2 / (shape[1] * 9)) ** 0.5 if len(shape) == 4 else 0.0
        state[key] = torch.randn(shape, generator=generator) * deviation
    return state
