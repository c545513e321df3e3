"""What is written of a painted clip: the film, and how steady it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from nst_lightning.objective.distances import distances
from nst_lightning.pictures.atomic import write_table
from nst_lightning.pictures.read import read_image
from nst_lightning.video.flow import warping_error
from nst_lightning.video.reel import Part, Reel
from nst_lightning.video.scenes import Steadiness
from nst_lightning.video.writing import write_film

COLUMNS = ("steps", "seconds", "cut", "warping_error", "floor")


@dataclass
class Film:
    """One clip on its way to a film."""

    part: Part
    output: str
    reel: Reel
    settings: dict[str, Any]  # of ``fit``
    size: int  # the longer side in pixels
    steadiness: Steadiness

    def write(self) -> str | None:
        """Write what is there of it, with metrics.csv and TensorBoard's events beside the frames; what to say of it."""
        try:
            there = self.reel.latest(self.steadiness.passes)
        except OSError:  # it was not even read
            return None
        if not there:
            return None
        files = [self.reel.result_file(number, turn) for number, turn in there]
        sound = self.part.clip if self.part.every == 1 and not Path(self.part.clip).is_dir() else None
        write_film(self.output, files, self.reel.record.times[: len(files)], sound)
        rows = [self._row(number, turn, there[number - 1][1]) for number, turn in there]
        write_table(self.reel.folder / "metrics.csv", rows)
        with SummaryWriter(str(self.reel.folder)) as writer:
            for row in rows:
                for name in COLUMNS:
                    if row[name] is not None:
                        writer.add_scalar(name, row[name], row["frame"])
        return self._said(rows, files)

    @torch.no_grad()
    def _row(self, number: int, turn: int, turn_before: int) -> dict[str, Any]:
        """What was measured of a frame; its warping error, and that of the clip itself, to the frame before."""
        measured, cut = self.reel.measured(number, turn), number in self.reel.record.cuts
        row: dict[str, Any] = {"frame": number, "time": round(self.reel.record.times[number], 4)}
        row |= {"steps": int(measured["steps"]), "seconds": round(measured["seconds"], 3), "cut": int(cut)}
        if cut:
            return row | {"warping_error": None, "floor": None}
        flow, reliable, _ = self.reel.between(number, number - 1)
        before, after = self.reel.result(number - 1, turn_before), self.reel.result(number, turn)
        row["warping_error"] = warping_error(before, after, flow, reliable)
        return row | {"floor": warping_error(self.reel.photo(number - 1), self.reel.photo(number), flow, reliable)}

    @torch.no_grad()
    def _said(self, rows: list[dict[str, Any]], files: list[Path]) -> str:
        named = self.settings["data"]["style"]
        style = read_image(named[0] if isinstance(named, list) else named).rgb[None]
        parts = [self.output, f"{len(rows)} frames"]
        following = [row for row in rows if row["warping_error"] is not None]
        if following:
            error, floor = (fmean(row[name] for row in following) for name in ("warping_error", "floor"))
            parts.append(f"warping error {error:.5f} (clip {floor:.5f})")
        of_style = [
            distances(read_image(str(file)).rgb[None], None, style)["style_distance"] for file in (files[0], files[-1])
        ]
        return " · ".join([*parts, f"style distance {of_style[0]:.3f} to {of_style[1]:.3f}"])
