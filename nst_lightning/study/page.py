"""What a person sees of studies: table, figure, and one HTML page that needs nothing else. The page itself is page.html."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from PIL import Image

from nst_lightning.pictures.sheet import SMALLEST, Panel, Sheet
from nst_lightning.pictures.similarity import difference
from nst_lightning.pictures.thumbnails import opened, thumbnail
from nst_lightning.study.cells import Outcome
from nst_lightning.study.plan import Plan
from nst_lightning.study.plots import Point, chart, plottable, scatter, stroke
from nst_lightning.training.description import flatten
from nst_lightning.wording import digits, label_of

# page.html says what they mean
LOSSES, LIKENESS = ("total", "content", "style", "tv"), ("psnr", "ssim")
DISTANCES = ("style_distance", "content_distance", "self_similarity", "edge_agreement", "noise")
MEASURED = (*LOSSES, *LIKENESS, *DISTANCES, "steps", "seconds", "seconds_to_worst", "peak_memory_mib")
INPUTS = ("content", "style")
LONGEST = 1024  # pixels of a picture that can be enlarged
EDGE = 512  # pixels, the longer side of an input picture in figure and page
SHEET = 400  # cells of a figure at most: nobody sees more at once, and they would take minutes to lay out


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
        """
        worst = max((outcome.curve[-1][2] for outcome in self.outcomes if outcome.curve), default=0.0)
        settings = list(dict.fromkeys(name for cell in self.plan.cells for name in cell.settings))
        table = []
        for cell, outcome in zip(self.plan.cells, self.outcomes, strict=True):
            measured: dict[str, Any] = dict(outcome.measured)
            measured["seconds_to_worst"] = next((s for _, s, loss in outcome.curve if loss <= worst), None)
            own = {name: cell.settings.get(name) for name in settings}
            own = {name: label_of(value) if isinstance(value, list | dict) else value for name, value in own.items()}
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
        sizes = sorted(max(opened(one.files["result.png"]).size) for one in done)
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
        one_way, title, count = min(len(self.plan.rows), across) == 1, study.title, len(self.outcomes)
        if count > SHEET and not study.difference:
            count = SHEET if one_way else max(1, SHEET // across) * across
            title += f" (the first {count} of {len(self.outcomes)} cells)"
        cells = [self._panels(number, list(dict.fromkeys(show))) for number in range(count)]
        grid = [cells[start : start + across] for start in range(0, len(cells), across)]
        if not study.difference:
            grid = [line[:SHEET] for line in grid]
        axes = self.plan.rows[: len(grid)], self.plan.columns[: len(grid[0])]
        rows, columns = ([Panel(mark.label, thumbnail(mark.picture, EDGE)) for mark in axis] for axis in axes)
        if study.difference == "rows":
            grid.append([_difference(grid[0][j], grid[-1][j]) for j in range(across)])
            rows.append(Panel("difference"))
        elif study.difference == "columns":
            grid = [[*line, _difference(line[0], line[-1])] for line in grid]
            columns.append(Panel("difference"))
        elif one_way and len(cells) > study.wrap:
            # one direction only: lines of cells that carry their labels themselves
            labels = [label.text for label in (rows if across == 1 else columns)]
            cells = [
                [replace(panel, text=" · ".join(filter(None, (label, panel.text)))) for panel in cell]
                for label, cell in zip(labels[:count], cells, strict=True)
            ]
            grid = [cells[start : start + study.wrap] for start in range(0, len(cells), study.wrap)]
            rows, columns = [Panel()] * len(grid), [Panel()] * study.wrap
        inputs = []  # that all cells share and no edge or cell shows
        for kind in INPUTS:
            source = self.plan.configs[0]["data"].get(kind)
            if source and kind not in show and all(config["data"].get(kind) == source for config in self.plan.configs):
                several = source if isinstance(source, list) else [source]
                inputs += [Panel(f"{kind}: {label_of(one)}", thumbnail(one, EDGE)) for one in several]
        return Sheet(grid, rows, columns, title, inputs)

    def series(self) -> dict[int, tuple[str, list[Point]]]:
        """What the scatter plot of a study shows: for each method a curve of points, two measured values.

        A method is a row, or a column where rows differ in their pictures only. Along the other direction there is a point
        for each setting; cells that differ in their pictures only are one point, their mean.
        """
        rows, columns = self.plan.rows, self.plan.columns
        across = len(columns)
        turned = not any(_apart(mark.settings) for mark in rows)
        found: dict[str, dict[str, list[Point]]] = {}
        for number, outcome in enumerate(self.outcomes):
            row, column = rows[number // across], columns[number % across]
            method, along = (column, row) if turned else (row, column)
            values = [outcome.measured.get(name) for name in self.plan.study.scatter or ()]
            name = ", ".join(label_of(value) for value in _apart(method.settings).values())
            points = found.setdefault(name or method.label, {}).setdefault(str(_apart(along.settings)), [])
            if len(values) == 2 and None not in values:
                points.append((float(values[0] or 0), float(values[1] or 0)))
        means = {
            name: [(_mean([x for x, _ in few]), _mean([y for _, y in few])) for few in points.values() if few]
            for name, points in found.items()
        }
        return {number: (name, points) for number, (name, points) in enumerate(means.items()) if points}

    @cached_property
    def scatter(self) -> tuple[str, bytes] | None:
        """The plot of :meth:`series` for a page and as a PNG, where the study asks for one and something was measured."""
        series, names = self.series(), self.plan.study.scatter
        return scatter(series, *(name.replace("_", " ") for name in names)) if names and series else None

    def before(self, number: int) -> tuple[str, Image.Image | None]:
        """What to compare a cell with: the name and the picture of what it was made from."""
        picture = thumbnail(self.plan.configs[number]["data"].get("content"), EDGE)
        return ("content image", picture) if picture else ("start", opened(self.outcomes[number].files["start.png"]))

    def _panels(self, number: int, show: Sequence[str]) -> list[Panel]:
        outcome, data = self.outcomes[number], self.plan.configs[number]["data"]
        made = {kind: opened(outcome.files[f"{kind}.png"]) for kind in ("start", "result") if outcome.error is None}
        side = max(made["result"].size) if made else EDGE  # inputs are as large as what is made of them
        pictures = made | {kind: thumbnail(data.get(kind), side) for kind in INPUTS}
        panels = [(kind, pictures.get(kind), f"no {kind} image" if kind in INPUTS else outcome.error) for kind in show]
        return [Panel(kind if len(show) > 1 else "", one, None if one else why, kind) for kind, one, why in panels]


def _apart(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are none of the two pictures."""
    return {name: value for name, value in settings.items() if name not in ("data.content", "data.style")}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


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


def page(title: str, studies: Sequence[Results], folder: Path) -> str:
    """One HTML document with everything in it: pictures, style and script; it loads nothing from anywhere.

    Without JavaScript pictures, text, curves and table are there; enlarging pictures and sorting are not.

    Args:
        title: headline, also the name of the window.
        studies: from two on there is a table of contents.
        folder: in which the page will lie, for its links to files of the studies.
    """
    here = resources.files(__package__)
    html, style, script = (here.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"picture": _picture, "digits": digits}
    before: dict[str, str] = {}  # pictures to compare with are mostly one and the same: each is in the page once
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    return environment.from_string(html).render(
        title=title,
        policy=f"{policy}; base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        studies=[_section(one, f"study-{number}", folder, before) for number, one in enumerate(studies, start=1)],
        before=before,
        same=len(studies) == 1 and studies[0].plan.study.title == title,
    )


def _section(results: Results, name: str, folder: Path, before: dict[str, str]) -> dict[str, Any]:
    """What the template says of a study; pictures to compare with go to ``before``, with their names in the page."""
    plan, show = results.plan, results.plan.study.show
    link = quote(Path(os.path.relpath(plan.folder, folder)).as_posix())
    cells = []
    for number, (cell, outcome) in enumerate(zip(plan.cells, results.outcomes, strict=True)):
        config = plan.folder / "cells" / cell.name / "config.yaml"
        words = ["python", "-m", "nst_lightning", "fit", "--config", str(config), "--output", f"{cell.name}.png"]
        said = {"name": cell.name, "label": cell.label, "config": "", "command": "", "before": "", "before_name": ""}
        if outcome.error is None:
            said |= {"config": f"{link}/cells/{quote(cell.name)}/config.yaml", "command": shlex.join(words)}
            said["before_name"], picture = results.before(number)
            said["before"] = before.setdefault(_data(picture), f"before-{len(before)}") if picture else ""
        cells.append(said)
    table = results.table()
    names = [key for key in table[0] if key != "cell" and (key != "error" or any(row["error"] for row in table))]
    curves = [(cell.label, outcome.curve) for cell, outcome in zip(plan.cells, results.outcomes, strict=True)]
    charts: dict[str, str] = {}
    for unit, axis in (("seconds", 1), ("steps", 0)):
        points = {n: (label, plottable([(p[axis], p[2]) for p in curve])) for n, (label, curve) in enumerate(curves)}
        drawn = {number: one for number, one in points.items() if one[1]}
        charts |= {unit: chart(drawn, unit)} if drawn else {}
        legend = [(number, label, stroke(number)) for number, (label, _) in drawn.items()]
    numbers = {key for key in names if not any(isinstance(row[key], str) for row in table)}
    pictures = {"sheet": results.sheet([*show, "result"]), "cells": cells, "charts": charts, "legend": legend}
    plot = results.scatter
    methods = [(label, stroke(number)) for number, (label, _) in results.series().items()] if plot else []
    pictures |= {"scatter": plot[0] if plot else "", "methods": methods}
    return pictures | {"id": name, "link": link, "table": table, "names": names, "numbers": numbers, "results": results}


def _picture(picture: Image.Image) -> dict[str, Any]:
    """The attributes of an ``img``: a small picture has whole multiples of its pixels."""
    factor = max(1, -(-SMALLEST // max(picture.size))) * min(1.0, LONGEST / max(picture.size))
    width, height = (max(1, round(factor * length)) for length in picture.size)
    return {"src": _data(picture), "width": width, "height": height, "small": factor > 1}


def _data(picture: Image.Image) -> str:
    """A picture as a JPEG in an address, at most 1024 pixels long."""
    picture = picture.copy()
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
