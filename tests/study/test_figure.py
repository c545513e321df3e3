"""Contact sheets: what stands where, in which size, and that nothing is lost when there is little room."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from nst_lightning.study.figure import AMPLIFICATION, ERROR_PAPER, Label, contact_sheet, difference, font_of, spell, wrap


def flat(color: tuple[int, int, int], width: int = 120, height: int = 80) -> Image.Image:
    return Image.new("RGB", (width, height), color)


def box(sheet: Image.Image, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of what has exactly this colour."""
    found = np.argwhere((np.asarray(sheet) == color).all(axis=2))
    assert len(found), f"nothing is {color}"
    (top, left), (bottom, right) = found.min(axis=0), found.max(axis=0)
    return int(left), int(top), int(right - left + 1), int(bottom - top + 1)


def color_of(row: int, column: int) -> tuple[int, int, int]:
    return 10 + 10 * row, 20 + 10 * column, 250


def test_cells_in_order():
    """Fails if cells change places, overlap, or have another size or shape than asked for."""
    cells = [[[("", flat(color_of(r, c)))] for c in range(4)] for r in range(3)]
    sheet = contact_sheet(cells, [Label(f"r{r}") for r in range(3)], [Label(f"c{c}") for c in range(4)], cell=90)
    boxes = [[box(sheet, color_of(r, c)) for c in range(4)] for r in range(3)]
    assert {b[2:] for row in boxes for b in row} == {(90, 60)}
    for row in boxes:
        assert len({b[1] for b in row}) == 1
        assert all(left[0] + 90 < right[0] < left[0] + 90 + 30 for left, right in pairwise(row))
    for c in range(4):
        assert len({row[c][0] for row in boxes}) == 1
        assert all(a[c][1] + 60 < b[c][1] < a[c][1] + 60 + 30 for a, b in pairwise(boxes))


@pytest.mark.parametrize(
    ("size", "expected"), [((50, 25), (100, 50)), ((20, 40), (40, 80)), ((1000, 500), (128, 64)), ((300, 900), (43, 128))]
)
def test_shape_is_kept(size, expected):
    """Fails if a picture is stretched, enlarged more than twice, or larger than its box."""
    sheet = contact_sheet([[[("", flat((200, 0, 0), *size))]]], [], [], cell=128)
    assert box(sheet, (200, 0, 0))[2:] == expected


def test_several_pictures_of_a_cell():
    """Fails if the pictures of one cell are not side by side, in order, nearer to each other than to the next cell."""
    colors = [(0, 0, 100), (0, 0, 150), (0, 0, 200), (0, 0, 250)]
    panels = [("", flat(color)) for color in colors]
    left = [box(contact_sheet([[panels[:2], panels[2:]]], [], []), color)[0] for color in colors]
    assert left == sorted(left)
    assert left[1] - left[0] < left[2] - left[1] and left[1] - left[0] == left[3] - left[2]


def test_labels_and_inputs_are_beside_the_cells():
    """Fails if an input picture of a row is not left of it, one of a column not above it, or the strip not on top."""
    rows = [Label("first", flat((255, 0, 0))), Label("second", flat((250, 0, 0)))]
    columns = [Label("one", flat((0, 255, 0))), Label("two", flat((0, 250, 0)))]
    cells = [[[("", flat(color_of(r, c)))] for c in range(2)] for r in range(2)]
    sheet = contact_sheet(cells, rows, columns, "Title", [Label("content", flat((0, 100, 100)))])
    strip = box(sheet, (0, 100, 100))
    for r, label in enumerate(rows):
        mine, cell = box(sheet, label.picture.getpixel((0, 0))), box(sheet, color_of(r, 0))
        assert mine[0] + mine[2] < cell[0] and cell[1] <= mine[1] and mine[1] + mine[3] <= cell[1] + cell[3]
    for c, label in enumerate(columns):
        mine, cell = box(sheet, label.picture.getpixel((0, 0))), box(sheet, color_of(0, c))
        assert mine[1] + mine[3] < cell[1] and cell[0] <= mine[0] and mine[0] + mine[2] <= cell[0] + cell[2]
        assert strip[1] + strip[3] < mine[1]


def test_text_is_there():
    """Fails if title, labels or captions are not drawn, or if an empty edge takes room."""
    cells = [[[("", flat((0, 0, 255)))]]]
    bare = contact_sheet(cells, [Label("")], [Label("")])
    assert bare.size == contact_sheet(cells, [], []).size
    assert bare.width - box(bare, (0, 0, 255))[2] <= 60
    for change in ({"title": "T"}, {"rows": [Label("row")]}, {"columns": [Label("column")]}):
        sheet = contact_sheet(cells, **({"rows": [Label("")], "columns": [Label("")]} | change))
        assert (np.asarray(sheet).max(axis=2) < 100).any(), change
        assert sheet.size > bare.size, change
    captioned = contact_sheet([[[("caption", flat((0, 0, 255)))]]], [], [])
    left, top, width, height = box(captioned, (0, 0, 255))
    below = np.asarray(captioned)[top + height :, left : left + width]
    assert (below.max(axis=2) < 150).any()


def test_failed_cells():
    """Fails if the message of a failed cell is not in its place, spills out of it, or no cell but it remains."""
    message = "ValueError: " + "a long story about /some/where/else.py " * 40
    cells = [[[("", flat((0, 0, 255), 300, 200))], [("", message)]]]
    sheet = contact_sheet(cells, [], [])
    picture, error = box(sheet, (0, 0, 255)), box(sheet, ERROR_PAPER)
    assert error[0] > picture[0] + picture[2] and abs(error[1] - picture[1]) <= 1
    assert picture[2] - error[2] in (0, 1, 2) and picture[3] - error[3] in (0, 1, 2)
    inside = np.asarray(sheet)[error[1] : error[1] + error[3], error[0] : error[0] + error[2]]
    dark = np.argwhere(inside.max(axis=2) < 160)
    assert len(dark) > 200 and dark[:, 0].min() < 30
    assert (np.asarray(sheet)[:, error[0] + error[2] + 2 :] == 255).all()
    only = contact_sheet([[[("", message)]]], [Label("row")], [Label("column")])
    assert box(only, ERROR_PAPER)[2] > 200


def test_text_fits_and_says_that_it_was_cut():
    """Fails if a line is wider than its place, or text is left out without an ellipsis."""
    font = font_of(15)
    for text in ("style weight 1000", "a_very_long_file_name_that_has_no_space_version2.png", "x" * 200, "word " * 80):
        for width, lines in ((64, 2), (100, 3), (300, 1)):
            got = wrap(text, font, width, lines)
            assert len(got) <= lines and all(font.getlength(line) <= width for line in got)
            kept = "".join(got).replace(" ", "")
            assert kept == text.replace(" ", "") or "…" in kept
    assert wrap("style weight 1000", font, 100, 2) == ["style weight", "1000"]
    assert wrap("prefix-of-a-name-seed-17", font, 110, 1)[0].endswith("17")
    assert spell("Café – β ≥ 2") == "Cafe - beta >= 2" and spell("水") == "?"


def test_one_and_four_hundred_cells():
    """Fails if a sheet of one cell wastes room, or in one of 20 x 20 cells are missing."""
    assert contact_sheet([[[("", flat((0, 0, 255), 256, 256))]]], [], []).size == (296, 296)
    cells = [[[("", flat((r + 1, c + 1, 200)))] for c in range(20)] for r in range(20)]
    sheet = contact_sheet(cells, [Label(f"row {r}") for r in range(20)], [Label(f"column {c}") for c in range(20)], cell=64)
    pixels = np.asarray(sheet).reshape(-1, 3)
    found = {tuple(color) for color in np.unique(pixels[pixels[:, 2] == 200], axis=0).tolist()}
    assert {(r + 1, c + 1, 200) for r in range(20) for c in range(20)} <= found


def test_limit():
    """Fails if a sheet is larger than its limit, much smaller than it, or its pictures are below 64 pixels."""
    cells = [[[("", flat(color_of(r, c), 300, 200))] for c in range(8)] for r in range(3)]
    sheet = contact_sheet(cells, [Label("row")] * 3, [Label("a column of it")] * 8, "Title", limit=1000)
    assert 960 < max(sheet.size) <= 1000
    small = contact_sheet(cells, [Label("row")] * 3, [Label("a column of it")] * 8, "Title", limit=100)
    assert box(small, color_of(0, 0))[2] == 64


def test_rows_of_unequal_length():
    """Fails if the last line of a wrapped study must be full, or a cell must have a picture."""
    cells = [[[("", flat(color_of(0, c), 50 + 20 * c, 90))] for c in range(3)], [[("", flat(color_of(1, 0)))], []]]
    sheet = contact_sheet(cells, [], [])
    assert box(sheet, color_of(1, 0))[1] > box(sheet, color_of(0, 2))[1]
    assert contact_sheet([], [], [], "nothing").width > 0


def test_labels_must_fit_the_grid():
    """Fails if a label too many or too few is put on the wrong row without a word."""
    with pytest.raises(ValueError, match="1 labels for 2 rows"):
        contact_sheet([[[("", flat((0, 0, 0)))]]] * 2, [Label("a")], [])
    with pytest.raises(ValueError, match="2 labels for 1 columns"):
        contact_sheet([[[("", flat((0, 0, 0)))]]], [], [Label("a")] * 2)


def test_transparent_pictures_are_on_white():
    """Fails if what is transparent becomes black."""
    sheet = contact_sheet([[[("", Image.new("RGBA", (64, 64), (0, 0, 0, 0)))]]], [], [])
    assert (np.asarray(sheet) == 255).all()


def test_difference():
    """Fails if the difference has a sign, wraps around, or its mean is not in levels."""
    first, second = flat((100, 100, 100), 4, 2), flat((103, 98, 200), 4, 2)
    picture, mean = difference(first, second)
    assert picture.getpixel((0, 0)) == (3 * AMPLIFICATION, 2 * AMPLIFICATION, 255)
    assert mean == pytest.approx(105 / 3)
    assert difference(second, first)[0].tobytes() == picture.tobytes()
    assert difference(first, first)[1] == 0
    with pytest.raises(ValueError, match="4 x 2 and 4 x 3"):
        difference(first, flat((0, 0, 0), 4, 3))
