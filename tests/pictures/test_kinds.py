"""Pictures of every kind, each read to within 1/255 of what it shows, at the depth it has, or refused in a sentence."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from nst_lightning.pictures.picture import ImageError
from nst_lightning.pictures.read import read_image
from tests.pictures.kinds import (
    ALPHA,
    DATA,
    GREY,
    HEIGHT,
    RGB,
    WIDTH,
    chunk,
    encoded,
    icc_chunk,
    integers,
    jpeg_with_exif,
    light,
    pillow,
    png,
    tiff,
    tone_profile,
    turned_exif,
    webp_with_exif,
)

LEVEL = 1 / 255
SIXTEEN = 1.01 / 65535  # half a step is rounding, the rest float32
P3_TO_SRGB = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])  # light, CSS Color 4


def compare(data: bytes, shown: np.ndarray, alpha: np.ndarray | None = None, within: float = LEVEL) -> None:
    """That a file shows this, (H, W) or (H, W, 3); colours count as much as they are seen."""
    picture = read_image(data)
    found = picture.rgb.permute(1, 2, 0).double().numpy()
    error = np.abs(found - (shown[..., None] if shown.ndim == 2 else shown))
    if alpha is None:
        assert picture.alpha is None
    else:
        assert picture.alpha is not None
        assert np.abs(picture.alpha[0].double().numpy() - alpha).max() <= within
        error = error * alpha[..., None]
    assert error.max() <= within


# ---- TIFF ----------------------------------------------------------------------------------------------------------------

LAYOUTS = {
    "strips": {},
    "tiles": {"tile": (16, 16)},
    "planes": {"planarconfig": "separate"},
    "tiled planes": {"planarconfig": "separate", "tile": (16, 16)},
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "deflate": {"compression": "zlib", "predictor": True},
}
DEPTHS = {"8": 8, "16": 16, "32": 32, "half": np.float16, "float": np.float32, "double": np.float64}


def numbers(values: np.ndarray, depth: int | type) -> np.ndarray:
    return integers(values, depth) if isinstance(depth, int) else values.astype(depth)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_tiff_colour(depth, layout):
    """If this fails, a kind of TIFF comes out in stripes, black or wrapped."""
    values = numbers(RGB, DEPTHS[depth])
    values = values.transpose(2, 0, 1) if "planes" in layout else values
    options = LAYOUTS[layout] | (
        {"predictor": False} if layout == "deflate" and depth in ("half", "float", "double") else {}
    )
    within = {"8": LEVEL / 2 + 1e-6, "half": 2**-11}.get(depth, SIXTEEN)
    compare(tiff(values, photometric="rgb", **options), RGB, within=within)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("black", [True, False])
def test_tiff_grey_of_either_sign(depth, black):
    """If this fails, a scan whose 0 is white comes out as a negative."""
    values = numbers(GREY if black else 1 - GREY, DEPTHS[depth])
    within = {"8": LEVEL / 2 + 1e-6, "half": 2**-10}.get(depth, SIXTEEN)
    compare(tiff(values, photometric="minisblack" if black else "miniswhite"), GREY, within=within)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("associated", [True, False])
@pytest.mark.parametrize("colors", [1, 3])
def test_tiff_transparency(depth, associated, colors):
    """Colours with alpha multiplied in are divided by it again, at every depth."""
    shown = GREY[..., None] if colors == 1 else RGB
    values = numbers(np.dstack([shown * ALPHA[..., None] if associated else shown, ALPHA]), DEPTHS[depth])
    kind = "assocalpha" if associated else "unassalpha"
    data = tiff(values, photometric="minisblack" if colors == 1 else "rgb", extrasamples=[kind])
    # in 8 bits, alpha multiplied in: half a level of colour, half a level of alpha, and one that libvips cuts off
    compare(data, shown, ALPHA, within=2.5 * LEVEL if depth == "8" else 2**-9 if depth == "half" else 2 * SIXTEEN)


def test_tiff_channel_that_is_not_alpha_is_left_out():
    """TIFF 6.0, ExtraSamples 0: unspecified data. If this fails, a mask of a photo editor makes holes."""
    compare(tiff(integers(np.dstack([RGB, ALPHA]), 8), photometric="rgb", extrasamples=["unspecified"]), RGB)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_deflate", "tiff_adobe_deflate", "jpeg"])
def test_tiff_compressions(compression):
    within = 12 * LEVEL if compression == "jpeg" else LEVEL
    compare(
        pillow("TIFF", compression=compression, **({"quality": 100} if compression == "jpeg" else {})), RGB, within=within
    )


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_tiff_of_a_fax(compression):
    shown = np.array(Image.fromarray(integers(RGB, 8)).convert("1")).astype(float)
    compare(pillow("TIFF", "1", compression=compression), shown)


def test_tiff_of_several_pages_is_its_first():
    compare(tiff(np.stack([integers(RGB, 8), 255 - integers(RGB, 8)]), photometric="rgb"), RGB)


def test_tiff_palette_of_16_bits_a_colour():
    palette = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    index = integers(GREY, 8)
    compare(tiff(index, photometric="palette", colormap=palette), palette.T[index] / 65535)


@pytest.mark.parametrize("bits", [8, 16])
def test_cmyk_without_a_profile_is_the_plain_formula(bits):
    key = 1 - RGB.max(axis=2)
    ink = (1 - RGB - key[..., None]) / np.maximum(1 - key, 1e-9)[..., None]
    compare(tiff(integers(np.dstack([ink, key]), bits), photometric="separated"), RGB, within=1.5 * LEVEL)


def test_tiff_lab():
    """CIE 15: L = 116 f(Y) - 16; neutral colours are neutral, and as light as they say."""
    lab = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    lab[..., 0] = integers(GREY, 8)
    lightness = lab[..., 0] / 255 * 100
    luminance = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    compare(tiff(lab, photometric="cielab"), encoded(luminance))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (GREY * 1.04, np.minimum(GREY * 1.04, 1)),
        (GREY * 1.04 - 0.02, np.clip(GREY * 1.04 - 0.02, 0, 1)),
        (np.round(GREY * 255), np.round(GREY * 255) / 255),
        (np.round(GREY * 65535), np.round(GREY * 65535) / 65535),
    ],
    ids=["above 1", "below 0", "whole numbers to 255", "whole numbers to 65535"],
)
def test_floats_with_a_sure_range(values, found):
    """If this fails, a picture whose maximum is just above 1 is black."""
    compare(tiff(values.astype(np.float32), photometric="minisblack"), found, within=SIXTEEN)


REFUSED = {
    "signed 8": (tiff((GREY * 127).astype(np.int8), photometric="minisblack"), "8-bit signed integers"),
    "signed 16": (tiff((GREY * 32767).astype(np.int16), photometric="minisblack"), "16-bit signed integers"),
    "signed 32": (tiff((RGB * 1e9).astype(np.int32), photometric="rgb"), "32-bit signed integers"),
    "counts of 32 bits": (tiff((GREY * 4000).astype(np.uint32), photometric="minisblack"), "none above 65535"),
    "scene light": (tiff((RGB * 7).astype(np.float32), photometric="rgb"), r"floating-point values from 0 to 7; scale"),
    "negative": (tiff((GREY - 0.5).astype(np.float32), photometric="minisblack"), "from -0.5 to 0.5; scale"),
    "NaN": (tiff(np.where(GREY > 0.5, np.nan, GREY).astype(np.float32), photometric="minisblack"), "NaN or infinite"),
    "infinite": (tiff(np.where(GREY > 0.5, np.inf, GREY), photometric="minisblack"), "NaN or infinite"),
    "complex": (tiff(GREY.astype(np.complex64), photometric="minisblack"), "rare kind"),
    "PQ": (png(integers(RGB, 16), 16, 2, chunk(b"cICP", bytes([9, 16, 0, 1]))), r"high dynamic range \(PQ\)"),
    "HLG": (png(integers(RGB, 8), 8, 2, chunk(b"cICP", bytes([9, 18, 0, 1]))), r"high dynamic range \(HLG\)"),
    "limited range": (png(integers(RGB, 8), 8, 2, chunk(b"cICP", bytes([1, 13, 0, 0]))), "limited range"),
    "JPEG XL of 16 bits": ((DATA / "ramp_16.jxl").read_bytes(), "JPEG XL picture of 16 bits a channel; convert it"),
    "JPEG 2000 of 16 bits": ((DATA / "ramp_16.jp2").read_bytes(), "JPEG 2000 picture of 16 bits a channel; convert it"),
    "PDF": (b"%PDF-1.7\n", "PDF document; export the page"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG drawing; export it"),
    "Photoshop": (b"8BPS\0\1" + bytes(40), "Photoshop document; save it"),
    "OpenEXR": (b"v/1\x01" + bytes(40), "OpenEXR picture of scene light; convert it"),
    "Radiance": (b"#?RADIANCE\n" + bytes(40), "Radiance HDR"),
    "JPEG XR": (b"II\xbc\x01" + bytes(40), "JPEG XR picture; convert it"),
    "a video": (b"\0\0\0\x18ftypisom" + bytes(40), "a video; save a frame"),
    "a camera raw": (b"\0\0\0\x18ftypcrx " + bytes(40), "camera raw; develop it"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_sure_reading_is_refused(kind):
    """The kind is named, and what to do. If this fails, such pictures come out black, white or wrapped, without a word."""
    data, sentence = REFUSED[kind]
    with pytest.raises(ImageError, match=sentence):
        read_image(data)


# ---- PNG -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_png_grey(bits, interlaced):
    values = integers(GREY, bits)
    key = chunk(b"tRNS", struct.pack(">H", int(values[5, 9])))
    compare(png(values, bits, 0, interlaced=interlaced), values / (2**bits - 1), within=1e-6)
    seen = (values != values[5, 9]).astype(float)
    compare(png(values, bits, 0, key, interlaced=interlaced), values / (2**bits - 1), seen, within=1e-6)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_png_palette(bits):
    rng = np.random.default_rng(0)
    palette, alphas = rng.integers(0, 256, (2**bits, 3)), rng.integers(0, 256, 2**bits)
    index = integers(GREY, bits)
    colors = chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    compare(png(index, bits, 3, colors), palette[index] / 255, within=1e-6)
    clear = chunk(b"tRNS", alphas.astype(np.uint8).tobytes())
    compare(png(index, bits, 3, colors, clear), palette[index] / 255, alphas[index] / 255, within=1e-6)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_colour_and_alpha(bits, interlaced):
    """If this fails, 16 bits do not stay 16 bits."""
    top, seen = 2**bits - 1, integers(ALPHA, bits)
    rgb, grey = integers(RGB, bits), integers(GREY, bits)
    compare(png(rgb, bits, 2, interlaced=interlaced), rgb / top, within=1e-6)
    compare(png(np.dstack([rgb, seen]), bits, 6, interlaced=interlaced), rgb / top, seen / top, within=1e-6)
    compare(png(np.dstack([grey, seen]), bits, 4, interlaced=interlaced), grey / top, seen / top, within=1e-6)
    key = chunk(b"tRNS", rgb[5, 9].astype(">u2").tobytes())
    compare(png(rgb, bits, 2, key), rgb / top, (rgb != rgb[5, 9]).any(axis=2).astype(float), within=1e-6)


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100000)))


@pytest.mark.parametrize("bits", [8, 16])
def test_png_gamma_and_primaries(bits):
    """PNG, third edition, 13.13: from numbers to light by gAMA and cHRM; cICP before iCCP before sRGB before gAMA."""
    rgb = integers(RGB, bits)
    shown = rgb / (2**bits - 1)
    wide = encoded((light(shown) @ P3_TO_SRGB.T).clip(0, 1))
    corners = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
    cases = [
        ([gamma(1)], encoded(shown)),
        ([gamma(1 / 1.8)], encoded(shown**1.8)),
        ([gamma(0.45455)], shown),
        ([chunk(b"sRGB", b"\0"), gamma(1)], shown),
        ([corners, gamma(0.45455)], wide),
        ([chunk(b"cICP", bytes([12, 13, 0, 1]))], wide),
        ([chunk(b"cICP", bytes([1, 8, 0, 1]))], encoded(shown)),
        ([chunk(b"cICP", bytes([1, 13, 0, 1])), icc_chunk(tone_profile(b"RGB ", 1.0))], shown),
        ([icc_chunk(tone_profile(b"RGB ", 1.0)), gamma(1 / 1.8)], encoded(shown)),
    ]
    for chunks, expected in cases:
        compare(png(rgb, bits, 2, *chunks), expected)
    grey = integers(GREY, bits)
    compare(png(grey, bits, 0, gamma(1)), encoded(grey / (2**bits - 1)))


@pytest.mark.parametrize("tone", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("bits", [8, 16])
def test_profiles_at_every_depth(bits, tone):
    """Grey and colour, in PNG and TIFF. If this fails, a 16-bit scan is too dark, or cut to 8 bits."""
    exponent = round(tone * 256) / 256
    grey, rgb = integers(GREY, bits), integers(RGB, bits)
    grey_profile, rgb_profile = tone_profile(b"GRAY", tone), tone_profile(b"RGB ", tone)
    of_grey, of_rgb = encoded((grey / (2**bits - 1)) ** exponent), encoded((rgb / (2**bits - 1)) ** exponent)
    compare(png(grey, bits, 0, icc_chunk(grey_profile)), of_grey)
    compare(tiff(grey, photometric="minisblack", iccprofile=grey_profile), of_grey)
    compare(png(rgb, bits, 2, icc_chunk(rgb_profile)), of_rgb)
    compare(tiff(rgb, photometric="rgb", iccprofile=rgb_profile), of_rgb)
    compare(png(grey, bits, 0, icc_chunk(rgb_profile)), of_grey)
    seen = integers(ALPHA, bits)
    compare(png(np.dstack([grey, seen]), bits, 4, icc_chunk(grey_profile)), of_grey, seen / (2**bits - 1))


def test_a_profile_keeps_16_bits():
    """A ramp of 512 neighbouring 16-bit grays stays as many shades."""
    values = np.arange(30000, 30512, dtype=np.uint16).reshape(16, 32)
    found = read_image(png(values, 16, 0, icc_chunk(tone_profile(b"GRAY", 1.8)))).rgb
    assert len(found.unique()) > 400


TEXTS = {
    "zTXt of 5 MB": chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes([65]) * (5 << 20))),
    "iTXt of 5 MB": chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes([65]) * (5 << 20))),
    "3000 texts": b"".join(chunk(b"tEXt", b"k%d\0abc" % number) for number in range(3000)),
    "a text with a wrong checksum": chunk(b"tEXt", b"k\0abc")[:-1] + b"?",
    "a text that is no UTF-8": chunk(b"tEXt", b"\xff\xc0key\0\xfe\xff abc"),
    "broken EXIF": chunk(b"eXIf", b"no such thing"),
    "EXIF of an endless directory": chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff\x01\x12"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("what", TEXTS)
def test_odd_metadata_does_not_matter(what):
    """If this fails, a picture that every viewer shows is refused as damaged."""
    rgb = integers(RGB, 16)
    compare(png(rgb, 16, 2, TEXTS[what]), rgb / 65535, within=1e-6)


@pytest.mark.parametrize("exif", [b"no such thing", b"MM\0*\0\0\0\x08\xff\xff\x01\x12", b""])
def test_broken_exif_does_not_matter(exif):
    compare(jpeg_with_exif(exif), RGB, within=4 * LEVEL)
    compare(webp_with_exif(exif), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_in_every_format(orientation):
    """Pillow turns the same files; if this fails, photographs lie on their side in one format."""
    exif = turned_exif(orientation)
    picture = Image.fromarray(integers(RGB, 8))
    turns = {2: [0], 3: [3], 4: [1], 5: [5], 6: [4], 7: [6], 8: [2]}  # Image.Transpose: what puts it upright
    for turn in turns.get(orientation, []):
        picture = picture.transpose(Image.Transpose(turn))
    shown = np.array(picture) / 255
    compare(png(integers(RGB, 8), 8, 2, chunk(b"eXIf", exif)), shown, within=1e-6)
    compare(webp_with_exif(exif), shown)
    compare(jpeg_with_exif(exif), shown, within=4 * LEVEL)
    tags = [(274, "H", 1, orientation, True)]
    compare(tiff(integers(RGB, 8), photometric="rgb", extratags=tags), shown)
    compare(tiff(RGB, photometric="rgb", extratags=tags), shown)


# ---- other formats -------------------------------------------------------------------------------------------------------

OTHERS = {
    "jpeg": (pillow("JPEG", quality=100, subsampling=0), RGB, 4),
    "jpeg progressive": (pillow("JPEG", quality=100, subsampling=0, progressive=True), RGB, 4),
    "jpeg grey": (pillow("JPEG", "L", quality=100), None, 2),
    "jpeg cmyk": (pillow("JPEG", "CMYK", quality=100), RGB, 4),
    "webp": (pillow("WEBP", lossless=True), RGB, 1),
    "bmp": (pillow("BMP"), RGB, 1),
    "bmp grey": (pillow("BMP", "L"), None, 1),
    "jpeg 2000": (pillow("JPEG2000"), RGB, 1),
    "jpeg xl": (pillow("JXL", lossless=True), RGB, 1),
    "heic": ((DATA / "ramp_8.heic").read_bytes(), RGB, 6),
    "heic of 12 bits": ((DATA / "ramp_12.heic").read_bytes(), RGB, 2),
    "avif of 10 bits": ((DATA / "ramp_10.avif").read_bytes(), RGB, 0.2),
    "ppm": (b"P6 # a remark\n64 48\n255\n" + integers(RGB, 8).tobytes(), RGB, 1),
    "ppm of 16 bits": (b"P6\n64 48\n65535\n" + integers(RGB, 16).astype(">u2").tobytes(), RGB, 0.01),
    "pgm of 10 bits": (b"P5 64 48 1023\n" + integers(GREY, 10).astype(">u2").tobytes(), GREY, 0.5),
    "pgm in words": (b"P2 64 48 255\n" + " ".join(map(str, integers(GREY, 8).ravel())).encode(), GREY, 1),
    "qoi": (pillow("QOI") if ".qoi" in Image.registered_extensions() else pillow("BMP"), RGB, 1),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats(kind):
    """HEIC, AVIF and JPEG XL included; within what their compression loses, in levels."""
    data, shown, levels = OTHERS[kind]
    if shown is None:
        shown = np.array(Image.fromarray(integers(RGB, 8)).convert("L")) / 255
    compare(data, shown, within=levels * LEVEL)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame(kind):
    frames = [Image.new("RGB", (16, 12), color) for color in ("red", "lime", "blue")]
    data = pillow_frames(kind, frames)
    assert np.abs(read_image(data).rgb.mean((1, 2)).numpy() - [1, 0, 0]).max() < 2 * LEVEL


def pillow_frames(kind: str, frames: list[Image.Image]) -> bytes:
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()
