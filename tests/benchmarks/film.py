"""Steadiness against the temporal weight: warping error by the true flow, and what is left of the style."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from tests.video.clips import passing, views
from tests.video.steady import error, painted, style_distance

SHAPE, COUNT = (96, 128), 5
WEIGHTS = (0.0, 300.0, 3000.0, 30000.0)
CLIPS = {"turn": views(COUNT, SHAPE, turn=2), "passing": passing(COUNT, SHAPE)}


def report(console: Console) -> list[dict[str, Any]]:
    """A row for each clip and weight, and for frames painted one by one."""
    table = Table(
        "clip", "temporal weight", "warping error", "style distance", title=f"films of {COUNT} frames, 128 px, draft"
    )
    rows = []
    for name, clip in CLIPS.items():
        for weight in (None, *WEIGHTS):
            results = painted(clip.frames, "alone" if weight is None else "ours", weight=weight or 0.0)
            styles = style_distance(results[0]), style_distance(results[-1])
            row = {"clip": name, "weight": weight, "error": error(clip, results), "first": styles[0], "last": styles[1]}
            rows.append(row)
            said = "frame by frame" if weight is None else f"{weight:g}"
            table.add_row(name, said, f"{row['error']:.5f}", f"{styles[0]:.3f} to {styles[1]:.3f}")
        table.add_row(name, "the clip itself", f"{error(clip, clip.frames):.5f}", "")
    console.print(table)
    return rows
