"""Contact sheets: what stands where, in which size, and that nothing is lost when there is little room."""

from __future__ import annotations

import threading
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from PIL import Image

from nst_lightning.pictures.sheet import ERROR_PAPER, Panel, Sheet, contact_sheet, plain_matplotlib, width_of, wrap

RED = (200, 0, 0)
PAPER = tuple(bytes.fromhex(ERROR_PAPER[1:]))


def flat(color: tuple[int, int, int], width: int = 180, height: int = 120) -> Image.Image:
    return Image.new("RGB", (width, height), color)


def noisy(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(width).integers(0, 255, (height, width, 3))
    return Image.fromarray(values.astype(np.uint8))


def draw(cells: list, rows: list | None = None, columns: list | None = None, limit: int = 8192, **more) -> Image.Image:
    """A sheet of pictures; those in lists stand in one cell."""
    cells = [[cell if isinstance(cell, list) else [cell] for cell in row] for row in cells]
    cells = [[[p if isinstance(p, Panel) else Panel("", p) for p in cell] for cell in row] for row in cells]
    rows = rows or [Panel()] * len(cells)
    columns = columns or [Panel()] * max(map(len, cells))
    return contact_sheet(Sheet(cells, rows, columns, **more), limit)


def box(sheet: Image.Image, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of what has exactly this colour."""
    found = np.argwhere((np.asarray(sheet) == color).all(axis=2))
    assert len(found), f"nothing is {color}"
    (top, left), (bottom, right) = found.min(axis=0), found.max(axis=0)
    return int(left), int(top), int(right - left + 1), int(bottom - top + 1)


def contains(sheet: Image.Image, picture: Image.Image) -> bool:
    """Whether a picture is somewhere in a sheet, pixel by pixel."""
    whole, part = np.asarray(sheet), np.asarray(picture)
    height, width = part.shape[:2]
    for top, left in np.argwhere((whole == part[0, 0]).all(axis=2)):
        if np.array_equal(whole[top : top + height, left : left + width], part):
            return True
    return False


def color_of(row: int, column: int) -> tuple[int, int, int]:
    return 10 + 10 * row, 20 + 10 * column, 250


def test_pictures_have_their_own_pixels():
    """If this fails, a figure shows its cells blurred, shrunk or moved by a part of a pixel."""
    first, second = noisy(300, 200), noisy(200, 301)
    sheet = draw([[first, second]], [Panel("a row")], [Panel("one"), Panel("two")], title="Title")
    assert contains(sheet, first) and contains(sheet, second)
    small = noisy(50, 31)
    assert contains(draw([[small]], [Panel("row")]), small.resize((150, 93), Image.Resampling.NEAREST))


def test_cells_in_order():
    """If this fails, cells change places, overlap, or have another size or shape than their own."""
    cells = [[flat(color_of(r, c)) for c in range(4)] for r in range(3)]
    sheet = draw(cells, [Panel(f"r{r}") for r in range(3)], [Panel(f"c{c}") for c in range(4)])
    boxes = [[box(sheet, color_of(r, c)) for c in range(4)] for r in range(3)]
    assert {b[2:] for row in boxes for b in row} == {(180, 120)}
    for row in boxes:
        assert len({b[1] for b in row}) == 1
        assert all(left[0] + 180 < right[0] < left[0] + 180 + 30 for left, right in pairwise(row))
    for c in range(4):
        assert len({row[c][0] for row in boxes}) == 1
        assert all(a[c][1] + 120 < b[c][1] < a[c][1] + 120 + 30 for a, b in pairwise(boxes))


def test_several_pictures_of_a_cell():
    """If this fails, the pictures of one cell are not side by side and in order, each above its caption."""
    colors = [(0, 0, 100), (0, 0, 150), (0, 0, 200), (0, 0, 250)]
    panels = [Panel("caption", flat(color)) for color in colors]
    sheet = draw([[panels[:2], panels[2:]]])
    boxes = [box(sheet, color) for color in colors]
    assert [b[0] for b in boxes] == sorted(b[0] for b in boxes) and len({b[1] for b in boxes}) == 1
    for left, top, width, height in boxes:
        below = np.asarray(sheet)[top + height : top + height + 30, left : left + width]
        assert (below.max(axis=2) < 150).any(), "no caption"


def test_labels_and_inputs_are_beside_the_cells():
    """If this fails, an input picture of a row is not left of it, a column's not above it, or inputs not on top."""
    rows = [Panel("first", flat((255, 0, 0))), Panel("second", flat((250, 0, 0)))]
    columns = [Panel("one", flat((0, 255, 0))), Panel("two", flat((0, 250, 0)))]
    cells = [[flat(color_of(r, c)) for c in range(2)] for r in range(2)]
    sheet = draw(cells, rows, columns, title="Title", inputs=[Panel("content", flat((0, 100, 100)))])
    strip = box(sheet, (0, 100, 100))
    for r, label in enumerate(rows):
        mine, cell = box(sheet, label.picture.getpixel((0, 0))), box(sheet, color_of(r, 0))
        assert mine[0] + mine[2] < cell[0] and cell[1] <= mine[1] and mine[1] + mine[3] <= cell[1] + cell[3]
    for c, label in enumerate(columns):
        mine, cell = box(sheet, label.picture.getpixel((0, 0))), box(sheet, color_of(0, c))
        assert mine[1] + mine[3] < cell[1] and cell[0] <= mine[0] and mine[0] + mine[2] <= cell[0] + cell[2]
        assert strip[1] + strip[3] < mine[1]


def test_text_is_there():
    """If this fails, title, labels or captions are not drawn, or an empty edge takes room."""
    bare = draw([[flat((0, 0, 255))]])
    assert bare.width - box(bare, (0, 0, 255))[2] <= 60
    for change in ({"title": "T"}, {"rows": [Panel("row")]}, {"columns": [Panel("column")]}):
        sheet = draw([[flat((0, 0, 255))]], **change)
        assert (np.asarray(sheet).max(axis=2) < 100).any(), change
        assert sheet.width > bare.width or sheet.height > bare.height, change


def test_signs_are_drawn_as_they_are():
    """If this fails, × is spelled x, as in a font that has no ×; or a $ begins a formula."""
    titles = {sign: np.asarray(draw([[flat(RED)]], title=f"3 {sign} 4 $a^2$")) for sign in ("x", "×", "–")}
    assert not np.array_equal(titles["x"], titles["×"]) and not np.array_equal(titles["x"], titles["–"])
    plain, formula = np.asarray(draw([[flat(RED)]], title="a^2 $")), np.asarray(draw([[flat(RED)]], title="$a^2$"))
    assert width_of("$a^2$", 20) > width_of("a^2 $", 20) and not np.array_equal(plain, formula)


def test_failed_cells():
    """If this fails, the message of a failed cell is not in its place, spills out of it, or no cell but it remains."""
    message = Panel("", None, "ValueError: " + "a long story about /some/where/else.py " * 40)
    sheet = draw([[flat((0, 0, 255), 300, 225), message]])
    picture, error = box(sheet, (0, 0, 255)), box(sheet, PAPER)
    assert error[0] > picture[0] + picture[2]
    assert abs(picture[1] - error[1]) <= 2 and abs(picture[3] - error[3]) <= 3 and abs(picture[2] - error[2]) <= 3
    inside = np.asarray(sheet)[error[1] : error[1] + error[3], error[0] : error[0] + error[2]]
    dark = np.argwhere(inside.max(axis=2) < 160)
    assert len(dark) > 200 and dark[:, 0].min() < 30
    assert (np.asarray(sheet)[:, error[0] + error[2] + 3 :] == 255).all()
    assert box(draw([[message]], [Panel("row")], [Panel("column")]), PAPER)[2] > 200


def test_text_fits_and_says_that_it_was_cut():
    """If this fails, a line is wider than its place, or text is left out without an ellipsis."""
    with plain_matplotlib():
        for text in ("style weight 1000", "a_very_long_file_name_that_has_no_space_version2.png", "x" * 200, "word " * 80):
            for width, most in ((64, 2), (100, 3), (300, None)):
                lines = wrap(text, 15, width, most).split("\n")
                assert len(lines) <= (most or 99) and all(width_of(line, 15) <= width for line in lines)
                kept = "".join(lines).replace(" ", "")
                assert kept == text.replace(" ", "") or (most and "…" in kept)
        assert wrap("style weight 1000", 15, 100) == "style weight\n1000"


def test_one_and_many_cells():
    """If this fails, a sheet of one cell wastes room, or in one of 6 x 6 cells are missing."""
    width, height = draw([[flat((0, 0, 255), 256, 256)]]).size
    assert width <= 256 + 70 and height <= 256 + 70
    cells = [[flat((r + 1, c + 1, 200), 128, 80) for c in range(6)] for r in range(6)]
    sheet = draw(cells, [Panel(f"row {r}") for r in range(6)], [Panel(f"column {c}") for c in range(6)])
    pixels = np.asarray(sheet).reshape(-1, 3)
    found, counts = np.unique(pixels[pixels[:, 2] == 200], axis=0, return_counts=True)
    whole = {tuple(color) for color, count in zip(found.tolist(), counts, strict=True) if count == 128 * 80}
    assert whole == {(r + 1, c + 1, 200) for r in range(6) for c in range(6)}


def test_limit():
    """If this fails, a sheet is larger than its limit, much smaller than it, or its pictures are below 64 pixels."""
    cells = [[flat(color_of(r, c), 300, 200) for c in range(4)] for r in range(2)]
    labels = [Panel("row")] * 2, [Panel("a column of it")] * 4
    assert 940 < max(draw(cells, *labels, limit=1000, title="Title").size) <= 1000
    assert box(draw(cells, *labels, limit=100, title="Title"), color_of(0, 0))[2] == 64


def test_rows_of_unequal_length():
    """If this fails, the last line of a wrapped study must be full, or a cell must have a picture."""
    sheet = draw([[flat(color_of(0, c), 90 + 20 * c, 128) for c in range(3)], [flat(color_of(1, 0)), []]])
    assert box(sheet, color_of(1, 0))[1] > box(sheet, color_of(0, 2))[1]


@pytest.mark.parametrize("name, value", [("figure.facecolor", "red"), ("text.usetex", True), ("figure.dpi", 33)])
def test_a_persons_settings_do_not_matter(name, value):
    """If this fails, somebody's matplotlibrc changes the figure, or the figure changes somebody's settings."""
    expected = np.asarray(draw([[flat(RED)]], title="Title"))
    with matplotlib.rc_context({name: value}):
        before = dict(matplotlib.rcParams)
        assert np.array_equal(np.asarray(draw([[flat(RED)]], title="Title")), expected)
        assert dict(matplotlib.rcParams) == before


def test_in_threads():
    """If this fails, figures drawn in two threads disturb each other or need a window."""
    expected, got = np.asarray(draw([[flat(RED)]], title="Title")), []
    threads = [threading.Thread(target=lambda: got.append(draw([[flat(RED)]], title="Title"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 3 and all(np.array_equal(np.asarray(one), expected) for one in got)
