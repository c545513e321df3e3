"""What is written: a page that gives nothing away, copies that look as the pictures do, and a key."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from nst_lightning.compare.copies import open_copy
from nst_lightning.errors import UsageError
from nst_lightning.main import main
from nst_lightning.pictures.picture import on_background, to_pil
from nst_lightning.pictures.read import read_image
from tests.compare.conftest import INPUTS, NAMES, TINTS, tinted


def pairs_of(folder: Path) -> list[dict]:
    found = re.search(r'data-pairs="([^"]*)"', (folder / "judge" / "index.html").read_text())
    return json.loads(found[1].replace("&#34;", '"'))


def test_the_page_shows_what_belongs_together(page):
    """If this fails, a pair is of two names, or shown with another photograph or painting, or the key is wrong."""
    key = json.loads((page / "key.json").read_text())
    assert key["methods"] == list(TINTS) and len(key["pairs"]) == 3 * len(NAMES)
    for pair, listed in zip(pairs_of(page), key["pairs"], strict=True):
        left, right = (key["results"][pair[side]] for side in ("left", "right"))
        assert (pair["left"], pair["right"]) == (listed["left"], listed["right"])
        assert left["name"] == right["name"] and left["method"] != right["method"]
        content, _, style = left["name"].partition("_")
        assert key["inputs"][pair["photograph"]] == f"content/{content}.jpg"
        assert [key["inputs"][token] for token in pair["paintings"]] == [f"style/{style}.jpg"]
    for token, one in key["results"].items():
        seen = np.asarray(Image.open(page / "judge" / f"{token}.png"))
        assert np.array_equal(seen, np.asarray(tinted(one["name"], TINTS[one["method"]])))


def test_the_page_gives_nothing_away(page):
    """If this fails, a judge can tell the method by a file's name, its text, its size, its date, or the page."""
    files = list((page / "judge").iterdir())
    assert not (page / "judge" / "key.json").exists()
    dates = {path.stat().st_mtime_ns for path in files}
    assert len(dates) == 1, "who was written first"
    for path in files:
        content = path.read_bytes().lower()
        for word in (*TINTS, *NAMES, "settings", "starry", "kitten", "key.json"):
            assert word.encode() not in content, f"{path.name} says {word}"
            assert word not in path.name
        if path.suffix == ".png":
            assert re.fullmatch(r"[a-z0-9]{10}", path.stem)
            chunks = re.findall(rb"IHDR|tEXt|iTXt|zTXt|tIME|eXIf|iCCP|pHYs|gAMA|sRGB", path.read_bytes())
            assert chunks == [b"IHDR"] and not Image.open(path).info
    tokens = [[pair[side] for pair in pairs_of(page)] for side in ("left", "right")]
    key = json.loads((page / "key.json").read_text())["results"]
    lefts = [key[token]["method"] for token in tokens[0]]
    assert {lefts.count(method) for method in TINTS} == {3}, "one method is on the left more often"
    assert len({len(path.read_bytes()) for path in files}) > 1


def test_the_page_asks_no_host(page):
    """If this fails, the page loads something from elsewhere, or its policy would let it."""
    document = html.unescape((page / "judge" / "index.html").read_text())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', document)
    assert policy and "default-src 'none'" in policy[1] and "connect-src" not in policy[1]
    assert not re.search(r'https?:|src="|href="(?!data:)|@import|url\(', document)


def test_the_same_command_draws_the_same_page(page, folders, capsys):
    """If this fails, answers that are half given are lost with the page they were given to, or by another command."""
    before = {path.name: path.read_bytes() for path in page.rglob("*") if path.is_file()}
    assert main(["compare", *TINTS, *INPUTS]) == 0
    assert main(["compare", *TINTS, *INPUTS, "--output", "again"]) == 0
    again = {path.name: path.read_bytes() for path in (folders / "again").rglob("*") if path.is_file()}
    assert before == again == {path.name: path.read_bytes() for path in page.rglob("*") if path.is_file()}
    capsys.readouterr()
    for words in ([*TINTS, "--seed", "1"], [*TINTS, "--repeats", "2"], list(TINTS)[:2]):
        assert main(["compare", *words, *INPUTS]) == 2
        said = capsys.readouterr().err
        assert "--output logs/compare: has a comparison of other pictures" in said and len(said.splitlines()) == 1
    tinted(NAMES[0], 1).save(folders / "gram" / f"{NAMES[0]}.png")
    assert main(["compare", *TINTS, *INPUTS]) == 2
    assert before == {path.name: path.read_bytes() for path in page.rglob("*") if path.is_file()}, "overwritten"


def test_other_seeds_draw_other_pages(page, folders):
    """If this fails, all judges see one order, or tokens of one page fit the key of another."""
    assert main(["compare", *TINTS, *INPUTS, "--seed", "1", "--output", "other"]) == 0
    keys = [json.loads((folder / "key.json").read_text()) for folder in (page, folders / "other")]
    assert keys[0]["comparison"] != keys[1]["comparison"] and not set(keys[0]["results"]) & set(keys[1]["results"])
    named = [[{key["results"][pair[side]]["name"] for side in pair} for pair in key["pairs"]] for key in keys]
    assert named[0] != named[1]


def test_a_folder_of_other_things_is_left_alone(folders, capsys):
    """If this fails, a page is written among files of something else."""
    (folders / "out").mkdir()
    (folders / "out" / "notes.txt").write_text("mine")
    assert main(["compare", *TINTS, *INPUTS, "--output", "out"]) == 2
    assert "--output out: has other files (notes.txt); give a new folder" in capsys.readouterr().err
    assert [path.name for path in (folders / "out").iterdir()] == ["notes.txt"]
    (folders / "empty").mkdir()
    assert main(["compare", *TINTS, *INPUTS, "--output", "empty"]) == 0
    assert main(["compare", *TINTS, *INPUTS, "--output", "gram/kitten_great_wave.png/x"]) == 2
    assert "--output gram/kitten_great_wave.png/x: cannot be written" in capsys.readouterr().err


def test_nothing_half_is_left(folders, capsys):
    """If this fails, a picture that cannot be read leaves half a comparison."""
    (folders / "strotss" / f"{NAMES[0]}.png").write_bytes(b"no picture")
    before = sorted(path for path in folders.rglob("*"))
    assert main(["compare", *TINTS, *INPUTS, "--output", "out"]) == 2
    said = capsys.readouterr().err
    assert f"error: strotss/{NAMES[0]}.png: not a picture that can be read" in said and len(said.splitlines()) == 1
    assert sorted(path for path in folders.rglob("*")) == before


def test_sizes_tell_nothing(folders, capsys):
    """If this fails, the method that makes larger pictures is known by them, or another shape is squeezed."""
    tinted(NAMES[0], 0, (192, 145)).save(folders / "gram" / f"{NAMES[0]}.png")
    assert main(["compare", "gram", "strotss", *INPUTS, "--output", "out"]) == 0
    key = json.loads((folders / "out" / "key.json").read_text())
    sizes = {Image.open(folders / "out" / "judge" / f"{token}.png").size for token in key["results"]}
    assert sizes == {(48, 36)}
    tinted(NAMES[0], 0, (48, 48)).save(folders / "gram" / f"{NAMES[0]}.png")
    assert main(["compare", "gram", "strotss", *INPUTS, "--output", "squeezed"]) == 2
    assert "is 48 x 36 and gram/chenonceau_starry_night.png 48 x 48" in capsys.readouterr().err.replace(
        "gram/chenonceau_starry_night.png: is 48 x 48 and strotss/chenonceau_starry_night.png 48 x 36",
        "is 48 x 36 and gram/chenonceau_starry_night.png 48 x 48",
    )
    assert not (folders / "squeezed").exists()


def kinds(folder: Path) -> list[Path]:
    """One picture as files of many kinds."""
    image = tinted(NAMES[0], 0)
    values = np.asarray(image)
    turned = Image.Exif()
    turned[0x0112] = 6
    image.save(folder / "turned.jpg", exif=turned, quality=95)
    image.save(folder / "srgb.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    image.save(folder / "other_profile.webp", lossless=True)
    image.save(folder / "grey_profile.jpg", icc_profile=lab)
    image.convert("L").save(folder / "grey.png")
    image.convert("P").save(folder / "palette.png")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.save(folder / "a.tif")
    image.save(folder / "a.ppm")
    image.save(folder / "a.bmp")
    Image.fromarray(values[..., 0].astype(np.uint16) * 257).save(folder / "grey16.png")
    clear = Image.fromarray(
        np.dstack([values, np.linspace(0, 255, values[..., 0].size).reshape(values.shape[:2])]).astype("u1")
    )
    clear.save(folder / "clear.png")
    return sorted(path for path in folder.iterdir() if path.is_file())


def test_copies_look_as_the_pictures_do(tmp_path):
    """If this fails, a picture of some format is turned, darker, or of other colours than its maker's program shows it."""
    for path in kinds(tmp_path):
        picture = read_image(path)
        expected = np.asarray(to_pil(on_background(picture.rgb, picture.alpha)), float)
        found = np.asarray(open_copy(path), float)
        assert found.shape == expected.shape and np.abs(found - expected).max() <= 1, path.name


def test_a_damaged_picture_is_refused(tmp_path):
    """If this fails, a picture that is cut off is shown as it is."""
    whole = tmp_path / "whole.png"
    tinted(NAMES[0], 0, (192, 144)).save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(UsageError) as refused:
        open_copy(cut)
    assert refused.value.message.startswith(f"{cut}: damaged or truncated picture")


def test_torch_is_not_loaded(folders):
    """If this fails, the page waits seconds for what it does not need."""
    code = "import sys; from nst_lightning.__main__ import main; main(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "compare", *TINTS, *INPUTS], check=True, timeout=100)
    assert (folders / "logs" / "compare" / "judge" / "index.html").is_file()
    shutil.rmtree(folders / "logs")
