"""What a run compares: the terms, their layers and weights, and whether they can work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument, nearest
from nst_lightning.losses import STYLE_LOSSES, NeighborSettings, make_content_loss, make_style_losses
from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.layers import layer_weights
from nst_lightning.objective.parts import factor_of, name_of, parts_of
from nst_lightning.objective.tiled import TiledObjective
from nst_lightning.training.scales import Scale

# What float32 holds (3e38) is divided among the weight of a term, those of a layer and of a style loss, and the values.
# The optimisers square gradients and sum them over the image.
LARGEST = 1e20  # weight of a term; of these only the ratio matters
LARGEST_INSIDE = 1e12  # weight of a layer times that of a style loss


class Wanted:
    """The terms of an objective as they are asked for; see :class:`nst_lightning.StyleTransfer` for the arguments.

    Args:
        content_layers: names, or names and weights.
        style_layers: likewise.
        weights: of the terms ``content``, ``style`` and ``tv``.
        style_loss: a name, or names and weights.
        arch: the network whose layers these are.
        content_loss: a name.
        neighbors: how `nearest_neighbor` and `nearest_neighbor_layers` find their matches.

    Attributes:
        layers: of ``content`` and ``style``, with their weights.
        weights: as given.
        style_losses: the losses and their weights.
        content_loss: a loss of relations, or None: the squared difference of features.

    Raises:
        BadArgument: for what is not there, a weight out of range, or nothing to optimise.
    """

    def __init__(
        self,
        content_layers: Iterable[str] | Mapping[str, float],
        style_layers: Iterable[str] | Mapping[str, float],
        weights: Mapping[str, float],
        style_loss: str | Mapping[str, float],
        arch: str,
        content_loss: str = "features",
        neighbors: NeighborSettings = NeighborSettings(),  # noqa: B008 (frozen)
    ) -> None:
        for term, weight in weights.items():
            if not 0 <= weight <= LARGEST:
                expected = f"a weight is a number of 0 or more, at most {LARGEST:.0e}; only the ratio of weights matters"
                raise BadArgument(f"{term}_weight", weight, expected)
        if weights["content"] == weights["style"] == 0:
            raise BadArgument("style_weight", weights["style"], "content_weight is 0 as well: nothing is left to optimise")
        self.weights = {term: float(weight) for term, weight in weights.items()}
        self.layers = {
            "content": layer_weights(content_layers, arch, "content_layers"),
            "style": layer_weights(style_layers, arch, "style_layers"),
        }
        if not any(self.weights[term] and table for term, table in self.layers.items()):
            raise BadArgument("style_layers", style_layers, "no layer has a weight: nothing is left to optimise")
        self.style_losses = make_style_losses(style_loss, neighbors)
        self.content_loss = make_content_loss(content_loss)
        self._check_inside()

    def _check_inside(self) -> None:
        """Whether the terms themselves stay within the numbers that float32 has."""
        heaviest = max(weight for _, weight in self.style_losses)
        if heaviest > LARGEST_INSIDE:
            expected = f"the weight of a loss is a number from 0 to {LARGEST_INSIDE:.0e}"
            raise BadArgument("style_loss", f"{heaviest:g}", expected)
        for term, table in self.layers.items():
            factor = max(heaviest, 1.0) if term == "style" else 1.0
            for layer, weight in table.items():
                if weight * factor > LARGEST_INSIDE:
                    with_loss = " (times the weight of the style loss)" if factor > 1 else ""
                    expected = f"the weight of a layer{with_loss} is a number from 0 to {LARGEST_INSIDE:.0e}"
                    raise BadArgument(f"{term}_layers", f"{layer.name}: {weight:g}", expected)

    def check_scales(self, scales: Literal["auto", "none"] | Sequence[Scale]) -> None:
        """Whether the weights of scales name something, and leave something.

        Args:
            scales: as :func:`nst_lightning.training.scales.schedule` takes them.

        Raises:
            BadArgument: if not, or if one is out of range.
        """
        losses = {loss.name: weight for loss, weight in self.style_losses}
        layers = {
            name: layer for table in self.layers.values() for layer in table for name in (layer.name, layer.sequential_name)
        }
        names = list(dict.fromkeys([*self.weights, *losses, *STYLE_LOSSES]))
        for scale in scales if not isinstance(scales, str) else ():
            for name, factor in scale.weights.items():
                if name not in names and name not in layers:
                    used = list(dict.fromkeys(layer.name for layer in layers.values()))
                    expected = f"a scale's weights are of {', '.join([*names, *used])}{nearest(name, [*names, *layers])}"
                    raise BadArgument("scales", f"weights: {name}", expected)
                most = (
                    LARGEST / max(self.weights[name], 1.0)
                    if name in self.weights
                    else LARGEST_INSIDE / max([1.0, *losses.values()] if name in layers else [losses.get(name, 1.0), 1.0])
                )
                if not 0 <= factor <= most:
                    expected = f"a factor is a number of 0 or more, here at most {most:.0e}"
                    raise BadArgument("scales", f"weights: {name}: {factor}", expected)
            left = {
                term
                for term, table in self.layers.items()
                if self.weights[term] * scale.weights.get(term, 1.0) > 0
                and any(factor_of(layer, scale.weights) > 0 for layer in table)
            }
            if not any(scale.weights.get(name, 1.0) > 0 for name in losses):
                left -= {"style"}
            if not left:
                raise BadArgument("scales", f"weights: {scale.weights}", "nothing is left to optimise at this size")

    def terms(self, pair: ImagePair) -> list[str]:
        """Those of ``content`` and ``style`` that are computed: with a weight, layers and a picture.

        Raises:
            BadArgument: if there is none.
        """
        there = {"content": pair.content_image is not None, "style": bool(pair.styles)}
        terms = [term for term in there if self.weights[term] > 0 and self.layers[term] and there[term]]
        if not terms:
            absent = "content" if self.weights["style"] == 0 else "style"
            raise BadArgument(absent, None, f"no {absent} image, and the weight of the other term is 0")
        return terms

    def metrics(self, pair: ImagePair) -> list[str]:
        """The names of what a run with these pictures can be monitored by."""
        terms = self.terms(pair)
        names = ["total", *terms, *(["tv"] if self.weights["tv"] > 0 else [])]
        parts = parts_of(self.layers["content"], self.layers["style"], self.content_loss, self.style_losses)
        names += [f"{term}/{name_of(part)}" for term in terms if len(parts[term]) > 1 for part in parts[term]]
        compared = ["val/psnr", "val/ssim"] if pair.content_image is not None else []
        return [f"{kind}/{name}" for kind in ("loss", "val") for name in names] + compared

    def objective(self, pair: ImagePair, settings: VGGSettings) -> TiledObjective:
        """The objective of a run with these pictures; its targets are not set yet."""
        terms = self.terms(pair)
        return TiledObjective(
            VGGFeatures({layer for term in terms for layer in self.layers[term]}, settings),
            content_layers=self.layers["content"] if "content" in terms else {},
            style_layers=self.layers["style"] if "style" in terms else {},
            style_losses=self.style_losses,
            weights=self.weights,
            content_loss=self.content_loss,
        )
