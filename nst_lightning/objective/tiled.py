"""The objective from tiles: the same value and gradient, with the memory of one tile.

Losses see moments, which add up, samples, which are few, or positions, each by itself; the content loss is local too. (Some
sort the features of all positions: these are gathered, in a file where they are large.) So a step takes two passes:

1. The moments are summed over tiles and the samples gathered. From them, as ever, the loss L, ∂L/∂μ, ∂L/∂S and the
   samples' gradients. Where no loss asks for either, there is no first pass.
2. Each tile is computed again, but those whose graph there was memory to keep. At the positions it owns,
   ∂L/∂F = w (∂L/∂μ + (∂L/∂S + ∂L/∂Sᵀ) F) / N, the content loss's 2 (F − T) / n, and what the samples and points in it ask
   for are known without any other tile; they are carried back to its crop and added to the image's gradient.

This costs up to one more forward pass than the whole image takes, and the overlap of the crops. It is exact: see
:mod:`nst_lightning.objective.tiles` for why the owned features are those of the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nst_lightning.losses.points import Reading
from nst_lightning.losses.variation import variation_in_strips
from nst_lightning.network.layers import Layer
from nst_lightning.objective.asking import Asked, Asking
from nst_lightning.objective.gradients import GradientSum, KnownGradient
from nst_lightning.objective.graphs import Graphs
from nst_lightning.objective.parts import sum_of
from nst_lightning.objective.pointed import PointTarget
from nst_lightning.objective.ranks import add_up, share, together, world
from nst_lightning.objective.seen import Seen, seen_of
from nst_lightning.objective.sums import Summed, own, size_at, sum_up
from nst_lightning.objective.tiles import Tile, grid
from nst_lightning.objective.whole import Objective, Values
from nst_lightning.pictures import mapped
from nst_lightning.pictures.regions import Regions


class TiledObjective(Objective):
    """An :class:`Objective` that is computed whole, or from tiles with the same result.

    From tiles only ``loss`` has a gradient, for one backward pass; the terms have their values.

    Attributes:
        tile: the sides of a tile in pixels; None: the whole image at once. May be changed at any time.
        content_limit: bytes up to which the content image's features are kept in memory. Beyond, they are kept in a file;
            where there is no room for one, and on a GPU, each tile's are computed anew in each step.
        graph_limit: bytes up to which tiles are kept from a step's first pass to its second.
    """

    tile: int | None = None
    content_limit: float = float("inf")
    graph_limit: float = 0.0
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
        shapes = {layer: (1, layer.channels, *size_at(content, layer)) for layer in self.content_layers}
        values = sum(shape[1] * shape[2] * shape[3] for shape in shapes.values())
        in_memory = values * dtype.itemsize <= self.content_limit
        if not in_memory and (content.device.type != "cpu" or not mapped.on_disk()):
            self._content = content
            return
        with together(content.device):
            try:
                for layer, (_, channels, height, width) in shapes.items():
                    lasting = (1, height, width, channels)  # channels_last
                    empty = (
                        torch.empty(lasting, dtype=dtype, device=content.device)
                        if in_memory
                        else mapped.in_file(lasting, dtype)
                    )
                    self.content_targets[layer] = empty.permute(0, 3, 1, 2)
            except OSError:  # no room on the disk
                self._content, self.content_targets = content, {}
                return
            for tile in tiles:
                for layer, part in own(self.features, tile, content, self.content_layers).items():
                    tile.owned(self.content_targets[layer], layer.pools_before).copy_(part)
                mapped.let_go()

    def look(self, image: Tensor, regions: Regions | None) -> dict[Layer, list[Seen]]:
        tiles = self.tiles(image)
        if len(tiles) == 1:
            return super().look(image, regions)
        sees = {loss.sees for loss, _ in self.layered}
        found = sum_up(self.features, image, regions, self.style_layers, tiles, sees=sees)
        return self._with_features(found, regions)

    @staticmethod
    def _with_features(found: Summed, regions: Regions | None) -> dict[Layer, list[Seen]]:
        """What is seen of every layer and region, with the features of all positions where they were gathered."""
        for layer, whole in found.maps.items():
            for one, more in zip(found.seen[layer], seen_of(whole, regions, {"features"}), strict=True):
                one |= more
        return found.seen

    # ---- a step ------------------------------------------------------------------------------------------------------

    def forward(self, image: Tensor, step: int = 0) -> dict[str, Tensor]:
        tiles = self.tiles(image)
        if len(tiles) == 1 and self._content is None:
            return super().forward(image, step)
        pixels = image.detach()
        # of `loss` times this number, as it is optimised: in half precision the plain gradient of a pixel would be 0
        scale = float(image.numel())
        wanted = torch.is_grad_enabled() and image.requires_grad
        graphs = Graphs(self.features, self.graph_limit if wanted else 0.0, self.features.dtype_for(pixels))
        contents, styles, asked = self._first_pass(pixels, tiles, graphs, step, scale)
        gradient = self._second_pass(pixels, tiles, graphs, asked, scale, contents, styles, step, wanted)
        tv = temporal = None
        if self.computes("tv"):
            tv = variation_in_strips(pixels, self.parts()["tv"] * scale, gradient)
        if self.held is not None and self.computes("temporal"):
            weight = self.parts()["temporal"] * scale
            temporal = self.held(pixels) if gradient is None else self.held.add_gradient(pixels, weight, gradient)
        terms = {name: value.detach() for name, value in self.combine(contents, styles, tv, temporal).items()}
        if gradient is not None:
            terms["loss"] = KnownGradient.apply(image, terms["loss"], [gradient], 1.0 / scale)
        return terms

    def _sampled(self, pixels: Tensor, step: int) -> list[tuple[PointTarget | None, list[Reading]]]:
        """The losses of samples and what they read; None for that of the content image's relations."""
        found: list[tuple[PointTarget | None, list[Reading]]] = []
        if self.relations is not None and self.relations.image is not None:
            found.append((None, self.relations.readings(step)))
        targets = [one for one in self.pointed.targets if one.loss.sees == "samples"]
        return found + [(one, self.pointed.readings(one, pixels, step)) for one in targets]

    def _first_pass(
        self, pixels: Tensor, tiles: Sequence[Tile], graphs: Graphs, step: int, scale: float
    ) -> tuple[Values, Values, Asked]:
        """The losses that need all of the image, and what they ask of its features."""
        losses = self._sampled(pixels, step)
        readings = [one for _, several in losses for one in several]
        layers = {*self.style_targets, *(layer for one in readings for layer in one.layers)}
        if not layers:
            return {}, {}, Asked({}, [], {})
        if not graphs.left:
            # any division gives the same sums; that for these layers may need less overlap than all layers'
            tiles = self.tiles(pixels, max(*layers, min(self.features.layers)))
        sees = {loss.sees for loss, _ in self.layered}
        found = sum_up(self.features, pixels, self.regions, self.style_targets, tiles, readings, sees, graphs.see)
        seen, samples, maps = found
        leaves = [one["moments"] for regions in seen.values() for one in regions if one]
        inputs = [part.requires_grad_() for leaf in leaves for part in (leaf.mean, leaf.second)]
        inputs += [part.requires_grad_() for sample in samples for part in sample.values()]
        inputs += [whole.requires_grad_() for whole in maps.values()]
        contents: Values = {}
        with torch.enable_grad(), torch.autocast(pixels.device.type, enabled=False):
            styles = self.style_values(self._with_features(found, self.regions), step, pixels.new_zeros(()))
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
                if "moments" in one:
                    mean, second = grads.pop(0), grads.pop(0)
                    mass = one["moments"].positions
                    pulls[layer].append((number, mean / mass, second / mass))
        points = [(one, {layer: grads.pop(0) for layer in one.layers}) for one in readings]
        asked = Asked(pulls, points, dict(zip(maps, grads, strict=True)))
        return (
            {key: one.detach() for key, one in contents.items()},
            {key: one.detach() for key, one in styles.items()},
            asked,
        )

    def _second_pass(
        self,
        pixels: Tensor,
        tiles: Sequence[Tile],
        graphs: Graphs,
        asked: Asked,
        scale: float,
        contents: Values,
        styles: Values,
        step: int,
        wanted: bool,
    ) -> Tensor | None:
        """The gradient, if it is wanted; adds the values of the losses that are local to those of the first pass."""
        asking = Asking(self, pixels, tiles, asked, scale, step)
        banded = world() == 1 and self.features.settings.padding != "circular"
        gradient = GradientSum(pixels, banded) if wanted else None
        with together(pixels.device):
            for tile in share(tiles) if asking.any and (wanted or asking.values) else ():
                crop, features = graphs.take(tile, pixels, wanted)
                with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):
                    targets = self._targets(tile) if asking.content else {}
                    asks, direct = asking.at(tile, crop.detach(), features, targets)
                with torch.autocast(pixels.device.type, enabled=False):
                    found = direct
                    if asks and wanted:
                        outputs = [features.pop(layer) for layer in asks]
                        (found,) = torch.autograd.grad(outputs, crop, list(asks.values()))
                        found = found if direct is None else found + direct
                if found is not None and gradient is not None:
                    gradient.add(tile, found)
                mapped.let_go()
        add_up(asking.values.values())
        for key, value in asking.values.items():
            (contents if isinstance(key, Layer) else styles)[key] = value.to(pixels.dtype)
        return None if gradient is None else gradient.total()

    @torch.no_grad()
    def _targets(self, tile: Tile) -> dict[Layer, Tensor]:
        """The content image's features that a tile owns."""
        if self._content is not None:
            return own(self.features, tile, self._content, self.content_layers)
        return {layer: tile.owned(target, layer.pools_before) for layer, target in self.content_targets.items()}
