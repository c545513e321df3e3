"""Which tiles a picture is best computed from, with the memory there is."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from nst_lightning.network.features import VGGFeatures
from nst_lightning.network.layers import Layer
from nst_lightning.objective.tiles import grid, reach_of, stride_of

SMALLEST = 256  # pixels; tiles that `auto` chooses are no smaller, their overlap would take most of the time
FLOOR = 128  # pixels; what still does not fit in tiles of this size does not fit
WAYS = 3.1  # a tile's time, in passes forward: two of those and the way back; measured: 0.3 s and 0.33 s at 512 px
SHRINK = 0.8  # from one size that is thought of to the next


def bytes_per_pixel(network: VGGFeatures, itemsize: int) -> float:
    """An estimate of what a step keeps for each pixel of the image, or of a crop, at its peak.

    What is kept for the way back; what comes back at the layers that losses look at; four of the widest outputs on the way
    through the first block; and nearly half as much again for what the libraries take meanwhile. Measured at 768 x 1024 px
    in half precision with the layers of the recipe wasserstein: 1520 bytes, estimated 1620.

    Args:
        network: with the layers that losses see.
        itemsize: bytes of a number.
    """
    widest = max(layer.channels / 4**layer.pools_before for layer in network.layers)
    pulled = sum(layer.channels / 4**layer.pools_before for layer in network.wanted)
    return 1.45 * (network.bytes_kept(itemsize) + (pulled + 4 * widest) * itemsize)


class Plan(NamedTuple):
    """How a picture is computed.

    Attributes:
        tile: the sides of a tile; None for the whole picture.
        graphs: bytes for tiles that are kept from a step's first pass to its second.
    """

    tile: int | None
    graphs: float = 0.0


def plan(
    shape: tuple[int, int], network: VGGFeatures, each: float, graph: float, available: float, again: bool = True
) -> Plan:
    """The whole picture where it fits; else the tiles that take the least time.

    Large tiles overlap less; small ones leave memory to keep more of them from the first pass to the second.

    Args:
        shape: height and width of the image.
        network: with the layers that losses see.
        each: bytes a pixel at the peak, see :func:`bytes_per_pixel`, and what losses take.
        graph: bytes a pixel that a tile takes while it is kept.
        available: bytes.
        again: whether there are two passes, for losses of the whole image.
    """
    tile = largest_tile(shape, network.layers, each, available)
    if tile is None:
        return Plan(None)
    found: list[tuple[float, int, float]] = []
    circular, stride = network.settings.padding == "circular", stride_of(network.layers)
    while True:
        crops = [prod(one.sides) for one in grid(shape, tile, network.layers, circular)]
        left = max(0.0, available - max(crops) * each)
        kept = min(1.0, left / (graph * sum(crops))) if again else 0.0
        found.append((sum(crops) * (WAYS - kept), -tile, left if again else 0.0))
        smaller = max(SMALLEST, int(tile * SHRINK) // stride * stride)
        if smaller >= tile:
            break
        tile = smaller
    _, negative, graphs = min(found)
    return Plan(-negative, graphs)


def largest_tile(shape: tuple[int, int], layers: list[Layer], each: float, available: float) -> int | None:
    """The largest tile that fits, or None if the whole image does.

    Args:
        shape: height and width of the image.
        layers: every layer of the network.
        each: bytes a pixel, see :func:`bytes_per_pixel`.
        available: bytes.
    """
    if shape[0] * shape[1] * each <= available:
        return None
    stride = stride_of(layers)
    overlap = 2 * -(-reach_of(layers) // stride) * stride
    side = int((available / each) ** 0.5) - overlap
    # a narrow image need not be cut along its shorter side
    shorter = min(shape)
    if side + overlap > shorter:
        side = int(available / each / shorter) - overlap
    smallest = -(-SMALLEST // stride) * stride
    return max(side // stride * stride, smallest)
