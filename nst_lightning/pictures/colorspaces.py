"""From the colours of a file to sRGB: profiles, the codes of video and PNG, CMYK and Lab."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nst_lightning.pictures.encoded import ColorCodes
from nst_lightning.pictures.picture import ImageError
from nst_lightning.pictures.shapers import D50, Shaper, find_shaper
from nst_lightning.pictures.vips import ERRORS, as_vips, pyvips

ICC_CHANNELS = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}
D65 = (0.3127, 0.3290)
# H.273 table 2: white, red, green, blue
PRIMARIES: dict[int, tuple[float, ...]] = {
    1: (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06),
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
STRIP = 256  # rows at a time: float64 of a large picture would not fit
HDR = {16: "PQ", 18: "HLG"}
VIDEO = (1, 6, 14, 15)  # the camera's curve of BT.709; screens, and so viewers, take it for sRGB's
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_from_linear(light: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: from light in ``[0, 1]`` to sRGB."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def linear_from_srgb(values: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: from sRGB in ``[0, 1]`` to light."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def by_codes(values: np.ndarray, codes: ColorCodes) -> np.ndarray:
    """sRGB of a picture whose colours are said by codes.

    Args:
        values: ``(H, W, 3)`` in ``[0, 1]``, float32.
        codes: what the file says.

    Raises:
        ImageError: for high dynamic range and for codes that have no sure meaning on a screen.
    """
    primaries, transfer = codes.primaries, codes.transfer
    if not codes.full_range:
        raise ImageError("is in the limited range of video (cICP); convert it to full range")
    if isinstance(transfer, int) and transfer in HDR:
        raise ImageError(
            f"is a picture of high dynamic range ({HDR[transfer]}); save it for an ordinary screen (SDR, sRGB)"
        )
    if primaries == 2:  # unspecified
        primaries = 1
    if isinstance(primaries, int):
        if primaries not in PRIMARIES:
            raise ImageError(f"has colours of a rare kind (H.273 primaries {primaries}); convert it to sRGB")
        primaries = PRIMARIES[primaries]
    same = max(abs(a - b) for a, b in zip(primaries, PRIMARIES[1], strict=True)) < 0.002
    if isinstance(transfer, float):
        plain = abs(transfer - 1 / 2.2) < 0.0006  # what programs write that mean sRGB
        exponent = 1 / max(transfer, 0.01)
    elif transfer in (2, 13, *VIDEO):
        if transfer in (14, 15) and not same:
            raise ImageError("is in the colours of BT.2020 video; convert it to sRGB")
        plain, exponent = True, 0.0
    elif transfer in (4, 5, 8):
        plain, exponent = False, {4: 2.2, 5: 2.8, 8: 1.0}[transfer]
    else:
        raise ImageError(f"has brightness of a rare kind (H.273 transfer {transfer}); convert it to sRGB")
    if same and plain:
        return values
    result = np.empty_like(values)
    matrix = np.eye(3) if same else _to_xyz(PRIMARIES[1], inverse=True) @ _to_xyz(primaries)
    for top in range(0, len(values), STRIP):
        strip = values[top : top + STRIP].astype(np.float64)
        light = linear_from_srgb(strip) if plain else strip**exponent
        result[top : top + STRIP] = srgb_from_linear((light @ matrix.T).clip(0, 1))
    return result


def _to_xyz(primaries: tuple[float, ...], inverse: bool = False) -> np.ndarray:
    """The matrix from light of these primaries to XYZ relative to D65, or back."""
    corners = np.array(
        [[x / y, 1, (1 - x - y) / y] for x, y in zip(primaries[0::2], primaries[1::2], strict=True) if y > 0]
    )
    if len(corners) != 4 or abs(np.linalg.det(corners[1:])) < 1e-9:
        raise ImageError("damaged or truncated picture (its primaries are no colours)")
    columns = corners[1:].T
    matrix = columns * np.linalg.solve(columns, corners[0])
    matrix = _adaptation(corners[0]) @ matrix
    return np.linalg.inv(matrix) if inverse else matrix


def _adaptation(white: np.ndarray) -> np.ndarray:
    """Bradford's matrix from XYZ under a white to XYZ under D65."""
    target = np.array([D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]])
    cones = BRADFORD @ target / (BRADFORD @ white)
    return np.linalg.solve(BRADFORD, cones[:, None] * BRADFORD)


def by_profile(values: np.ndarray, profile: bytes) -> np.ndarray | None:
    """sRGB ``(H, W, 3)``, uint16 or as it was, of a picture with an ICC profile.

    Args:
        values: ``(H, W, 1, 3 or 4)``, uint8 or uint16.
        profile: as embedded.

    Returns:
        None for a profile that does not fit the picture, or is damaged: viewers ignore it.
    """
    channels = ICC_CHANNELS.get(profile[16:20])
    if channels == 3 and values.shape[2] == 1:
        values = values.repeat(3, axis=2)  # the profile of a palette, and often that of a grey picture, is one of RGB
    if channels != values.shape[2]:
        return None
    if channels == 3 and _is_srgb(profile):
        return values
    return _transform(values, profile)


def _transform(values: np.ndarray, profile: bytes) -> np.ndarray | None:
    shaper = find_shaper(profile)
    if shaper:
        return _by_shaper(values, shaper)
    kind = {1: "b-w", 3: "srgb", 4: "cmyk"} if values.dtype == np.uint8 else {1: "grey16", 3: "rgb16", 4: "cmyk"}
    image = as_vips(values, kind[values.shape[2]])
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    try:
        found = image.icc_import(embedded=True, intent="perceptual", pcs="lab")
        if found.get_typeof("icc-profile-data") and bytes(found.get("icc-profile-data")) != profile:
            return None  # libvips took a profile of its own
        out = found.icc_export(output_profile="srgb", intent="perceptual", pcs="lab", depth=16)
        return out.numpy()[..., :3] if out.bands >= 3 else None
    except ERRORS:
        return None


def _by_shaper(values: np.ndarray, shaper: Shaper) -> np.ndarray:
    """sRGB, uint16, by curves and a matrix."""
    step = 257 if values.dtype == np.uint8 else 1
    if shaper.matrix is None:
        levels = (srgb_from_linear(shaper.curves[0]) * 65535).round().astype(np.uint16)[::step]
        return levels[values].repeat(3, axis=2)
    matrix = _to_xyz(PRIMARIES[1], inverse=True) @ _adaptation(np.array(D50)) @ shaper.matrix
    result = np.empty(values.shape, dtype=np.uint16)
    for top in range(0, len(values), STRIP):
        strip = values[top : top + STRIP]
        light = np.stack([curve[::step][strip[..., channel]] for channel, curve in enumerate(shaper.curves)], axis=-1)
        result[top : top + STRIP] = (srgb_from_linear((light @ matrix.T).clip(0, 1)) * 65535).round()
    return result


@lru_cache(maxsize=8)
def _is_srgb(profile: bytes) -> bool:
    """Whether the profile changes no colour by a level of 255: then the picture is left to the last bit."""
    steps = np.linspace(0, 65535, 9).round().astype(np.uint16)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(27, 27, 3)
    found = _transform(grid, profile)
    return found is not None and int(np.abs(found.astype(np.int64) - grid).max()) <= 257


def by_cmyk(values: np.ndarray) -> np.ndarray:
    """``R = (1 - C)(1 - K)`` and so on of CMYK in ``[0, 1]``, ``(H, W, 4)``: what CMYK without a profile means."""
    return (1 - values[..., :3]) * (1 - values[..., 3:])


def by_lab(values: np.ndarray) -> np.ndarray:
    """sRGB, uint16 ``(H, W, 3)``, of CIELAB under D50, as TIFF has it: L from 0 to 100, a and b around 0."""
    image = as_vips(values.astype(np.float32), "lab")
    return image.icc_export(output_profile="srgb", intent="relative", pcs="lab", depth=16).numpy()[..., :3]
