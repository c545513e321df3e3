"""Points of a picture read from its tiles: each point belongs to the tile that owns its pixel, and so is read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from nst_lightning.losses.points import PIXELS, Columns, Corners, Reading, corners, gather
from nst_lightning.losses.relaxed_emd import DEVIATION
from nst_lightning.network.features import VGGFeatures
from nst_lightning.network.layers import Layer
from nst_lightning.objective.tiles import Tile, grid
from nst_lightning.pictures import mapped

# What is read once a scale is read from tiles of this size however the steps are computed: the matches are then the same to
# the last bit whether memory is short or not.
SIDE = 256


def unit_of(features: VGGFeatures) -> float:
    """What features are multiplied by when they are read: as if the network's input had a variance of 1.

    Networks whose input goes from 0 to 255 have larger activations; beside RGB, and where distances are not relative, they
    would count for more. `scale: unit` has done it already.
    """
    return 1.0 if features.settings.scale == "unit" else float(features.std.mean()) / DEVIATION


def around(points: Tensor, layer: Layer, shape: tuple[int, int], features: VGGFeatures, device: torch.device) -> Corners:
    """The neighbours of points of a picture ``shape`` at a layer."""
    level = layer.pools_before
    unit = 1.0 if layer == PIXELS else unit_of(features)
    return corners(points, level, (shape[0] >> level, shape[1] >> level), unit).to(device)


def divided(points: Tensor, tiles: Sequence[Tile]) -> dict[Tile, Tensor]:
    """The numbers of the points that lie in each of some tiles, ``(n,)``, ascending; of those that have any."""

    def along(axis: int) -> tuple[Tensor, list[int]]:
        firsts = sorted({tile[axis].first for tile in tiles})
        return torch.searchsorted(torch.tensor(firsts).to(points), points[:, axis].contiguous(), right=True) - 1, firsts

    (rows, tops), (columns, lefts) = along(0), along(1)
    numbers = rows * len(lefts) + columns
    order = numbers.argsort(stable=True)
    counts = torch.bincount(numbers, minlength=len(tops) * len(lefts)).tolist()
    parts = order.split(counts)
    found = {tile: parts[tops.index(tile.rows.first) * len(lefts) + lefts.index(tile.columns.first)] for tile in tiles}
    return {tile: part for tile, part in found.items() if len(part)}


def within(tile: Tile, at: Corners, layer: Layer) -> Corners:
    """The same corners, counted in the tile's crop."""
    level = layer.pools_before
    return at._replace(rows=tile.rows.place(at.rows, level), columns=tile.columns.place(at.columns, level))


def read_tile(
    tile: Tile,
    seen: Mapping[Layer, Tensor],
    reading: Reading,
    which: Tensor,
    shape: tuple[int, int],
    features: VGGFeatures,
) -> tuple[Columns, dict[Layer, Corners]]:
    """What a tile gives to a reading: the features of its points, and where they were read.

    Args:
        tile: sees the positions next to its own.
        seen: the features of its crop, and the crop itself as :data:`PIXELS`.
        reading: of the whole picture.
        which: the numbers of its points that lie in the tile, one or more: see :func:`divided`.
        shape: of the picture.
        features: the network.
    """
    columns: Columns = {}
    places: dict[Layer, Corners] = {}
    for layer in reading.layers:
        at = around(reading.points[which], layer, shape, features, seen[layer].device)
        places[layer] = within(tile, at, layer)
        columns[layer] = gather(seen[layer], places[layer])
    return columns, places


@torch.no_grad()
def read_picture(
    features: VGGFeatures, image: Tensor, readings: Sequence[Reading]
) -> Iterator[tuple[int, Tensor, Columns]]:
    """Readings of a picture ``(1, 3, H, W)``, tile by tile: which, the numbers of some of its points, their features.

    The network is computed once, whatever the number of readings.
    """
    shape = (int(image.shape[2]), int(image.shape[3]))
    layers = [layer for reading in readings for layer in reading.layers if layer != PIXELS]
    if not layers:
        for number, reading in enumerate(readings):
            at = around(reading.points, PIXELS, shape, features, image.device)
            yield number, torch.arange(len(reading.points)), {PIXELS: gather(image, at)}
        return
    deepest = max(layers)
    network = [layer for layer in features.layers if layer <= deepest]
    tiles = grid(shape, SIDE, network, features.settings.padding == "circular", more=True)
    owned = [divided(reading.points, tiles) for reading in readings]
    for tile in tiles:
        here = [number for number, one in enumerate(owned) if tile in one]
        if not here:
            continue
        crop = tile.crop(image)
        seen = {**features(crop, tile, deepest), PIXELS: crop}
        mapped.let_go()
        with torch.autocast(image.device.type, enabled=False):
            for number in here:
                which = owned[number][tile]
                yield number, which, read_tile(tile, seen, readings[number], which, shape, features)[0]


def read_all(features: VGGFeatures, image: Tensor, readings: Sequence[Reading]) -> list[Columns]:
    """The same of all points of each reading, in their order."""
    found: list[Columns] = [{} for _ in readings]
    for number, which, columns in read_picture(features, image, readings):
        for layer, values in columns.items():
            if layer not in found[number]:
                found[number][layer] = values.new_empty(len(readings[number].points), values.shape[1])
            found[number][layer][which.to(values.device)] = values
    return found
