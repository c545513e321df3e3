"""The benchmark for a card is alive on a machine without one."""

from __future__ import annotations

import json

import pytest
import torch

from tests.benchmarks import gpu


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        (lambda card: gpu.bare_network(card, 48), 2 + torch.cuda.is_available()),
        (lambda card: gpu.assignment(card, 48, 2), 2),
        (lambda card: gpu.parts_of_a_step(card, 48), 5),
        (lambda card: gpu.largest(card, [64]), 1),
    ],
    ids=["step", "assignment", "parts", "largest"],
)
def test_each_part_measures(part, rows):
    """If this fails, who has a card gets a table of failures."""
    found = list(part(gpu.Card(1)))
    assert len(found) == rows
    assert all(any(digit.isdigit() for digit in how) for _, how in found)


def test_what_was_measured_is_kept_and_what_was_not_is_said(tmp_path, capsys):
    """If this fails, a run that is cut off leaves nothing, or a short one looks complete."""
    gpu.main(["--output", str(tmp_path / "a.json"), "--sizes", "48", "--steps", "1", "--seconds", "0.0001"])
    assert "parts: the 0 s were over" in capsys.readouterr().out


def test_a_part_that_fails_costs_no_other(tmp_path, capsys, monkeypatch):
    """If this fails, one thing that a card cannot do takes all other numbers away."""

    def fails(*args):
        raise RuntimeError("this card cannot")
        yield

    for name in ("bare_network", "whole_pictures", "assignment", "parts_of_a_step", "waits", "largest", "compiled"):
        monkeypatch.setattr(gpu, name, fails)
    gpu.main(["--output", str(tmp_path / "a.json"), "--sizes", "48", "--steps", "1"])
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert "TFLOP/s" in rows[0][1] and rows[1:] == [["failed", "this card cannot"]] * 7
