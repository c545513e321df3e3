"""Whether pictures, layers and scales go together, before the network is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument
from nst_lightning.network.layers import Layer
from nst_lightning.training.scales import Scale, schedule


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
    pictures: list[tuple[str, str, tuple[int, int], object]] = []  # argument, term, height and width, value
    if "content" in tables and pair.content_image is not None:
        pictures.append(("content", "content", _sides(pair.content_image.shape), pair.content))
    if "style" in tables:
        for style, source in zip(pair.styles, pair.style_sources, strict=True):
            pictures.append(("style", "style", _sides(style.image.shape), source))
        # the image itself has to pass through these layers too, whatever the size of the style image
        pictures.append(("size", "style", pair.image_size, pair.size))
    for argument, term, (height, width), source in pictures:
        deepest = max(tables[term])
        smallest = 2**deepest.pools_before
        if min(height, width) < smallest:
            expected = (
                f"is {width} x {height} pixels at size {pair.size}; {deepest.name} needs {smallest} on the shorter "
                "side: give a larger size or shallower layers"
            )
            raise BadArgument(argument, source if isinstance(source, str | int) else "(picture)", expected)
    needed = 2 ** max(max(layers).pools_before for layers in tables.values())
    height, width = schedule(scales, pair.size, pair.image_size, 10**6)[0].shape
    if min(height, width) < needed:
        expected = f"the first scale is {width} x {height} pixels; the layers need {needed} on the shorter side"
        raise BadArgument("scales", None, expected)


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    return int(shape[-2]), int(shape[-1])
