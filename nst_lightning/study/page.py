"""Studies as one HTML page that needs nothing else: pictures in their grid, loss curves, table. The page is page.html."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from PIL import Image

from nst_lightning.study.curves import chart, digits, plottable, stroke
from nst_lightning.study.figure import SMALLEST
from nst_lightning.study.present import Results

LONGEST = 1024  # pixels of a picture that can be enlarged


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
    environment.filters |= {"picture": _picture, "paragraphs": _paragraphs, "digits": digits}
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
    return {
        "id": name,
        "link": link,
        "cells": cells,
        "charts": charts,
        "legend": legend,
        "names": names,
        "table": table,
        "numbers": {key for key in names if not any(isinstance(row[key], str) for row in table)},
        "sheet": results.sheet([*show, "result"]),
        "results": results,
    }


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


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
