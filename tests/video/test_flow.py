"""Flow, reliability and warping, on motion that is known."""

import torch

from nst_lightning.video.flow import flow_between, is_cut, reliability, warp, warping_error
from tests.video.clips import pan


def test_pan_is_found_and_warped_back() -> None:
    first, second = pan(2, step=3)
    backward = flow_between(second, first)
    reliable = reliability(backward, flow_between(first, second))
    known = torch.tensor([3.0, 0.0])[None, :, None, None]
    assert float((backward - known).abs().mean()) < 0.1
    assert float(reliable.mean()) > 0.9
    assert float(reliable[..., -3:].mean()) < 0.1  # what came in from the right was not there before
    assert warping_error(first, second, backward, reliable) < 1e-4
    assert torch.allclose(warp(first, known.expand_as(backward))[..., 4:-4], second[..., 4:-4], atol=0.01)
    assert not is_cut(first, second, reliable)


def test_another_scene_is_a_cut() -> None:
    first = pan(1)[0]
    second = (1 - first.flip(2)).clamp(0, 1)
    assert is_cut(first, second, reliability(flow_between(second, first), flow_between(first, second)))
