"""What a run makes at another size of an image whose opposite edges continue each other."""

from __future__ import annotations

import torch

from nst_lightning.training import carry
from nst_lightning.training.result import Result

IMAGE = torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TURN, TURNED = (4, 8), (3, 6)  # of 12 x 20 pixels, and the same of 9 x 15


def test_the_result_of_a_run_that_ended_at_a_coarse_scale():
    """If this fails, a seamless texture that was stopped early has a seam at its full size."""
    shown = [Result(0.0, circular=True).at(one, (9, 15)) for one in (IMAGE, IMAGE.roll(TURN, (2, 3)))]
    torch.testing.assert_close(shown[1], shown[0].roll(TURNED, (2, 3)), rtol=0, atol=1e-12)


def test_what_an_optimiser_takes_along():
    """If this fails, the means of gradients at the edges of a seamless texture are those of another place."""
    for means in (IMAGE, IMAGE - 0.5):  # of squares, and of any sign
        found = [
            carry.resized({"exp_avg": one}, one.shape, (1, 3, 18, 30), circular=True)
            for one in (means, means.roll(TURN, (2, 3)))
        ]
        assert found[0] and found[1]
        wanted = found[0]["exp_avg"].roll((6, 12), (2, 3))
        torch.testing.assert_close(found[1]["exp_avg"], wanted, rtol=0, atol=1e-12)
