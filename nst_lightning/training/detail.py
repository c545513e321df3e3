"""Scales of detail: a large picture keeps what it was when it was small, and gets finer.

A run at a larger size goes other ways from its first scales on, and would be another picture: whoever chose among small
ones wants the one that was chosen. So beyond a size each step is followed by a projection: what the image, scaled down, has
become other than the small picture is taken back, and only what the small one cannot show is left to the optimiser.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nst_lightning.pictures import mapped
from nst_lightning.pictures.resampling import resampled
from nst_lightning.pictures.strips import planes


class Detail:
    """Holds an image to a smaller one.

    Args:
        circular: whether the image's opposite edges continue each other.

    Attributes:
        small: ``(1, 3, h, w)``; None: nothing is held.
    """

    def __init__(self, circular: bool = False) -> None:
        self.circular = circular
        self.small: Tensor | None = None

    def begin(self, image: Tensor) -> None:
        """Hold larger images to this one from now on, if they are not held to one already."""
        if self.small is None:
            self.small = image.detach().clone()

    def drop(self) -> None:
        """Hold nothing any more: something else is wanted of the picture."""
        self.small = None

    @torch.no_grad()
    def hold(self, image: Tensor) -> None:
        """Give an image ``(1, 3, H, W)`` the low frequencies of the small one: x + U(s - D x), in place.

        D is the bicubic resizing with antialiasing, U that without. D U is no identity: what is left at the finest
        frequencies of the small one is taken back with the next steps. (Bilinear ones leave twice as much.)
        """
        if self.small is None:
            return
        self.small = self.small.to(image)
        size, little = ((int(one.shape[2]), int(one.shape[3])) for one in (image, self.small))
        for plane in planes(image):
            shown = resampled(image[:, plane], little, "bicubic", antialias=True, circular=self.circular)
            missing = self.small[:, plane] - shown
            image[:, plane] += resampled(missing, size, "bicubic", circular=self.circular)
            mapped.let_go()
