"""Numbers as a file has them, and how they become a picture in sRGB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nst_lightning.pictures.colorspaces import by_cmyk, by_codes, by_profile
from nst_lightning.pictures.encoded import ColorCodes
from nst_lightning.pictures.picture import ImageError, Picture, make_picture
from nst_lightning.pictures.strips import strips


@dataclass
class Stored:
    """A picture as its file has it.

    Args:
        values: ``(H, W, C)``, colours (grey, RGB or CMYK) and alpha, which is not multiplied into them.
        colors: how many of the channels are colours: 1, 3 or 4; one more is alpha.
        white: the number that is white (of CMYK, full ink), for floats 1.
        profile: the ICC profile, or None.
        codes: what is said of the colours otherwise, or None.
        orientation: EXIF's, 1 to 8.
        dpi: pixels an inch.
    """

    values: np.ndarray
    colors: int
    white: float
    profile: bytes | None = None
    codes: ColorCodes | None = None
    orientation: int = 1
    dpi: tuple[float, float] | None = None

    def picture(self) -> Picture:
        """The picture as a person sees it.

        Raises:
            ImageError: for numbers or colours without a sure meaning.
        """
        values = self.values
        if not values.size:
            raise ImageError("damaged or truncated picture (no pixels)")
        if values.dtype.kind == "f":
            values = unit_range(values)
        height, width = values.shape[:2]
        alpha = torch.empty(1, height, width) if values.shape[2] > self.colors else None
        image = torch.empty(3, height, width)
        for rows in strips(height, width):
            if alpha is not None:
                alpha[0, rows] = torch.from_numpy(_scaled(values[rows, :, self.colors], self._top(values)))
            rgb = self._rgb(values[rows, :, : self.colors])
            image[:, rows] = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)
        image = turn(image, self.orientation)
        alpha = None if alpha is None else turn(alpha, self.orientation)
        dpi = self.dpi[::-1] if self.dpi and self.orientation >= 5 else self.dpi
        return make_picture(image, alpha, dpi)

    def _top(self, values: np.ndarray) -> float:
        return 1.0 if values.dtype.kind == "f" else self.white

    def _rgb(self, values: np.ndarray) -> np.ndarray:
        """Float32 ``(H, W, 3 or 1)`` in sRGB and in ``[0, 1]``."""
        if self.profile:
            deep = _integers(values, self._top(values))
            found = by_profile(deep, self.profile)
            if found is not None:
                return _scaled(found, 255 if found.dtype == np.uint8 else 65535)
        scaled = _scaled(values, self._top(values))
        if self.colors == 4:
            return by_cmyk(scaled)
        if self.codes:
            scaled = scaled.repeat(3, axis=2) if scaled.shape[2] == 1 else scaled
            return by_codes(scaled, self.codes)
        return scaled


def _scaled(values: np.ndarray, top: float) -> np.ndarray:
    """Float32 in ``[0, 1]``."""
    if values.dtype.itemsize > 2 or values.dtype.kind == "f":
        return (values / np.float64(top)).clip(0, 1).astype(np.float32)
    return (values.astype(np.float32) / np.float32(top)).clip(0, 1)


def _integers(values: np.ndarray, top: float) -> np.ndarray:
    """What a profile can be applied to: 8 bits as they are, everything else as 16."""
    if (values.dtype, top) in ((np.uint8, 255), (np.uint16, 65535)):
        return np.ascontiguousarray(values)
    return (values / np.float64(top) * 65535).round().clip(0, 65535).astype(np.uint16)


def unit_range(values: np.ndarray) -> np.ndarray:
    """Floating-point numbers as a picture from 0 (black) to 1 (white).

    Files do not say which range they have, so only what is sure is read: numbers from 0 to 1 as they are (a tenth beyond,
    the overshoot of a filter, is cut off), and whole numbers up to 255 or up to 65535 as those of 8 or 16 bits.

    Raises:
        ImageError: for anything else, with the range that was found.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high) and np.isfinite(values).all()):
        raise ImageError("has NaN or infinite values; replace them by numbers from 0 (black) to 1 (white)")
    if low >= -0.1 and high <= 1.1:
        return values.clip(0, 1)
    top = 255 if high <= 255 else 65535
    if low >= 0 and high <= top and bool((values == np.rint(values)).all()):
        return values / top
    raise ImageError(f"has floating-point values from {low:.4g} to {high:.4g}; scale them so that 0 is black and 1 white")


def turn(image: torch.Tensor, orientation: int) -> torch.Tensor:
    """``(C, H, W)`` turned and mirrored as EXIF's tag 0x0112 says."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 2)
    flips = {2: (2,), 3: (1, 2), 4: (1,), 6: (2,), 7: (1, 2), 8: (1,)}.get(orientation, ())
    return image.flip(flips).contiguous() if flips else image.contiguous()
