"""Every content picture with every style: ``python -m tests.benchmarks.sheet --size 256 --output logs/sheet.jpg``.

Each result is saved under ``logs/sheet/SIZE/`` as soon as it is there, and not rendered again: a sheet that was stopped
goes on where it was. The sheet has the inputs at its edges, the content pictures at the left and the styles on top.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps

from nst_lightning import stylize

ROOT = Path(__file__).parents[2]
GAP = 6  # pixels between two pictures
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def write(picture: Image.Image, path: Path, **options: Any) -> None:
    """Save a picture whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    picture.save(part, **options)
    part.replace(path)


def render(contents: Sequence[Path], styles: Sequence[Path], folder: Path, size: int, steps: int | None) -> None:
    """Render what is not there yet, with a line of progress each."""
    missing = [(c, s) for c in contents for s in styles if not result_of(folder, c, s).exists()]
    print(f"{len(missing)} of {len(contents) * len(styles)} pictures to render at {size} px, into {folder}", flush=True)
    start = time.perf_counter()
    for number, (content, style) in enumerate(missing, start=1):
        began = time.perf_counter()
        picture = stylize(content, style, size=size, **({} if steps is None else {"steps": steps}))  # type: ignore[arg-type]
        write(picture, result_of(folder, content, style))
        now = time.perf_counter()
        left = (now - start) / number * (len(missing) - number)
        name = f"{content.stem} + {style.stem}"
        print(f"{number:3d}/{len(missing)}  {name:40s} {now - began:6.1f} s, {left / 60:5.1f} min left", flush=True)


def result_of(folder: Path, content: Path, style: Path) -> Path:
    """Where the result of a pair is kept; PNG, so that the sheet is compressed once."""
    return folder / f"{content.stem}--{style.stem}.png"


def sheet(contents: Sequence[Path], styles: Sequence[Path], folder: Path, cell: int) -> Image.Image:
    """The contact sheet: a row per content picture, a column per style.

    Args:
        contents: files, one for each row.
        styles: files, one for each column.
        folder: with the results; one that is not there leaves its cell white.
        cell: side of a cell in pixels.
    """
    pitch = cell + GAP
    page = Image.new("RGB", (GAP + (len(styles) + 1) * pitch, GAP + (len(contents) + 1) * pitch), "white")

    def paste(path: Path, row: int, column: int) -> None:
        if not path.exists():
            return
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
        picture = ImageOps.contain(picture, (cell, cell), Image.Resampling.LANCZOS)
        left = GAP + column * pitch + (cell - picture.width) // 2
        top = GAP + row * pitch + (cell - picture.height) // 2
        page.paste(picture, (left, top), picture)

    for column, style in enumerate(styles, start=1):
        paste(style, 0, column)
    for row, content in enumerate(contents, start=1):
        paste(content, row, 0)
        for column, style in enumerate(styles, start=1):
            paste(result_of(folder, content, style), row, column)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sheet", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="longer side of each result in pixels")
    parser.add_argument("--cell", type=int, help="side of a cell of the sheet in pixels (default: --size)")
    parser.add_argument("--output", type=Path, default=Path("logs/sheet.jpg"), help="file for the sheet")
    parser.add_argument("--folder", type=Path, help="for the results (default: logs/sheet/SIZE)")
    parser.add_argument("--contents", type=Path, nargs="+", help="content pictures (default: images/content)")
    parser.add_argument("--styles", type=Path, nargs="+", help="style pictures (default: images/style)")
    parser.add_argument("--steps", type=int, help="of each (default: stylize's)")
    parser.add_argument("--threads", type=int, help="of torch")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if args.threads:
        torch.set_num_threads(args.threads)
    contents = args.contents or pictures_in(ROOT / "images/content")
    styles = args.styles or pictures_in(ROOT / "images/style")
    folder = args.folder or Path("logs/sheet") / str(args.size)
    try:
        render(contents, styles, folder, args.size, args.steps)
    finally:  # what there is, also after Ctrl-C
        options = {} if args.output.suffix.lower() == ".png" else {"quality": 90}
        write(sheet(contents, styles, folder, args.cell or args.size), args.output, **options)
        print(f"sheet: {args.output}")


if __name__ == "__main__":
    main()
