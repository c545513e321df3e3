"""The DataModule: which pictures, at which size, and how many steps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import lightning as L
from torch import Tensor

from nst_lightning.errors import BadArgument
from nst_lightning.images import ImageError, ImageSource, Picture, fit_size, read_image, resize

MAX_SIZE = 16384


class Steps:
    """One batch per optimisation step, resumable; a batch is the number of the step.

    Not a ``DataLoader``: that would get a ``DistributedSampler`` and silently drop steps on several devices.

    >>> steps = Steps(5)
    >>> steps.load_state_dict({"done": 3})
    >>> list(steps), len(steps)
    ([3, 4], 5)
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.done = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        while self.done < self.count:
            self.done += 1
            yield self.done - 1
        self.done = 0

    def state_dict(self) -> dict[str, Any]:
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.done = int(state["done"])


class ImagePair(L.LightningDataModule):
    """The content image and the style image.

    Either may be absent: without a style image the content is reconstructed, without a content image the style's texture
    is synthesised.

    Args:
        content: picture file whose scene is kept; from Python also a PIL image or a tensor (3, H, W) in [0, 1].
        style: picture file whose look is taken; it keeps its own aspect ratio. From Python as `content`.
        size: longer side of the result in pixels, 1 to 16384. The pictures are resized to it, smaller ones too.

    Attributes:
        content_image: after ``setup``: ``(1, 3, H, W)`` in ``[0, 1]``, or None.
        style_image: after ``setup``: ``(1, 3, H', W')`` in ``[0, 1]``, or None.
        alpha: after ``setup``: the transparency of the content image, ``(1, H, W)``, or None.

    Raises:
        BadArgument: for a size out of range, and in ``setup`` for a picture that cannot be read.
    """

    content_image: Tensor | None
    style_image: Tensor | None
    alpha: Tensor | None

    def __init__(self, content: str | None = None, style: str | None = None, size: int = 512) -> None:
        super().__init__()
        if not 1 <= size <= MAX_SIZE:
            raise BadArgument("size", size, f"the longer side in pixels, from 1 to {MAX_SIZE}")
        self.content = content
        self.style = style
        self.size = size
        self._loaded = False

    def setup(self, stage: str) -> None:
        """Read the pictures, once."""
        if self._loaded:
            return
        if self.content is None and self.style is None:
            raise BadArgument("content", None, "no picture at all; give a content image, a style image or both")
        content = self._read("content", self.content)
        style = self._read("style", self.style)
        self.content_image = content.rgb[None] if content else None
        self.style_image = style.rgb[None] if style else None
        self.alpha = content.alpha if content else None
        self._loaded = True

    def _read(self, argument: str, source: ImageSource | None) -> Picture | None:
        if source is None:
            return None
        try:
            rgb, alpha = read_image(source)
        except ImageError as error:
            value = source if isinstance(source, str | os.PathLike) else type(source).__name__
            raise BadArgument(argument, value, str(error)) from error
        size = fit_size(rgb.shape[-2], rgb.shape[-1], self.size)
        return Picture(resize(rgb, size), None if alpha is None else resize(alpha, size))

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the result: those of the content image, or else of the style image."""
        reference = self.content_image if self.content_image is not None else self.style_image
        assert reference is not None
        return int(reference.shape[-2]), int(reference.shape[-1])

    def train_dataloader(self) -> Steps:
        """One batch per step up to the Trainer's ``max_steps``."""
        assert self.trainer is not None
        if self.trainer.max_steps < 1:
            raise BadArgument("max_steps", self.trainer.max_steps, "the number of steps is 1 or more")
        return Steps(self.trainer.max_steps)

    def val_dataloader(self) -> list[list[int]]:
        """One look at the image where there is a content image to compare it with."""
        return [[0]] if self.content_image is not None else []


def center_crop(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest part with the aspect ratio of ``size`` out of the middle, resized to it.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        size: ``(height, width)`` in pixels.

    >>> import torch
    >>> center_crop(torch.rand(1, 3, 10, 40), (8, 8)).shape
    torch.Size([1, 3, 8, 8])
    """
    height, width = image.shape[-2:]
    factor = min(height / size[0], width / size[1])
    crop_height, crop_width = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return resize(image[..., top : top + crop_height, left : left + crop_width], size)
