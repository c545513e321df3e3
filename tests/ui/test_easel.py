"""What stands behind the page to paint on: wishes, queue, history, brush, estimates."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_lightning.errors import BadArgument
from nst_lightning.main import main
from nst_lightning.presets import preset
from nst_lightning.ui.brush import mask_from, save_mask
from nst_lightning.ui.estimate import Estimate
from nst_lightning.ui.history import RECORD, History
from nst_lightning.ui.painting import FILM, FRAMES, Easel
from nst_lightning.ui.wishes import Wishes, variants, weight_of
from nst_lightning.video.clips import frames_of


@pytest.fixture
def easel(tmp_path):
    made = Easel(History(tmp_path / "ui"), Estimate(tmp_path / "ui" / "seconds.json"))
    yield made
    made.close()


@pytest.fixture
def wishes(pictures) -> Wishes:
    return Wishes(str(pictures[0]), (str(pictures[1]),), "draft", 48)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), dtype=int)


def painted(easel, wishes):
    painting = easel.put(wishes)
    assert painting.ended.wait(120)
    assert painting.state == "done", painting.error
    return painting


def repeated(painting, folder: Path, monkeypatch) -> np.ndarray:
    """What the command of a picture's history makes."""
    monkeypatch.chdir(folder)
    words = shlex.split(painting.entry.command())
    assert (
        words[:2] == ["nst", "fit"] and main([*words[1:], "--trainer.accelerator", "cpu", "--trainer.logger", "false"]) == 0
    )
    return pixels(folder / "painted.png")


def test_the_command_makes_the_picture_again(easel, wishes, tmp_path, monkeypatch):
    """If this fails, the command that the page shows of a picture, steered on the way, is not how it was made."""
    painting = easel.put(replace(wishes, balance=1.5, stroke=0.8, seed=3))
    while painting.step < 20:
        assert not painting.ended.wait(0.01)
    painting.turn(-1.0, 0.8, "luminance")
    assert painting.ended.wait(120) and painting.state == "done", painting.error
    assert [turn.name for turn in painting.controls.turns] == ["style_weight", "color"]
    found = pixels(painting.entry.picture)
    assert np.array_equal(found, repeated(painting, tmp_path, monkeypatch))
    easel.close()  # the film is written when the picture is there
    assert len(list(frames_of(str(painting.entry.folder / FILM)))) == FRAMES
    deep = Image.open(painting.entry.folder / "result.tif")
    assert deep.size == (48, 36)


def test_a_part_stays_as_it_is(easel, wishes, tmp_path, pictures):
    """If this fails, a face that was to be left alone is painted over, or nothing is."""
    mask = Image.new("L", (64, 48))
    mask.paste(255, (0, 0, 32, 48))
    save_mask(mask, tmp_path / "mask.png")
    painting = painted(easel, replace(wishes, mask=str(tmp_path / "mask.png")))
    found = pixels(painting.entry.picture)
    photo = np.asarray(Image.open(pictures[0]).convert("RGB").resize((48, 36), Image.Resampling.LANCZOS), dtype=int)
    assert np.abs(found - photo)[:, :20].mean() < 4 < 15 < np.abs(found - photo)[:, 28:].mean()


@pytest.mark.slow
def test_a_part_after_another_painting(easel, wishes, tmp_path, monkeypatch):
    """If this fails, the brush's part has the wrong painting, or the command shown does not know the masks."""
    red, green = tmp_path / "red.png", tmp_path / "green.png"
    rng = np.random.default_rng(0)
    for path, color in ((red, (200, 20, 20)), (green, (20, 180, 20))):
        values = np.clip(np.array(color) + rng.normal(0, 15, (48, 48, 1)), 0, 255)
        Image.fromarray(values.astype(np.uint8)).save(path)
    mask = Image.new("L", (64, 48))
    mask.paste(255, (0, 0, 32, 48))
    save_mask(mask, tmp_path / "mask.png")
    painting = painted(
        easel, replace(wishes, paintings=(str(red), str(green)), mask=str(tmp_path / "mask.png"), masked="2", balance=3)
    )
    found = pixels(painting.entry.picture)
    assert found[:, :18, 1].mean() > found[:, :18, 0].mean() and found[:, 30:, 0].mean() > found[:, 30:, 1].mean()
    assert np.array_equal(found, repeated(painting, tmp_path, monkeypatch))


def test_one_after_the_other_and_what_waits_can_be_given_up(easel, wishes):
    """If this fails, two people at one page disturb each other, or a stop ends somebody else's picture."""
    first, second, third = (easel.put(replace(wishes, seed=seed)) for seed in range(3))
    while first.step < 5:
        assert not first.ended.wait(0.01)
    assert [easel.place(one) for one in (first, second, third)] == [0, 1, 2]
    easel.stop(second)
    assert second.ended.is_set() and second.state == "stopped" and easel.place(third) == 1
    easel.stop(first)
    assert first.ended.wait(20) and first.state == "stopped" and first.entry is not None
    assert Image.open(first.entry.picture).size == (48, 36), "stopped early, and not at full size"
    assert third.ended.wait(120) and third.state == "done"
    entries = easel.history.entries()
    assert [entry.wishes.seed for entry in entries] == [2, 0]


def test_undo_takes_back_the_dial_and_the_picture(easel, wishes):
    """If this fails, a turn that spoilt the picture cannot be taken back."""
    painting = easel.put(wishes)
    while painting.step < 10:
        assert not painting.ended.wait(0.01)
    assert not painting.undo()
    painting.turn(3.0, 1.0, "style")
    while len(painting.controls.turns) < 1:
        assert not painting.ended.wait(0.01)
    assert painting.undo() and painting.dials["balance"] == 0.0
    assert painting.ended.wait(120) and [turn.name for turn in painting.controls.turns] == ["style_weight", "undo"]


def test_continue_goes_on_from_the_picture(easel, wishes, tmp_path, monkeypatch):
    """If this fails, going on begins anew."""
    first = painted(easel, wishes)
    second = painted(easel, replace(first.wishes, init=str(first.entry.picture)))
    near = np.abs(pixels(second.entry.picture) - pixels(first.entry.picture)).mean()
    photo = np.asarray(Image.open(first.entry.wishes.photo).convert("RGB").resize((48, 36)), dtype=int)
    assert near < np.abs(pixels(second.entry.picture) - photo).mean() / 2
    assert np.array_equal(pixels(second.entry.picture), repeated(second, tmp_path, monkeypatch))


def test_a_picture_that_fails_leaves_the_easel_and_no_folder(easel, wishes, tmp_path):
    """If this fails, one bad file ends the page for everybody."""
    (tmp_path / "text.jpg").write_text("no picture")
    bad = easel.put(replace(wishes, photo=str(tmp_path / "text.jpg")))
    assert bad.ended.wait(20) and bad.state == "failed" and bad.error
    assert not easel.history.entries() and not [path for path in easel.history.folder.iterdir() if path.is_dir()]
    for wrong in (
        {"size": 9},
        {"size": 100_000},
        {"preset": "best"},
        {"color": "os.system"},
        {"balance": 1e9},
        {"seed": -1},
    ):
        with pytest.raises(BadArgument):
            easel.put(replace(wishes, **wrong))
    with pytest.raises(BadArgument, match="choose a painting"):
        easel.put(replace(wishes, paintings=()))


def test_history_is_there_after_a_restart_and_leaves_out_what_is_not_whole(easel, wishes, tmp_path):
    """If this fails, pictures are lost with the page, or half a picture breaks it."""
    painting = painted(easel, wishes)
    broken = easel.history.folder / "20990101-000000-x"
    broken.mkdir()
    (broken / RECORD).write_text("{")
    again = History(easel.history.folder)
    (entry,) = again.entries()
    assert entry.said == painting.entry.said and entry.wishes.balance == wishes.balance
    ((shown, picture),) = again.shown()
    assert picture.size == (48, 36) and shown.said == entry.said


def test_estimates_learn(tmp_path, wishes):
    """If this fails, the time beside the button is that of another machine, whatever was painted on this one."""
    estimate = Estimate(tmp_path / "seconds.json")
    estimate.measure()
    shares = estimate.shares(wishes, (36, 48))
    assert len(shares) == preset("draft")["trainer"]["max_steps"] and all(a < b for a, b in pairwise(shares))
    large, small = estimate.of(replace(wishes, size=512), (384, 512)), estimate.of(wishes, (36, 48))
    assert large[0] > small[0] and large[1] > small[1]
    estimate.learn(wishes, (36, 48), 3.0)  # short: it says little of larger ones
    assert estimate.of(wishes, (36, 48))[0] == pytest.approx(3.0, rel=0.01)
    assert abs(math.log(estimate.of(replace(wishes, size=512), (384, 512))[0] / large[0])) < 0.3
    for _ in range(14):
        estimate.learn(wishes, (36, 48), 70.0)
    assert Estimate(tmp_path / "seconds.json")._factors == json.loads((tmp_path / "seconds.json").read_text())
    assert estimate.of(wishes, (36, 48))[0] == pytest.approx(70.0, rel=0.01)


def test_four_variants_differ_and_can_be_painted(wishes):
    """If this fails, two of the four are the same picture, or a dial stands where it cannot."""
    for start in (wishes, replace(wishes, balance=3.0, stroke=2.0, size=4096, seed=2**32 - 1)):
        found = variants(start)
        assert len(found) == len(set(found.values())) == 4 and max(one.size for one in found.values()) <= 256
        for one in found.values():
            one.check()


def test_the_balance_doubles_the_weight():
    """If this fails, the dial is not what the page says beside it."""
    assert weight_of("standard", 1.0) == 2 * weight_of("standard", 0.0) == 400.0


def test_a_mask_from_the_editor():
    """If this fails, an empty layer counts as painted, or a stroke is lost."""
    empty, stroke = np.zeros((8, 9, 4), np.uint8), np.zeros((8, 9, 4), np.uint8)
    stroke[2:4, 3:5] = 255
    assert mask_from(None) is None and mask_from({"layers": []}) is None and mask_from({"layers": [empty]}) is None
    assert np.asarray(mask_from({"layers": [empty, stroke]})).sum() == 4 * 255


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "0"], "--port 0"),
        (["--port", "x"], "--port"),
        (["--prot", "7"], "did you mean '--port'"),
        (["--password", ""], "--password"),
        (["--folder", "/proc/nope"], "--folder /proc/nope"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
    ],
)
def test_bad_input(words, said, capsys, monkeypatch):
    """If this fails, a mistyped flag is a traceback, or the page opens where nobody meant it to."""
    monkeypatch.setattr("nst_lightning.ui.options.find_spec", lambda name: name)
    monkeypatch.setattr("nst_lightning.ui.command.check_installed", lambda: None)
    assert main(["ui", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") <= 2


def test_without_the_extra(capsys, monkeypatch):
    """If this fails, whoever has no Gradio sees a traceback."""
    monkeypatch.setattr("nst_lightning.ui.options.find_spec", lambda name: None)
    assert main(["ui"]) == 2
    assert "pip install 'nst_lightning[ui]'" in capsys.readouterr().err
