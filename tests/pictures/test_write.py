"""What is written: bits, tags, quality, background, resolution, links; read back by other programs."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from nst_lightning.main import main
from nst_lightning.pictures.atomic import write_file
from nst_lightning.pictures.picture import ImageError
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.write import check_output, parse_color, write_image

RUN = ["--data.size", "32", "--trainer.max_steps", "1", "--trainer.logger", "false", "--trainer.accelerator", "cpu"]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_there_and_back(tmp_path, ending, alpha):
    """If this fails, 16 bits do not stay 16 bits; tifffile reads what was written as well."""
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 4 if alpha else 3))
    values[..., 3:] = values[..., 3:].clip(1)
    channels = torch.from_numpy(values / 65535).permute(2, 0, 1).float()
    write_image(channels[:3], tmp_path / f"a.{ending}", channels[3:] if alpha else None, 16)
    found = read_image(tmp_path / f"a.{ending}")
    assert torch.equal((found.rgb.double() * 65535).round(), torch.from_numpy(values[..., :3]).permute(2, 0, 1).double())
    assert (found.alpha is not None) == alpha
    if ending == "tif":
        assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), values)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "webp"])
def test_everything_is_tagged_as_srgb(tmp_path, ending, bits):
    """If this fails, programs guess the colours."""
    if bits == 16 and ending in ("jpg", "webp"):
        pytest.skip("the format holds 8 bits")
    write_image(torch.rand(3, 16, 16), tmp_path / f"a.{ending}", bits=bits)
    with Image.open(tmp_path / f"a.{ending}") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_quality(tmp_path, pictures, ending):
    image = read_image(pictures[0]).rgb
    sizes, errors = [], []
    for quality in (1, 50, 95, 100):
        write_image(image, tmp_path / f"a.{ending}", quality=quality)
        sizes.append((tmp_path / f"a.{ending}").stat().st_size)
        errors.append(float((read_image(tmp_path / f"a.{ending}").rgb - image).abs().mean()))
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    write_image(image, tmp_path / f"b.{ending}")
    assert (tmp_path / f"b.{ending}").stat().st_size == sizes[2], "95 if nothing is said"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.png", {"quality": 90}, "PNG loses nothing and has no quality"),
        ("a.tif", {"quality": 90}, "TIFF loses nothing and has no quality"),
        ("a.jpg", {"quality": 0}, "a quality of 0: give 1"),
        ("a.webp", {"quality": 101}, "a quality of 101"),
        ("a.jpg", {"bits": 16}, r"JPEG holds 8 bits a channel; 16 bits can be written as \.png or \.tif"),
        ("a.jpg", {"size": 65501}, "JPEG holds 65500 pixels a side"),
        ("a.webp", {"size": 16384}, "WebP holds 16383 pixels a side"),
    ],
)
def test_options_that_the_format_has_not_are_refused(tmp_path, name, options, said):
    with pytest.raises(ImageError, match=said):
        check_output(tmp_path / name, **options)


@pytest.mark.parametrize(("color", "expected"), [("white", 255), ("black", 0), ("#808080", 128)])
def test_background_of_jpeg(tmp_path, color, expected):
    """Nothing of what is hidden shows, half of what is half seen."""
    rgb, alpha = torch.rand(3, 32, 32), torch.zeros(1, 32, 32)
    alpha[..., 16:], rgb[..., 16:] = 0.5, 0.5
    write_image(rgb, tmp_path / "a.jpg", alpha, background=color)
    found = np.array(Image.open(tmp_path / "a.jpg")).astype(int)
    assert np.abs(found[:, :8] - expected).max() <= 2
    assert np.abs(found[:, 24:] - (expected + 127.5) / 2).max() <= 2


def test_a_colour_that_is_none():
    with pytest.raises(ImageError, match="give a colour by name"):
        parse_color("wite")


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
def test_resolution(tmp_path, ending):
    """If this fails, a print has the wrong size."""
    across, down = 300, 240
    write_image(torch.rand(3, 16, 16), tmp_path / f"a.{ending}", dpi=(across, down))
    with Image.open(tmp_path / f"a.{ending}") as image:
        # of a JPEG, Pillow's own "dpi" is the horizontal one twice
        found = [image.getexif()[tag] for tag in (282, 283)] if ending == "jpg" else image.info["dpi"]
        assert [round(float(value)) for value in found] == [across, down]
    found = read_image(tmp_path / f"a.{ending}").dpi
    assert found is not None and [round(value) for value in found] == [across, down]


def test_a_link_stays_a_link(tmp_path):
    """Absolute, relative, to a file that is not there yet, and a link to a link. If this fails, the link is replaced."""
    (tmp_path / "far").mkdir()
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "a.png"
    for target, place in (
        (tmp_path / "far" / "b.png", tmp_path / "far" / "b.png"),
        ("../far/c.png", tmp_path / "far" / "c.png"),
        ("../new/folder/d.png", tmp_path / "new" / "folder" / "d.png"),
    ):
        link.symlink_to(target)
        (tmp_path / "second.png").symlink_to("links/a.png")
        for path, value in ((link, 0.0), (tmp_path / "second.png", 1.0)):
            check_output(path)
            write_image(torch.full((3, 4, 4), value), path)
            assert link.is_symlink() and (tmp_path / "second.png").is_symlink() and not place.is_symlink()
            assert read_image(place).rgb.max() == value
        link.unlink()
        (tmp_path / "second.png").unlink()
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".nst-")]


def test_links_that_lead_nowhere_are_refused(tmp_path):
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "b.png").symlink_to("a.png")
    with pytest.raises(ImageError, match="symbolic links"):
        check_output(tmp_path / "a.png")
    with pytest.raises(OSError, match="symbolic links"):
        write_file(tmp_path / "a.png", b"")
    (tmp_path / "null.png").symlink_to("/dev/null")
    with pytest.raises(ImageError, match="is a device or a pipe"):
        check_output(tmp_path / "null.png")


def test_home_in_the_output(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_image(torch.rand(3, 4, 4), "~/a/b.png")
    assert (tmp_path / "a" / "b.png").is_file() and not (tmp_path / "~").exists()


def test_a_full_disk_is_an_oserror_and_leaves_the_old_picture(tmp_path):
    """The system stops the file after a few bytes. If this fails, the picture of the run before is lost."""
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    write_image(torch.zeros(3, 64, 64), tmp_path / "a.png")
    for ending in ("png", "tif", "jpg", "webp"):
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limit[1]))
        try:
            with pytest.raises(OSError):
                write_image(torch.rand(3, 64, 64), tmp_path / f"a.{ending}")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            signal.signal(signal.SIGXFSZ, before)
    assert os.listdir(tmp_path) == ["a.png"]  # noqa: PTH208
    assert read_image(tmp_path / "a.png").rgb.max() == 0


def test_the_command_line_has_them(pictures, workdir, capsys):
    """--quality, --background, --bits 16 for TIFF, the content's resolution, and the size that it has."""
    image = Image.open(pictures[0]).convert("RGBA")
    image.paste((0, 255, 0, 0), (0, 0, 64, 16))
    image.save("cut.png", dpi=(300, 300))
    words = ["fit", "cut.png", str(pictures[1]), *RUN]
    assert main([*words, "--output", "a.jpg", "--quality", "90", "--background", "black"]) == 0
    with Image.open("a.jpg") as found:
        assert np.array(found)[:4].max() <= 4 and round(float(found.info["dpi"][0])) == 300
    assert main([*words, "--output", "a.tif", "--bits", "16", "--data.size", "original"]) == 0
    with tifffile.TiffFile("a.tif") as tiff:
        assert tiff.pages[0].shape == (48, 64, 4) and tiff.pages[0].dtype == np.uint16
    capsys.readouterr()
    for wrong, said in (
        (["--output", "a.png", "--quality", "90"], "--output a.png: PNG loses nothing and has no quality"),
        (["--output", "a.jpg", "--quality", "0"], "--output a.jpg: a quality of 0"),
        (["--output", "a.jpg", "--background", "wite"], "--background wite: give a colour by name"),
        (["--output", "a.jpg", "--bits", "16"], "--output a.jpg: JPEG holds 8 bits a channel"),
        (["--output", "a" * 300 + ".png"], "File name too long"),
        (["--data.content", "a" * 300 + ".png", "--output", "b.png"], "cannot be read (File name too long)"),
        (["--data.style", "b" * 300 + ".png", "--output", "b.png"], "cannot be read (File name too long)"),
        (["--model.init", "c" * 300 + ".png", "--output", "b.png"], "--model.init ccc"),
    ):
        assert main([*words, *wrong]) == 2
        message = capsys.readouterr().err
        assert said in message and message.startswith("error: --") and message.count("\n") <= 2
    assert not os.path.exists("b.png") and sorted(p for p in os.listdir() if p[0] == "a") == ["a.jpg", "a.tif"]  # noqa: PTH110, PTH208
