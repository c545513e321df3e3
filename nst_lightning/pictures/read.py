"""Whatever a person gives as a picture, read as a viewer shows it, at the depth it has."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nst_lightning.pictures.atomic import expand
from nst_lightning.pictures.by_netpbm import read_netpbm
from nst_lightning.pictures.by_pillow import damage, from_pil, read_by_pillow
from nst_lightning.pictures.by_tiff import read_tiff
from nst_lightning.pictures.by_vips import read_by_vips
from nst_lightning.pictures.encoded import Encoded
from nst_lightning.pictures.formats import recognise
from nst_lightning.pictures.picture import ImageError, Picture, make_picture
from nst_lightning.pictures.stored import Stored

ImageSource = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | np.ndarray | Tensor
ROUNDING = 1e-4  # how far beyond [0, 1] numbers may be and be taken for the result of arithmetic


def read_image(source: ImageSource) -> Picture:
    """Read a picture as a person sees it in a viewer, to within 1/255, and at the depth it has.

    EXIF orientation is applied; an embedded ICC profile, or PNG's gAMA, cHRM and cICP, are converted to sRGB; grey,
    palette, CMYK (without a profile: R = (1 - C)(1 - K)), Lab and YCbCr become RGB; of several pages or frames the first is
    read; colours under full transparency are dropped. For the range of floating-point numbers see
    :func:`nst_lightning.pictures.stored.unit_range`. What has no sure reading is refused.

    Args:
        source: a path, the bytes of a picture file, a file open for reading in binary, a PIL image, an array ``(H, W)`` or
            ``(H, W, C)`` of uint8, uint16, bool or floats in ``[0, 1]``, or a tensor ``(C, H, W)`` or ``(1, C, H, W)`` of
            floats in ``[0, 1]``. C is 1 (grey), 2 (grey and alpha), 3 or 4.

    Raises:
        ImageError: if there is no such file, it is no picture or of a kind that is not read, it is damaged, or it has more
            than 16384 x 16384 pixels.
    """
    if isinstance(source, Tensor):
        return _from_tensor(source)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    try:
        if isinstance(source, Image.Image):
            with damage():
                return from_pil(source).picture()
        return _stored(_encoded(source)).picture()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror or error})") from error


def _encoded(source: Any) -> Encoded:
    if isinstance(source, bytes | bytearray | memoryview):
        return Encoded(bytes(source))
    if isinstance(source, str | os.PathLike):
        path = expand(os.fspath(source))
        if "\0" in str(path):
            raise ImageError("has a zero byte in its name")
        if path.is_dir():
            raise ImageError("is a folder; give a picture file")
        try:
            path.stat()
        except FileNotFoundError:
            raise ImageError("no such file") from None
        if not path.is_file():  # a pipe: read once
            return Encoded(path.read_bytes())
        return Encoded(path)
    if hasattr(source, "read"):
        data = source.read()
        if not isinstance(data, bytes):
            raise ImageError("is a file open as text; open it in binary, mode 'rb'")
        return Encoded(data)
    expected = "a path, bytes, an open file, a PIL image, an array or a tensor is needed"
    raise ImageError(f"a {type(source).__name__} is no picture; {expected}")


def _stored(encoded: Encoded) -> Stored:
    kind = recognise(encoded.head(64), encoded.ending)
    if kind is None:
        raise ImageError("not a picture that can be read (PNG, JPEG, TIFF, WebP, …)")
    if isinstance(kind, str):
        raise ImageError(f"is {kind}")
    if kind.reader == "vips":
        return read_by_vips(encoded, kind)
    if kind.reader == "tiff":
        return read_tiff(encoded)
    if kind.reader == "netpbm":
        return read_netpbm(encoded)
    return read_by_pillow(encoded, kind)


def _unit(low: float, high: float, what: str) -> None:
    """Numbers that are no picture are not clipped in silence.

    Raises:
        ImageError: with the range that was found.
    """
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # NaN fails both
        found = "NaN" if low != low or high != high else f"from {low:.4g} to {high:.4g}"
        raise ImageError(f"{what} has values {found}; from 0 (black) to 1 (white) is needed")


def _from_tensor(tensor: Tensor) -> Picture:
    image = tensor.detach().squeeze(0) if tensor.ndim == 4 else tensor.detach()
    if image.ndim != 3 or image.shape[0] not in (1, 2, 3, 4) or not image.is_floating_point():
        expected = "a floating-point tensor (C, H, W) in [0, 1] with 1 to 4 channels is needed"
        raise ImageError(f"a tensor {tuple(tensor.shape)} of {tensor.dtype} is no picture; {expected}")
    if image.numel() == 0 or not bool(image.isfinite().all()):
        raise ImageError(f"a tensor {tuple(image.shape)} without pixels, or with NaN or infinite values, is no picture")
    _unit(float(image.min()), float(image.max()), "the tensor")
    # a copy: what the caller does with his tensor afterwards is his affair
    image = image.to("cpu", torch.float32, copy=True).clamp_(0, 1)
    colors = 1 if len(image) < 3 else 3
    rgb = image[:colors].expand(3, -1, -1)
    return make_picture(rgb.contiguous(), image[colors:] if len(image) > colors else None)


def _from_array(array: np.ndarray) -> Picture:
    values = array[..., None] if array.ndim == 2 else array
    if values.ndim != 3 or values.shape[2] not in (1, 2, 3, 4) or not values.size:
        expected = "(H, W) or (H, W, C) with 1 to 4 channels is needed"
        raise ImageError(f"an array {array.shape} of {array.dtype} is no picture; {expected}")
    if values.dtype == np.bool_:
        white = 1.0
        values = values.astype(np.uint8)
    elif values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        white = 255.0 if values.dtype.itemsize == 1 else 65535.0
        values = values.astype(values.dtype.newbyteorder("="))
    elif values.dtype.kind == "f":
        white = 1.0
        _unit(float(values.min()), float(values.max()), "the array")
        values = values.clip(0, 1)
    else:
        expected = "uint8, uint16, bool or floats from 0 to 1 are needed"
        raise ImageError(f"an array of {array.dtype} is no picture; {expected}")
    return Stored(values, 1 if values.shape[2] < 3 else 3, white).picture()
