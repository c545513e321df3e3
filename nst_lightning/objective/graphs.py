"""Tiles that are computed once, not twice: their features keep the way back from the first pass to the second."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import torch
from torch import Tensor

from nst_lightning.losses.points import PIXELS
from nst_lightning.network.features import VGGFeatures
from nst_lightning.network.layers import Layer
from nst_lightning.objective.sums import see
from nst_lightning.objective.tiles import Tile

CROP = 24  # bytes a pixel: a crop and what its normalisation leaves


class Graphs:
    """The features of as many tiles as there is memory for, with what autograd needs of them.

    Args:
        network: the frozen one.
        limit: bytes for all of them.
        dtype: of the computation.
    """

    def __init__(self, network: VGGFeatures, limit: float, dtype: torch.dtype) -> None:
        self.network = network
        self.left = limit
        self.each = bytes_of_graph(network, dtype)
        self._kept: dict[Tile, tuple[Tensor, dict[Layer, Tensor]]] = {}

    def see(self, tile: Tile, image: Tensor, layers: Iterable[Layer]) -> dict[Layer, Tensor]:
        """The features of a tile's crop and the crop, without gradient; kept if there is room for it.

        Args:
            tile: one that :meth:`take` is asked for later.
            image: ``(1, 3, H, W)``.
            layers: that are looked at now; of a tile that is kept all are computed.
        """
        cost = self.each * prod(tile.sides)
        if cost > self.left:
            return see(self.network, tile, image, layers)
        self.left -= cost
        crop, features = self._kept[tile] = self._compute(tile, image)
        return {**{layer: value.detach() for layer, value in features.items()}, PIXELS: crop.detach()}

    def take(self, tile: Tile, image: Tensor, wanted: bool) -> tuple[Tensor, dict[Layer, Tensor]]:
        """A tile's crop and its features, kept or computed now; with their graph, for one way back, if it is wanted."""
        return self._kept.pop(tile) if tile in self._kept else self._compute(tile, image, wanted)

    def _compute(self, tile: Tile, image: Tensor, wanted: bool = True) -> tuple[Tensor, dict[Layer, Tensor]]:
        with torch.set_grad_enabled(wanted):
            crop = tile.crop(image).requires_grad_()
            return crop, self.network(crop, tile)


def bytes_of_graph(network: VGGFeatures, dtype: torch.dtype) -> float:
    """What is kept for each pixel of a crop."""
    return network.bytes_kept(dtype.itemsize) + CROP
