"""What Pillow reads, with its plugins: PIL images, BMP, JPEG 2000 and older formats, HEIC, JPEG XL."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from nst_lightning.pictures.by_vips import check_size
from nst_lightning.pictures.encoded import ColorCodes, Encoded, jpeg2000_depth, jxl_header
from nst_lightning.pictures.formats import HEIC, JPEG2000, JXL, Format
from nst_lightning.pictures.picture import MAX_PIXELS, ImageError, damaged
from nst_lightning.pictures.stored import Stored

# the formats that a file may turn out to be in, beside those that others read
PILLOW_FORMATS = ("BMP", "DIB", "JPEG2000", "TGA", "PCX", "SGI", "ICO", "QOI", "DDS")


def read_by_pillow(encoded: Encoded, kind: Format) -> Stored:
    """Read a picture file.

    Raises:
        ImageError: if it is damaged, too large, or deeper than Pillow reads it.
    """
    if kind is HEIC:
        return _heic(encoded)
    if kind is JXL:
        return _jxl(encoded)
    if kind is JPEG2000:
        components, bits = jpeg2000_depth(encoded)
        if (bits > 8 and components > 1) or bits > 16:
            raise ImageError(f"is a JPEG 2000 picture of {bits} bits a channel; convert it to PNG or TIFF of 16 bits")
    with damage(), encoded.open() as file, Image.open(file, formats=PILLOW_FORMATS) as image:
        return from_pil(image)


@contextlib.contextmanager
def damage() -> Iterator[None]:
    """Pillow's errors as ours: for a damaged file, each of its readers raises errors of its own."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow warns above this number and refuses above its double
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata; damaged pixels raise
            yield
    except (ImageError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too large (a decompression bomb?); 16384 x 16384 pixels at most") from error
    except UnidentifiedImageError as error:
        raise ImageError("damaged or truncated picture (its header)") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise damaged(error) from error
    finally:
        Image.MAX_IMAGE_PIXELS = before


def from_pil(image: Image.Image) -> Stored:
    """A PIL image.

    Raises:
        ImageError: for integers of 32 bits beyond 65535 and floats without a sure range.
    """
    profile, dpi = image.info.get("icc_profile"), image.info.get("dpi")
    check_size(*image.size)
    image = ImageOps.exif_transpose(image)
    transparent = image.info.get("transparency")
    resolution = (float(dpi[0]), float(dpi[1])) if isinstance(dpi, tuple) and len(dpi) == 2 and min(dpi) > 1 else None
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        values = np.array(image)[..., None]
        if image.mode == "I" and not (values.min() >= 0 and values.max() <= 65535):
            raise ImageError(f"has integers from {values.min()} to {values.max()}; give 16 bits, 0 to 65535")
        values = values.astype(np.float32 if image.mode == "F" else np.uint16)
        if isinstance(transparent, int):
            values = np.concatenate([values, np.where(values == transparent, 0, 65535).astype(values.dtype)], axis=2)
        return Stored(values, 1, 1.0 if image.mode == "F" else 65535.0, profile, dpi=resolution)
    if image.mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        image, profile = converted, None
    grey = image.mode in ("L", "1", "LA", "La")
    clear = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or transparent is not None
    if image.mode != "CMYK":
        image = image.convert(("LA" if grey else "RGBA") if clear else ("L" if grey else "RGB"))
    values = np.array(image)
    values = values[..., None] if values.ndim == 2 else values
    colors = 4 if image.mode == "CMYK" else 1 if grey else 3
    return Stored(values, colors, 255.0, profile, dpi=resolution)


def _heic(encoded: Encoded) -> Stored:
    try:
        import pi_heif
    except ImportError as error:
        raise ImageError("is a HEIC picture; `pip install pi-heif` to read it, or convert it to JPEG or PNG") from error
    with damage(), encoded.open() as file:
        heif = pi_heif.open_heif(file, convert_hdr_to_8bit=False)
        check_size(*heif.size)
        values = np.array(heif)  # a copy: the array is the memory of what ends here
        values = values[..., None] if values.ndim == 2 else values
        bits = int(heif.info.get("bit_depth", 8))
        nclx = heif.info.get("nclx_profile")
        codes = ColorCodes(nclx["color_primaries"], nclx["transfer_characteristics"]) if nclx else None
        profile = heif.info.get("icc_profile")
        if profile and not (codes and codes.transfer in (16, 18)):
            codes = None
        clear = values.shape[2] in (2, 4)
        if clear and getattr(heif, "premultiplied_alpha", False):
            raise ImageError("is a HEIC picture whose transparency is multiplied in; convert it to PNG")
        white = 255.0 if values.dtype == np.uint8 else float((2**bits - 1) << (16 - bits))
        return Stored(values, values.shape[2] - clear, white, None if codes else profile, codes)


def _jxl(encoded: Encoded) -> Stored:
    height, width, bits = jxl_header(encoded)
    check_size(width, height)
    try:
        import pillow_jxl  # noqa: F401 (registers itself)
    except ImportError as error:
        raise ImageError("is a JPEG XL picture; `pip install pillow-jxl-plugin`, or convert it to JPEG or PNG") from error
    with damage(), encoded.open() as file, Image.open(file, formats=("JXL",)) as image:
        if bits > 8 and image.mode not in ("I;16", "F"):  # the plugin's limit
            raise ImageError(f"is a JPEG XL picture of {bits} bits a channel; convert it to PNG or TIFF of 16 bits")
        return from_pil(image)
