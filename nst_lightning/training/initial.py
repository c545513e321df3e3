"""What the image is before the first step."""

from __future__ import annotations

import torch
from torch import Tensor

from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument, nearest
from nst_lightning.pictures.picture import ImageError, Picture, resize, resize_picture
from nst_lightning.pictures.pyramid import coarse
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.strips import by_planes

INITS = ("content", "blurred", "style", "noise", "gray")
BLURRED = 3  # finest levels of the pyramid that are left out, as Kolkin et al. 2022 begin
NOISE = 0.05  # standard deviation around mid-gray


def check_init(init: str, pair: ImagePair) -> None:
    """Whether the image can start so.

    Args:
        init: one of :data:`INITS`, or a picture file.
        pair: after its ``setup``.

    Raises:
        BadArgument: naming ``init``.
    """
    has = dict.fromkeys(("content", "blurred"), pair.content_image is not None) | {"style": bool(pair.styles)}
    if not has.get(init, True):
        absent = "style" if init == "style" else "content"
        raise BadArgument("init", init, f"there is no {absent} image; give one, or noise, gray or a file")
    if init not in INITS:
        _read(init)


def initial_image(init: str, pair: ImagePair, size: tuple[int, int]) -> Tensor:
    """The first image, ``(1, 3, *size)``.

    Args:
        init: one of :data:`INITS`, or a picture file.
        pair: after its ``setup``.
        size: ``(height, width)`` in pixels.

    Raises:
        BadArgument: see :func:`check_init`.
    """
    content = pair.content_at(size)
    if init == "content" and content is not None:
        return content.clone()
    if init == "blurred" and content is not None:
        return by_planes(lambda plane: coarse(plane, BLURRED).clamp(0, 1), content)
    if init == "style":
        return center_crop(pair.styles[0].image, size)
    if init == "gray":
        return torch.full((1, 3, *size), 0.5)
    if init == "noise":
        # A generator of its own: whatever else draws numbers, the same seed gives the same noise. Faint (Johnson's
        # neural-style starts so too): what of the noise no layer sees stays in the picture.
        generator = torch.Generator().manual_seed(torch.initial_seed())
        return 0.5 + NOISE * torch.randn((1, 3, *size), generator=generator)
    return resize_picture(_read(init), size).rgb[None]


def _read(init: str) -> Picture:
    try:
        return read_image(init)
    except ImageError as error:
        expected = f"{error}; init is {', '.join(INITS)} or a picture file{nearest(init, INITS)}"
        raise BadArgument("init", init, expected) from error


def center_crop(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest part with the aspect ratio of ``size`` out of the middle, resized to it.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        size: ``(height, width)`` in pixels.

    >>> center_crop(torch.rand(1, 3, 10, 40), (8, 8)).shape
    torch.Size([1, 3, 8, 8])
    """
    height, width = image.shape[-2:]
    factor = min(height / size[0], width / size[1])
    crop_height, crop_width = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return resize(image[..., top : top + crop_height, left : left + crop_width], size)
