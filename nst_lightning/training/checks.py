"""Whether pictures, layers, scales and callbacks go together, before the network is built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any, Literal

from lightning.pytorch.callbacks import Callback, StochasticWeightAveraging, WeightAveraging

from nst_lightning.data import ImagePair, style_shape
from nst_lightning.errors import BadArgument, nearest
from nst_lightning.network.layers import Layer
from nst_lightning.pictures.sources import name_of
from nst_lightning.training.scales import Scale, Stage, schedule


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
