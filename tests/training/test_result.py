"""The picture as it stands is what image, average and hues make of it, however often it is asked for."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from nst_lightning.pictures import oklab
from nst_lightning.training.optimizers import OPTIMIZERS
from nst_lightning.training.result import Result

SHAPE = (20, 24)
OTHERS = {
    "fused": partial(torch.optim.Adam, lr=0.05, fused=True),
    "one by one": partial(torch.optim.SGD, lr=5.0, foreach=False),
    "together": partial(torch.optim.SGD, lr=5.0, foreach=True),
}


def blue_and_yellow() -> torch.Tensor:
    """Hues, ``(1, 2, H, W)``: b of OkLab falls from left to right."""
    return torch.stack([torch.zeros(SHAPE), torch.linspace(0.1, -0.1, SHAPE[1]).expand(SHAPE)])[None]


def result(image: nn.Parameter, decay: float) -> Result:
    found = Result(decay)
    found.size, found.hues = SHAPE, blue_and_yellow()
    found.average.add(image)
    return found


@pytest.mark.parametrize("name", [*OPTIMIZERS, *OTHERS])
@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_what_is_kept_of_a_result_in_hues_ends_with_the_step(name, decay):
    """If this fails, a run in the photograph's hues shows or writes the picture of an earlier step."""
    image = nn.Parameter(torch.rand(1, 3, *SHAPE, generator=torch.manual_seed(0)))
    optimizer = (OPTIMIZERS | OTHERS)[name]([image])
    found = result(image, decay)
    before = found.shown(image, SHAPE)
    for _ in range(3):
        optimizer.zero_grad()

        def loss():
            value = (image - 0.25).square().mean()
            value.backward()
            return value

        optimizer.step(loss)
        found.average.add(image)
        shown = found.shown(image, SHAPE)
        torch.testing.assert_close(shown, oklab.with_hues(found.at(image, SHAPE), found.hues), rtol=0, atol=0)
        assert (shown - before).abs().max() > 1e-4
        before = shown.clone()


def test_hues_are_smoothed_once_for_a_result(monkeypatch):
    """If this fails, log, similarity and file each smooth the hues of the same hundred megapixels: minutes a time."""
    made = []
    smoothed = oklab.smoothed
    monkeypatch.setattr(oklab, "smoothed", lambda *args: made.append(args) or smoothed(*args))
    image = nn.Parameter(torch.rand(1, 3, *SHAPE, generator=torch.manual_seed(0)))
    found = result(image, 0.7)
    first = found.shown(image, SHAPE)
    assert found.shown(image, SHAPE) is first
    assert len(made) == 1
    half = found.shown(image, (10, 12))
    assert half.shape == (1, 3, 10, 12)
    assert torch.equal(found.shown(image, SHAPE), first)
    assert len(made) == 3


def test_other_hues_another_image_or_none_are_another_result():
    """If this fails, turning the colours or going back in a run shows what was there before."""
    image = nn.Parameter(torch.rand(1, 3, *SHAPE, generator=torch.manual_seed(0)))
    found = result(image, 0.0)
    first = found.shown(image, SHAPE)
    found.hues = -found.hues
    second = found.shown(image, SHAPE)
    assert (second - first).abs().max() > 0.05
    assert (found.shown(nn.Parameter(1 - image.detach()), SHAPE) - second).abs().max() > 0.05
    with torch.no_grad():
        image.copy_(1 - image)
    assert (found.shown(image, SHAPE) - second).abs().max() > 0.05
    found.hues = None
    assert torch.equal(found.shown(image, SHAPE), image.detach())
