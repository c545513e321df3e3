"""Small results of three methods, which differ so that each can be told by its pixels."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from nst_lightning.compare.key import COLUMNS, QUESTIONS, Key, read_key
from nst_lightning.main import main

IMAGES = Path(__file__).parents[2] / "images"
NAMES = ("chenonceau_starry_night", "kitten_starry_night", "kitten_great_wave")
TINTS = {"gram": 0, "secret_w2": 1, "strotss": 2}  # the channel in which a method's pictures are brighter


def small(path: Path, size: tuple[int, int] = (48, 36)) -> Image.Image:
    return Image.open(path).convert("RGB").resize(size)


def tinted(name: str, channel: int, size: tuple[int, int] = (48, 36)) -> Image.Image:
    values = np.array(small(IMAGES / "content" / f"{name.split('_')[0]}.jpg", size))
    values[..., channel] = 128 + values[..., channel] // 2
    return Image.fromarray(values)


@pytest.fixture
def folders(workdir) -> Path:
    """Folders of three methods, and of photographs and paintings, in the current one."""
    for name in ("content/chenonceau.jpg", "content/kitten.jpg", "style/starry_night.jpg", "style/great_wave.jpg"):
        path = workdir / name
        path.parent.mkdir(exist_ok=True)
        small(IMAGES / name, (96, 72)).save(path)
    for method, channel in TINTS.items():
        (workdir / method).mkdir()
        for name in NAMES:
            text = PngImagePlugin.PngInfo()
            text.add_text("Settings", f"data.size=48, model.style_loss={method}, data.color=photo")
            tinted(name, channel).save(workdir / method / f"{name}.png", pnginfo=text)
    return workdir


INPUTS = ("--content", "content", "--style", "style")


@pytest.fixture
def page(folders) -> Path:
    """The folder of a comparison of the three methods."""
    assert main(["compare", *TINTS, *INPUTS]) == 0
    return folders / "logs" / "compare"


def answer(folder: Path, judge: str, prefers: Callable[[str, str, str], str], questions: Sequence[str] = ()) -> str:
    """What a judge's file holds who answers left, right or none by question and methods, as the page writes it."""
    key, comparison = read_key(folder / "key.json"), json.loads((folder / "key.json").read_text())["comparison"]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, (left, right) in enumerate(key.pairs, start=1):
        for question in questions or QUESTIONS:
            said = prefers(question, method(key, left), method(key, right))
            writer.writerow([judge, comparison, number, question, left, right, said])
    return text.getvalue()


def method(key: Key, token: str) -> str:
    return key.results[token][0]
