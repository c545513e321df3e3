"""Whether pictures, layers, scales and callbacks go together, before the network is built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from lightning.pytorch.callbacks import Callback, StochasticWeightAveraging, WeightAveraging

from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument, nearest
from nst_lightning.network.layers import Layer
from nst_lightning.training.scales import Scale, schedule


def check_callbacks(callbacks: Iterable[Any], known: Iterable[str] | None) -> None:
    """Whether callbacks can work with an image that becomes another parameter at each scale.

    Args:
        callbacks: the Trainer's.
        known: the metrics that there will be, or None: others may come.

    Raises:
        BadArgument: naming the callback, and what there is.
    """
    callbacks = list(callbacks)
    for callback in callbacks:
        if isinstance(callback, StochasticWeightAveraging | WeightAveraging):
            expected = "cannot follow the image from scale to scale; the result is an average already, see average_decay"
            raise BadArgument("callbacks", type(callback).__name__, expected)
    if known is None or any(not _is_known(callback) for callback in callbacks):
        return  # somebody else's may log what is monitored
    names = list(known)
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        # LearningRateMonitor and Lightning itself add some
        if isinstance(monitor, str) and monitor not in (*names, "step", "epoch") and not monitor.startswith("lr-"):
            expected = f"monitors {monitor}, which is none of {', '.join(names)}{nearest(monitor, names)}"
            raise BadArgument("callbacks", type(callback).__name__, expected)


def _is_known(callback: Callback) -> bool:
    return type(callback).__module__.split(".")[0] in ("lightning", "pytorch_lightning", "nst_lightning")


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
