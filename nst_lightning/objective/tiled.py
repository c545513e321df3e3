"""The objective from tiles: the same value and gradient, with the memory of one tile.

The style losses see moments only, and moments add up; the content loss is local. So a step takes two passes:

1. Without gradient, the moments are summed over tiles. From them, as ever, the style loss L and ∂L/∂μ, ∂L/∂S.
2. Each tile is computed again. At the positions it owns, ∂L/∂F = w (∂L/∂μ + (∂L/∂S + ∂L/∂Sᵀ) F) / N and the content loss's
   2 (F − T) / n are known without any other tile; they are carried back to its crop and added to the image's gradient.

This costs one more forward pass than the whole image takes, and the overlap of the crops. It is exact: see
:mod:`nst_lightning.objective.tiles` for why the owned features are those of the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from nst_lightning.losses.moments import Moments, pull, sums
from nst_lightning.losses.variation import variation_of_rows
from nst_lightning.network.layers import Layer
from nst_lightning.objective.gradients import EXACT, GradientSum, KnownGradient
from nst_lightning.objective.ranks import add_up, share, together, world
from nst_lightning.objective.tiles import Tile, grid
from nst_lightning.objective.whole import Objective, Seen, sum_of
from nst_lightning.pictures.regions import Regions

STRIP = 1 << 22  # values of the image that total variation looks at together


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
        return grid(shape, self.tile, layers, self.features.settings.padding == "circular")

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
        return super().look(image, regions) if len(tiles) == 1 else self._sum(image, regions, self.style_layers, tiles)

    # ---- the first pass ----------------------------------------------------------------------------------------------

    def _own(self, tile: Tile, image: Tensor, layers: Iterable[Layer]) -> dict[Layer, Tensor]:
        """The features that a tile owns at some layers; the network is not computed beyond the deepest of them."""
        features = self.features(tile.crop(image), tile.seams, max(layers))
        return {layer: tile.seen(features[layer], layer.pools_before) for layer in layers}

    @torch.no_grad()
    def _sum(
        self, image: Tensor, regions: Regions | None, layers: Iterable[Layer], tiles: Sequence[Tile]
    ) -> dict[Layer, list[Seen]]:
        """The moments of a picture at every layer and in every region, as :meth:`look` returns them."""
        found: dict[tuple[Layer, int], tuple[Tensor, Tensor]] = {}
        for layer in layers:
            for number, mass in enumerate(self._masses(image, regions, layer)):
                if mass > 0:
                    zero = torch.zeros(layer.channels, dtype=EXACT, device=image.device)
                    found[layer, number] = zero, zero.new_zeros(layer.channels, layer.channels)
        with together(image.device):
            for tile in share(tiles):
                own = self._own(tile, image, layers)
                with torch.autocast(image.device.type, enabled=False):
                    for (layer, number), totals in found.items():
                        weights = _weights(tile, image, regions, layer, number)
                        for total, part in zip(totals, sums(own[layer], weights), strict=True):
                            total += part
        add_up(value for totals in found.values() for value in totals)
        seen: dict[Layer, list[Seen]] = {}
        for layer in layers:
            seen[layer] = []
            for number, mass in enumerate(self._masses(image, regions, layer)):
                one: Seen = {}
                if mass > 0:
                    total, second = found[layer, number]
                    one["moments"] = Moments(mass, (total / mass).to(image.dtype), (second / mass).to(image.dtype))
                seen[layer].append(one)
        return seen

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
        styles, pulls = self._style_from(pixels, step, scale)
        contents, gradient = self._gradient_from(pixels, tiles, pulls, scale)
        tv = self._variation(pixels, scale, gradient) if self.weights["tv"] > 0 else None
        terms = {name: value.detach() for name, value in self.combine(contents, styles, tv).items()}
        if torch.is_grad_enabled() and image.requires_grad:
            terms["loss"] = KnownGradient.apply(image, terms["loss"], [gradient], 1.0 / scale)
        return terms

    def _style_from(
        self, pixels: Tensor, step: int, scale: float
    ) -> tuple[dict[Layer, Tensor], dict[Layer, list[tuple[int, Tensor, Tensor]]]]:
        """The first pass: the style loss at each layer, and for each region of it ∂L/∂μ / N and ∂L/∂S / N."""
        if not self.style_targets:
            return {}, {}
        # any division gives the same moments; the style layers' needs less overlap than the content layers'
        seen = self._sum(pixels, self.regions, self.style_targets, self.tiles(pixels, max(self.style_targets)))
        leaves = [one["moments"] for regions in seen.values() for one in regions if one]
        inputs = [part.requires_grad_() for leaf in leaves for part in (leaf.mean, leaf.second)]
        with torch.enable_grad(), torch.autocast(pixels.device.type, enabled=False):
            styles = self.style_values(seen, step, pixels.new_zeros(()))
            value = sum_of(self.style_layers[layer] * one for layer, one in styles.items())
            value = value * (self.parts()["style"] * scale)
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
        return {layer: one.detach() for layer, one in styles.items()}, pulls

    def _gradient_from(
        self,
        pixels: Tensor,
        tiles: Sequence[Tile],
        pulls: Mapping[Layer, Sequence[tuple[int, Tensor, Tensor]]],
        scale: float,
    ) -> tuple[dict[Layer, Tensor], Tensor]:
        """The second pass: the content loss at each layer, and the gradient."""
        zero = torch.zeros((), dtype=EXACT, device=pixels.device)
        contents = {layer: zero.clone() for layer in self.content_layers if self.computes("content")}
        factor = scale * self.parts().get("content", 0.0)
        layers = {*pulls, *contents}
        gradient = GradientSum(pixels, banded=world() == 1 and self.features.settings.padding != "circular")
        with together(pixels.device):
            for tile in share(tiles) if layers else ():
                with torch.enable_grad():
                    crop = tile.crop(pixels).requires_grad_()
                    features = self.features(crop, tile.seams)
                own = {layer: tile.seen(features[layer].detach(), layer.pools_before) for layer in layers}
                targets = self._targets(tile)
                with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):
                    wanted: dict[Layer, Tensor] = {}
                    for layer, part in own.items():
                        grads = [
                            pull(part, _weights(tile, pixels, self.regions, layer, number), mean, second)
                            for number, mean, second in pulls.get(layer, ())
                        ]
                        if layer in contents:
                            difference = part.to(pixels.dtype) - targets[layer].to(pixels.dtype)
                            height, width = _size(pixels, layer)
                            count = layer.channels * height * width
                            contents[layer] += difference.square().sum() / count
                            weight = 2 * factor * self.content_layers[layer] / count
                            grads.append(difference.mul_(weight).to(part.dtype))
                        # in the features' memory format: autograd's own, of a slice, is another, and many times slower
                        wanted[layer] = torch.zeros_like(features[layer])
                        if grads:
                            tile.seen(wanted[layer], layer.pools_before).copy_(sum_of(grads))
                    del own, targets, part, grads
                with torch.autocast(pixels.device.type, enabled=False):
                    (found,) = torch.autograd.grad([features.pop(layer) for layer in wanted], crop, list(wanted.values()))
                gradient.add(tile, found)
        add_up(contents.values())
        return {layer: value.to(pixels.dtype) for layer, value in contents.items()}, gradient.total()

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
