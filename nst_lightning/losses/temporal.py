"""The temporal loss of a film: pixels that are known from the frames before stay as they are there."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def temporal_loss(image: Tensor, target: Tensor, reliability: Tensor) -> Tensor:
    """Mean over all values of reliability times squared difference (Ruder, Dosovitskiy, Brox 2016, section 4.1).

    Args:
        image: ``(1, 3, H, W)``.
        target: ``(1, 3, H, W)``, the result of the frame before, carried along by the flow; without a flow that result plus
            the change of the photograph (Xu et al. 2021), which makes this their difference loss.
        reliability: ``(1, 1, H, W)`` in ``[0, 1]``, how far each pixel of the target is to be believed; 0 where it was
            hidden.

    >>> import torch
    >>> one = torch.ones(1, 3, 2, 2)
    >>> temporal_loss(one, 0.5 * one, one[:, :1]).item()
    0.25
    """
    return (reliability * (image - target).square()).mean()


class Held:
    """What a frame is held to, at any size that the image goes through.

    Args:
        target: see :func:`temporal_loss`, at the final size.
        reliability: likewise.

    Raises:
        ValueError: if the two are not of one size.
    """

    def __init__(self, target: Tensor, reliability: Tensor) -> None:
        if target.shape[2:] != reliability.shape[2:] or reliability.shape[1] != 1:
            raise ValueError(f"target {tuple(target.shape)} and reliability {tuple(reliability.shape)} do not go together")
        self.target = target
        self.reliability = reliability
        self._at: tuple[Tensor, Tensor] | None = None

    def at(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Target and reliability at the size, and on the device, of an image; kept until another size is asked for."""
        shape = (int(image.shape[2]), int(image.shape[3]))
        if self._at is None or self._at[0].shape[2:] != shape or self._at[0].device != image.device:
            target, reliability = self.target, self.reliability
            if target.shape[2:] != shape:
                # what lies under a hidden pixel must not leak into its neighbours: weighted before, divided after
                weight = functional.interpolate(reliability, shape, mode="area")
                target = functional.interpolate(target * reliability, shape, mode="area") / weight.clamp_min(1e-6)
                reliability = weight
            self._at = (target.to(image), reliability.to(image))
        return self._at

    def __call__(self, image: Tensor) -> Tensor:
        """:func:`temporal_loss` of an image ``(1, 3, H, W)``."""
        return temporal_loss(image, *self.at(image))

    def add_gradient(self, image: Tensor, weight: float, gradient: Tensor) -> Tensor:
        """The same of a large image, whose gradient times ``weight`` is added to another's, in place."""
        target, reliability = self.at(image)
        with torch.no_grad():
            gradient.add_(reliability * (image - target), alpha=2 * weight / image.numel())
            return temporal_loss(image, target, reliability)
