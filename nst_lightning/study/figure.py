"""Contact sheets: many pictures in one, labelled at the edges, readable at any number of cells."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, MUTED, PAPER = (28, 28, 30), (88, 88, 92), (255, 255, 255)
ERROR_INK, ERROR_EDGE, ERROR_PAPER = (122, 38, 32), (214, 170, 165), (251, 240, 238)
SMALLEST_CELL = 64  # pixels; below that a picture says nothing
SMALLEST_TEXT = 14  # pixels from ascender to descender
AMPLIFICATION = 8
SPELLED = {"×": "x", "→": "->", "≥": ">=", "≤": "<=", "±": "+-", "α": "alpha", "β": "beta", "γ": "gamma", "λ": "lambda"}
SPELLINGS = str.maketrans(SPELLED | dict.fromkeys("‐‑‒–—−", "-"))
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Panel = Image.Image | str  # a picture, or the message of a cell that failed
Grid = Sequence[Sequence[Sequence[tuple[str, Panel]]]]


@dataclass(frozen=True)
class Label:
    """What stands at an edge of the sheet: a few words or "", and an input picture."""

    text: str
    picture: Image.Image | None = None


def contact_sheet(
    cells: Grid,
    rows: Sequence[Label],
    columns: Sequence[Label],
    title: str = "",
    inputs: Sequence[Label] = (),
    cell: int = 256,
    limit: int = 8192,
) -> Image.Image:
    """Pictures in rows and columns, on white.

    Args:
        cells: ``cells[row][column]``: captions and pictures side by side. A string in place of a picture is the message of
            a cell that failed. Rows may be shorter than others, cells may be empty.
        rows, columns: labels at the left and the top edge, one for each row or column, or none at all.
        title, inputs: a line above everything, and the pictures common to all cells, in a strip below it.
        cell: longest side of a picture, pixels. Pictures keep their shape and are enlarged twice at most.
        limit: longest side of the sheet, pixels. Where needed the pictures shrink, down to 64 pixels; a sheet that is too
            large even then stays so.

    Returns:
        The sheet, RGB.

    Raises:
        ValueError: if the labels given are not as many as the rows or the columns.
    """
    across = max((len(row) for row in cells), default=0)
    for name, labels, count in (("rows", rows, len(cells)), ("columns", columns, across)):
        if labels and len(labels) != count:
            raise ValueError(f"{len(labels)} labels for {count} {name}")
    best = _Layout(cells, rows, columns, title, inputs, cell)
    if max(best.size) > limit and cell > SMALLEST_CELL:
        sides = range(SMALLEST_CELL, cell)
        fitting = bisect_right(sides, limit, key=lambda side: max(_Layout(cells, rows, columns, title, inputs, side).size))
        best = _Layout(cells, rows, columns, title, inputs, sides[max(0, fitting - 1)])
    return best.draw()


def difference(first: Image.Image, second: Image.Image) -> tuple[Image.Image, float]:
    """Where two pictures differ, and by how much.

    Args:
        first, second: pictures of one size.

    Returns:
        The absolute difference of every channel, times 8 and clipped at 255, black where they are equal: a difference of
        3 levels, which nobody sees, becomes a dark 24, one of 32 is as bright as can be. And its mean before that, in
        levels of 255.

    Raises:
        ValueError: if their sizes differ.
    """
    if first.size != second.size:
        raise ValueError("pictures of {} x {} and {} x {} pixels cannot be compared".format(*first.size, *second.size))
    levels = np.abs(np.asarray(flatten(first), np.int16) - np.asarray(flatten(second), np.int16))
    return Image.fromarray((levels * AMPLIFICATION).clip(0, 255).astype(np.uint8)), float(levels.mean())


def flatten(picture: Image.Image) -> Image.Image:
    """A picture as RGB, on white where it is transparent."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, PAPER), layer).convert("RGB")


def fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height that fill a square box, in the same shape, enlarged twice at most.

    >>> fit((600, 400), 256), fit((32, 64), 256), fit((5000, 1), 100)
    ((256, 171), (64, 128), (100, 1))
    """
    scale = min(side / max(size), 2.0)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


@lru_cache
def font_of(size: int) -> Font:
    return ImageFont.load_default(size=size)


@lru_cache(maxsize=4096)
def spell(text: str) -> str:
    """Text in the characters that Pillow's font has; others become what is nearest, or a question mark."""
    font = font_of(32)
    missing = bytes(font.getmask("\U0010fffd"))
    out = []
    for char in text.translate(SPELLINGS):
        if char.isspace() or bytes(font.getmask(char)) != missing:
            out.append(char)
        else:
            plain = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
            out.append(plain or ("" if unicodedata.combining(char) else "?"))
    return "".join(out)


def shorten(text: str, font: Font, width: float, at_end: bool = False) -> str:
    """The text, or as much of it as ``width`` pixels hold, with an ellipsis in its middle or at its end."""
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        head = kept if at_end else (kept + 1) // 2
        short = text[:head].rstrip() + "…" + text[len(text) - kept + head :].lstrip()
        if font.getlength(short) <= width:
            return short
    return "…"


def wrap(text: str, font: Font, width: float, lines: int, at_end: bool = False) -> list[str]:
    """Lines of at most ``width`` pixels, ``lines`` of them at most.

    A line breaks at spaces, and after one of ``= / _ ,`` in words that are wider than a line. What is left over is
    shortened in the middle, because labels often differ in their last word, or at its end.
    """
    done: list[str] = []
    for paragraph in spell(text).splitlines():
        line = ""
        for word in paragraph.split():
            pieces = [word] if font.getlength(word) <= width else re.findall(r"[^=/_,]*[=/_,]+|[^=/_,]+", word)
            glue = " " if line else ""
            for piece in pieces:
                if line and font.getlength(line + glue + piece) > width:
                    done.append(line)
                    line = piece
                else:
                    line += glue + piece
                glue = ""
        done += [line] if line else []
    if len(done) > lines:
        done = [*done[: lines - 1], " ".join(done[lines - 1 :])[:400]]
    return [shorten(line, font, width, at_end) for line in done]


def leading(size: int) -> int:
    """Height of a line of text, pixels."""
    return round(1.3 * size)


class _Layout:
    """Where everything stands when the longest side of a picture has ``cell`` pixels."""

    def __init__(
        self, cells: Grid, rows: Sequence[Label], columns: Sequence[Label], title: str, inputs: Sequence[Label], cell: int
    ) -> None:
        self.cells, self.rows, self.columns = cells, rows, columns
        self.parts = {
            (r, c, k): part for r, row in enumerate(cells) for c, parts in enumerate(row) for k, part in enumerate(parts)
        }
        self.fitted = {at: fit(panel.size, cell) for at, (_, panel) in self.parts.items() if not isinstance(panel, str)}
        usual = [max((size[axis] for size in self.fitted.values()), default=cell * (4 - axis) // 4) for axis in (0, 1)]
        self.gap = max(8, cell // 20)
        between = self.gap * (2 if any(k for _, _, k in self.parts) else 1)  # cells of several pictures stand apart

        # a column is as wide as its widest picture, a row as high as its highest: grids of one shape waste nothing
        self.slots: list[list[int]] = []
        for c in range(max((len(row) for row in cells), default=0)):
            count = max([len(row[c]) for row in cells if c < len(row)] + [1])
            widths = [[size[0] for at, size in self.fitted.items() if at[1:] == (c, k)] for k in range(count)]
            self.slots.append([max(SMALLEST_CELL, max(found, default=usual[0])) for found in widths])
        self.widths = [sum(slots) + self.gap * (len(slots) - 1) for slots in self.slots]
        grid = sum(self.widths) + between * max(0, len(self.widths) - 1)

        # large sheets are looked at from afar: their text grows with them, as far as the cells have room for it
        self.text = round(min(max(grid / 90, SMALLEST_TEXT + 1), max(cell / 10, SMALLEST_TEXT + 1)))
        self.small, self.large = max(SMALLEST_TEXT, round(0.88 * self.text)), round(1.45 * self.text)
        font, small, large = font_of(self.text), font_of(self.small), font_of(self.large)
        self.captions = {at: wrap(part[0], small, self.slots[at[1]][at[2]], 3) for at, part in self.parts.items()}
        self.heights, captions = [], []
        for r in range(len(cells)):
            high = max((size[1] for at, size in self.fitted.items() if at[0] == r), default=usual[1])
            failed = any(at[0] == r and isinstance(part[1], str) for at, part in self.parts.items())
            self.heights.append(max(high, SMALLEST_CELL if failed else 1))
            count = max((len(lines) for at, lines in self.captions.items() if at[0] == r), default=0)
            captions.append(count * leading(self.small) + (4 if count else 0))

        self.edge = max(min(cell, SMALLEST_CELL), round(0.72 * cell))  # longer side of the pictures at the edges
        room = max(96, min(0.75 * cell, 15 * self.text))
        self.row_texts = [
            wrap(label.text, font, room, max(2, self.heights[r] // leading(self.text))) for r, label in enumerate(rows)
        ]
        self.row_width = round(max((font.getlength(line) for lines in self.row_texts for line in lines), default=0))
        row_pictures = max((fit(label.picture.size, self.edge)[0] for label in rows if label.picture), default=0)
        left = sum(width + self.gap for width in (self.row_width, row_pictures) if width)
        self.column_texts = [wrap(label.text, font, self.widths[c], 4) for c, label in enumerate(columns)]
        self.column_text = max(map(len, self.column_texts), default=0) * leading(self.text)
        column_pictures = max((fit(label.picture.size, self.edge)[1] for label in columns if label.picture), default=0)
        above = self.column_text + (column_pictures + self.gap if column_pictures else 0)

        self.strip: list[tuple[int, int, int, Label, list[str]]] = []  # x, y, width of the slot, label, its lines
        self.strip_height = max((fit(label.picture.size, self.edge)[1] for label in inputs if label.picture), default=0)
        x = y = strip_bottom = strip_width = 0
        for label in inputs:
            across = fit(label.picture.size, self.edge)[0] if label.picture else 0
            slot = max(across, SMALLEST_CELL, min(round(small.getlength(spell(label.text))) + 1, self.edge))
            lines = wrap(label.text, small, slot, 3)
            if x and x + slot > max(left + grid, 4 * self.edge):
                x, y = 0, strip_bottom + self.gap
            self.strip.append((x, y, slot, label, lines))
            strip_bottom = max(strip_bottom, y + self.strip_height + len(lines) * leading(self.small) + 4)
            strip_width = max(strip_width, x + slot)
            x += slot + 2 * self.gap

        self.margin = max(20, round(1.2 * self.text))
        inner = round(max(left + grid, strip_width, min(large.getlength(spell(title)) + 1, max(360, 1.5 * cell))))
        self.title = wrap(title, large, inner, 3)
        self.strip_top = self.margin + len(self.title) * leading(self.large) + (self.gap if self.title else 0)
        self.columns_top = self.strip_top + (strip_bottom + 2 * self.gap if inputs else 0)
        self.left = self.margin + left + (self.gap // 2 if left else 0)
        self.top = self.columns_top + (above + self.gap * 3 // 4 if above else 0)
        self.x = [self.left + sum(self.widths[:c]) + c * between for c in range(len(self.widths))]
        self.y = [self.top + sum(self.heights[:r]) + sum(captions[:r]) + r * between for r in range(len(cells))]
        bottom = self.y[-1] + self.heights[-1] + captions[-1] if cells else self.top
        self.size = (max(self.left + grid, self.margin + inner) + self.margin, bottom + self.margin)

    def draw(self) -> Image.Image:
        self.sheet = Image.new("RGB", self.size, PAPER)
        self.pen = ImageDraw.Draw(self.sheet)
        self._lines(self.title, self.margin, self.margin, self.large, INK, "l")
        for x, y, slot, label, lines in self.strip:
            bottom = self.strip_top + y + self.strip_height
            self._input(label, self.margin + x + slot / 2, bottom, 0.5, 1)
            self._lines(lines, self.margin + x + slot / 2, bottom + 4, self.small, MUTED, "m")
        for c, label in enumerate(self.columns):
            middle, lines = self.x[c] + self.widths[c] / 2, self.column_texts[c]
            y = self.columns_top + self.column_text - len(lines) * leading(self.text)
            self._lines(lines, middle, y, self.text, INK, "m")
            self._input(label, middle, self.top - self.gap * 3 // 2, 0.5, 1)
        for r, label in enumerate(self.rows):
            middle, lines = self.y[r] + self.heights[r] / 2, self.row_texts[r]
            above = len(lines) * leading(self.text) / 2
            self._lines(lines, self.margin + self.row_width, middle - above, self.text, INK, "r")
            self._input(label, self.left - self.gap * 3 // 2, middle, 1, 0.5)
        for at in self.parts:
            self._panel(*at)
        return self.sheet

    def _panel(self, r: int, c: int, k: int) -> None:
        slot, room, panel = self.slots[c][k], self.heights[r], self.parts[r, c, k][1]
        x, y = self.x[c] + sum(self.slots[c][:k]) + k * self.gap, self.y[r]
        if isinstance(panel, str):
            slot = self.widths[c] if len(self.cells[r][c]) == 1 else slot
            self.pen.rectangle((x, y, x + slot - 1, y + room - 1), fill=ERROR_PAPER, outline=ERROR_EDGE)
            inset = min(10, slot // 12)
            count = max(1, (room - 2 * inset) // leading(self.small))
            lines = wrap(panel, font_of(self.small), slot - 2 * inset, count, at_end=True)
            self._lines(lines, x + inset, y + inset, self.small, ERROR_INK, "l")
            bottom = y + room
        else:
            width, height = self.fitted[r, c, k]
            bottom = y + (room + height) // 2
            self._paste(panel, (width, height), x + (slot - width) // 2, bottom - height)
        self._lines(self.captions[r, c, k], x + slot / 2, bottom + 4, self.small, MUTED, "m")

    def _input(self, label: Label, x: float, y: float, across: float, down: float) -> None:
        """Paste an input picture, the point at these shares of its width and height on ``x`` and ``y``."""
        if label.picture:
            width, height = fit(label.picture.size, self.edge)
            self._paste(label.picture, (width, height), round(x - across * width), round(y - down * height))

    def _paste(self, picture: Image.Image, size: tuple[int, int], x: int, y: int) -> None:
        self.sheet.paste(flatten(picture).resize(size, Image.Resampling.LANCZOS), (x, y))

    def _lines(self, lines: Sequence[str], x: float, y: float, size: int, ink: tuple[int, int, int], align: str) -> None:
        for number, line in enumerate(lines):
            self.pen.text((round(x), round(y) + number * leading(size)), line, ink, font_of(size), anchor=align + "a")
