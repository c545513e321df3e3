"""A study as one HTML page that needs nothing else: figure, pictures to compare, loss curves, table."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template

from PIL import Image, ImageOps

from nst_lightning.study.figure import flatten

LONGEST = 1024  # pixels of a picture that can be enlarged
WIDTH, HEIGHT = 720, 340  # of the plot, in its own units
LEFT, RIGHT, TOP, BOTTOM = 66, 20, 12, 44  # of it, left to the axes
MOST_POINTS = 400  # of a curve; more cannot be told apart
COLORS = ("#2f72d6", "#d2551f", "#239a58", "#a04fc4", "#bd8500", "#d43d79", "#1796a8", "#8a6d58", "#7f8c1c", "#7d8591")
DASHES = ("", "7 3", "2 3", "10 3 2 3", "4 4", "12 5")  # with the colours: 60 curves that differ
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
GAP = (0.0, 0.0, math.nan)
UNITS = ("seconds", "steps")
_NUMBER = ' class="number"'
Value = float | str | None


@dataclass(frozen=True)
class CellView:
    """A run of the study.

    Attributes:
        name: unique within the study, safe in file names.
        label: for people: "style weight 1000 · noise".
        picture: the result, PNG; None if the run failed.
        before: what to compare it with, PNG or JPEG, or None.
        error: why the run failed, or None.
        row: settings and measurements, the same keys in every cell; None where there is none.
        curve: seconds since the start and the objective then; points that are not finite, or 0 and less, leave a gap.
        steps: the step of each point of the curve; of unequal lengths the longer one is cut.
    """

    name: str
    label: str
    picture: bytes | None
    before: bytes | None
    error: str | None
    row: Mapping[str, Value]
    curve: Sequence[tuple[float, float]]
    steps: Sequence[int]


@dataclass(frozen=True)
class Section:
    """A study: its figure (PNG), what to see in it (an empty line begins a new paragraph), and its cells."""

    name: str
    title: str
    text: str
    figure: bytes
    cells: Sequence[CellView]


def page(title: str, sections: Sequence[Section], intro: str = "") -> str:
    """One HTML document with everything in it: pictures, style and script; it loads nothing from anywhere.

    Without JavaScript figure, text, curves and table are there; enlarging pictures and sorting are not.

    Args:
        title: headline, also the name of the window.
        sections: one for each study; from two on there is a table of contents.
        intro: paragraphs below the headline, as in :class:`Section`.

    Raises:
        PIL.UnidentifiedImageError: if a figure or a picture is none.
    """
    folder = resources.files(__package__)
    template, style, script = (folder.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    names = [f"study-{number}" for number in range(1, len(sections) + 1)]
    items = "".join(f'<li><a href="#{n}">{escape(s.title)}</a></li>' for n, s in zip(names, sections, strict=True))
    # pictures to compare with are mostly one and the same for all cells: each is in the page once
    others = dict.fromkeys(cell.before for s in sections for cell in s.cells if cell.before and cell.picture)
    before: dict[bytes | None, str] = {data: f"before-{number}" for number, data in enumerate(others)}
    same = len(sections) == 1 and sections[0].title == title
    return Template(template).substitute(
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'",
        title=escape(title),
        style=style,
        script=script,
        intro=_paragraphs(intro),
        contents=f'<nav aria-label="Contents"><ol>{items}</ol></nav>' if len(sections) > 1 else "",
        sections="".join(_section(s, name, before, same) for s, name in zip(sections, names, strict=True)),
        stock="".join(_image(_jpeg(data), "", f' id="{name}"') for data, name in before.items() if data),
    )


def _section(section: Section, name: str, before: Mapping[bytes | None, str], same: bool) -> str:
    heading = "" if same else f"<h2>{escape(section.title)}</h2>\n"
    # a sheet of photographs is many times smaller as JPEG, one of flat colours is not; its text keeps its full sharpness
    data = min(section.figure, _jpeg(section.figure, 65500, 0), key=len)
    figure = _image(data, f"Pictures of the study {section.title}")
    if Image.open(io.BytesIO(data)).width > 1100:  # its text may be too small when it is fitted to the page
        figure = f'<input type="checkbox" id="{name}-full"><label for="{name}-full">full size</label>\n<div>{figure}</div>'
    return f"""<section id="{name}">
{heading}<figure class="sheet">{figure}</figure>
{_paragraphs(section.text)}
<h3>Pictures</h3><ul class="thumbs">{"".join(_thumb(cell, before) for cell in section.cells)}</ul>
<h3>Loss</h3>{_plot(section.cells, name)}
<h3>Table</h3>{_table(section.cells)}
</section>
"""


def _thumb(cell: CellView, before: Mapping[bytes | None, str]) -> str:
    inside = f'<span class="error">{escape(cell.error or "no picture")}</span>'
    other = ""
    if cell.picture:
        inside = _image(_jpeg(cell.picture), "")
        other = f' data-before="{before[cell.before]}"' if cell.before else ""
    inside += f'<span class="label">{escape(cell.label)}</span>'
    return f'<li><button type="button" data-cell="{escape(cell.name)}"{other}>{inside}</button></li>'


def _plot(cells: Sequence[CellView], name: str) -> str:
    """The loss curves of those cells that have a point to draw, over seconds or steps, and their legend."""
    curves = {}
    for number, cell in enumerate(cells):
        points = [(t, float(step), y) for (t, y), step in zip(cell.curve, cell.steps, strict=False)]
        points = [p if all(map(math.isfinite, p)) and 1e-300 < p[2] < 1e300 else GAP for p in points]
        if any(p[2] > 0 for p in points):
            curves[number] = _thin(points)
    if not curves:
        return '<p class="note">No run has recorded its loss.</p>'
    values = [math.log10(p[2]) for points in curves.values() for p in points if p[2] > 0]
    pad = 0.04 * (max(values) - min(values)) if max(values) - min(values) > 1e-6 else 0.1
    low, high = min(values) - pad, max(values) + pad

    def down(value: float) -> float:
        return TOP + (high - math.log10(value)) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>']
    for tick in log_ticks(low, high):
        parts.append(f'<path class="grid" d="M{LEFT} {down(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 8, down(tick) + 4, _number(tick), "end"))
    for axis, unit in enumerate(UNITS):
        most = max(p[axis] for points in curves.values() for p in points) or 1.0
        scale = (WIDTH - LEFT - RIGHT) / most
        parts.append(f'<g class="by-{unit}">' + _text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, unit))
        parts += [_text(LEFT + tick * scale, HEIGHT - BOTTOM + 18, _number(tick)) for tick in ticks_of(0, most)]
        for number, points in curves.items():
            d = _path([(LEFT + p[axis] * scale, down(p[2])) if p[2] > 0 else None for p in points])
            label = f"<title>{escape(cells[number].label)}</title>"
            lines = f'<path d="{d}" {_stroke(number)}/><path class="hit" d="{d}"/>'
            parts.append(f'<g class="curve" data-curve="{number}">{label}{lines}</g>')
        parts.append("</g>")
    choice, legend = "", ""
    for unit in UNITS:
        choice += f'<input type="radio" name="{name}-x" id="{name}-{unit}" class="to-{unit}"{"" if choice else " checked"}>'
        choice += f'<label for="{name}-{unit}">{unit}</label>'
    for number in curves:
        key = f'<svg width="26" height="12" aria-hidden="true"><path d="M1 6H25" {_stroke(number)}/></svg>'
        label = f"<span>{escape(cells[number].label)}</span>"
        legend += f'<li><button type="button" data-curve="{number}">{key}{label}</button></li>'
    said = f'role="img" aria-label="Loss of {len(curves)} runs, on a logarithmic scale"'
    picture = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" {said}>{"".join(parts)}</svg>'
    return f'<div class="plot">{choice}<div class="scroll">{picture}</div>\n<ul class="legend">{legend}</ul></div>'


def log_ticks(low: float, high: float) -> list[float]:
    """Round values between ``10 ** low`` and ``10 ** high``: powers of ten, or others if those are few."""
    decades = range(math.ceil(low), math.floor(high) + 1)
    if len(decades) >= 3:
        return [10.0**k for k in decades[:: math.ceil(len(decades) / 8)]]
    between = [m * 10.0**k for k in range(math.floor(low), math.ceil(high)) for m in (1, 2, 5)]
    between = [value for value in between if low <= math.log10(value) <= high]
    return between if len(between) >= 3 else [tick for tick in ticks_of(10.0**low, 10.0**high) if tick > 0]


def ticks_of(low: float, high: float) -> list[float]:
    """Four to eleven round values between two numbers, ``low < high``.

    >>> ticks_of(0, 300)
    [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0]
    """
    unit = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = max(m * unit for m in (1, 2, 5) if m * unit <= (high - low) / 4 * (1 + 1e-9))
    return [
        round(k * step, 12 - math.floor(math.log10(step)))
        for k in range(math.ceil(low / step), int(high / step + 1e-9) + 1)
    ]


def _thin(points: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Of a long curve the least and the greatest point of every stretch, so that its peaks and gaps stay."""
    if len(points) <= MOST_POINTS:
        return points
    size = math.ceil(2 * len(points) / MOST_POINTS)
    kept = {0, len(points) - 1} | {k for k, p in enumerate(points) if math.isnan(p[2])}
    for start in range(0, len(points), size):
        stretch = [k for k in range(start, min(start + size, len(points))) if points[k][2] > 0]
        kept |= {f(stretch, key=lambda k: points[k][2]) for f in (min, max) if stretch}
    return [points[k] for k in sorted(kept)]


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """What draws the points: lines, interrupted at None; a point alone is a line of no length, with round ends a dot."""
    d = ""
    for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False):
        if point is not None:
            d += f"{'L' if before else 'M'}{point[0]:.1f} {point[1]:.1f}" + ("" if before or after else "h0")
    return d


def _stroke(number: int) -> str:
    dash = DASHES[number // len(COLORS) % len(DASHES)]
    return f'stroke="{COLORS[number % len(COLORS)]}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _number(value: float) -> str:
    """A round number of an axis.

    >>> _number(0.002), _number(200000.0), _number(1e-7)
    ('0.002', '2×10⁵', '10⁻⁷')
    """
    if value == 0 or 1e-4 < abs(value) < 1e5:
        return f"{value:.10g}"
    mantissa, exponent = f"{value:.6e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") + "×"
    return mantissa * (mantissa != "1×") + "10" + str(int(exponent)).translate(SUPERSCRIPTS)


def _table(cells: Sequence[CellView]) -> str:
    names = list(dict.fromkeys(name for cell in cells for name in cell.row))
    # a column that names the cells heads the rows; else their labels do
    first = next((name for name in names if all(cell.row.get(name) == cell.name for cell in cells)), None)
    names = [name for name in names if name != first]
    numbers = {n for n in names if not any(isinstance(cell.row.get(n), str) for cell in cells)}
    head = "".join(
        f'<th scope="col"{_NUMBER if name in numbers else ""}><button type="button">{escape(name)}</button></th>'
        for name in (first or "run", *names)
    )
    body = ""
    for cell in cells:
        values = "".join(_value(cell.row.get(name)) for name in names)
        title = escape(cell.name if first else cell.label)
        body += f'<tr data-cell="{escape(cell.name)}"><th scope="row">{title}</th>{values}</tr>\n'
    return f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def _value(value: Value) -> str:
    if value is None or value == "":
        return '<td class="empty">–</td>'
    if isinstance(value, bool):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, str):
        return f"<td{' class=long' if len(value) > 60 else ''}>{escape(value)}</td>"
    return f'<td{_NUMBER} data-number="{value!r}">{digits(value)}</td>'


def digits(value: float) -> str:
    """A number with the digits that matter.

    >>> [digits(value) for value in (300, 1000.0, 12345.678, 0.123456, 1e-05, 2.5e12)]
    ['300', '1000', '12346', '0.1235', '1e-5', '2.5e12']
    """
    if isinstance(value, int) or (abs(value) < 1e7 and (value == int(value) or abs(value) >= 1000)):
        return str(round(value))
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), f"{value:.4g}")


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part.strip())}</p>" for part in re.split(r"\n\s*\n", text) if part.strip())


def _image(data: bytes, alt: str, attributes: str = "") -> str:
    picture = Image.open(io.BytesIO(data))
    source = f"data:{picture.get_format_mimetype()};base64,{base64.b64encode(data).decode()}"
    return f'<img src="{source}" alt="{escape(alt)}" width="{picture.width}" height="{picture.height}"{attributes}>'


def _jpeg(data: bytes, longest: int = LONGEST, subsampling: int = 2) -> bytes:
    picture = flatten(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90, optimize=True, subsampling=subsampling)
    return file.getvalue()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
