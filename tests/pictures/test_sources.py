"""What a person may give as a picture: arrays, bytes, open files, folders, and what is wrong with it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst_lightning import stylize
from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument
from nst_lightning.module import StyleTransfer
from nst_lightning.pictures.picture import ImageError
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.sources import several

CPU = {"accelerator": "cpu", "precision": "32-true"}


def test_every_way_to_give_a_picture_gives_the_same(pictures):
    """If this fails, one kind of input is read differently from the others."""
    path = pictures[0]
    values = np.array(Image.open(path).convert("RGB"))
    expected = read_image(path).rgb
    with path.open("rb") as file:
        assert torch.equal(read_image(file).rgb, expected)
    for given in (
        str(path),
        path.read_bytes(),
        bytearray(path.read_bytes()),
        io.BytesIO(path.read_bytes()),
        values,
        values[::-1][::-1],
        values.astype(np.uint16) * 257,
        (values.astype(np.uint16) * 257).astype(">u2"),
        values / 255,
        (values / 255).astype(np.float32),
    ):
        assert (read_image(given).rgb - expected).abs().max() < 1e-6
    assert torch.equal(read_image(values[..., 0]).rgb, expected[:1].expand(3, -1, -1))
    assert torch.equal(
        read_image(values[..., :1] > 99).rgb, (torch.from_numpy(values[..., 0]) > 99).float().expand(3, -1, -1)
    )
    assert read_image(np.dstack([values, values[..., 0]])).alpha is not None


def test_stylize_takes_them_all(pictures):
    values = [np.array(Image.open(path).convert("RGB")) for path in pictures]
    results = [stylize(*values, size=32, steps=2, trainer=CPU), stylize(*pictures, size=32, steps=2, trainer=CPU)]
    with pictures[0].open("rb") as content:
        results.append(stylize(content, pictures[1].read_bytes(), size=32, steps=2, trainer=CPU))
    assert all(np.array_equal(results[0], other) for other in results[1:])


VALUES = np.linspace(0.001, 0.999, 48)  # from below 0.1 to above 0.9: what the messages round


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.tensor(VALUES).view(3, 4, 4) * 255, r"the tensor has values from [\d.]+ to 2\d\d"),
        (torch.tensor(VALUES).view(3, 4, 4) - 0.5, r"the tensor has values from -0\.\d+ to 0\.\d+; from 0 \(black\) to 1"),
        (VALUES.reshape(4, 4, 3) * 2, r"the array has values from 0\.\d+ to 1\.\d+"),
        (np.full((4, 4), np.nan), "the array has values NaN"),
        (np.zeros((4, 4), np.int64), "an array of int64 is no picture; uint8, uint16, bool or floats"),
        (np.zeros((3, 40, 5)), r"an array \(3, 40, 5\) of float64 is no picture"),
        (np.zeros((0, 4, 3), np.uint8), "is no picture"),
        (io.StringIO("text"), "open it in binary"),
        (b"", "not a picture that can be read"),
        (3, "a int is no picture; a path, bytes"),
        ("a\0b.png", "zero byte"),
        ("a" * 300 + ".png", "File name too long"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
)
def test_what_is_no_picture_is_refused_with_the_reason(given, said):
    """If this fails, a tensor of 0 to 255 is clipped to white without a word."""
    with pytest.raises(ImageError, match=said):
        read_image(given)


def test_rounding_beyond_the_range_is_no_fault():
    assert float(read_image(torch.full((3, 4, 4), 1 + 1e-6)).rgb.max()) == 1


def test_the_tensor_given_is_left_alone():
    given = torch.rand(4, 8, 8)
    given[3, :4] = 0
    before = given.clone()
    read_image(given).rgb.zero_()
    assert torch.equal(given, before)


def test_a_folder_is_every_picture_in_it(pictures, tmp_path):
    """If this fails, formats that are read when named are left out, or a Mac's hidden files stop the run."""
    image = Image.open(pictures[0]).convert("RGB")
    kinds = {"a.GIF": "GIF", "b.bmp": "BMP", "c.avif": "AVIF", "d.JFIF": "JPEG", "e.ppm": "PPM", "f.jp2": "JPEG2000"}
    for name, kind in (kinds | {"g.Tif": "TIFF", "h.png": "PNG", "i.jpe": "JPEG", "j.tga": "TGA"}).items():
        image.save(tmp_path / name, kind)
    (tmp_path / "._h.png").write_bytes(b"\0\5\x16\7 resource fork")
    (tmp_path / ".hidden.jpg").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    found = several("style", str(tmp_path))
    assert [Path(path).name[0] for path in found] == list("abcdefghij")
    assert all(read_image(path).rgb.shape == (3, 48, 64) for path in found)


def test_home_in_paths(pictures, tmp_path, monkeypatch):
    """If this fails, `~/a.png` is looked for in a folder called `~`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(pictures[0].read_bytes())
    assert read_image("~/a.png").rgb.shape == read_image(Path("~/a.png")).rgb.shape == (3, 48, 64)
    assert several("style", "~") == [str(tmp_path / "a.png")]
    assert np.array(stylize("~/a.png", pictures[1], size=32, steps=1, init="~/a.png", trainer=CPU)).shape == (24, 32, 3)


def test_original_size(pictures):
    """The content's own; of a texture the style's."""
    assert stylize(*pictures, size="original", steps=1, trainer=CPU).size == (64, 48)
    assert stylize(None, pictures[1], size="original", steps=1, init="noise", trainer=CPU).size == (64, 48)
    pair = ImagePair(*map(str, pictures), size="original", style_size=32)
    pair.setup("fit")
    assert (pair.size, pair.image_size, pair.style_scale) == (64, (48, 64), 0.5)
    with pytest.raises(BadArgument, match="size large: the longer side in pixels, 1 or more, or original"):
        ImagePair(*map(str, pictures), size="large")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"style_size": 32},
            r"is 8 x 6 pixels at the scale of 128 .*relu4_1 needs 8 .*--data\.style_size 44 or more",
        ),
        ({"style_scale": 0.07}, r"style .* pixels at the scale of 128 .*--data\.style_scale 0\.\d+ or more"),
        ({"style_size": 8}, r"style .* is 8 x 6 pixels at size 512"),
    ],
    ids=str,
)
def test_a_style_too_small_at_any_scale_is_known_before(pictures, settings, said):
    """If this fails, a run ends in a traceback when its first scale begins."""
    pair = ImagePair(*map(str, pictures), size=512, **settings)
    pair.setup("fit")
    with pytest.raises(BadArgument, match=said):
        StyleTransfer().check(pair)


@pytest.mark.parametrize("number", [0, 1])
def test_the_size_that_the_message_names_is_large_enough(pictures, number):
    import re

    settings = [{"style_size": 32}, {"style_scale": 0.07}][number]
    pair = ImagePair(*map(str, pictures), size=512, **settings)
    pair.setup("fit")
    with pytest.raises(BadArgument) as caught:
        StyleTransfer().check(pair)
    name, value = re.search(r"--data\.(style_\w+) ([\d.]+) or more", str(caught.value)).groups()
    right = ImagePair(*map(str, pictures), size=512, **{name: int(value) if name == "style_size" else float(value)})
    right.setup("fit")
    StyleTransfer().check(right)


def test_a_panorama_is_refused_before_the_work_too():
    pair = ImagePair(torch.rand(3, 64, 64), torch.rand(3, 16, 512), size=256)
    pair.setup("fit")
    with pytest.raises(BadArgument, match=r"style \(Tensor\): is 128 x 4 pixels at the scale of 128"):
        StyleTransfer().check(pair)
