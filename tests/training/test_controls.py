"""Dials that are turned while a run goes on."""

from __future__ import annotations

import json
import threading

import lightning as L
import numpy as np
import pytest
from PIL import Image

from nst_lightning import Controls, ImagePair, StyleTransfer, stylize
from nst_lightning.errors import BadArgument
from nst_lightning.main import main
from nst_lightning.training.controls import UNDO, Turn
from nst_lightning.training.quietly import fit_quietly
from tests.runs import run_folder

CPU = {"accelerator": "cpu", "precision": "32-true"}
FAST = {"style_layers": ["relu1_2", "relu2_2"], "content_layers": ["relu2_2"], "style_loss": "wasserstein"}
SCALES = [{"size": 0.5, "steps": 4}, {"size": 1.0, "steps": 8}]


def paint(pictures, controls=None, callback=None, **settings) -> np.ndarray:
    arguments = FAST | {"size": 48, "steps": 12, "scales": SCALES, "trainer": CPU} | settings
    return np.asarray(stylize(*map(str, pictures), controls=controls, callback=callback, **arguments), dtype=int)


def turning(controls, at):
    """A callback that turns dials after some steps."""

    def callback(moment):
        for act in at.get(moment.step, ()):
            act(controls)

    return callback


def test_dials_that_nobody_turns_change_nothing(pictures):
    """If this fails, a run that could have been steered is another."""
    assert np.array_equal(paint(pictures), paint(pictures, Controls()))


@pytest.mark.parametrize(
    "dials",
    [{"style_weight": 4000.0}, {"content_weight": 50.0}, {"style_scale": 0.5}, {"color": "luminance"}, {"color": "oklab"}],
    ids=str,
)
def test_a_steered_run_is_repeated_from_its_turns(pictures, tmp_path, dials):
    """If this fails, what somebody found by turning cannot be made again, or turning does nothing."""
    controls = Controls()
    steered = paint(
        pictures, controls, turning(controls, {3: [lambda c: c.set(**dials)], 7: [lambda c: c.set(style_weight=9)]})
    )
    assert [turn.step for turn in controls.turns] == [3, 7]
    controls.write(tmp_path / "turns.json")
    assert np.array_equal(steered, paint(pictures, Controls.read(tmp_path / "turns.json")))
    assert np.abs(steered - paint(pictures)).max() > 3  # of 255


class Impatient(Controls):
    """Stops when it was asked so many times since some step, and counts how often it is asked then."""

    def __init__(self, since: int, after: int) -> None:
        super().__init__()
        self.since, self.left, self.asked_after = since, after, 0

    def heed(self) -> None:
        if self._stopping:
            self.asked_after += 1
        elif self.since <= 0:
            self.left -= 1
            if self.left == 0:
                self.stop()
        super().heed()


@pytest.mark.parametrize("where", ["in the tiles of a step", "in the search of a scale"])
def test_a_stop_does_not_wait_for_the_end_of_a_step(pictures, where):
    """If this fails, who stops a large picture waits for a minute, or gets a picture that nobody saw."""
    search = where == "in the search of a scale"
    # the second scale begins after step 4: its targets are computed then
    controls = Impatient(since=4 if search else 2, after=6 if search else 3)
    seen = {}

    def callback(moment):
        controls.since -= 1
        seen[moment.step] = np.asarray(moment.picture, dtype=int), moment.losses["total"]

    settings = {"style_loss": "nearest_neighbor"} if search else {"tile": 16}
    found = paint(pictures, controls, callback, **settings)
    last = 4 if search else 2
    assert list(seen) == list(range(1, last + 2))  # a step that is ended counts, and changes nothing
    assert controls.asked_after == 0
    assert np.array_equal(found, seen[last + 1][0])
    assert seen[last + 1][1] == seen[last][1]
    if not search:
        assert np.array_equal(found, seen[last][0])


def test_a_stop_after_the_last_step_does_not_end_what_is_measured(pictures):
    """If this fails, who stops a run that is just done gets an error in place of the picture."""
    controls, settings = Controls(), FAST | {"scales": SCALES, "tile": 16}
    module, pair = StyleTransfer(**settings), ImagePair(*map(str, pictures), size=48)
    module.controls = controls

    class Late(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == trainer.max_steps:
                controls.stop()

        def on_train_end(self, trainer, pl_module):
            self.measured = pl_module.evaluate()

    late = Late()
    fit_quietly(module, pair, max_steps=12, callbacks=[late], **CPU)
    assert float(late.measured["total"]) > 0


def test_a_weight_acts_as_if_the_rest_of_the_run_had_it(pictures):
    """If this fails, a dial turned before the first step is not the setting of its name."""
    controls = Controls()
    controls.set(style_weight=3.0)
    assert np.array_equal(paint(pictures, controls), paint(pictures, style_weight=3.0))
    controls = Controls([Turn(0, "style_scale", 0.5)])
    assert np.abs(paint(pictures, controls) - paint(pictures, style_scale=0.5)).max() <= 1


@pytest.mark.parametrize("when", [6, 10], ids=["across a scale", "within a scale"])
def test_undo(pictures, when):
    """If this fails, a turn that went wrong cannot be taken back, or the picture does not come back with it."""
    controls, seen = Controls(), {}

    def callback(moment):
        seen[moment.step] = np.asarray(moment.picture, dtype=int)
        if moment.step == when - 3:
            controls.set(style_weight=1e6)
        if moment.step == when:
            controls.undo()

    steered = paint(pictures, controls, callback)
    assert [turn.name for turn in controls.turns] == ["style_weight", "undo"]
    before = seen[when - 3]
    assert np.abs(seen[when + 1] - before).mean() < np.abs(seen[when] - before).mean()
    assert np.array_equal(steered, paint(pictures, Controls(controls.turns)))


def test_stop_from_another_thread(pictures):
    """If this fails, a run cannot be ended by whoever watches it."""
    controls, steps = Controls(), []
    threading.Timer(0.5, controls.stop).start()
    paint(pictures, controls, lambda moment: steps.append(moment.step), steps=100_000, scales="none", size=32)
    assert len(steps) < 100_000 and controls.turns[-1].name == "stop"


def test_a_term_that_is_not_there_is_not_turned_up(pictures):
    """If this fails, somebody turns a dial and nothing happens, without a word."""
    with pytest.raises(BadArgument, match="no such term"):
        paint(pictures, Controls([Turn(2, "tv_weight", 1.0)]))


@pytest.mark.parametrize(
    "dials",
    [{"style_weight": 0}, {"style_weight": True}, {"style_scale": float("nan")}, {"colour": "style"}, {"color": 3}],
    ids=str,
)
def test_values_that_no_dial_has(dials):
    """If this fails, a run ends in its middle by a value that could have been refused."""
    with pytest.raises(BadArgument):
        Controls().set(**dials)


def test_the_command_repeats_turns_and_records_them(pictures, workdir, capsys):
    """If this fails, a steered run of the page cannot be made again by the command that it names."""
    (workdir / "mine.json").write_text(json.dumps([{"step": 2, "name": "color", "value": "luminance"}]))
    words = [
        *map(str, pictures),
        "--data.size",
        "48",
        "--steps",
        "5",
        "--trainer.accelerator",
        "cpu",
        "--recipe",
        "wasserstein",
    ]
    assert main([*words, "--turns", "mine.json"]) == 0 and main(words) == 0
    first, second = (np.asarray(Image.open(run_folder(n, workdir / "logs/transfer") / "result.png")) for n in (0, 1))
    assert not np.array_equal(first, second)
    again = json.loads((run_folder(0, workdir / "logs/transfer") / "turns.json").read_text())
    assert again == [{"step": 2, "name": "color", "value": "luminance"}]


@pytest.mark.parametrize("content", ["[{]", "{}", '[{"step": 1}]', '[{"step": 1, "name": "size", "value": 3}]', None])
def test_a_file_that_holds_no_turns(pictures, workdir, capsys, content):
    """If this fails, a wrong file is a traceback."""
    if content is not None:
        (workdir / "t.json").write_text(content)
    assert main([*map(str, pictures), "--turns", "t.json"]) == 2
    said = capsys.readouterr().err
    assert "--turns t.json" in said and said.count("\n") <= 2


def test_turns_that_a_run_cannot_make_are_refused_before_it(pictures, workdir, capsys):
    """If this fails, a run of an hour ends at the step at which a dial is turned that it does not have."""
    (workdir / "t.json").write_text(json.dumps([{"step": 2, "name": "tv_weight", "value": 1.0}]))
    assert main([*map(str, pictures), "--turns", "t.json"]) == 2
    said = capsys.readouterr().err
    assert "--turns tv_weight" in said and "no such term" in said and not (workdir / "logs").exists()


def test_no_more_is_kept_than_can_be_taken_back(pictures):
    """If this fails, each turn of a dial takes the memory of two images for the rest of the run."""
    controls = Controls()

    def callback(moment):
        controls.set(style_weight=10.0 + moment.step)
        if moment.step == 10:
            assert len(moment._module._steering.before) == UNDO

    paint(pictures, controls, callback)
    assert len(controls.turns) > 2 * UNDO
