"""The running average of the iterates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nst_lightning.pictures import mapped
from nst_lightning.pictures.strips import by_strips, strips


class RunningAverage:
    """Exponential, with bias correction: v ← d v + (1 − d) x, read as v / (1 − dⁿ) (Kingma and Ba 2015, section 3).

    Optimisers with noise, such as Adam, circle around the result; the average of where they were is nearer to it
    (crowsonkb/style-transfer-pytorch).

    Args:
        decay: d, from 0 (no average: the last iterate) to below 1.

    Attributes:
        steps: how many iterates there were.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.restart()

    def restart(self) -> None:
        """Forget all iterates."""
        self._value: Tensor | None = None
        self.steps = 0

    @torch.no_grad()
    def add(self, image: Tensor) -> None:
        """Take in an iterate; all have one shape."""
        self.steps += 1  # without an average, too: fused optimisers move an image without a new version of it
        if self.decay > 0:
            if self._value is None:
                self._value = mapped.zeros(image.shape, image.dtype, image.device)
            for rows in strips(*image.shape[-2:]):
                self._value[..., rows, :].lerp_(image[..., rows, :], 1 - self.decay)
                mapped.let_go()

    def read(self, image: Tensor) -> Tensor:
        """The average; the last iterate ``image`` where nothing was taken in."""
        if self._value is None:
            return image.detach()
        whole = 1 - self.decay**self.steps
        return by_strips(lambda value: value / whole, self._value.to(image.device))

    def to(self, device: torch.device) -> None:
        """Go on on another device."""
        if self._value is not None:
            self._value = self._value.to(device)

    def state(self) -> dict[str, Any]:
        """For a checkpoint: empty, or ``value`` and ``steps``."""
        return {} if self._value is None else {"value": self._value, "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        value = state.get("value")
        self._value, self.steps = None if value is None else mapped.kept(value), state.get("steps", 0)
