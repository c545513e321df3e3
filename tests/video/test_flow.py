"""Flow between frames whose motion is known, what is believed of it, and cuts."""

import itertools

import pytest
import torch

from nst_lightning.video.flow import Motion, flow_between, is_cut, motion, warp, warping_error
from tests.video.clips import CONTENT, Moving, pan, passing, photograph, views


def _both(first: torch.Tensor, second: torch.Tensor) -> Motion:
    return motion(second, first, flow_between(second, first), flow_between(first, second))


def test_pan_is_found_and_warped_back() -> None:
    first, second = pan(2, step=3)
    backward, reliable, _ = _both(first, second)
    known = torch.tensor([3.0, 0.0])[None, :, None, None]
    assert float((backward - known).abs().mean()) < 0.1
    assert float(reliable.mean()) > 0.9
    assert float(reliable[..., -3:].mean()) < 0.1  # what came in from the right was not there before
    assert warping_error(first, second, backward, reliable) < 1e-4
    assert torch.allclose(warp(first, known.expand_as(backward))[..., 4:-4], second[..., 4:-4], atol=0.01)


def test_what_was_hidden_is_not_believed() -> None:
    """The strip behind a disc that moves on was not there before: only what looks like the disc may be carried along."""
    clip = passing(2, (96, 128), step=6)
    backward, reliable, _ = _both(*clip.frames)
    hidden = 1 - clip.seen[0]
    assert float((reliable * hidden).sum() / hidden.sum()) < 0.5
    wrong = (clip.frames[1] - warp(clip.frames[0], backward)).abs().mean(1, keepdim=True)
    assert float((wrong * reliable * hidden).sum() / (reliable * hidden).sum()) < 0.05
    assert float((reliable * clip.seen[0]).sum() / clip.seen[0].sum()) > 0.75


@pytest.mark.parametrize("shape", [(36, 48), (96, 128), (216, 288)])
def test_cuts_are_found_and_motion_is_none(shape: tuple[int, int]) -> None:
    """Fails if a scene would be held to the one before it, or strong motion begins a scene at every frame."""
    photos = [photograph(path, shape) for path in sorted(CONTENT.iterdir())]
    for first, second in itertools.permutations(photos, 2):
        assert is_cut(first, second, _both(first, second))
    moving: list[Moving] = [
        views(2, shape, move=(0.12 * shape[1], 0)),
        views(2, shape, zoom=1.25),
        views(2, shape, turn=12),
        passing(2, shape, step=shape[1] // 10),
    ]
    for clip in moving:
        assert not is_cut(*clip.frames, _both(*clip.frames))
    assert not is_cut(photos[2], 0.6 * photos[2], _both(photos[2], 0.6 * photos[2])), "a light that goes out is no cut"
