"""Copies that say nothing of where they come from: pixels of 8 bits in files of one kind, without metadata."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

from nst_lightning.errors import UsageError

ALIKE = 0.02  # sides whose ratios differ by less: a method that rounds sizes to its network's grid
SMALLEST = 1024  # pixels, the longer side of photographs and paintings on the page: more only beside larger results
PLAIN = ("PNG", "JPEG", "WEBP")
COLORS = (b"gAMA", b"cHRM", b"cICP")  # chunks of a PNG by which its numbers are no sRGB


def digest_of(path: Path) -> str:
    """The content of a file, as one word.

    Raises:
        UsageError: if it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def open_copy(path: Path) -> Image.Image:
    """A picture as people see it, ``RGB`` of 8 bits in sRGB, on white where it is transparent.

    Raises:
        UsageError: if it cannot be read.
    """
    return _plain(path) or _any(path)


def _plain(path: Path) -> Image.Image | None:
    """What most results are, read without torch; None if it is not so plain, or damaged."""
    try:
        if path.suffix.lower() == ".png" and any(name in path.read_bytes().split(b"IDAT")[0] for name in COLORS):
            return None
        with Image.open(path, formats=PLAIN) as image:
            profile = image.info.get("icc_profile")
            if image.mode not in ("L", "RGB") or "transparency" in image.info or (profile and not _is_srgb(profile)):
                return None
            return ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # each format has errors of its own; the other reader says what is wrong
        return None


def _is_srgb(profile: bytes) -> bool:
    return "srgb" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).lower()


def _any(path: Path) -> Image.Image:
    """Whatever else ``fit`` reads, by its reader, which loads torch."""
    from nst_lightning.pictures.picture import ImageError, on_background, to_pil
    from nst_lightning.pictures.read import read_image

    try:
        picture = read_image(path)
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from error
    return to_pil(on_background(picture.rgb, picture.alpha))


def of_one_size(pictures: Sequence[Image.Image], paths: Sequence[Path]) -> list[Image.Image]:
    """The same pictures at the size of the smallest, so that none can be told by its size.

    Raises:
        UsageError: if they have different shapes.
    """
    smallest = min(pictures, key=lambda picture: picture.width * picture.height)
    ratio = smallest.width / smallest.height
    for picture, path in zip(pictures, paths, strict=True):
        if abs(picture.width / picture.height / ratio - 1) > ALIKE:
            first = paths[list(pictures).index(smallest)]
            raise UsageError(
                f"{path}: is {picture.width} x {picture.height} and {first} {smallest.width} x {smallest.height}; "
                "results of one name need one shape, or they would be told by it"
            )
    return [one if one.size == smallest.size else one.resize(smallest.size, Image.Resampling.LANCZOS) for one in pictures]


def shrunk(picture: Image.Image, side: int) -> Image.Image:
    """A photograph or painting with at most ``side`` pixels, :data:`SMALLEST` or more."""
    copy = picture.copy()
    copy.thumbnail((max(side, SMALLEST),) * 2, Image.Resampling.LANCZOS)
    return copy


def save_copy(picture: Image.Image, path: Path) -> None:
    """Write the pixels as a PNG, and nothing else."""
    Image.frombytes("RGB", picture.size, picture.tobytes()).save(path, "PNG")
