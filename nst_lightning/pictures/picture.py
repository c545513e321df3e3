"""A picture in memory, and what is done with it there: sizes, transparency, PIL images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nst_lightning.pictures import mapped
from nst_lightning.pictures.resampling import resampled
from nst_lightning.pictures.strips import by_strips, strips

MAX_PIXELS = 16384 * 16384
HIDDEN = 1 / 1024  # alpha below which a resized pixel shows nothing at 8 bits, and has no colour of its own


class ImageError(ValueError):
    """A picture that cannot be read or written; the message says why, and does not name the file."""


def damaged(error: BaseException | str) -> ImageError:
    """The error to raise for what a library says of a damaged file, in one line.

    >>> print(damaged(ValueError("bad\\n  block")))
    damaged or truncated picture (bad block)
    """
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return ImageError(f"damaged or truncated picture ({said[:120]})")


class Picture(NamedTuple):
    """A picture in memory.

    Attributes:
        rgb: ``(3, H, W)``, sRGB in ``[0, 1]``, float32. Where the picture is transparent it has the mean of the visible
            colours: what the file hides there counts nowhere.
        alpha: ``(1, H, W)`` in ``[0, 1]``, 0 where transparent, or None if it is opaque everywhere.
        dpi: resolution in pixels an inch, horizontal and vertical, or None if it is not said.
    """

    rgb: Tensor
    alpha: Tensor | None
    dpi: tuple[float, float] | None = None


def make_picture(rgb: Tensor, alpha: Tensor | None, dpi: tuple[float, float] | None = None) -> Picture:
    """A picture whose transparent pixels show nothing.

    Args:
        rgb: ``(3, H, W)`` in ``[0, 1]``.
        alpha: ``(1, H, W)`` in ``[0, 1]`` or None.
        dpi: pixels an inch.
    """
    if alpha is None or bool((alpha >= 1).all()):
        return Picture(rgb, None, dpi)
    return Picture(_hide(rgb, alpha, alpha > 0), alpha, dpi)


def _hide(rgb: Tensor, alpha: Tensor, visible: Tensor) -> Tensor:
    """``rgb`` where ``visible``; elsewhere the mean colour of what is seen, gray if there is nothing."""
    weight = alpha * visible
    # in float64: the sums of two pictures that look alike have to be the same
    mass = weight.double().sum()
    mean = (rgb.double() * weight).sum(dim=(1, 2)) / mass if mass > 0 else torch.full((3,), 0.5, dtype=torch.float64)
    return torch.where(visible, rgb, mean.to(rgb).view(3, 1, 1))


def resize_picture(picture: Picture, size: tuple[int, int]) -> Picture:
    """Another size, ``(height, width)``: each pixel counts as much as it is seen, so hidden colours do not spread."""
    rgb, alpha, dpi = picture
    if alpha is None:
        return Picture(resize(rgb, size), None, dpi)
    if tuple(rgb.shape[-2:]) == tuple(size):
        return picture
    seen = resize(alpha, size)
    colors = by_strips(lambda color, shown: (color / shown.clamp(min=HIDDEN)).clamp(0, 1), resize(rgb * alpha, size), seen)
    return Picture(_hide(colors, seen, seen > HIDDEN), seen, dpi)


def resize(image: Tensor, size: tuple[int, int], circular: bool = False) -> Tensor:
    """Resize in float, bicubic with antialiasing; the result stays in ``[0, 1]``.

    Args:
        image: ``(C, H, W)`` or ``(B, C, H, W)`` in ``[0, 1]``.
        size: ``(height, width)`` in pixels.
        circular: whether opposite edges continue each other.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    batch = image if image.ndim == 4 else image[None]
    resized = resampled(batch, size, "bicubic", antialias=True, circular=circular).clamp_(0, 1)
    return resized if image.ndim == 4 else resized[0]


def fit_size(height: int, width: int, longer_side: int) -> tuple[int, int]:
    """Height and width with the given longer side and the same aspect ratio, at least one pixel each.

    >>> fit_size(768, 1024, 512)
    (384, 512)
    """
    factor = longer_side / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def on_background(image: Tensor, alpha: Tensor | None, color: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Tensor:
    """The picture as it looks on a flat colour.

    Args:
        image: ``(..., 3, H, W)`` in ``[0, 1]``.
        alpha: ``(1, H, W)`` in ``[0, 1]`` or None.
        color: red, green and blue in ``[0, 1]``.
    """
    if alpha is None:
        return image
    alpha = alpha.to(image)
    return image * alpha + torch.tensor(color, dtype=image.dtype, device=image.device).view(3, 1, 1) * (1 - alpha)


def to_pil(image: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """An 8-bit PIL image, mode RGB or RGBA.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``; clamped to ``[0, 1]``.
        alpha: ``(1, H, W)`` in ``[0, 1]``.
    """
    return Image.fromarray(levels(image, alpha, 8))


def levels(image: Tensor, alpha: Tensor | None, bits: int) -> np.ndarray:
    """Whole numbers ``(H, W, 3 or 4)``, uint8 or uint16, of an image ``(3, H, W)`` or ``(1, 3, H, W)``."""
    image = image.detach()[0] if image.ndim == 4 else image.detach()
    channels, height, width = (int(side) for side in image.shape)
    found = np.empty((height, width, channels + (alpha is not None)), np.uint16 if bits == 16 else np.uint8)
    for rows in strips(height, width):
        part = image[:, rows].float().cpu()
        part = part if alpha is None else torch.cat([part, alpha.detach()[:, rows].float().cpu()])
        found[rows] = (part.clamp(0, 1) * (2**bits - 1)).round_().permute(1, 2, 0).numpy()
        mapped.let_go()
    return found
