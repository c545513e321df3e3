"""The frozen VGG: from a picture to its features at named layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Protocol, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning.errors import BadArgument
from nst_lightning.network.frozen import PLACE, POSITIVE, convolve, cut, max_pool
from nst_lightning.network.layers import Layer, layers_of
from nst_lightning.network.padding import pad
from nst_lightning.network.weights import CALIBRATION, Weights, load_weights
from nst_lightning.pictures.read import read_image

Arch = Literal["vgg11", "vgg13", "vgg16", "vgg19"]
Preprocessing = Literal["auto", "imagenet", "caffe"]
Pooling = Literal["max", "average", "l2"]
Padding = Literal["zeros", "replicate", "reflect", "circular"]

# Numbers kept by torch's own functions for each of a pooling's output beside what goes in: squares of it, and their root.
OTHERS = {"average": 0, "l2": 5}


@dataclass(frozen=True)
class VGGSettings:
    """Which frozen network to compute features with.

    Args:
        arch: the network: vgg11, vgg13, vgg16 or vgg19.
        weights: `bundled` (VGG-16, needs no download), a torchvision weights name such as IMAGENET1K_V1 (downloaded
            once), a file with torchvision's keys (.pth or .safetensors), or `random` (for tests).
        preprocessing: the input that the weights expect: `imagenet` (torchvision's mean and std), `caffe` (mean
            subtracted, 0 to 255), or `auto`: what the source is known to expect, `imagenet` for a file.
        pooling: between the blocks: `max` as trained, `average` or `l2` (smoother pictures), the activations' scale kept.
        padding: of the first convolution: `zeros` as trained (leaves a frame), `replicate`, `reflect`; `circular` pads
            all convolutions, so that the picture's opposite edges continue each other.
        scale: `unit` rescales each layer to a mean activation of 1, so that a loss weight means the same for every layer
            and network; `raw` leaves the activations as trained.
    """

    arch: Arch = "vgg16"
    weights: str = "bundled"
    preprocessing: Preprocessing = "auto"
    pooling: Pooling = "max"
    padding: Padding = "replicate"
    scale: Literal["unit", "raw"] = "unit"

    def __post_init__(self) -> None:
        """Refuse what the annotations do not allow, which only the command line checks."""
        kinds = {"arch": Arch, "preprocessing": Preprocessing, "pooling": Pooling, "padding": Padding}
        for name, kind in {**kinds, "scale": Literal["unit", "raw"]}.items():
            if getattr(self, name) not in get_args(kind):
                raise BadArgument(f"features.{name}", getattr(self, name), f"one of {', '.join(get_args(kind))}")


class Crop(Protocol):
    """A crop of a picture, where that matters to the network."""

    @property
    def seams(self) -> tuple[int, int]:
        """How many of its rows and columns lie before the end of a circular picture that goes on at its beginning; or 0."""

    def cut(self, level: int) -> tuple[slice, slice]:
        """Which of the rows and columns that the pooling number ``level`` gives are looked at further."""


class VGGFeatures(nn.Module):
    """Features of a frozen VGG, at one scale whatever the weights.

    A network of convolutions and ReLUs is positively homogeneous: scale a kernel and its bias by k, and every activation
    behind it scales by k. So each convolution is rescaled once, here, to a mean activation of 1 after its ReLU over two
    calibration pictures (Gatys et al. 2016, section 2, do the same per channel over ImageNet). One factor for a whole
    layer leaves the picture of a single-layer loss unchanged, and makes a weight mean the same for every layer and network.

    The weights are buffers outside the state dict: nothing here is a parameter, nothing of it is in a checkpoint, and
    it follows the device. Under autocast the convolutions run in the autocast type with weights cast once.

    Args:
        layers: the layers to return; the network is not computed beyond the deepest.
        settings: network, weights and preprocessing.

    Raises:
        BadArgument: if the weights cannot be had (see :func:`nst_lightning.network.weights.load_weights`).

    >>> from nst_lightning.network.layers import find_layer
    >>> features = VGGFeatures([find_layer("conv_1", "vgg11")], VGGSettings("vgg11", "random"))
    >>> [tuple(f.shape) for f in features(torch.rand(1, 3, 16, 24)).values()]
    [(1, 64, 16, 24)]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: Iterable[Layer], settings: VGGSettings = VGGSettings()) -> None:
        super().__init__()
        self.every = frozenset(layers)
        deepest = max(self.every)
        self.network = [layer for layer in layers_of(settings.arch) if layer <= deepest]
        self.settings = settings
        self.narrow(self.every)
        weights = load_weights(settings.arch, settings.weights, settings.preprocessing)
        self.register_buffer("mean", torch.tensor(weights.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(weights.std).view(1, 3, 1, 1), persistent=False)
        for number, (kernel, bias) in enumerate(weights.convolutions[: deepest.count], start=1):
            # channels_last: 0.18 s instead of 0.27 s for a pass at 256 px on two cores
            self.register_buffer(f"kernel_{number}", kernel.clone(memory_format=torch.channels_last), persistent=False)
            self.register_buffer(f"bias_{number}", bias.clone(), persistent=False)
        self._cast: dict[torch.dtype, list[tuple[Tensor, Tensor]]] = {}
        if settings.scale == "unit":
            self._calibrate()

    def narrow(self, layers: Iterable[Layer]) -> None:
        """Compute only some of the layers from now on, and nothing beyond the deepest of them.

        Args:
            layers: of those that the network was made for; if there is none, all.

        Raises:
            ValueError: for another one.
        """
        self.wanted = frozenset(layers) or self.every
        if not self.wanted <= self.every:
            raise ValueError(f"the network was made for {sorted(layer.name for layer in self.every)}")
        self.layers = [layer for layer in self.network if layer <= max(self.wanted)]

    def _convolutions(self, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
        """The weights as ``dtype``, cast once: autocast's own cache does not hold tensors without gradient."""
        if dtype not in self._cast:
            count = max(self.every).count
            with torch.inference_mode(False):  # made in a validation, they are used in training too
                self._cast[dtype] = [
                    (getattr(self, f"kernel_{n}").to(dtype), getattr(self, f"bias_{n}").to(dtype))
                    for n in range(1, count + 1)
                ]
        return self._cast[dtype]

    def _apply(self, *args, **kwargs):
        self._cast.clear()  # moved to another device or type
        return super()._apply(*args, **kwargs)

    @torch.no_grad()
    def _calibrate(self) -> None:
        """Rescale every convolution to a mean activation of 1 after its ReLU."""
        before = 1.0
        weights = load_weights(self.settings.arch, self.settings.weights, self.settings.preprocessing)
        for number, scale in enumerate(_scales(weights, max(self.wanted), self.settings), start=1):
            # its input is `before` times what it was trained on
            getattr(self, f"kernel_{number}").mul_(scale / before)
            getattr(self, f"bias_{number}").mul_(scale)
            before = scale

    def activations(self, pictures: Iterable[Tensor]) -> Iterator[float]:
        """The mean of each convolution's output after its ReLU over some pictures, one layer after the other.

        Args:
            pictures: ``(1, 3, H, W)`` each, as for ``forward``.
        """
        found = [self._normalize(picture) for picture in pictures]
        for layer in self.layers:
            if layer.kind == "conv":
                kernel, bias = getattr(self, f"kernel_{layer.count}"), getattr(self, f"bias_{layer.count}")
                found = [self._convolve(picture, kernel, bias, layer, layer) for picture in found]
                yield sum(picture.relu().mean().item() for picture in found) / len(found)
            else:
                found = [F.relu(picture) if layer.kind == "relu" else self._pool(picture) for picture in found]

    def _together(self, layers: Sequence[Layer], seams: tuple[int, int]) -> Sequence[Layer]:
        """The layers, from the first of some, of which nobody holds anything but the last one's output."""
        count = 1
        if layers[0].kind == "conv":
            for layer in layers[1:3]:
                apart = layer.kind == "pool" and (self.settings.pooling != "max" or any(before % 2 for before in seams))
                if layers[count - 1] in self.wanted or layer.kind == "conv" or apart:
                    break
                count += 1
        return layers[:count]

    def bytes_kept(self, itemsize: int) -> float:
        """What a pass with gradient keeps for each pixel of the picture until it was carried back.

        Args:
            itemsize: bytes of a number in the type of computation.
        """
        kept, layers, held = 0.0, self.layers, False
        while layers:
            together = self._together(layers, (0, 0))
            layers = layers[len(together) :]
            first, last = together[0], together[-1]
            values = last.channels / 4**last.pools_before
            if last.kind == "pool":
                other = self.settings.pooling != "max"
                kept += values * (itemsize * (OTHERS[self.settings.pooling] + 4 * (not held)) if other else PLACE)
            held = last in self.wanted or first.kind == "relu"  # torch's own ReLU keeps its output
            if held or last.kind == "conv":
                kept += values * itemsize
            elif first.kind == "conv":
                kept += values * POSITIVE
        return kept

    def _convolve(self, x: Tensor, kernel: Tensor, bias: Tensor, layer: Layer, last: Layer) -> Tensor:
        """A convolution, and what follows it up to ``last``."""
        mode = self.settings.padding
        padding = 1
        if mode != "zeros" and (layer.count == 1 or mode == "circular"):
            x, padding = pad(x, (1, 1, 1, 1), mode), 0
        rectified, pooled = last.kind != "conv", last.kind == "pool"
        return convolve(x, kernel, bias, padding, rectified=rectified, pooled=pooled, kept=last in self.wanted)

    def _pool(self, x: Tensor) -> Tensor:
        """Halve the size. The factors keep the activations' scale (crowsonkb/style-transfer-pytorch)."""
        if self.settings.pooling == "max":
            return max_pool(x)
        if self.settings.pooling == "average":
            return 2.0 * F.avg_pool2d(x, 2)
        # the root of the sum of four squares; without the constant its gradient at 0 is not a number
        return 0.78 * (4 * F.avg_pool2d(x.square(), 2) + 1e-8).sqrt()

    def _normalize(self, image: Tensor) -> Tensor:
        return ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    @staticmethod
    def dtype_for(image: Tensor) -> torch.dtype:
        """The type of computation for an image: that of autocast where it is on."""
        device = image.device.type
        return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else image.dtype

    def forward(self, image: Tensor, crop: Crop | None = None, deepest: Layer | None = None) -> dict[Layer, Tensor]:
        """Compute the features.

        Args:
            image: ``(B, 3, H, W)``, RGB in ``[0, 1]`` (values outside are allowed).
            crop: of a larger picture, if it is one. Over the end of a circular picture and on at its beginning, the
                picture's last line, which a pooling of an odd side drops, lies in the middle: it is removed there.
            deepest: stop at this layer; None computes all.

        Returns:
            For every wanted layer up to ``deepest`` its features ``(B, C, H', W')`` in the type of computation.
        """
        dtype = self.dtype_for(image)
        layers = [layer for layer in self.layers if deepest is None or layer <= deepest]
        seams = (0, 0) if crop is None else crop.seams
        with torch.autocast(image.device.type, enabled=False):
            convolutions = self._convolutions(dtype)
            x = self._normalize(image).to(dtype)
            features: dict[Layer, Tensor] = {}
            while layers:
                together = self._together(layers, seams)
                layers = layers[len(together) :]
                first, last = together[0], together[-1]
                if first.kind == "conv":
                    x = self._convolve(x, *convolutions[first.count - 1], first, last)
                elif first.kind == "relu":
                    x = F.relu(x)  # somebody holds the convolution's output
                else:
                    x = self._pool(_close_seams(x, seams))
                if last.kind == "pool":
                    seams = (seams[0] // 2, seams[1] // 2)
                    if crop is not None:
                        x = cut(x, *crop.cut(last.block))
                if last in self.wanted:
                    features[last] = x
        return features


@lru_cache(maxsize=16)  # the cells of a study share it
def _scales(weights: Weights, deepest: Layer, settings: VGGSettings) -> tuple[float, ...]:
    """By what each convolution's activations are multiplied, so that their mean over the calibration pictures is 1.

    Args:
        weights: those of the settings; read again, they have other scales.
        deepest: as far as the network goes.
        settings: of the network.
    """
    network = VGGFeatures([deepest], replace(settings, scale="raw"))
    pictures = [read_image(path).rgb[None] for path in CALIBRATION]
    return tuple(1 / (mean + 1e-12) for mean in network.activations(pictures))


def _close_seams(x: Tensor, seams: tuple[int, int]) -> Tensor:
    """Remove the line before a seam where an odd number of lines lies before it: the pooling of the whole drops it.

    Crops begin at a multiple of the total stride, so the number before the seam is odd where the whole side is.
    """
    for dim, before in zip((2, 3), seams, strict=True):
        if before % 2:
            x = torch.cat([x.narrow(dim, 0, before - 1), x.narrow(dim, before, x.shape[dim] - before)], dim)
    return x
