"""What was painted over the photograph: parts to leave as they are, or to paint after another painting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nst_lightning.errors import BadArgument
from nst_lightning.pictures.looks import blur
from nst_lightning.pictures.picture import Picture, fit_size, resize, resize_picture
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.write import write_image
from nst_lightning.ui.wishes import Wishes

SOFT = 1 / 64  # of the longer side: the width over which the brush's edge fades
KEEP = "keep"


def mask_from(editor: Any) -> Image.Image | None:
    """The strokes of an image editor as a mask, mode L, white where somebody painted; None if nobody did.

    Args:
        editor: with ``layers``: arrays ``(H, W, 4)``.
    """
    layers = [np.asarray(layer)[..., 3] for layer in (editor or {}).get("layers") or [] if layer is not None]
    painted = np.max(layers, axis=0) if layers else np.zeros((1, 1), np.uint8)
    return Image.fromarray(((painted > 127) * 255).astype(np.uint8)) if painted.any() else None


def prepared(wishes: Wishes, folder: Path) -> dict[str, Any]:
    """The settings of ``ImagePair`` that a mask asks for; what they name is written to a folder.

    Parts that stay are transparent in the photograph: nothing is painted there, and nothing compared. For another painting
    there are masks, as ``fit`` takes them.

    Raises:
        BadArgument: for a painting that there is not, or if all is painted over.
    """
    if wishes.mask is None:
        return {}
    mask = read_image(wishes.mask).rgb.mean(dim=0, keepdim=True)
    if not 0 < float(mask.mean()) < 1:
        raise BadArgument("brush", wishes.masked, "paint over a part of the photograph, not all or nothing of it")
    if wishes.masked == KEEP:
        photo = read_image(wishes.photo)
        shape = fit_size(int(photo.rgb.shape[1]), int(photo.rgb.shape[2]), wishes.size)
        photo = resize_picture(photo, shape)
        alpha = 1 - soft(resize(mask[None], shape)[0])
        write_image(photo.rgb, folder / "cut.png", alpha if photo.alpha is None else alpha * photo.alpha, 16)
        return {"content": str(folder / "cut.png")}
    number = int(wishes.masked)
    if len(wishes.paintings) < 2 or not 1 <= number <= len(wishes.paintings):
        raise BadArgument("brush", number, "choose two paintings or more, and which of them is for this part")
    write_image((mask > 0.5).float().expand(3, -1, -1), folder / "content_mask.png")
    masks = []
    for place in range(1, len(wishes.paintings) + 1):
        masks.append(folder / f"style_mask_{place}.png")
        write_image(torch.full((3, 8, 8), float(place == number)), masks[-1])
    return {"content_mask": str(folder / "content_mask.png"), "style_mask": [str(path) for path in masks]}


def soft(mask: Tensor) -> Tensor:
    """A mask ``(1, H, W)`` whose edge fades over a part of the picture."""
    return blur(mask[None], max(0.5, SOFT * max(mask.shape[-2:]) / 2))[0].clamp(0, 1)


def on_photograph(result: Tensor, alpha: Tensor, photo: Picture) -> Tensor:
    """A result ``(1, 3, H, W)`` where it was painted, and the photograph elsewhere.

    Args:
        result: of the photograph with transparent parts.
        alpha: ``(1, H, W)``, of these.
        photo: as it was, of any size.
    """
    behind = resize_picture(photo, (int(result.shape[2]), int(result.shape[3]))).rgb
    return result * alpha + behind[None] * (1 - alpha)


def save_mask(mask: Image.Image, path: Path) -> None:
    """Write a mask as ``fit`` reads it."""
    write_image(torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255).expand(3, -1, -1), path)
