"""The losses, one a file: formula, paper, class.

All are means over channels, positions or pixels, so that a weight means the same at every size and for every layer.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from nst_lightning.errors import BadArgument, nearest
from nst_lightning.losses.gram import Gram, GramPerChannel
from nst_lightning.losses.histogram import Histogram
from nst_lightning.losses.mean_std import MeanStd
from nst_lightning.losses.nearest_neighbor import NearestNeighbor, NeighborSettings
from nst_lightning.losses.nearest_neighbor_layers import NearestNeighborLayers
from nst_lightning.losses.relaxed_emd import Palette, RelaxedEMD
from nst_lightning.losses.self_similarity import SelfSimilarity
from nst_lightning.losses.sliced_wasserstein import SlicedWasserstein
from nst_lightning.losses.style_loss import StyleLoss
from nst_lightning.losses.wasserstein import Wasserstein

STYLE_LOSSES: dict[str, type[StyleLoss]] = {
    "gram": Gram,
    "gram_per_channel": GramPerChannel,
    "mean_std": MeanStd,
    "wasserstein": Wasserstein,
    "sliced_wasserstein": SlicedWasserstein,
    "histogram": Histogram,
    "nearest_neighbor": NearestNeighbor,
    "nearest_neighbor_layers": NearestNeighborLayers,
    "relaxed_emd": RelaxedEMD,
    "palette": Palette,
}
CONTENT_LOSSES: dict[str, type[SelfSimilarity] | None] = {"features": None, "self_similarity": SelfSimilarity}


def make_style_losses(
    style_loss: str | Mapping[str, float],
    neighbors: NeighborSettings = NeighborSettings(),  # noqa: B008 (frozen)
) -> list[tuple[StyleLoss, float]]:
    """Turn the argument ``style_loss`` into losses and their weights.

    Args:
        style_loss: a name of :data:`STYLE_LOSSES`, the class path of a :class:`StyleLoss`, or a map from those to weights.
        neighbors: how `nearest_neighbor` and `nearest_neighbor_layers` search.

    Raises:
        BadArgument: for an unknown name or a negative weight.
    """
    given = {style_loss: 1.0} if isinstance(style_loss, str) else dict(style_loss)
    for name, weight in given.items():
        if not 0 <= weight < float("inf"):
            raise BadArgument("style_loss", f"{name}: {weight}", "the weight of a loss is a number of 0 or more")
    losses: list[tuple[StyleLoss, float]] = []
    for name, weight in given.items():
        kind = _find(name)
        if weight > 0:
            searches = issubclass(kind, NearestNeighbor | NearestNeighborLayers)
            loss = kind(neighbors) if searches else kind()
            loss.name = name
            losses.append((loss, float(weight)))
    if not losses:
        raise BadArgument("style_loss", style_loss, "no loss has a weight; style_weight 0 turns the style off")
    return losses


def make_content_loss(content_loss: str) -> SelfSimilarity | None:
    """Turn the argument ``content_loss`` into a loss; None is the squared difference of features.

    Raises:
        BadArgument: for an unknown name.
    """
    if content_loss not in CONTENT_LOSSES:
        raise BadArgument(
            "content_loss", content_loss, f"one of {', '.join(CONTENT_LOSSES)}{nearest(content_loss, CONTENT_LOSSES)}"
        )
    kind = CONTENT_LOSSES[content_loss]
    return None if kind is None else kind()


def _find(name: str) -> type[StyleLoss]:
    if name in STYLE_LOSSES:
        return STYLE_LOSSES[name]
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute) if module else None
    except (ImportError, AttributeError):
        found = None
    if not (isinstance(found, type) and issubclass(found, StyleLoss)):
        known = ", ".join(STYLE_LOSSES)
        expected = f"is none of {known}, and no class path of a StyleLoss{nearest(name, STYLE_LOSSES)}"
        raise BadArgument("style_loss", name, expected)
    return found
