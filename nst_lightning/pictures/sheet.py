"""Contact sheets: many pictures in one, with labels at the edges, drawn by matplotlib."""

from __future__ import annotations

import logging
import math
import textwrap
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from PIL import Image, ImageOps

INK, MUTED, ERROR_INK, ERROR_EDGE, ERROR_PAPER = "#1c1c1e", "#58585c", "#7a2620", "#d6aaa5", "#fbf0ee"
SMALLEST = 128  # pixels of the largest cell; below that every pixel becomes a square of several
SHRUNK = 64  # pixels to which a cell shrinks at most, where a sheet would be too large
LOCK = threading.RLock()  # matplotlib's settings are those of the whole process


@dataclass(frozen=True)
class Panel:
    """What stands in a sheet: a picture, an error in its place, or only a text; ``kind`` is ``result`` and so on."""

    text: str = ""
    picture: Image.Image | None = None
    error: str | None = None
    kind: str = ""


@dataclass(frozen=True)
class Sheet:
    """Pictures side by side in ``cells[row][column]``, a label for every row and column, inputs common to all cells."""

    cells: Sequence[Sequence[Sequence[Panel]]]
    rows: Sequence[Panel]
    columns: Sequence[Panel]
    title: str = ""
    inputs: Sequence[Panel] = ()


def contact_sheet(sheet: Sheet, limit: int = 8192) -> Image.Image:
    """A sheet as one RGB picture, on white.

    Every picture of a cell has its own pixels, neither blurred nor shrunk. Small ones are enlarged, all by the same whole
    factor, so that the largest has 128 pixels or more. Only where the longest side of the sheet would be above ``limit``
    pixels they shrink together, to 64 at least. Input pictures at the edges are a little smaller than the cells.
    """
    made = [panel.picture for row in sheet.cells for cell in row for panel in cell if panel.picture]
    largest = max((max(picture.size) for picture in made), default=256)
    scale = float(max(1, math.ceil(SMALLEST / largest)))
    with plain_matplotlib():
        while max((drawn := _draw(sheet, scale, round(scale * largest))).size) > limit and scale * largest > SHRUNK:
            scale = max(SHRUNK / largest, scale * 0.99 * limit / max(drawn.size))  # text does not shrink with the pictures
    return drawn


@contextmanager
def plain_matplotlib() -> Iterator[None]:
    """Inside, matplotlib has its own settings, not those of a person's file, and is silent; one thread at a time."""
    from matplotlib import style

    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with LOCK, style.context("default"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that no font has
        yield


@lru_cache(maxsize=8192)
def width_of(line: str, size: int) -> float:
    """Of a line of text of some pixels' size, in pixels."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    return float(RendererAgg(1, 1, 72).get_text_width_height_descent(line, FontProperties(size=size), False)[0])


def wrap(text: str, size: int, width: float, lines: int | None = None) -> str:
    """Text in lines of at most ``width`` pixels; what is more than ``lines`` ends in an ellipsis."""
    for letters in range(min(len(text), round(4 * width / size)), 0, -1):
        found = textwrap.wrap(text, letters, max_lines=lines, placeholder="…")
        if all(width_of(line, size) <= width for line in found):
            return "\n".join(found)
    return ""


def _draw(sheet: Sheet, scale: float, side: int) -> Image.Image:
    """A sheet whose cells are ``scale`` times as large as they are, the largest of them ``side`` pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.patches import Rectangle

    # a table: in its first column the labels of the rows, above the cells the inputs and the labels of the columns
    counts = [max([1, *(len(row[c]) for row in sheet.cells if c < len(row))]) for c in range(len(sheet.columns))]
    starts = list(accumulate([1, *counts]))
    across = max(1, starts[-1] - 1)
    head = -(-len(sheet.inputs) // across)
    items = [("input", n // across, 1 + n % across, 1, panel) for n, panel in enumerate(sheet.inputs)]
    items += [("column", head, start, n, p) for start, n, p in zip(starts, counts, sheet.columns, strict=False)]
    for line, (label, row) in enumerate(zip(sheet.rows, sheet.cells, strict=True), start=head + 1):
        items.append(("row", line, 0, 1, label))
        for start, cell in zip(starts, row, strict=False):
            items += [("cell", line, start + k, 1, panel) for k, panel in enumerate(cell)]

    # a column is as wide as its widest picture, a line as high as its highest: grids of one shape waste nothing
    shown = {}
    edge = max(min(side, SHRUNK), round(0.72 * side))
    widths, heights = [1] + [0] * across, [1] * (head + 1 + len(sheet.rows))
    for n, (role, line, column, count, panel) in enumerate(items):
        if panel.picture:
            factor = scale if role == "cell" else min(1.0, edge / max(panel.picture.size))
            width, height = (max(1, round(factor * length)) for length in panel.picture.size)
            method = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
            shown[n] = panel.picture.resize((width, height), method)
            heights[line], widths[column] = max(heights[line], height), max(widths[column], -(-width // count))
        elif panel.error:
            heights[line] = max(heights[line], side * 3 // 4)
    widths[1:] = [max(width or side, SHRUNK) for width in widths[1:]]

    # large sheets are looked at from afar: their text grows with them, as far as the cells have room for it
    words = round(max(15.0, min(sum(widths) / 90, side / 12)))
    small, large, gap, space = max(14, round(0.88 * words)), round(1.45 * words), max(8, side // 20), 5
    pads = ConstrainedLayoutEngine(w_pad=gap / 144, h_pad=gap / 144, wspace=0, hspace=0)
    figure = Figure(dpi=72, layout=pads)  # 72: a point is a pixel
    canvas = FigureCanvasAgg(figure)
    common: dict[str, Any] = {"parse_math": False, "linespacing": 1.25}
    title = wrap(sheet.title, large, max(360, sum(widths)))
    figure.suptitle(title, x=0.01, ha="left", size=large, color=INK, **common)
    grid = figure.add_gridspec(len(heights), len(widths), width_ratios=widths, height_ratios=heights)
    axes = []
    for n, (role, line, column, count, panel) in enumerate(items):
        axes.append(spot := figure.add_subplot(grid[line, column : column + count]))
        spot.axis("off")
        high, wide = heights[line], sum(widths[column : column + count])
        size, ink = (words, INK) if role in ("row", "column") else (small, MUTED)
        x, y, across_, down, style = 0.5, -space / high, "center", "top", common | {"transform": spot.transAxes}
        if role == "row":
            x, y, across_, down = 1 - (shown[n].width + gap if n in shown else gap) / wide, 0.5, "right", "center"
            wide = round(max(96, min(0.75 * side, 15 * words)))
        elif role == "column":
            y, down = 1 + space / high, "bottom"
        elif role == "cell" and n in shown:
            y += (1 - shown[n].height / high) / 2
        spot.text(x, y, wrap(panel.text, size, wide), ha=across_, va=down, size=size, color=ink, **style)
        if panel.error:
            paper = Rectangle((0, 0), 1, 1, fc=ERROR_PAPER, ec=ERROR_EDGE, transform=spot.transAxes, clip_on=False)
            spot.add_patch(paper)
            said = wrap(panel.error, small, wide - 20, max(1, round((high - 20) / small / 1.3)))
            spot.text(10 / wide, 1 - 10 / high, said, ha="left", va="top", size=small, color=ERROR_INK, **style)

    total_width, total_height = float(sum(widths)), float(sum(heights))
    for _ in range(3):  # to the size in which the pictures have their own: what stands around them does not grow
        figure.set_size_inches(total_width / 72, total_height / 72)
        figure.draw_without_rendering()
        total_width += sum(widths) * (1 - axes[-1].bbox.width / widths[items[-1][2]])
        total_height += sum(heights) * (1 - axes[-1].bbox.height / heights[-1])
    canvas.draw()
    result = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    for n, picture in shown.items():
        box, role = axes[n].bbox, items[n][0]
        x = box.x1 - picture.width if role == "row" else (box.x0 + box.x1 - picture.width) / 2
        y = box.y0 if role in ("input", "column") else (box.y0 + box.y1 - picture.height) / 2
        result.paste(picture, (round(x), round(result.height - y - picture.height)))
    return ImageOps.expand(result, 20, "white")
