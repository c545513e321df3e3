"""What the terms of an objective consist of: values at layers, and of losses that look at all layers at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from nst_lightning.losses.self_similarity import SelfSimilarity
from nst_lightning.losses.style_loss import PointLoss, StyleLoss
from nst_lightning.network.layers import Layer

# One value of a term: at a layer, or of a loss that looks at all layers at once, by its name.
Part = Layer | str


def parts_of(
    content_layers: Iterable[Layer],
    style_layers: Iterable[Layer],
    content_loss: SelfSimilarity | None,
    style_losses: Sequence[tuple[StyleLoss, float]],
) -> dict[str, list[Part]]:
    """The parts of ``content`` and ``style``, in their order; at a scale whose weights leave a loss out, some are absent.

    Args:
        content_layers: of the content loss.
        style_layers: of the style losses.
        content_loss: a loss of relations, or None: the squared difference of features.
        style_losses: and their weights.
    """
    contents: list[Part] = list(content_layers) if content_loss is None else [content_loss.name]
    styles: list[Part] = []
    if any(not isinstance(loss, PointLoss) for loss, _ in style_losses):
        styles += style_layers
    styles += [loss_name(loss) for loss, _ in style_losses if isinstance(loss, PointLoss)]
    return {"content": contents, "style": styles}


def loss_name(loss: StyleLoss) -> str:
    """What a loss of all layers is called among the terms."""
    return loss.name or type(loss).__name__


def name_of(part: Part) -> str:
    """What a part is called."""
    return part if isinstance(part, str) else part.name


def factor_of(layer: Layer, factors: Mapping[str, float]) -> float:
    """What the weight of a layer is multiplied by, under either of its names."""
    return factors.get(layer.name, 1.0) * factors.get(layer.sequential_name, 1.0)


def sum_of(values: Iterable[Tensor]) -> Tensor:
    """The sum of scalars, in their order."""
    first, *rest = values
    for value in rest:
        first = first + value
    return first
