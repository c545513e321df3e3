"""Files to tensors and back: what a viewer shows is what is read, and what is read is what is written."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import png
import pytest
import pyvips
import torch
from PIL import Image, ImageCms
from torch import Tensor

from nst_lightning.pictures.atomic import atomic_write
from nst_lightning.pictures.picture import ImageError, fit_size, resize, to_pil
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.write import check_output, write_image

SRGB = ImageCms.createProfile("sRGB")


def tensor_of(values: np.ndarray, highest: int = 255) -> Tensor:
    """(H, W, 3) whole numbers as (3, H, W) in [0, 1]."""
    return torch.from_numpy(values.astype(np.float64) / highest).permute(2, 0, 1).float()


def swapped_profile() -> bytes:
    """sRGB with red and blue changed over: the profile's colorant tags rXYZ and bXYZ point to each other's numbers."""
    data = bytearray(ImageCms.ImageCmsProfile(SRGB).tobytes())
    (count,) = struct.unpack_from(">I", data, 128)
    entries = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    data[red + 4 : red + 12], data[blue + 4 : blue + 12] = data[blue + 4 : blue + 12], data[red + 4 : red + 12]
    return bytes(data)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_declares(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG file of some hundred bytes whose header promises this many pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", header, *chunks, png_chunk(b"IDAT", zlib.compress(bytes(99))), png_chunk(b"IEND", b"")]
    )


@pytest.fixture
def photo(pictures) -> Image.Image:
    with Image.open(pictures[0]) as image:
        return image.convert("RGB")


# ---- reading -------------------------------------------------------------------------------------------------------------

# EXIF 2.3, tag 0x0112: where the stored picture's first row and first column are in the picture as seen
UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),  # clockwise: a telephone held upright
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(photo, tmp_path, orientation):
    """If this fails, photographs of a telephone lie on their side."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "turned.png", exif=exif)
    expected = UPRIGHT[orientation](np.array(photo))
    assert torch.equal(read_image(tmp_path / "turned.png").rgb, tensor_of(expected.copy()))


def test_orientation_turns_16_bit_grey_and_transparency_too(photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.array(photo.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "grey.png", exif=exif)
    assert read_image(tmp_path / "grey.png").rgb.shape == (3, 64, 48)
    clear = photo.copy()
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    clear.save(tmp_path / "clear.png", exif=exif)
    rgb, alpha, _ = read_image(tmp_path / "clear.png")
    assert rgb.shape == (3, 64, 48)
    assert alpha is not None
    expected = np.rot90(np.array(clear.getchannel("A")), -1)
    assert torch.equal(alpha[0], torch.from_numpy(expected.copy()).float() / 255)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_icc_profile_is_converted_to_srgb(photo, tmp_path, ending):
    """If this fails, pictures in Adobe RGB or Display P3 come out in the wrong colours."""
    path = tmp_path / f"tagged.{ending}"
    photo.save(path, icc_profile=swapped_profile(), **({"lossless": True} if ending == "webp" else {}))
    with Image.open(path) as stored:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(swapped_profile()))
        expected = np.array(ImageCms.profileToProfile(stored, profile, SRGB, outputMode="RGB"))
        untouched = np.array(stored.convert("RGB"))
    found = read_image(path).rgb
    assert (found - tensor_of(expected)).abs().max() <= 1 / 255
    # The profile is what it says: red and blue are changed over, up to the rounding of its numbers.
    assert (found - tensor_of(untouched[..., ::-1].copy())).abs().max() <= 3 / 255
    assert (found - tensor_of(untouched)).abs().max() > 0.1


def test_icc_profile_of_a_palette_is_converted(photo, tmp_path):
    """Pillow cannot transform palette pictures: they have to become RGB first."""
    palette = photo.quantize(64)
    palette.save(tmp_path / "palette.png", icc_profile=swapped_profile())
    expected = np.array(palette.convert("RGB"))[..., ::-1].copy()
    assert (read_image(tmp_path / "palette.png").rgb - tensor_of(expected)).abs().max() <= 3 / 255


def test_icc_profile_of_a_lab_picture_is_converted(photo, tmp_path):
    lab = ImageCms.profileToProfile(photo, SRGB, ImageCms.createProfile("LAB"), outputMode="LAB")
    assert lab is not None
    lab.save(tmp_path / "lab.tif")
    rgb, alpha, _ = read_image(tmp_path / "lab.tif")
    assert alpha is None, "the A of LAB is a colour, not transparency"
    assert (rgb - tensor_of(np.array(photo))).abs().mean() < 1 / 255  # LAB in 8 bits is coarse


@pytest.mark.parametrize("profile", [b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()])
def test_icc_profile_that_does_not_fit_is_ignored(photo, tmp_path, profile):
    """If this fails, a picture that every viewer shows is refused."""
    photo.save(tmp_path / "odd.png", icc_profile=profile)
    assert torch.equal(read_image(tmp_path / "odd.png").rgb, tensor_of(np.array(photo)))


def test_grey_becomes_three_equal_channels(photo, tmp_path):
    photo.convert("L").save(tmp_path / "grey.jpg", quality=100)
    photo.convert("L").save(tmp_path / "grey.png")
    for name, tolerance in (("grey.png", 0), ("grey.jpg", 2 / 255)):
        rgb, alpha, _ = read_image(tmp_path / name)
        expected = torch.from_numpy(np.array(photo.convert("L"))).float() / 255
        assert alpha is None
        assert rgb.shape == (3, 48, 64)
        assert (rgb - expected).abs().max() <= tolerance


def test_black_and_white(photo, tmp_path):
    photo.convert("1").save(tmp_path / "bilevel.png")
    assert torch.equal(read_image(tmp_path / "bilevel.png").rgb, tensor_of(np.array(photo.convert("1").convert("RGB"))))


def test_grey_with_alpha(photo, tmp_path):
    ramp = Image.linear_gradient("L").resize(photo.size)
    Image.merge("LA", (photo.convert("L"), ramp)).save(tmp_path / "grey.png")
    rgb, alpha, _ = read_image(tmp_path / "grey.png")
    assert torch.equal(rgb, tensor_of(np.array(photo.convert("L").convert("RGB"))))
    assert alpha is not None
    assert torch.equal(alpha[0], torch.from_numpy(np.array(ramp)).float() / 255)


def test_palette(photo, tmp_path):
    palette = photo.quantize(32)
    for name in ("palette.png", "palette.gif"):
        palette.save(tmp_path / name)
        rgb, alpha, _ = read_image(tmp_path / name)
        assert torch.equal(rgb, tensor_of(np.array(palette.convert("RGB"))))
        assert alpha is None


def test_palette_with_a_transparent_colour(photo, tmp_path):
    palette = photo.quantize(32)
    palette.save(tmp_path / "palette.png", transparency=5)
    rgb, alpha, _ = read_image(tmp_path / "palette.png")
    index = torch.from_numpy(np.array(palette))
    assert alpha is not None
    assert torch.equal(alpha[0], (index != 5).float())
    seen = tensor_of(np.array(palette.convert("RGB")))
    assert torch.equal(rgb * alpha, seen * alpha)


def test_cmyk(photo, tmp_path):
    """Without a profile there is one reading of CMYK: R = (1 - C)(1 - K)."""
    photo.convert("CMYK").save(tmp_path / "ink.tif")
    assert (read_image(tmp_path / "ink.tif").rgb - tensor_of(np.array(photo))).abs().max() <= 1 / 255
    photo.convert("CMYK").save(tmp_path / "ink.jpg", quality=100)
    assert (read_image(tmp_path / "ink.jpg").rgb - tensor_of(np.array(photo))).abs().mean() < 3 / 255


def test_16_bit_grey_keeps_its_depth(tmp_path):
    """If this fails, 16-bit grey is clipped (Pillow's own conversion: all white) or cut to 8 bits."""
    values = np.array([[0, 1, 255, 256], [32767, 32768, 65534, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "grey16.png")
    Image.fromarray(values).save(tmp_path / "grey16.tif")
    for name in ("grey16.png", "grey16.tif"):
        rgb, alpha, _ = read_image(tmp_path / name)
        assert alpha is None
        for channel in rgb:
            assert (channel.double() * 65535).round().tolist() == values.tolist()


def test_16_bit_grey_with_a_transparent_value(tmp_path):
    with (tmp_path / "grey16.png").open("wb") as file:
        png.Writer(4, 1, greyscale=True, bitdepth=16, transparent=1000).write(file, [[0, 1000, 1001, 65535]])
    alpha = read_image(tmp_path / "grey16.png").alpha
    assert alpha is not None
    assert alpha.tolist() == [[[1, 0, 1, 1]]]


def test_16_bit_colour(tmp_path):
    """Pillow reads the upper 8 bits; if this fails, it is less than that."""
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 3))
    with (tmp_path / "colour16.png").open("wb") as file:
        png.Writer(7, 5, greyscale=False, bitdepth=16).write(file, values.reshape(5, 21))
    assert (read_image(tmp_path / "colour16.png").rgb - tensor_of(values, 65535)).abs().max() <= 1 / 255


@pytest.mark.parametrize(("factor", "highest"), [(1 / 255, 1), (1, 255), (257, 65535)])
def test_floating_point_pictures_in_each_usual_range(photo, tmp_path, factor, highest):
    values = np.array(photo.convert("L"), np.float32) * np.float32(factor)
    Image.fromarray(values).save(tmp_path / "float.tif")
    expected = torch.from_numpy(values / highest).clamp(0, 1)
    assert (read_image(tmp_path / "float.tif").rgb - expected).abs().max() < 1e-6


def test_fully_opaque_alpha_is_none(photo, tmp_path):
    """If this fails, an ordinary PNG makes the result RGBA."""
    photo.convert("RGBA").save(tmp_path / "opaque.png")
    assert read_image(tmp_path / "opaque.png").alpha is None
    assert read_image(torch.ones(4, 3, 5)).alpha is None


def test_tensors_and_pil_images(photo):
    expected = tensor_of(np.array(photo))
    assert torch.equal(read_image(photo).rgb, expected)
    assert torch.equal(read_image(expected).rgb, expected)
    assert torch.equal(read_image(expected[None]).rgb, expected)
    assert torch.equal(read_image(expected[:1]).rgb, expected[:1].expand(3, -1, -1))
    alpha = torch.rand(1, *expected.shape[1:]).clamp(min=0.01)
    rgb, found, _ = read_image(torch.cat([expected, alpha]))
    assert torch.equal(rgb, expected)
    assert found is not None
    assert torch.equal(found, alpha)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(3, 4),
        torch.zeros(5, 4, 4),
        torch.zeros(2, 3, 4, 4),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.full((3, 4, 4), float("nan")),
        torch.zeros(3, 0, 4),
    ],
)
def test_a_tensor_that_is_no_picture_is_refused(tensor):
    with pytest.raises(ImageError, match="is no picture"):
        read_image(tensor)


# ---- what cannot be read -------------------------------------------------------------------------------------------------


def test_no_such_file(tmp_path):
    with pytest.raises(ImageError, match=r"^no such file$"):
        read_image(tmp_path / "nope.png")


def test_a_folder(tmp_path):
    with pytest.raises(ImageError, match=r"^is a folder; give a picture file$"):
        read_image(tmp_path)


@pytest.mark.parametrize("content", [b"these are words\n" * 20, b"", b"\x89PNG"], ids=["text", "empty", "magic-only"])
def test_not_a_picture(tmp_path, content):
    (tmp_path / "words.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"^not a picture that can be read \(PNG, JPEG, TIFF, WebP, …\)$"):
        read_image(tmp_path / "words.jpg")


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_truncated(photo, tmp_path, ending):
    """If this fails, half a picture is stylised: grey below."""
    photo.save(tmp_path / f"half.{ending}")
    data = (tmp_path / f"half.{ending}").read_bytes()
    (tmp_path / f"half.{ending}").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ImageError, match=r"^damaged or truncated picture \(|^not a picture"):
        read_image(tmp_path / f"half.{ending}")


def test_truncated_picture_given_as_pil_image(photo, tmp_path):
    """PIL reads pixels when they are needed: the damage shows here, and must not be an OSError."""
    photo.save(tmp_path / "half.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "half.png").read_bytes()[:3000])
    with Image.open(tmp_path / "half.png") as image, pytest.raises(ImageError, match="damaged or truncated"):
        read_image(image)


@pytest.mark.parametrize(("width", "height"), [(60000, 60000), (16385, 16384), (2**31 - 1, 1)])
def test_decompression_bomb(tmp_path, width, height):
    """If this fails, a file of a hundred bytes takes gigabytes."""
    (tmp_path / "bomb.png").write_bytes(png_that_declares(width, height))
    with pytest.raises(ImageError, match="16384 x 16384 pixels at most"):
        read_image(tmp_path / "bomb.png")


def test_large_pictures_are_no_bombs(tmp_path):
    """Pillow's own limit is 13377 x 13377: between it and ours, what is wrong with this file is its lack of pixels."""
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "large.png").write_bytes(png_that_declares(16384, 11000))
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_image(tmp_path / "large.png")
    assert before == Image.MAX_IMAGE_PIXELS, "the limit of the caller's Pillow is left as it was"


def test_a_bomb_in_a_text_chunk(tmp_path):
    """Pillow raises a plain ValueError here."""
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 << 20)))
    (tmp_path / "text.png").write_bytes(png_that_declares(8, 8, text))
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_image(tmp_path / "text.png")


def test_a_name_too_long_for_the_file_system(tmp_path):
    with pytest.raises(ImageError, match=r"cannot be read \(File name too long\)"):
        read_image(tmp_path / ("a" * 300 + ".png"))


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp", "gif", "ppm"])
@pytest.mark.filterwarnings("error")
def test_damaged_files_are_read_or_refused_but_raise_nothing_else(photo, tmp_path, ending):
    """Sixty files with bytes changed or cut off: a picture or an ImageError, and no warning of Pillow's in between."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "camera"
    metadata = {} if ending in ("gif", "ppm") else {"exif": exif, "icc_profile": swapped_profile()}
    photo.save(tmp_path / f"whole.{ending}", **metadata)
    whole = np.frombuffer((tmp_path / f"whole.{ending}").read_bytes(), np.uint8)
    for _ in range(60):
        damaged = whole[: rng.integers(1, len(whole)) if rng.random() < 0.3 else None].copy()
        damaged[rng.integers(0, min(len(damaged), 600), 3)] = rng.integers(0, 256, 3)
        (tmp_path / "damaged").write_bytes(damaged.tobytes())
        try:
            rgb = read_image(tmp_path / "damaged").rgb
        except ImageError:
            continue
        assert bool(((rgb >= 0) & (rgb <= 1)).all())


# ---- writing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "tif", "tiff", "PNG"])
def test_lossless_formats_give_back_what_was_written(tmp_path, ending):
    values = np.random.default_rng(0).integers(0, 256, (6, 9, 3))
    write_image(tensor_of(values), tmp_path / f"a.{ending}")
    assert torch.equal(read_image(tmp_path / f"a.{ending}").rgb, tensor_of(values))


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "webp"])
def test_lossy_formats_give_back_nearly_what_was_written(photo, tmp_path, ending):
    written = tensor_of(np.array(photo))
    write_image(written[None], tmp_path / f"a.{ending}")
    assert (read_image(tmp_path / f"a.{ending}").rgb - written).abs().mean() < 4 / 255


@pytest.mark.parametrize(("ending", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("tif", "TIFF"), ("webp", "WEBP")])
def test_the_ending_names_the_format(tmp_path, ending, kind):
    write_image(torch.rand(3, 5, 7), tmp_path / f"a.{ending}")
    with Image.open(tmp_path / f"a.{ending}") as image:
        assert (image.format, image.size, image.mode) == (kind, (7, 5), "RGB")


def test_16_bit_png_is_exact(tmp_path):
    """Read back by another program: all 16 bits are there, in the right byte order."""
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 3))
    write_image(tensor_of(values, 65535), tmp_path / "deep.png", bits=16)
    width, height, rows, info = png.Reader(str(tmp_path / "deep.png")).read()
    assert (width, height, info["bitdepth"], info["planes"]) == (7, 5, 16, 3)
    assert np.array_equal(np.array([list(row) for row in rows]).reshape(5, 7, 3), values)


def test_16_bit_png_with_alpha_is_exact(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 4))
    channels = torch.from_numpy(values / 65535).permute(2, 0, 1).float()
    write_image(channels[:3], tmp_path / "deep.png", channels[3:], bits=16)
    *_, rows, info = png.Reader(str(tmp_path / "deep.png")).read()
    assert (info["bitdepth"], info["alpha"]) == (16, True)
    assert np.array_equal(np.array([list(row) for row in rows]).reshape(5, 7, 4), values)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_transparency_there_and_back(tmp_path, ending):
    rgba = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 6, 9)) / 255).float()
    write_image(rgba[:3], tmp_path / f"a.{ending}", rgba[3:])
    rgb, alpha, _ = read_image(tmp_path / f"a.{ending}")
    assert torch.equal(rgb, rgba[:3])
    assert alpha is not None
    assert torch.equal(alpha, rgba[3:])


def test_transparency_in_webp_and_its_absence_in_jpeg(tmp_path):
    rgb, alpha = torch.full((3, 16, 16), 0.5), torch.ones(1, 16, 16)
    alpha[:, :8] = 0
    write_image(rgb, tmp_path / "a.webp", alpha)
    found = read_image(tmp_path / "a.webp").alpha
    assert found is not None
    assert torch.equal(found, alpha)
    write_image(rgb, tmp_path / "a.jpg", alpha)
    assert read_image(tmp_path / "a.jpg").alpha is None


def test_values_outside_are_clamped_and_the_rest_rounded():
    """L-BFGS leaves [0, 1]; if this fails, its bright pixels come out black."""
    row = torch.tensor([-0.2, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 1.7])
    assert np.array(to_pil(row.expand(3, 1, -1)))[0, :, 0].tolist() == [0, 0, 0, 1, 255, 255]


def test_missing_folders_are_made_and_the_file_is_for_all_to_read(tmp_path):
    write_image(torch.rand(3, 4, 4), tmp_path / "a" / "b" / "c.png")
    plain = tmp_path / "plain"
    plain.touch()
    assert (tmp_path / "a" / "b" / "c.png").stat().st_mode == plain.stat().st_mode


def test_a_picture_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    """If this fails, an error while writing (a full disk) destroys the picture of the run before."""
    target = tmp_path / "a.png"
    target.write_bytes(b"old")

    def write() -> None:
        with atomic_write(target) as file:
            file.write(b"half a pic")
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target], "the temporary file is left behind"
    write_image(torch.rand(3, 4, 4), target)
    assert read_image(target).rgb.shape == (3, 4, 4)
    assert list(tmp_path.iterdir()) == [target]


def test_a_failing_encoder_leaves_the_old_picture(tmp_path, monkeypatch):
    write_image(torch.zeros(3, 4, 4), tmp_path / "a.png")
    monkeypatch.setattr(pyvips.Target, "new_to_descriptor", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_image(torch.ones(3, 4, 4), tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").rgb.max() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("name", "bits", "message"),
    [
        ("a.gif", 8, r"the ending '\.gif' is none of \.png, \.jpg"),
        ("a", 8, r"the ending '\(none\)' is none of"),
        ("a.jpg", 16, r"JPEG holds 8 bits a channel; 16 bits can be written as \.png or \.tif"),
        ("a.webp", 16, r"WebP holds 8 bits a channel"),
        ("a.png", 12, r"12 bits a channel: give 8 or 16"),
        ("folder.png", 8, "is a folder; give a file name"),
        ("file.txt/a.png", 8, "file.txt is not a folder"),
        ("file.txt/b/a.png", 8, "file.txt is not a folder"),
        ("a" * 300 + ".png", 8, "File name too long"),
        ("/proc/a.png", 8, "the folder /proc cannot be written"),
    ],
)
def test_what_cannot_be_written_is_known_before(tmp_path, name, bits, message):
    """If this fails, the picture of a long run has nowhere to go."""
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file.txt").touch()
    if name.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("no /proc here")
    with pytest.raises(ImageError, match=message):
        check_output(tmp_path / name, bits)


def test_looking_whether_a_file_can_be_written_makes_nothing(tmp_path):
    check_output(tmp_path / "new" / "folder" / "a.png", 16)
    check_output(tmp_path / ("a" * 250 + ".jpg"))
    assert list(tmp_path.iterdir()) == []
    write_image(torch.rand(3, 4, 4), tmp_path / ("a" * 250 + ".jpg"))  # as long as a name may be


# ---- sizes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "longer", "expected"),
    [
        (768, 1024, 512, (384, 512)),
        (1024, 768, 512, (512, 384)),
        (100, 100, 7, (7, 7)),
        (48, 64, 640, (480, 640)),  # smaller ones are enlarged
        (1, 10000, 100, (1, 100)),  # no side vanishes
    ],
)
def test_fit_size(height, width, longer, expected):
    assert fit_size(height, width, longer) == expected


def test_resize_stays_in_range_and_keeps_means_and_edges(photo):
    image = tensor_of(np.array(photo))
    small = resize(image, (24, 32))
    assert small.shape == (3, 24, 32)
    assert (small.mean((1, 2)) - image.mean((1, 2))).abs().max() < 0.01
    assert torch.equal(resize(image[None], (24, 32))[0], small)
    # Bicubic overshoots at an edge; if this fails, it leaves [0, 1].
    edge = torch.zeros(3, 8, 8)
    edge[..., 4:] = 1
    large = resize(edge, (64, 64))
    assert large.min() == 0
    assert large.max() == 1
    # Antialiased: a fine checkerboard becomes grey, not stripes.
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    assert (resize(board.expand(1, 64, 64).float(), (8, 8))[:, 1:-1, 1:-1] - 0.5).abs().max() < 0.05


def test_resize_to_the_same_size_changes_nothing():
    image = torch.rand(3, 5, 6)
    assert torch.equal(resize(image, (5, 6)), image)
