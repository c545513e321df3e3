"""What watches over a run: an objective that is no number any more does not cost the picture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from nst_lightning.errors import NonFiniteLoss
from nst_lightning.pictures import mapped
from nst_lightning.pictures.strips import by_strips
from nst_lightning.training.averages import RunningAverage

EVERY = 25  # steps between two looks on a device that computes on while nobody looks


class Guard:
    """Keeps the last image for which the objective was a finite number.

    On a CPU each step is looked at. On a GPU a look would wait for all that is under way, so there the device itself keeps
    the image and the number of the first bad step, and is asked now and then.

    Args:
        image: ``(1, 3, H, W)``, with the values of the first step; the image's device decides.
    """

    def __init__(self, image: Tensor) -> None:
        # to be shown, not to go on from: half the memory
        self.image = mapped.kept(by_strips(lambda rows: rows.half(), image.detach()))
        self.waits = image.device.type == "cpu"
        self._first_bad = torch.full((), -1, device=image.device)

    @torch.no_grad()
    def see(self, image: Tensor, total: Tensor, step: int, last: bool = False) -> None:
        """Take note of a step.

        Args:
            image: the image that the objective was computed for.
            total: the objective.
            step: of the run.
            last: of its scale: what comes of it is used for more than the next step.

        Raises:
            NonFiniteLoss: if the objective was no number, here or at an earlier step that was not looked at.
        """
        if self.waits:
            if not torch.isfinite(total):
                raise NonFiniteLoss(step)
            self.image.copy_(image)
            mapped.let_go()
            return
        bad = (self._first_bad < 0) & ~torch.isfinite(total)
        self._first_bad.masked_fill_(bad, step)
        self.image.copy_(torch.where(self._first_bad < 0, image, self.image))
        if last or step % EVERY == 0:
            self.check()

    @contextlib.contextmanager
    def restoring(self, image: Tensor, average: RunningAverage) -> Iterator[None]:
        """Inside, an objective that is no number leaves the last image for which it was one, in ``image``."""
        try:
            yield
        except NonFiniteLoss:
            with torch.no_grad():
                image.copy_(self.image)
            average.restart()
            raise

    def check(self) -> None:
        """Ask whether all was well so far.

        Raises:
            NonFiniteLoss: naming the first step that was not.
        """
        step = int(self._first_bad)
        if step >= 0:
            self._first_bad.fill_(-1)  # said once: what is saved afterwards is the last good image
            raise NonFiniteLoss(step)
