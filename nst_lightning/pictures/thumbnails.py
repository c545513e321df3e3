"""Pictures for the eye: small, 8 bits a channel, as PIL images."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from PIL import Image

from nst_lightning.pictures.atomic import expand
from nst_lightning.pictures.picture import ImageError, fit_size, on_background, resize, to_pil
from nst_lightning.pictures.read import read_image


def opened(data: bytes) -> Image.Image:
    """The content of a picture file as RGB, on white where it is transparent."""
    layer = Image.open(io.BytesIO(data)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def thumbnail(source: Any, side: int) -> Image.Image | None:
    """A picture file, or the first of several, with at most ``side`` pixels; None if there is none or it cannot be read."""
    source = source[0] if isinstance(source, list) and source else source
    return _small(source, side, *stamp(source)) if isinstance(source, str) else None


@lru_cache(maxsize=256)
def _small(source: str, side: int, changed: int, size: int) -> Image.Image | None:
    try:
        picture = read_image(source)
    except ImageError:
        return None
    rgb = on_background(picture.rgb, picture.alpha)
    _, height, width = rgb.shape
    return to_pil(resize(rgb, fit_size(height, width, min(side, max(height, width)))))


def stamp(name: str) -> tuple[int, int]:
    """When a file was changed and its size, or zeros: another file under the same name has others."""
    try:
        status = expand(name).stat()
    except (OSError, ValueError):
        return 0, 0
    return status.st_mtime_ns, status.st_size
