"""What the losses see of a whole picture, from its tiles: moments, which add up, and features, which are gathered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from nst_lightning.losses.moments import Moments
from nst_lightning.losses.moments import sums as sums_of
from nst_lightning.losses.points import PIXELS, Columns, Reading
from nst_lightning.network.features import VGGFeatures
from nst_lightning.network.layers import Layer
from nst_lightning.objective.gradients import EXACT
from nst_lightning.objective.ranks import add_up, share, together
from nst_lightning.objective.reading import divided, read_tile
from nst_lightning.objective.seen import Seen
from nst_lightning.objective.tiles import Tile
from nst_lightning.pictures import mapped
from nst_lightning.pictures.regions import Regions


def size_at(image: Tensor, layer: Layer) -> tuple[int, int]:
    """Height and width of the features of a picture at a layer: every pooling halves, rounding down."""
    return int(image.shape[2]) >> layer.pools_before, int(image.shape[3]) >> layer.pools_before


def masses_at(image: Tensor, regions: Regions | None, layer: Layer) -> list[float]:
    """How many positions of a picture's features each region has at a layer."""
    height, width = size_at(image, layer)
    return [float(height * width)] if regions is None else regions.at((height, width))[1]


def weights_at(tile: Tile, image: Tensor, regions: Regions | None, layer: Layer, number: int) -> Tensor | None:
    """The weights of a region at the positions that a tile owns at a layer."""
    if regions is None:
        return None
    return tile.owned(regions.at(size_at(image, layer))[0][number], layer.pools_before)


def is_absent(weights: Tensor | None) -> bool:
    """Whether nothing of a region is there, as far as can be known without waiting for a GPU."""
    return weights is not None and weights.device.type == "cpu" and not bool(weights.any())


def see(features: VGGFeatures, tile: Tile, image: Tensor, layers: Iterable[Layer]) -> dict[Layer, Tensor]:
    """The features of a tile's crop, and the crop; the network is not computed beyond the deepest of the layers."""
    crop = tile.crop(image)
    deepest = max(layers)
    return {**(features(crop, tile, deepest) if deepest != PIXELS else {}), PIXELS: crop}


def own(features: VGGFeatures, tile: Tile, image: Tensor, layers: Iterable[Layer]) -> dict[Layer, Tensor]:
    """The features that a tile owns at some layers."""
    seen = see(features, tile, image, layers)
    return {layer: tile.seen(seen[layer], layer.pools_before) for layer in layers}


class Summed(NamedTuple):
    """What tiles give together.

    Attributes:
        seen: the moments of the picture at every layer and in every region.
        samples: the features of the points of each reading.
        maps: the features of whole layers, ``(1, C, H', W')``, where a loss sees all positions; mapped if large.
    """

    seen: dict[Layer, list[Seen]]
    samples: list[Columns]
    maps: dict[Layer, Tensor]


@torch.no_grad()
def sum_up(
    features: VGGFeatures,
    image: Tensor,
    regions: Regions | None,
    layers: Iterable[Layer],
    tiles: Sequence[Tile],
    readings: Sequence[Reading] = (),
    sees: Collection[str] = ("moments",),
    look: Callable[[Tile, Tensor, Iterable[Layer]], dict[Layer, Tensor]] | None = None,
) -> Summed:
    """What the losses see of a picture that is too large to be computed at once.

    Args:
        features: the network.
        image: ``(1, 3, H, W)``.
        regions: of the picture, or None.
        layers: that are looked at one by one.
        tiles: of the picture, shared out among the processes.
        readings: the samples.
        sees: of ``moments`` and ``features``, what is asked of those layers.
        look: gives what a tile sees, as :func:`see` does, where that is kept for later.
    """
    look = look or partial(see, features)
    layers = list(layers)
    found: dict[tuple[Layer, int], tuple[Tensor, Tensor]] = {}
    for layer in layers if "moments" in sees else ():
        for number, mass in enumerate(masses_at(image, regions, layer)):
            if mass > 0:
                zero = torch.zeros(layer.channels, dtype=EXACT, device=image.device)
                found[layer, number] = zero, zero.new_zeros(layer.channels, layer.channels)
    shape = (int(image.shape[2]), int(image.shape[3]))
    samples: list[Columns] = [
        {layer: image.new_zeros(len(one.points), layer.channels) for layer in one.layers} for one in readings
    ]
    maps: dict[Layer, Tensor] = {}
    for layer in layers if "features" in sees else ():
        maps[layer] = mapped.zeros((1, *size_at(image, layer), layer.channels), image.dtype, image.device).movedim(3, 1)
    wanted = {*layers, *(layer for one in readings for layer in one.layers)}
    owned = [divided(one.points, tiles) for one in readings]
    with together(image.device):
        for tile in share(tiles):
            seen_here = look(tile, image, wanted)
            with torch.autocast(image.device.type, enabled=False):
                for (layer, number), totals in found.items():
                    weights = weights_at(tile, image, regions, layer, number)
                    if is_absent(weights):
                        continue
                    part_here = tile.seen(seen_here[layer], layer.pools_before)
                    for total, part in zip(totals, sums_of(part_here, weights), strict=True):
                        total += part
                for layer, whole in maps.items():
                    tile.owned(whole, layer.pools_before).copy_(tile.seen(seen_here[layer], layer.pools_before))
                for one, sample, places in zip(readings, samples, owned, strict=True):
                    if tile in places:
                        columns, _ = read_tile(tile, seen_here, one, places[tile], shape, features)
                        for layer, values in columns.items():
                            sample[layer][places[tile].to(values.device)] = values
            mapped.let_go()
    add_up(value for totals in found.values() for value in totals)
    add_up(value for sample in samples for value in sample.values())
    add_up(whole.movedim(1, 3) for whole in maps.values())  # every position is one process's, and 0 at the others
    seen: dict[Layer, list[Seen]] = {}
    for layer in layers:
        seen[layer] = []
        for number, mass in enumerate(masses_at(image, regions, layer)):
            one_region: Seen = {}
            if (layer, number) in found:
                total, second = found[layer, number]
                one_region["moments"] = Moments(mass, (total / mass).to(image.dtype), (second / mass).to(image.dtype))
            seen[layer].append(one_region)
    return Summed(seen, samples, maps)
