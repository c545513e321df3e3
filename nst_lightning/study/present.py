"""What a person sees of a study: the figure, the rows of its table, its part of a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

from PIL import Image

from nst_lightning.callbacks import flatten
from nst_lightning.pictures.picture import ImageError, fit_size, on_background, resize, to_pil
from nst_lightning.pictures.read import read_image
from nst_lightning.study.cells import Outcome
from nst_lightning.study.figure import Label, Panel, contact_sheet, difference
from nst_lightning.study.grid import Mark, label_of
from nst_lightning.study.page import CellView, Section
from nst_lightning.study.plan import Plan
from nst_lightning.study.results import stamp

MEASURED = (
    "total",
    "content",
    "style",
    "tv",
    "psnr",
    "ssim",
    "style_distance",
    "content_distance",
    "steps",
    "seconds",
    "seconds_to_worst",
    "peak_memory_mib",
)
INPUTS = ("content", "style")
EDGE = 512  # pixels, the longer side of an input picture in figure and page


class Results:
    """A study that has been run, as far as it came.

    Args:
        plan: the study with its grid, cells and configs.
        outcomes: of the cells, one each.
    """

    def __init__(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        self.plan, self.outcomes = plan, outcomes

    def table(self, everything: bool = False) -> list[dict[str, Any]]:
        """One row for each cell: its name, what sets it apart, and what was measured (None where there is nothing).

        With ``everything`` all its other settings follow.

        ``seconds_to_worst`` is the time a cell took to reach the final loss of the worst one: with one objective for all
        cells the fair comparison of their speed.
        """
        finals = [outcome.curve[-1][2] for outcome in self.outcomes if outcome.curve]
        worst = max(finals) if finals else 0.0
        settings = list(dict.fromkeys(name for cell in self.plan.cells for name in cell.settings))
        table = []
        for cell, outcome in zip(self.plan.cells, self.outcomes, strict=True):
            measured: dict[str, Any] = dict(outcome.measured)
            measured["seconds_to_worst"] = next((s for _, s, loss in outcome.curve if loss <= worst), None)
            row: dict[str, Any] = {"cell": cell.name}
            row |= {name: _plain(cell.settings.get(name)) for name in settings}
            row |= {name: measured.get(name) for name in MEASURED}
            table.append(row | {"error": outcome.error})
        used = [name for name in table[0] if name not in MEASURED or any(row[name] is not None for row in table)]
        table = [{name: row[name] for name in used} for row in table]
        if everything:
            others = [
                flatten(outcome.config or config) for outcome, config in zip(self.outcomes, self.plan.configs, strict=True)
            ]
            others = [{name.replace("/", "."): value for name, value in one.items()} for one in others]
            names = list(dict.fromkeys(name for one in others for name in one if name not in table[0]))
            table = [row | {name: one.get(name) for name in names} for row, one in zip(table, others, strict=True)]
        return table

    def figure(self) -> Image.Image:
        """The labelled contact sheet, with the input pictures at its edges."""
        grid = [[self._panels(i, j) for j in range(len(self.plan.columns))] for i in range(len(self.plan.rows))]
        rows, columns = [_label(mark) for mark in self.plan.rows], [_label(mark) for mark in self.plan.columns]
        if self.plan.study.difference == "rows":
            grid.append([self._difference(grid[0][j], grid[-1][j]) for j in range(len(columns))])
            rows.append(Label("difference"))
        elif self.plan.study.difference == "columns":
            for line in grid:
                line.append(self._difference(line[0], line[-1]))
            columns.append(Label("difference"))
        elif min(len(rows), len(columns)) == 1 and max(len(rows), len(columns)) > self.plan.study.wrap:
            # one direction only: lines of cells that carry their labels themselves
            flat = [
                [(" · ".join(part for part in (label.text, caption) if part), panel) for caption, panel in panels]
                for label, panels in zip(
                    rows if len(rows) > len(columns) else columns, [panels for line in grid for panels in line], strict=True
                )
            ]
            grid = [flat[start : start + self.plan.study.wrap] for start in range(0, len(flat), self.plan.study.wrap)]
            rows, columns = [Label("") for _ in grid], [Label("") for _ in grid[0]]
        return contact_sheet(grid, rows, columns, title=self.plan.study.title, inputs=self._inputs())

    @cached_property
    def figure_png(self) -> bytes:
        """The figure as a PNG file."""
        return _encoded(self.figure(), format="PNG")

    def section(self) -> Section:
        """The study's part of a page."""
        views = []
        for cell, config, outcome, row in zip(self.plan.cells, self.plan.configs, self.outcomes, self.table(), strict=True):
            before = _picture(config["data"].get("content"))
            views.append(
                CellView(
                    name=cell.name,
                    label=cell.label,
                    picture=outcome.files.get("result.png"),
                    before=_encoded(before, format="JPEG", quality=90) if before else outcome.files.get("start.png"),
                    error=outcome.error,
                    row=row,
                    curve=[(seconds, loss) for _, seconds, loss in outcome.curve],
                    steps=[step for step, _, _ in outcome.curve],
                )
            )
        return Section(self.plan.name, self.plan.study.title, self.plan.study.text, self.figure_png, views)

    def _panels(self, row: int, column: int) -> list[tuple[str, Panel]]:
        number = row * len(self.plan.columns) + column
        outcome, data = self.outcomes[number], self.plan.configs[number]["data"]
        shown: list[tuple[str, Panel]] = []
        for kind in self.plan.study.show:
            caption = kind if len(self.plan.study.show) > 1 else ""
            if kind in INPUTS:
                picture = _picture(data.get(kind))
                shown.append((caption, picture if picture else f"no {kind} image"))
            elif outcome.error is not None:
                shown.append((caption, outcome.error))
            else:
                shown.append((caption, Image.open(io.BytesIO(outcome.files[f"{kind}.png"])).convert("RGB")))
        return shown

    @staticmethod
    def _difference(first: list[tuple[str, Panel]], last: list[tuple[str, Panel]]) -> list[tuple[str, Panel]]:
        """What to show between two cells: the differences of what both made themselves."""
        shown: list[tuple[str, Panel]] = []
        for (kind, one), (_, other) in zip(first, last, strict=True):
            if kind in INPUTS:
                continue
            if isinstance(one, str) or isinstance(other, str) or one.size != other.size:
                shown.append((kind, "no two pictures of one size"))
            else:
                picture, levels = difference(one, other)
                shown.append((f"{kind} {levels:.1f} of 255".strip(), picture))
        return shown

    def _inputs(self) -> list[Label]:
        """The input pictures that all cells share and no edge or cell shows."""
        labels = []
        for kind in INPUTS:
            values = {str(config["data"].get(kind)) for config in self.plan.configs}
            source = self.plan.configs[0]["data"].get(kind)
            if len(values) > 1 or kind in self.plan.study.show or not source:
                continue
            for one in source if isinstance(source, list) else [source]:
                labels.append(Label(f"{kind}: {label_of(one)}", _picture(one)))
        return labels


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | str) else label_of(value)


def _label(mark: Mark) -> Label:
    return Label(mark.label, _picture(mark.picture))


def _picture(source: Any) -> Image.Image | None:
    """An input picture, small; None if there is none or it cannot be read (its cell says so)."""
    source = source[0] if isinstance(source, list) and source else source
    return _small(source, *stamp(source)) if isinstance(source, str) else None


@lru_cache(maxsize=256)  # many cells show the same one
def _small(source: str, changed: int, size: int) -> Image.Image | None:
    try:
        picture = read_image(source)
        rgb = on_background(picture.rgb, picture.alpha)[None]
    except ImageError:
        return None
    height, width = int(rgb.shape[-2]), int(rgb.shape[-1])
    return to_pil(resize(rgb, fit_size(height, width, min(EDGE, max(height, width)))))


def _encoded(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.convert("RGB").save(file, **options)
    return file.getvalue()
