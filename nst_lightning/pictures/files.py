"""Files to tensors and back: orientation, colour profiles, transparency, bit depth, atomic writes."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import png
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
WITHOUT_ALPHA = ("JPEG",)
MAX_PIXELS = 16384 * 16384
ImageSource = str | os.PathLike[str] | Image.Image | Tensor


class ImageError(ValueError):
    """A picture that cannot be read or written; the message says why, and does not name the file."""


class Picture(NamedTuple):
    """A picture in memory.

    Attributes:
        rgb: ``(3, H, W)``, sRGB in ``[0, 1]``, float32.
        alpha: ``(1, H, W)`` in ``[0, 1]``, 0 where transparent, or None if it is opaque everywhere.
    """

    rgb: Tensor
    alpha: Tensor | None


def read_image(source: ImageSource) -> Picture:
    """Read a picture as a person sees it in a viewer.

    EXIF orientation is applied, an embedded ICC profile is converted to sRGB, and grey, palette, CMYK and 16-bit
    pictures become RGB. 16-bit grey is read at full depth, other 16-bit pictures at 8 bits a channel (Pillow's limit).

    Args:
        source: a path, a PIL image, or a tensor ``(3 or 4 or 1, H, W)`` or ``(1, C, H, W)`` in ``[0, 1]``.

    Raises:
        ImageError: if there is no such file, it is no picture, it is damaged, or it has more than 16384 x 16384 pixels.
    """
    if isinstance(source, Tensor):
        return _from_tensor(source)
    try:
        if isinstance(source, Image.Image):
            return _from_pil(source)
        path = Path(source)
        if path.is_dir():
            raise ImageError("is a folder; give a picture file")
        if not path.exists():
            raise ImageError("no such file")
        with _pixel_limit(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata; damaged pixels raise
            with Image.open(path) as image:
                return _from_pil(image)
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise ImageError("not a picture that can be read (PNG, JPEG, TIFF, WebP, …)") from error
    except Image.DecompressionBombError as error:
        raise ImageError("too large (a decompression bomb?); 16384 x 16384 pixels at most") from error
    except Exception as error:  # for a damaged file, each of Pillow's readers raises errors of its own
        if isinstance(error, OSError) and error.errno is not None:
            raise ImageError(f"cannot be read ({error.strerror})") from error
        raise ImageError(f"damaged or truncated picture ({error})") from error


@contextlib.contextmanager
def _pixel_limit() -> Iterator[None]:
    """Let Pillow refuse what has more than ``MAX_PIXELS``; by itself it refuses what has more than 13377 x 13377."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow warns above this number and refuses above its double
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _from_tensor(tensor: Tensor) -> Picture:
    image = tensor.detach().squeeze(0) if tensor.ndim == 4 else tensor.detach()
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4) or not image.is_floating_point():
        expected = "a floating-point tensor (C, H, W) in [0, 1] with 1, 3 or 4 channels is needed"
        raise ImageError(f"a tensor {tuple(tensor.shape)} of {tensor.dtype} is no picture; {expected}")
    if image.numel() == 0 or not bool(image.isfinite().all()):
        raise ImageError(f"a tensor {tuple(image.shape)} without pixels, or with NaN or infinite values, is no picture")
    image = image.float().cpu().clamp(0, 1)
    if image.shape[0] == 4:
        return _picture(image[:3], image[3:])
    return Picture(image.expand(3, -1, -1), None)


def _picture(rgb: Tensor, alpha: Tensor | None) -> Picture:
    return Picture(rgb, None if alpha is None or bool((alpha == 1).all()) else alpha)


def _from_pil(image: Image.Image) -> Picture:
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    transparent = image.info.get("transparency")
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        values = np.array(image, dtype=np.float32)
        if not np.isfinite(values).all():
            raise ImageError("has NaN or infinite values")
        # "I;16*" is 16-bit grey; Pillow itself would clip it to 8 bits. "F" has no fixed range.
        highest = 65535 if image.mode != "F" else next((top for top in (1, 255) if values.max() <= top), 65535)
        grey = torch.from_numpy(values / highest).clamp(0, 1)
        alpha = torch.from_numpy(values != transparent).float()[None] if isinstance(transparent, int) else None
        return _picture(grey.expand(3, -1, -1), alpha)
    alpha = None
    if "A" in image.getbands() or "a" in image.getbands() or transparent is not None:
        rgba = image.convert("RGBA")
        alpha = torch.from_numpy(np.array(rgba.getchannel("A"))).float().div_(255)[None]
        image = image.convert("L") if image.mode in ("LA", "L") else rgba.convert("RGB")
    if profile:
        image = _to_srgb(image, profile)
    rgb = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float().div_(255)
    return _picture(rgb, alpha)


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert by the embedded profile; one that does not fit the picture is ignored, as viewers do."""
    for mode in (image.mode, "RGB"):  # the profile of a palette, and often that of a grey picture, is one of RGB
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image.convert(mode), embedded, srgb, outputMode="RGB")
            if converted is not None:
                return converted
    return image


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize in float, bicubic with antialiasing; the result stays in ``[0, 1]``.

    Args:
        image: ``(C, H, W)`` or ``(B, C, H, W)`` in ``[0, 1]``.
        size: ``(height, width)`` in pixels.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    batch = image if image.ndim == 4 else image[None]
    resized = F.interpolate(batch, size=size, mode="bicubic", antialias=True, align_corners=False).clamp_(0, 1)
    return resized if image.ndim == 4 else resized[0]


def fit_size(height: int, width: int, longer_side: int) -> tuple[int, int]:
    """Height and width with the given longer side and the same aspect ratio, at least one pixel each.

    >>> fit_size(768, 1024, 512)
    (384, 512)
    """
    factor = longer_side / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def to_pil(image: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """An 8-bit PIL image, mode RGB or RGBA.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``; clamped to ``[0, 1]``.
        alpha: ``(1, H, W)`` in ``[0, 1]``.
    """
    return Image.fromarray(_levels(image, alpha, 255).astype(np.uint8))


def _levels(image: Tensor, alpha: Tensor | None, highest: int) -> np.ndarray:
    image = image.detach().float().cpu()
    image = image[0] if image.ndim == 4 else image
    channels = image if alpha is None else torch.cat([image, alpha.cpu()])
    return (channels.clamp(0, 1) * highest).round().permute(1, 2, 0).numpy()


def check_output(path: str | os.PathLike[str], bits: int = 8, size: int = 1) -> None:
    """Find out before the work whether its result can be written.

    Args:
        path: the file to write.
        bits: bits a channel.
        size: longer side in pixels.

    Raises:
        ImageError: for an ending of no known format, 16 bits for anything but PNG, or a folder that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ImageError(f"the ending {path.suffix or '(none)'!r} is none of {', '.join(FORMATS)}")
    if bits == 16 and FORMATS[path.suffix.lower()] != "PNG":
        raise ImageError("16 bits a channel can be written as .png only")
    if FORMATS[path.suffix.lower()] == "WEBP" and size > 16383:
        raise ImageError("WebP holds 16383 pixels a side at most; give .png or .tif")
    try:
        if path.is_dir():
            raise ImageError("is a folder; give a file name")
    except OSError as error:
        raise ImageError(f"cannot be written ({error.strerror})") from error
    check_folder(path.parent)


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Find out whether files can be written in a folder, which need not be there yet.

    Raises:
        ImageError: if not.
    """
    folder = Path(folder).absolute()
    try:
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise ImageError(f"{folder} is not a folder")
        with tempfile.TemporaryFile(dir=folder):  # os.access says yes to root on a read-only file system: try it
            pass
    except OSError as error:
        raise ImageError(f"the folder {folder} cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is complete, or not at all. Missing folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".nst-")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp makes files that nobody else may read
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file atomically, see :func:`atomic_write`."""
    with atomic_write(path) as file:
        file.write(content)


def write_image(image: Tensor, path: str | os.PathLike[str], alpha: Tensor | None = None, bits: int = 8) -> None:
    """Write a picture atomically, in the format that the ending names.

    Args:
        image: ``(3, H, W)`` or ``(1, 3, H, W)``; clamped to ``[0, 1]``.
        path: ends in .png, .jpg, .jpeg, .tif, .tiff or .webp. An existing file is replaced.
        alpha: ``(1, H, W)`` in ``[0, 1]``; left out where the format has none (JPEG).
        bits: 8, or 16 for .png.

    Raises:
        ImageError: see :func:`check_output`.
    """
    check_output(path, bits)
    kind = FORMATS[Path(path).suffix.lower()]
    alpha = None if kind in WITHOUT_ALPHA else alpha
    with atomic_write(path) as file:
        if bits == 16:
            levels = _levels(image, alpha, 65535).astype(np.uint16)
            height, width, channels = levels.shape
            writer = png.Writer(width, height, greyscale=False, alpha=channels == 4, bitdepth=16)
            writer.write(file, levels.reshape(height, width * channels))
        else:
            options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}.get(kind, {})
            to_pil(image, alpha).save(file, format=kind, **options)
