"""A painted clip to a film, or to a folder of its frames."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from nst_lightning.errors import UsageError
from nst_lightning.pictures import films
from nst_lightning.pictures.picture import ImageError


def check_film(path: str) -> None:
    """Whether a film of this name can be written; without an ending it is a folder.

    Raises:
        UsageError: for an ending or a codec that there is not.
    """
    if not Path(path).suffix:
        return
    try:
        films.check_film(path)
    except ImageError as error:
        raise UsageError(f"--output {path}: {error}") from error


def write_film(path: str, pictures: Sequence[Path], times: Sequence[float], sound: str | None = None) -> None:
    """Write a film, or its frames as PNGs.

    Args:
        path: .mp4, .webm, .gif, .webp, or a folder.
        pictures: PNG files of one size, at least one.
        times: when each is shown, in seconds.
        sound: see :func:`nst_lightning.pictures.films.write_film`.
    """
    target = Path(path)
    if target.suffix:
        films.write_film((Image.open(picture) for picture in pictures), target, times, sound)
        return
    target.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        shutil.copyfile(picture, target / f"{number:06d}.png")
