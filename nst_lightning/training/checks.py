"""Whether pictures, layers and scales go together, before the network is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Literal

from nst_lightning.data import ImagePair, style_shape
from nst_lightning.errors import BadArgument
from nst_lightning.network.layers import Layer
from nst_lightning.pictures.sources import name_of
from nst_lightning.training.scales import Scale, Stage, schedule


def check_sizes(
    tables: Mapping[str, Mapping[Layer, float]], pair: ImagePair, scales: Literal["auto", "none"] | Sequence[Scale]
) -> None:
    """Whether every picture is large enough for the deepest layer that sees it, at every scale.

    Args:
        tables: the layers of the terms ``content`` and ``style``, those that are computed.
        pair: after its ``setup``.
        scales: as :func:`nst_lightning.training.scales.schedule` takes them.

    Raises:
        BadArgument: naming the picture, the size or the scales.
    """
    stages = schedule(scales, pair.size, pair.image_size, 10**6)
    last = stages[-1]
    for stage in [last, *stages[:-1]]:  # the last first: what is too small there is so at every scale
        where = f"at size {stage.size}" if stage is last else f"at the scale of {stage.size} pixels of size {pair.size}"
        first_sizes = "" if stage is last else ", --model.scales none or larger scales"
        for argument, term, (height, width), source in _seen(tables, pair, stage):
            deepest = max(tables[term])
            smallest = 2**deepest.pools_before
            if min(height, width) < smallest:
                larger = "a larger size" if argument != "style" else _style_remedy(pair, smallest, min(height, width))
                expected = (
                    f"is {width} x {height} pixels {where}; {deepest.name} needs {smallest} on the shorter side: give "
                    f"{larger}{first_sizes} or shallower layers"
                )
                raise BadArgument(argument, source, expected)


def _seen(
    tables: Mapping[str, Mapping[Layer, float]], pair: ImagePair, stage: Stage
) -> Iterator[tuple[str, str, tuple[int, int], object]]:
    """What the network sees at a scale: the argument, the term, height and width, and what was given."""
    if "content" in tables and pair.content_image is not None:
        yield "content", "content", stage.shape, name_of(pair.content)
    if "style" in tables:
        for style, source in zip(pair.styles, pair.style_sources, strict=True):
            yield "style", "style", style_shape(style, stage.size, pair.style_scale), name_of(source)
        # the image itself has to pass through these layers too, whatever the size of the style image
        yield "size", "style", stage.shape, pair.size


def _style_remedy(pair: ImagePair, smallest: int, shorter: int) -> str:
    """What makes a style image larger, with a number that does."""
    factor = smallest / max(shorter, 1) * 1.01
    if pair.style_size is not None:
        return f"--data.style_size {ceil(pair.style_size * factor)} or more"
    return f"a larger size, --data.style_scale {pair.style_scale * factor:.2g} or more"
