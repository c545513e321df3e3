"""The objective from tiles: the same value and gradient, with the memory of one tile.

Losses see moments, which add up, samples, which are few, or positions, each by itself; the content loss is local too. So a
step takes two passes:

1. Without gradient, the moments are summed over tiles and the samples gathered. From them, as ever, the loss L, ∂L/∂μ,
   ∂L/∂S and the samples' gradients. Where no loss asks for either, there is no first pass.
2. Each tile is computed again. At the positions it owns, ∂L/∂F = w (∂L/∂μ + (∂L/∂S + ∂L/∂Sᵀ) F) / N, the content loss's
   2 (F − T) / n, and what the samples and points in it ask for are known without any other tile; they are carried back to
   its crop and added to the image's gradient.

This costs one more forward pass than the whole image takes, and the overlap of the crops. It is exact: see
:mod:`nst_lightning.objective.tiles` for why the owned features are those of the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nst_lightning.losses.moments import Moments, pull, sums
from nst_lightning.losses.points import PIXELS, Columns, Reading, scatter
from nst_lightning.losses.variation import variation_of_rows
from nst_lightning.network.layers import Layer
from nst_lightning.objective.gradients import EXACT, GradientSum, KnownGradient
from nst_lightning.objective.pointed import PointTarget
from nst_lightning.objective.ranks import add_up, share, together, world
from nst_lightning.objective.reading import read_tile
from nst_lightning.objective.tiles import Tile, grid
from nst_lightning.objective.whole import Objective, Seen, Values, sum_of
from nst_lightning.pictures.regions import Regions

STRIP = 1 << 22  # values of the image that total variation looks at together


class Asked(NamedTuple):
    """What the losses of the whole image ask of its features, known after the first pass.

    Attributes:
        pulls: for each style layer and region ∂L/∂μ / N and ∂L/∂S / N.
        samples: what was read, and the gradient of each point's features.
    """

    pulls: dict[Layer, list[tuple[int, Tensor, Tensor]]]
    samples: list[tuple[Reading, Columns]]


class TiledObjective(Objective):
    """An :class:`Objective` that is computed whole, or from tiles with the same result.

    From tiles only ``loss`` has a gradient, for one backward pass; the terms have their values.

    Attributes:
        tile: the sides of a tile in pixels; None: the whole image at once. May be changed at any time.
        content_limit: bytes up to which the content image's features are kept; beyond, each tile's are computed anew in
            each step.
    """

    tile: int | None = None
    content_limit: float = float("inf")
    _content: Tensor | None = None

    def tiles(self, image: Tensor, deepest: Layer | None = None) -> list[Tile]:
        """The tiles of a picture ``(1, 3, H, W)``, with crops for the whole network or only down to ``deepest``."""
        shape = (int(image.shape[2]), int(image.shape[3]))
        layers = [layer for layer in self.features.layers if deepest is None or layer <= deepest]
        return grid(shape, self.tile, layers, self.features.settings.padding == "circular", more=self.reads)

    # ---- targets -----------------------------------------------------------------------------------------------------

    def computes(self, term: str) -> bool:
        return (term == "content" and self._content is not None) or super().computes(term)

    def _set_content(self, content: Tensor | None) -> None:
        self._content, self.content_targets = None, {}
        tiles = self.tiles(content) if content is not None else []
        if content is None or len(tiles) <= 1:
            super()._set_content(content)
            return
        dtype = self.features.dtype_for(content)
        shapes = {layer: (1, layer.channels, *_size(content, layer)) for layer in self.content_layers}
        values = sum(shape[1] * shape[2] * shape[3] for shape in shapes.values())
        if values * dtype.itemsize > self.content_limit:
            self._content = content
            return
        with together(content.device):
            for layer, shape in shapes.items():
                empty = torch.empty(shape, dtype=dtype, device=content.device, memory_format=torch.channels_last)
                self.content_targets[layer] = empty
            for tile in tiles:
                for layer, part in self._own(tile, content, self.content_layers).items():
                    tile.owned(self.content_targets[layer], layer.pools_before).copy_(part)

    def look(self, image: Tensor, regions: Regions | None) -> dict[Layer, list[Seen]]:
        tiles = self.tiles(image)
        if len(tiles) == 1:
            return super().look(image, regions)
        return self._sum(image, regions, self.style_layers, tiles)[0]

    # ---- the first pass ----------------------------------------------------------------------------------------------

    def _see(self, tile: Tile, image: Tensor, layers: Iterable[Layer]) -> dict[Layer, Tensor]:
        """The features of a tile's crop, and the crop; the network is not computed beyond the deepest of the layers."""
        crop = tile.crop(image)
        deepest = max(layers)
        return {**(self.features(crop, tile.seams, deepest) if deepest != PIXELS else {}), PIXELS: crop}

    def _own(self, tile: Tile, image: Tensor, layers: Iterable[Layer]) -> dict[Layer, Tensor]:
        """The features that a tile owns at some layers."""
        seen = self._see(tile, image, layers)
        return {layer: tile.seen(seen[layer], layer.pools_before) for layer in layers}

    @torch.no_grad()
    def _sum(
        self,
        image: Tensor,
        regions: Regions | None,
        layers: Iterable[Layer],
        tiles: Sequence[Tile],
        readings: Sequence[Reading] = (),
    ) -> tuple[dict[Layer, list[Seen]], list[Columns]]:
        """The moments of a picture at every layer and in every region, as :meth:`look` returns them, and its samples."""
        found: dict[tuple[Layer, int], tuple[Tensor, Tensor]] = {}
        for layer in layers:
            for number, mass in enumerate(self._masses(image, regions, layer)):
                if mass > 0:
                    zero = torch.zeros(layer.channels, dtype=EXACT, device=image.device)
                    found[layer, number] = zero, zero.new_zeros(layer.channels, layer.channels)
        shape = (int(image.shape[2]), int(image.shape[3]))
        samples: list[Columns] = [
            {layer: image.new_zeros(len(one.points), layer.channels) for layer in one.layers} for one in readings
        ]
        wanted = {*layers, *(layer for one in readings for layer in one.layers)}
        with together(image.device):
            for tile in share(tiles):
                seen_here = self._see(tile, image, wanted)
                with torch.autocast(image.device.type, enabled=False):
                    for (layer, number), totals in found.items():
                        weights = _weights(tile, image, regions, layer, number)
                        own = tile.seen(seen_here[layer], layer.pools_before)
                        for total, part in zip(totals, sums(own, weights), strict=True):
                            total += part
                    for one, sample in zip(readings, samples, strict=True):
                        which, columns, _ = read_tile(tile, seen_here, one, shape, self.features)
                        for layer, values in columns.items():
                            sample[layer][which.to(values.device)] = values
        add_up(value for totals in found.values() for value in totals)
        add_up(value for sample in samples for value in sample.values())
        seen: dict[Layer, list[Seen]] = {}
        for layer in layers:
            seen[layer] = []
            for number, mass in enumerate(self._masses(image, regions, layer)):
                one_region: Seen = {}
                if mass > 0:
                    total, second = found[layer, number]
                    one_region["moments"] = Moments(mass, (total / mass).to(image.dtype), (second / mass).to(image.dtype))
                seen[layer].append(one_region)
        return seen, samples

    @staticmethod
    def _masses(image: Tensor, regions: Regions | None, layer: Layer) -> list[float]:
        height, width = _size(image, layer)
        return [float(height * width)] if regions is None else regions.at((height, width))[1]

    # ---- a step ------------------------------------------------------------------------------------------------------

    def forward(self, image: Tensor, step: int = 0) -> dict[str, Tensor]:
        tiles = self.tiles(image)
        if len(tiles) == 1 and self._content is None:
            return super().forward(image, step)
        pixels = image.detach()
        # of `loss` times this number, as it is optimised: in half precision the plain gradient of a pixel would be 0
        scale = float(image.numel())
        contents, styles, asked = self._first_pass(pixels, step, scale)
        gradient = self._second_pass(pixels, tiles, asked, scale, contents, styles, step)
        tv = self._variation(pixels, scale, gradient) if self.computes("tv") else None
        terms = {name: value.detach() for name, value in self.combine(contents, styles, tv).items()}
        if torch.is_grad_enabled() and image.requires_grad:
            terms["loss"] = KnownGradient.apply(image, terms["loss"], [gradient], 1.0 / scale)
        return terms

    def _sampled(self, pixels: Tensor, step: int) -> list[tuple[PointTarget | None, list[Reading]]]:
        """The losses of samples and what they read; None for that of the content image's relations."""
        found: list[tuple[PointTarget | None, list[Reading]]] = []
        if self.relations is not None and self.relations.image is not None:
            found.append((None, self.relations.readings(step)))
        targets = [one for one in self.pointed.targets if one.loss.sees == "samples"]
        return found + [(one, self.pointed.readings(one, pixels, step)) for one in targets]

    def _first_pass(self, pixels: Tensor, step: int, scale: float) -> tuple[Values, Values, Asked]:
        """The losses that need all of the image, and what they ask of its features."""
        losses = self._sampled(pixels, step)
        readings = [one for _, several in losses for one in several]
        layers = {*self.style_targets, *(layer for one in readings for layer in one.layers)}
        if not layers:
            return {}, {}, Asked({}, [])
        # any division gives the same sums; that for these layers may need less overlap than all layers'
        tiles = self.tiles(pixels, max(*layers, min(self.features.layers)))
        seen, samples = self._sum(pixels, self.regions, self.style_targets, tiles, readings)
        leaves = [one["moments"] for regions in seen.values() for one in regions if one]
        inputs = [part.requires_grad_() for leaf in leaves for part in (leaf.mean, leaf.second)]
        inputs += [part.requires_grad_() for sample in samples for part in sample.values()]
        contents: Values = {}
        with torch.enable_grad(), torch.autocast(pixels.device.type, enabled=False):
            styles = self.style_values(seen, step, pixels.new_zeros(()))
            left = list(samples)
            for target, several in losses:
                columns = [left.pop(0) for _ in several]
                if target is None:
                    assert self.relations is not None
                    contents[self.relations.loss.name] = self.relations.value(columns, step)
                else:
                    zero = pixels.new_zeros(())
                    value = target.share * target.loss(columns, target.target, step) if several else zero
                    styles[target.name] = styles.get(target.name, zero) + value
            parts, tables = self.parts(), {"content": self.content_layers, "style": self.style_layers}
            values = {"content": contents, "style": styles}
            value = sum_of(
                scale * parts[term] * self.weighted(values[term], tables[term]) for term in values if values[term]
            )
            grads: list[Tensor] = [torch.zeros_like(one) for one in inputs]
            if value.requires_grad:
                grads = list(torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True))
        pulls: dict[Layer, list[tuple[int, Tensor, Tensor]]] = {layer: [] for layer in seen}
        for layer, regions in seen.items():
            for number, one in enumerate(regions):
                if one:
                    mean, second = grads.pop(0), grads.pop(0)
                    mass = one["moments"].positions
                    pulls[layer].append((number, mean / mass, second / mass))
        asked = Asked(pulls, [(one, {layer: grads.pop(0) for layer in one.layers}) for one in readings])
        return (
            {key: one.detach() for key, one in contents.items()},
            {key: one.detach() for key, one in styles.items()},
            asked,
        )

    def _second_pass(
        self,
        pixels: Tensor,
        tiles: Sequence[Tile],
        asked: Asked,
        scale: float,
        contents: Values,
        styles: Values,
        step: int,
    ) -> Tensor:
        """The gradient; adds the values of the losses that are local to those of the first pass."""
        zero = torch.zeros((), dtype=EXACT, device=pixels.device)
        local: Values = {}
        if self.computes("content") and self.relations is None:
            local = {layer: zero.clone() for layer in self.content_layers}
        positions = [one for one in self.pointed.targets if one.loss.sees == "positions"]
        local |= {one.name: zero.clone() for one in positions}
        places = [(one, reading) for one in positions for reading in self.pointed.readings(one, pixels, step)]
        read = {layer for reading, _ in asked.samples for layer in reading.layers}
        layers = {*asked.pulls, *(key for key in local if isinstance(key, Layer)), *read} - {PIXELS}
        layers |= {layer for _, reading in places for layer in reading.layers}
        gradient = GradientSum(pixels, banded=world() == 1 and self.features.settings.padding != "circular")
        with together(pixels.device):
            for tile in share(tiles) if layers or read else ():
                with torch.enable_grad():
                    crop = tile.crop(pixels).requires_grad_()
                    features = self.features(crop, tile.seams)
                with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):
                    # in the features' memory format: autograd's own, of a slice, is another, and many times slower
                    wanted = {layer: torch.zeros_like(features[layer]) for layer in layers}
                    self._ask_everywhere(tile, pixels, features, asked.pulls, local, wanted, scale)
                    direct = self._ask_at_points(tile, crop.detach(), features, asked, places, local, wanted, scale)
                with torch.autocast(pixels.device.type, enabled=False):
                    found = direct
                    if layers:
                        outputs = [features.pop(layer) for layer in wanted]
                        (found,) = torch.autograd.grad(outputs, crop, list(wanted.values()))
                        found = found if direct is None else found + direct
                if found is not None:
                    gradient.add(tile, found)
        add_up(local.values())
        for key, value in local.items():
            (contents if isinstance(key, Layer) else styles)[key] = value.to(pixels.dtype)
        return gradient.total()

    def _ask_everywhere(
        self,
        tile: Tile,
        pixels: Tensor,
        features: Mapping[Layer, Tensor],
        pulls: Mapping[Layer, Sequence[tuple[int, Tensor, Tensor]]],
        values: Values,
        wanted: Mapping[Layer, Tensor],
        scale: float,
    ) -> None:
        """What moments and the content loss ask of the positions that a tile owns; the latter's value is added."""
        content = {layer for layer in self.content_layers if layer in values}
        factor = scale * self.parts().get("content", 0.0)
        targets = self._targets(tile) if content else {}
        for layer in {*pulls, *content}:
            part = tile.seen(features[layer].detach(), layer.pools_before)
            grads = [
                pull(part, _weights(tile, pixels, self.regions, layer, number), mean, second)
                for number, mean, second in pulls.get(layer, ())
            ]
            if layer in content:
                difference = part.to(pixels.dtype) - targets[layer].to(pixels.dtype)
                height, width = _size(pixels, layer)
                count = layer.channels * height * width
                values[layer] += difference.square().sum() / count
                grads.append(difference.mul_(2 * factor * self.content_layers[layer] / count).to(part.dtype))
            if grads:
                tile.seen(wanted[layer], layer.pools_before).copy_(sum_of(grads))

    def _ask_at_points(
        self,
        tile: Tile,
        crop: Tensor,
        features: Mapping[Layer, Tensor],
        asked: Asked,
        places: Sequence[tuple[PointTarget, Reading]],
        values: Values,
        wanted: Mapping[Layer, Tensor],
        scale: float,
    ) -> Tensor | None:
        """What samples and matched points in a tile ask; the latter's values are added. Returns what is asked of pixels."""
        seen = {**{layer: value.detach() for layer, value in features.items()}, PIXELS: crop}
        shape = (tile.rows.side, tile.columns.side)
        direct: Tensor | None = None
        requests = []
        for reading, grads in asked.samples:
            which, _, at = read_tile(tile, seen, reading, shape, self.features)
            requests += [(layer, grads[layer][which.to(crop.device)], at[layer]) for layer in at]
        for one, reading in places:
            which, columns, at = read_tile(tile, seen, reading, shape, self.features)
            if not len(which):
                continue
            with torch.enable_grad():
                leaves = {layer: value.requires_grad_() for layer, value in columns.items()}
                part = one.share * one.loss([leaves], one.target.of(which.to(crop.device)), 0)
                found = torch.autograd.grad(part * (self.parts()["style"] * scale), list(leaves.values()))
            values[one.name] += part.detach()
            requests += [(layer, grad, at[layer]) for layer, grad in zip(leaves, found, strict=True)]
        for layer, grad, corners in requests:
            if layer == PIXELS:
                more = scatter(grad, corners, crop)
                direct = more if direct is None else direct + more
            else:
                wanted[layer].add_(scatter(grad, corners, wanted[layer]))
        return direct

    @torch.no_grad()
    def _targets(self, tile: Tile) -> dict[Layer, Tensor]:
        """The content image's features that a tile owns."""
        if self._content is not None:
            return self._own(tile, self._content, self.content_layers)
        return {layer: tile.owned(target, layer.pools_before) for layer, target in self.content_targets.items()}

    def _variation(self, pixels: Tensor, scale: float, gradient: Tensor) -> Tensor:
        """Total variation in strips of rows, each sharing one with the next; adds to the gradient."""
        height, width = int(pixels.shape[2]), int(pixels.shape[3])
        rows = max(1, STRIP // (3 * width))
        value = pixels.new_zeros(())
        weight = self.parts()["tv"] * scale
        for first in range(0, height, rows):
            bottom = first + rows >= height
            last = height if bottom else first + rows + 1
            with torch.enable_grad():
                strip = pixels[:, :, first:last].clone().requires_grad_()
                part = variation_of_rows(strip, height, top=first == 0, bottom=bottom)
            (found,) = torch.autograd.grad(part, strip)
            gradient[:, :, first:last] += weight * found
            value += part.detach()
        return value


def _size(image: Tensor, layer: Layer) -> tuple[int, int]:
    """Height and width of the features of a picture at a layer: every pooling halves, rounding down."""
    return int(image.shape[2]) >> layer.pools_before, int(image.shape[3]) >> layer.pools_before


def _weights(tile: Tile, image: Tensor, regions: Regions | None, layer: Layer, number: int) -> Tensor | None:
    """The weights of a region at the positions that a tile owns at a layer."""
    if regions is None:
        return None
    return tile.owned(regions.at(_size(image, layer))[0][number], layer.pools_before)
