"""What is done with each pixel by itself, done with a large picture in strips of rows: copies are as small as a strip."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from nst_lightning.pictures import mapped

WHOLE = 1 << 24  # pixels of a picture that is not cut: 16 million
STRIP = 1 << 21  # pixels of a strip


def strips(height: int, width: int, least: int = 1) -> Iterator[slice]:
    """The strips of rows of a picture, of ``least`` rows or more; one for a picture that is not large."""
    rows = height if height * width <= WHOLE else max(least, STRIP // width)
    for first in range(0, height, rows):
        yield slice(first, min(first + rows, height))


def by_strips(change: Callable[..., Tensor], *images: Tensor) -> Tensor:
    """``change(*images)``, where each row of what it returns depends on that row of the images alone.

    Args:
        change: of images ``(..., C, h, W)``; may change the number of channels.
        images: ``(..., C, H, W)``, of one height and width.
    """
    height, width = (int(side) for side in images[0].shape[-2:])
    if height * width <= WHOLE:
        return change(*images)
    found: Tensor | None = None
    for rows in strips(height, width):
        part = change(*(image[..., rows, :] for image in images))
        if found is None:
            shape = (*part.shape[:-2], height, width)
            found = mapped.zeros(shape, part.dtype, part.device)
        found[..., rows, :] = part
        mapped.let_go()
    assert found is not None
    return found


def planes(image: Tensor) -> Iterator[slice]:
    """Which channels of ``(B, C, H, W)`` are done together where they do not depend on each other: one of a large one."""
    channels = int(image.shape[1])
    together = channels if image.shape[-2] * image.shape[-1] <= WHOLE else 1
    for first in range(0, channels, together):
        yield slice(first, min(first + together, channels))


def by_planes(change: Callable[..., Tensor], *images: Tensor) -> Tensor:
    """``change(*images)``, where each channel of what it returns depends on that channel of the images alone.

    Args:
        change: of images ``(B, c, H, W)``.
        images: ``(B, C, H, W)``, of one height and width.
    """
    parts = list(planes(images[0]))
    if len(parts) == 1:
        return change(*images)
    found: Tensor | None = None
    for part in parts:
        one = change(*(image[:, part] for image in images))
        if found is None:
            shape = (one.shape[0], images[0].shape[1], *one.shape[2:])
            found = mapped.zeros(shape, one.dtype, one.device)
        found[:, part] = one
        mapped.let_go()
    assert found is not None
    return found


def sums(values: Callable[[slice], Tensor], height: int, width: int) -> Tensor:
    """Σ over the strips of a picture of what ``values`` says of each."""
    parts = []
    for rows in strips(height, width):
        parts.append(values(rows))
        mapped.let_go()
    return torch.stack(parts).sum(dim=0)
