"""What a person sees of a study: its pictures as a sheet, the rows of its table, its facts."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from PIL import Image

from nst_lightning.callbacks import flatten
from nst_lightning.pictures.files import ImageError, fit_size, read_image, resize, to_pil
from nst_lightning.pictures.similarity import difference
from nst_lightning.study.cells import Outcome
from nst_lightning.study.figure import Panel, Sheet, contact_sheet
from nst_lightning.study.grid import label_of
from nst_lightning.study.plan import Plan
from nst_lightning.study.results import stamp

# page.html says what they mean
MEASURED: tuple[str, ...] = (
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
)
MEASURED += ("seconds_to_worst", "peak_memory_mib")
INPUTS = ("content", "style")
EDGE = 512  # pixels, the longer side of an input picture in figure and page


class Results:
    """A study that has been run as far as it came, and the ``words`` after ``nst study`` that asked for it."""

    def __init__(self, plan: Plan, outcomes: Sequence[Outcome], words: Sequence[str] = ()) -> None:
        self.plan, self.outcomes = plan, outcomes
        self.command = shlex.join(["python", "-m", "nst_lightning", "study", *words])
        whole = [one.config or config for one, config in zip(outcomes, plan.configs, strict=True)]
        self.flat = [{name.replace("/", "."): value for name, value in flatten(config).items()} for config in whole]

    def table(self, everything: bool = False) -> list[dict[str, Any]]:
        """One row for each cell: its name, what sets it apart, and what was measured (None where there is nothing).

        With ``everything`` the version and the date of the cell and all its other settings follow.

        ``seconds_to_worst`` is the time a cell took to reach the final loss of the worst one: with one objective for all
        cells the fair comparison of their speed.
        """
        worst = max((outcome.curve[-1][2] for outcome in self.outcomes if outcome.curve), default=0.0)
        settings = list(dict.fromkeys(name for cell in self.plan.cells for name in cell.settings))
        table = []
        for cell, outcome in zip(self.plan.cells, self.outcomes, strict=True):
            measured: dict[str, Any] = dict(outcome.measured)
            measured["seconds_to_worst"] = next((s for _, s, loss in outcome.curve if loss <= worst), None)
            own = {name: _plain(cell.settings.get(name)) for name in settings}
            table.append({"cell": cell.name} | own | {n: measured.get(n) for n in MEASURED} | {"error": outcome.error})
        used = [name for name in table[0] if name not in MEASURED or any(row[name] is not None for row in table)]
        table = [{name: row[name] for name in used} for row in table]
        if everything:
            names = list(dict.fromkeys(name for one in self.flat for name in one if name not in used))
            for row, outcome, settings_ in zip(table, self.outcomes, self.flat, strict=True):
                row |= {"version": outcome.version or None, "date": outcome.date or None}
                row |= {name: settings_.get(name) for name in names}
        return table

    def facts(self) -> list[str]:
        """Size, steps, seed, version and date of the cells, as far as they were run."""
        done = [outcome for outcome in self.outcomes if outcome.error is None]
        if not done:
            return ["no cell has been run"]
        sizes = sorted(max(_opened(one.files["result.png"]).size) for one in done)
        steps = sorted(int(one.measured["steps"]) for one in done)
        ranges = [" to ".join(map(str, dict.fromkeys((few[0], few[-1])))) for few in (sizes, steps)]
        seeds = ", ".join(dict.fromkeys(str(one.get("seed_everything")) for one in self.flat))
        versions, date = ", ".join(sorted({one.version for one in done})), max(one.date for one in done)
        return [f"{ranges[0]} px", f"{ranges[1]} steps", f"seed {seeds}", f"nst_lightning {versions}", date[:16]]

    def common(self) -> dict[str, Any]:
        """The settings that are the same in all cells and not None, those of the Trainer last."""
        first = sorted(self.flat[0].items(), key=lambda item: item[0].startswith("trainer."))
        return {name: v for name, v in first if v != "None" and all(one.get(name) == v for one in self.flat)}

    def sheet(self, show: Sequence[str]) -> Sheet:
        """The pictures of some kinds with their labels, and the input pictures at the edges."""
        study, across = self.plan.study, len(self.plan.columns)
        cells = [self._panels(number, list(dict.fromkeys(show))) for number in range(len(self.outcomes))]
        grid = [cells[start : start + across] for start in range(0, len(cells), across)]
        rows, columns = (
            [Panel(mark.label, _picture(mark.picture)) for mark in axis] for axis in (self.plan.rows, self.plan.columns)
        )
        if study.difference == "rows":
            grid.append([_difference(grid[0][j], grid[-1][j]) for j in range(across)])
            rows.append(Panel("difference"))
        elif study.difference == "columns":
            grid = [[*line, _difference(line[0], line[-1])] for line in grid]
            columns.append(Panel("difference"))
        elif min(len(rows), across) == 1 and len(cells) > study.wrap:
            # one direction only: lines of cells that carry their labels themselves
            labels = [label.text for label in (rows if across == 1 else columns)]
            cells = [[_captioned(label, panel) for panel in cell] for label, cell in zip(labels, cells, strict=True)]
            grid = [cells[start : start + study.wrap] for start in range(0, len(cells), study.wrap)]
            rows, columns = [Panel()] * len(grid), [Panel()] * study.wrap
        inputs = []  # that all cells share and no edge or cell shows
        for kind in INPUTS:
            source = self.plan.configs[0]["data"].get(kind)
            if source and kind not in show and all(config["data"].get(kind) == source for config in self.plan.configs):
                several = source if isinstance(source, list) else [source]
                inputs += [Panel(f"{kind}: {label_of(one)}", _picture(one)) for one in several]
        return Sheet(grid, rows, columns, study.title, inputs)

    def figure_png(self) -> bytes:
        """The sheet as a PNG file."""
        file = io.BytesIO()
        contact_sheet(self.sheet(self.plan.study.show)).save(file, format="PNG")
        return file.getvalue()

    def before(self, number: int) -> tuple[str, Image.Image | None]:
        """What to compare a cell with: the name and the picture of what it was made from."""
        picture = _picture(self.plan.configs[number]["data"].get("content"))
        return ("content image", picture) if picture else ("start", _opened(self.outcomes[number].files["start.png"]))

    def _panels(self, number: int, show: Sequence[str]) -> list[Panel]:
        outcome, data = self.outcomes[number], self.plan.configs[number]["data"]
        made = {kind: _opened(outcome.files[f"{kind}.png"]) for kind in ("start", "result") if outcome.error is None}
        side = max(made["result"].size) if made else EDGE  # inputs are as large as what is made of them
        pictures = made | {kind: _picture(data.get(kind), side) for kind in INPUTS}
        missing = {kind: f"no {kind} image" for kind in INPUTS}
        return [
            Panel(
                kind if len(show) > 1 else "",
                pictures.get(kind),
                None if pictures.get(kind) else missing.get(kind, outcome.error),
                kind,
            )
            for kind in show
        ]


def _captioned(label: str, panel: Panel) -> Panel:
    return Panel(" · ".join(part for part in (label, panel.text) if part), panel.picture, panel.error, panel.kind)


def _difference(first: Sequence[Panel], last: Sequence[Panel]) -> list[Panel]:
    """What to show between two cells: the differences of what both made themselves."""
    shown = []
    for one, other in zip(first, last, strict=True):
        if one.kind not in INPUTS and one.picture and other.picture and one.picture.size == other.picture.size:
            picture, levels = difference(one.picture, other.picture)
            shown.append(Panel(f"{one.text} {levels:.1f} of 255".strip(), picture, None, "difference"))
        elif one.kind not in INPUTS:
            shown.append(Panel(one.text, None, "no two pictures of one size", "difference"))
    return shown


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | str) else label_of(value)


def _opened(data: bytes) -> Image.Image:
    """A picture file as RGB, on white where it is transparent."""
    layer = Image.open(io.BytesIO(data)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _picture(source: Any, side: int = EDGE) -> Image.Image | None:
    """An input picture, small; None if there is none or it cannot be read (its cell says so)."""
    source = source[0] if isinstance(source, list) and source else source
    return _small(source, min(side, EDGE), *stamp(source)) if isinstance(source, str) else None


@lru_cache(maxsize=256)  # many cells show the same one
def _small(source: str, side: int, changed: int, size: int) -> Image.Image | None:
    try:
        rgb = read_image(source).rgb[None]
    except ImageError:
        return None
    height, width = int(rgb.shape[-2]), int(rgb.shape[-1])
    return to_pil(resize(rgb, fit_size(height, width, min(side, max(height, width)))))
