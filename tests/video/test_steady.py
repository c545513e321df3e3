"""Films of known motion are steady, and stay painted: the figures that the README quotes, at 128 px."""

from functools import lru_cache

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.video.clips import Moving, passing, views
from tests.video.steady import error, painted, style_distance

pytestmark = pytest.mark.slow
SHAPE = (96, 128)
CLIPS = {
    "pan": views(5, SHAPE, move=(2.3, 1)),
    "zoom": views(5, SHAPE, zoom=1.03),
    "turn": views(5, SHAPE, turn=2),
    "passing": passing(5, SHAPE),
}


@lru_cache
def results(name: str, way: str) -> list[Tensor]:
    return painted(CLIPS[name].frames, way)


@pytest.mark.parametrize("name", CLIPS)
def test_steadier_than_frames_alone_and_than_beginning_with_the_last(name: str) -> None:
    """By the true flow, which the program does not know (Lai et al. 2018)."""
    clip: Moving = CLIPS[name]
    ours, alone, begun = (error(clip, results(name, way)) for way in ("ours", "alone", "begun"))
    assert ours <= alone / 5 and ours <= begun / 2, f"{ours:.5f} against {alone:.5f} alone, {begun:.5f} begun"


def test_what_was_hidden_is_painted() -> None:
    """Behind the disc the paint has the contrast of strokes, as in a frame painted alone; smeared it has less."""
    clip = passing(7, SHAPE, step=6)
    hidden = 1 - torch.stack(clip.seen).amin(0)  # at some time, and seen in the last frame
    hidden = hidden * (clip.frames[0] - clip.frames[-1]).abs().amax(1, keepdim=True).gt(0.02)

    def contrast(result: Tensor) -> float:
        gray = result.mean(1, keepdim=True)
        mean = functional.avg_pool2d(gray, 5, 1, 2)
        spread = (functional.avg_pool2d(gray.square(), 5, 1, 2) - mean.square()).clamp_min(0).sqrt()
        return float((spread * hidden).sum() / hidden.sum())

    ours, alone = painted(clip.frames)[-1], painted(clip.frames[-1:])[-1]
    assert contrast(ours) > 0.7 * contrast(alone)


def test_style_does_not_fade_in_sixty_frames() -> None:
    """Steadiness is not bought with a photograph that comes through, or with a blur.

    The first frame has all scales, the others two steps at the last.
    """
    frames = painted(views(60, SHAPE, move=(1.3, 0.4)).frames)
    first, tenth, last = (style_distance(frames[number]) for number in (0, 9, 59))
    assert last <= 1.1 * first and last <= 1.1 * tenth, f"{first:.3f}, after 60 frames {last:.3f}"
