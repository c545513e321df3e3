"""The layers of the VGG networks and their names.

Simonyan and Zisserman, *Very deep convolutional networks for large-scale image recognition*, ICLR 2015, table 1:
configurations A (VGG-11), B (VGG-13), D (VGG-16) and E (VGG-19). Each is five blocks of 3x3 convolutions, every
convolution followed by a ReLU and every block by a pooling that halves the size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from nst_lightning.errors import BadArgument, nearest

CONVOLUTIONS_PER_BLOCK = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
CHANNELS_PER_BLOCK = (64, 128, 256, 512, 512)


@dataclass(frozen=True, order=True)
class Layer:
    """One place in the network, as deep as its ``position``.

    Attributes:
        position: index in torchvision's ``features``, which is also the order of computation.
        kind: ``"conv"`` (before the ReLU), ``"relu"`` or ``"pool"``.
        count: how many convolutions lie at or before it, from the input: the 4 of ``conv_4``.
        block: the block, from 1: the first 2 of ``conv2_2``.
        index: the convolution within the block, from 1: the second 2 of ``conv2_2``.
        channels: number of feature maps.
    """

    position: int
    kind: str
    count: int
    block: int
    index: int
    channels: int

    @property
    def sequential_name(self) -> str:
        """``conv_4``, ``relu_4``, ``pool_4``: counted over the whole network."""
        return f"{self.kind}_{self.count}"

    @property
    def name(self) -> str:
        """``conv2_2``, ``relu2_2``, ``pool2``: the name in the papers."""
        return f"pool{self.block}" if self.kind == "pool" else f"{self.kind}{self.block}_{self.index}"

    @property
    def pools_before(self) -> int:
        """How often the size has been halved here; the layer sees pictures of ``2 ** pools_before`` pixels or more."""
        return self.block if self.kind == "pool" else self.block - 1


@lru_cache
def layers_of(arch: str) -> tuple[Layer, ...]:
    """All layers of a network, from the input to the last pooling.

    >>> [layer.name for layer in layers_of("vgg16")[:5]]
    ['conv1_1', 'relu1_1', 'conv1_2', 'relu1_2', 'pool1']
    """
    table: list[Layer] = []
    count = 0
    for block, convolutions in enumerate(CONVOLUTIONS_PER_BLOCK[arch], start=1):
        channels = CHANNELS_PER_BLOCK[block - 1]
        for index in range(1, convolutions + 1):
            count += 1
            for kind in ("conv", "relu"):
                table.append(Layer(len(table), kind, count, block, index, channels))
        table.append(Layer(len(table), "pool", count, block, convolutions, channels))
    return tuple(table)


def find_layer(name: str, arch: str, argument: str = "layer") -> Layer:
    """The layer that has ``name``, in either convention; ``conv_last`` is the deepest convolution of the network.

    >>> find_layer("conv_4", "vgg16").name
    'conv2_2'
    >>> find_layer("pool2", "vgg19").sequential_name
    'pool_4'
    >>> find_layer("conv_last", "vgg19").sequential_name
    'conv_16'

    Raises:
        BadArgument: if ``arch`` has no such layer; names the nearest and all of them.
    """
    table = {alias: layer for layer in layers_of(arch) for alias in (layer.sequential_name, layer.name)}
    convolutions = [layer for layer in layers_of(arch) if layer.kind == "conv"]
    table["conv_last"] = convolutions[-1]
    if name in table:
        return table[name]
    for other in CONVOLUTIONS_PER_BLOCK:
        if any(name in (layer.sequential_name, layer.name) for layer in layers_of(other)):
            expected = (
                f"{arch} has no such layer ({other} has); its convolutions are "
                f"conv_1 to {convolutions[-1].sequential_name}, or conv1_1 to {convolutions[-1].name}"
            )
            raise BadArgument(argument, name, expected)
    raise BadArgument(
        argument,
        name,
        f"no such layer{nearest(name, table) or '.'} {arch} has conv_1 to {convolutions[-1].sequential_name} "
        f"({', '.join(layer.name for layer in convolutions)}), relu_* or relu*_* after each, and pool1 to pool5",
    )


def layer_weights(layers: str | Iterable[str] | Mapping[str, float], arch: str, argument: str) -> dict[Layer, float]:
    """Turn the argument ``content_layers`` or ``style_layers`` into a table of weights.

    Args:
        layers: a name, or names, which share a weight of 1 equally, or a map from names to weights, taken as they are.
        arch: the network.
        argument: what to call it in an error.

    Raises:
        BadArgument: for an unknown layer, one named twice (also as ``conv_4`` and ``conv2_2``), or a negative weight.
    """
    names = [layers] if isinstance(layers, str) else list(layers)
    given = dict(layers) if isinstance(layers, Mapping) else {name: 1.0 / len(names) for name in names}
    weights: dict[Layer, float] = {}
    for name in names:
        layer = find_layer(name, arch, argument)
        if layer in weights:
            raise BadArgument(argument, name, f"named twice ({layer.sequential_name} and {layer.name} are the same)")
        if not 0 <= given[name] < float("inf"):
            raise BadArgument(argument, f"{name}: {given[name]}", "the weight of a layer is a number of 0 or more")
        weights[layer] = float(given[name])
    return {layer: weight for layer, weight in weights.items() if weight > 0}
