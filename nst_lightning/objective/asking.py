"""What the losses ask of the features of one tile after the other, and the values of those that are local."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nst_lightning.losses.moments import pull
from nst_lightning.losses.points import PIXELS, Columns, Reading, scatter
from nst_lightning.network.layers import Layer
from nst_lightning.objective.gradients import EXACT
from nst_lightning.objective.parts import sum_of
from nst_lightning.objective.pointed import PointTarget
from nst_lightning.objective.reading import divided, read_tile
from nst_lightning.objective.sums import is_absent, size_at, weights_at
from nst_lightning.objective.tiles import Tile
from nst_lightning.objective.whole import Objective, Values


class Asked(NamedTuple):
    """What the losses of the whole image ask of its features, known after the first pass.

    Attributes:
        pulls: for each style layer and region ∂L/∂μ / N and ∂L/∂S / N.
        samples: what was read, and the gradient of each point's features.
        maps: the gradient of the features of all positions, where a loss sees those.
    """

    pulls: dict[Layer, list[tuple[int, Tensor, Tensor]]]
    samples: list[tuple[Reading, Columns]]
    maps: dict[Layer, Tensor]


class Asking:
    """What all losses ask, tile by tile.

    Args:
        objective: whose losses.
        pixels: the image, ``(1, 3, H, W)``, detached.
        tiles: of it.
        asked: by the losses of the whole image.
        scale: what gradients are multiplied by.
        step: of the run.

    Attributes:
        layers: at which something is asked.
        values: of the losses that are local, summed over the tiles so far.
    """

    def __init__(
        self, objective: Objective, pixels: Tensor, tiles: Sequence[Tile], asked: Asked, scale: float, step: int
    ) -> None:
        self.objective = objective
        self.pixels = pixels
        self.asked = asked
        self.scale = scale
        zero = torch.zeros((), dtype=EXACT, device=pixels.device)
        self.values: Values = {}
        if objective.computes("content") and objective.relations is None:
            self.values = {layer: zero.clone() for layer in objective.content_layers}
        self.content = {key for key in self.values if isinstance(key, Layer)}
        matched = [one for one in objective.pointed.targets if one.loss.sees == "positions"]
        self.values |= {one.name: zero.clone() for one in matched}
        self.places: list[tuple[PointTarget, Reading]] = [
            (one, reading) for one in matched for reading in objective.pointed.readings(one, pixels, step)
        ]
        self.sampled_at = [divided(reading.points, tiles) for reading, _ in asked.samples]
        self.placed_at = [divided(reading.points, tiles) for _, reading in self.places]
        read = [reading for reading, _ in asked.samples] + [reading for _, reading in self.places]
        read_at = {layer for reading in read for layer in reading.layers}
        self.layers: set[Layer] = ({*asked.pulls, *self.content} | read_at) - {PIXELS}
        self.any = bool(self.layers or read_at)

    def at(
        self, tile: Tile, crop: Tensor, features: Mapping[Layer, Tensor], targets: Mapping[Layer, Tensor]
    ) -> tuple[dict[Layer, Tensor], Tensor | None]:
        """What is asked of a tile's features at every layer, and of its crop; the local losses' values are added.

        Args:
            tile: which.
            crop: what it sees, detached.
            features: of the crop.
            targets: the content image's features that the tile owns.
        """
        # in the features' memory format: autograd's own, of a slice, is another, and many times slower
        wanted = {layer: torch.zeros_like(features[layer]) for layer in self.layers}
        self._everywhere(tile, features, targets, wanted)
        return wanted, self._at_points(tile, crop, features, wanted)

    def _everywhere(
        self,
        tile: Tile,
        features: Mapping[Layer, Tensor],
        targets: Mapping[Layer, Tensor],
        wanted: Mapping[Layer, Tensor],
    ) -> None:
        """What moments and the content loss ask of the positions that a tile owns; the latter's value is added."""
        objective, pixels, pulls = self.objective, self.pixels, self.asked.pulls
        factor = self.scale * objective.parts().get("content", 0.0)
        for layer in {*pulls, *self.content}:
            part = tile.seen(features[layer].detach(), layer.pools_before)
            grads = []
            for number, mean, second in pulls.get(layer, ()):
                weights = weights_at(tile, pixels, objective.regions, layer, number)
                if not is_absent(weights):
                    grads.append(pull(part, weights, mean, second))
            if layer in self.asked.maps:
                grads.append(tile.owned(self.asked.maps[layer], layer.pools_before).to(part.dtype))
            if layer in self.content:
                difference = part.to(pixels.dtype) - targets[layer].to(pixels.dtype)
                height, width = size_at(pixels, layer)
                count = layer.channels * height * width
                self.values[layer] += difference.square().sum() / count
                grads.append(difference.mul_(2 * factor * objective.content_layers[layer] / count).to(part.dtype))
            if grads:
                tile.seen(wanted[layer], layer.pools_before).copy_(sum_of(grads))

    def _at_points(
        self, tile: Tile, crop: Tensor, features: Mapping[Layer, Tensor], wanted: Mapping[Layer, Tensor]
    ) -> Tensor | None:
        """What samples and matched points in a tile ask; the latter's values are added. Returns what is asked of pixels."""
        network = self.objective.features
        seen = {**{layer: value.detach() for layer, value in features.items()}, PIXELS: crop}
        shape = (tile.rows.side, tile.columns.side)
        direct: Tensor | None = None
        requests = []
        for (reading, grads), owned in zip(self.asked.samples, self.sampled_at, strict=True):
            if tile in owned:
                which = owned[tile]
                _, at = read_tile(tile, seen, reading, which, shape, network)
                requests += [(layer, grads[layer][which.to(crop.device)], at[layer]) for layer in at]
        for (one, reading), owned in zip(self.places, self.placed_at, strict=True):
            if tile not in owned:
                continue
            which = owned[tile]
            columns, at = read_tile(tile, seen, reading, which, shape, network)
            with torch.enable_grad():
                leaves = {layer: value.requires_grad_() for layer, value in columns.items()}
                part = one.share * one.loss([leaves], one.target.of(which.to(crop.device)), 0)
                found = torch.autograd.grad(part * (self.objective.parts()["style"] * self.scale), list(leaves.values()))
            self.values[one.name] += part.detach()
            requests += [(layer, grad, at[layer]) for layer, grad in zip(leaves, found, strict=True)]
        for layer, grad, corners in requests:
            if layer == PIXELS:
                more = scatter(grad, corners, crop)
                direct = more if direct is None else direct + more
            else:
                wanted[layer].add_(scatter(grad, corners, wanted[layer]))
        return direct
