"""Coarse to fine: which size is optimised at which step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from nst_lightning.errors import BadArgument
from nst_lightning.pictures.picture import fit_size

SMALLEST = 128  # pixels; below it the deepest layers see a handful of positions
NEAR = 1.25  # times `most`: a result up to there has no scales of detail, they would add next to nothing
DETAIL = 0.5, 2 / 3  # steps of the first scale of detail, as a part of those of the scale before, and of each next one
# The gradient of neighbours grows against that of the content loss: by a half to nine tenths from 512 to 1024 px. So the
# content counts half as much again with each doubling, and the balance of both is that of small pictures.
BALANCE = 0.6


@dataclass(frozen=True)
class Scale:
    """One size of the pyramid.

    Args:
        size: longer side, in pixels, or up to 1 as a part of the size of the result.
        steps: how many of the steps it gets, relative to the other scales'; in all they are the Trainer's max_steps.
        weights: what weights are multiplied by at this size, by the names of terms (content, style, tv), style losses and
            layers; 0 leaves one out, and the network beyond the deepest layer that is left is not computed. Those of style
            losses that are not computed change nothing.
        least: left out where the longer side would have fewer pixels, or the shorter one fewer than half of them: so one
            list of parts serves every size of the result.
        most: of the last scale: pixels of its longer side at most; 0: no limit. Parts are then parts of that size, and a
            larger result goes on from there in scales of detail: doublings in which the image keeps what it has. Scaled
            down, it is the picture that a result of ``most`` pixels would have been. Weights are those of the last scale,
            but the content counts 1.5 times as much with each doubling, as the style's gradient grows by that.
    """

    size: float
    steps: float
    weights: dict[str, float] = field(default_factory=dict)
    least: int = 0
    most: int = 0


class Stage(NamedTuple):
    """One scale of a run.

    Attributes:
        size: longer side in pixels.
        shape: ``(height, width)`` of the image.
        first: the first step at this scale.
        last: the step after the last.
        factors: see :attr:`Scale.weights`.
        detail: whether the image keeps what it had at the last scale that is none of detail.
    """

    size: int
    shape: tuple[int, int]
    first: int
    last: int
    factors: dict[str, float] = {}  # noqa: RUF012 (nobody changes it)
    detail: bool = False


def automatic(size: int, smallest: int = SMALLEST) -> list[Scale]:
    """Scales by factors of √2 from about 128 px to ``size``, each with √2 times the steps of the next larger one.

    Halving the pixels halves the time of a step, so every scale takes 1/√2 of the time of the next larger one.

    >>> [(round(scale.size), round(scale.steps, 2)) for scale in automatic(256)]
    [(128, 2.0), (181, 1.41), (256, 1.0)]
    """
    factors = [1.0]
    while size * factors[-1] / 2**0.5 >= smallest * 0.99:
        factors.append(factors[-1] / 2**0.5)
    return [Scale(size * factor, 1 / factor) for factor in reversed(factors)]


def details(last: Scale, size: int) -> list[Scale]:
    """The scales of detail of a result beyond the last scale's ``most``; none up to there.

    >>> [(scale.size, round(scale.steps, 2)) for scale in details(Scale(1.0, 24, most=512), 4096)]
    [(1024.0, 12.0), (2048.0, 8.0), (4096, 5.33)]
    >>> [round(scale.weights["content"], 1) for scale in details(Scale(1.0, 24, {"content": 3.0}, most=512), 4096)]
    [4.5, 6.9, 10.4]
    >>> details(Scale(1.0, 24, most=512), 600), [scale.size for scale in details(Scale(1.0, 24, most=512), 1200)]
    ([], [1200])
    """
    if not last.most or size <= NEAR * last.most:
        return []
    sizes: list[float] = [size]
    while sizes[0] / 2 > NEAR * last.most:
        sizes.insert(0, sizes[0] / 2)
    first, following = DETAIL
    content = last.weights.get("content", 1.0)
    return [
        Scale(
            pixels,
            last.steps * first * following**number,
            last.weights | {"content": content * (pixels / last.most) ** BALANCE},
        )
        for number, pixels in enumerate(sizes)
    ]


def schedule(
    scales: Literal["auto", "none"] | Sequence[Scale], size: int, shape: tuple[int, int], steps: int
) -> list[Stage]:
    """The stages of a run.

    Args:
        scales: ``auto`` (see :func:`automatic`), ``none`` (the final size only), or scales, coarse to fine.
        size: longer side of the result in pixels.
        shape: ``(height, width)`` of the result.
        steps: of the whole run.

    Raises:
        BadArgument: for scales that do not grow, or do not end with the size of the result.

    >>> [(stage.shape, stage.first, stage.last) for stage in schedule("auto", 256, (192, 256), 100)]
    [((96, 128), 0, 45), ((136, 181), 45, 77), ((192, 256), 77, 100)]
    """
    if isinstance(scales, str):
        scales = automatic(size) if scales == "auto" else [Scale(1.0, 1)]
    limits = [scale.most for scale in scales]
    if any(limits[:-1]) or not all(most == 0 or most >= 1 for most in limits):  # not a number is neither
        raise BadArgument("scales", limits, "only the last scale has a `most`, 1 pixel or more; 0 is no limit")
    more = details(scales[-1], size) if scales else []
    whole_size, size = size, scales[-1].most if more else size
    pixels = [scale.size * size if scale.size <= 1 else scale.size for scale in scales]
    for scale, pixel in zip(scales, pixels, strict=True):
        if not (pixel > 0 and 0 < scale.steps < float("inf")):
            raise BadArgument("scales", f"{scale.size} x {scale.steps}", "size and steps of a scale are above 0")
    if not pixels or pixels != sorted(pixels) or abs(pixels[-1] - size) >= 0.5:
        end = f"`most`, {size}" if more else f"the result, {size}"
        raise BadArgument("scales", pixels, f"sizes grow, and the last is that of {end} (or 1.0)")
    narrow = 2 * min(shape) / max(shape)  # twice the shorter side, of the longer one
    kept = [pixel * min(1.0, narrow) >= scale.least * 0.99 for scale, pixel in zip(scales, pixels, strict=True)]
    kept[-1] = True
    scales = [scale for scale, here in zip(scales, kept, strict=True) if here] + more
    pixels = [pixel for pixel, here in zip(pixels, kept, strict=True) if here] + [scale.size for scale in more]
    # with fewer steps than scales the coarsest are left out
    scales, pixels = scales[-max(steps, 1) :], pixels[-max(steps, 1) :]
    whole = sum(scale.steps for scale in scales)
    stages: list[Stage] = []
    done = 0.0
    for number, (scale, pixel) in enumerate(zip(scales, pixels, strict=True), start=1):
        first = stages[-1].last if stages else 0
        done += scale.steps
        # every scale gets a step, whatever the others' shares
        last = min(max(round(steps * done / whole), first + 1), steps - (len(scales) - number))
        detail = number > len(scales) - len(more)
        stages.append(Stage(round(pixel), fit_size(*shape, round(pixel)), first, last, dict(scale.weights), detail))
    final = stages[-1]._replace(size=whole_size, shape=shape)
    return [*stages[:-1], final]


def stage_at(stages: Sequence[Stage], step: int, shape: tuple[int, int]) -> Stage:
    """The stage of a step, for an image of ``shape``, one of the stages' own.

    Never a coarser one than the image's: where a finished run goes on with more steps, its detail is kept. Of stages of one
    size, the first.
    """
    planned = next((stage for stage in stages if step < stage.last), stages[-1])
    reached = next(stage for stage in stages if stage.shape == shape)
    return planned if planned.first > reached.first else reached
