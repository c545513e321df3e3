"""What each button and dial of the page does. They only call the easel."""

from __future__ import annotations

import io
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from nst_lightning.errors import BadArgument
from nst_lightning.pictures.atomic import write_file
from nst_lightning.pictures.picture import ImageError, fit_size
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.sheet import Panel, Sheet, contact_sheet
from nst_lightning.pictures.thumbnails import stamp, thumbnail
from nst_lightning.ui.brush import KEEP, mask_from, save_mask
from nst_lightning.ui.estimate import said
from nst_lightning.ui.painting import Easel, Painting
from nst_lightning.ui.wishes import COLORS, Wishes, variants

TICK = 0.4  # seconds between two looks at the easel
KEEPSAKES = ("result.png", "result.tif", "film.mp4", "film.webp")
IN_A_SHEET = 256  # pixels
KEPT = 64  # pictures that can be gone on with, of all pages together; the history keeps all


@lru_cache(maxsize=64)
def _shape_of(photo: str, changed: int, size: int) -> tuple[int, int]:
    """Height and width of a file's picture: it is asked for at every turn of a dial."""
    rgb = read_image(photo).rgb
    return int(rgb.shape[1]), int(rgb.shape[2])


def _sheet(rows: list[tuple[Path, Path]]) -> bytes:
    """Photographs and results side by side, as a PNG: the whole of a folder at a look."""
    cells = [[[Panel(picture=thumbnail(str(file), IN_A_SHEET))] for file in row] for row in rows]
    labels = [Panel(target.stem) for _, target in rows]
    file = io.BytesIO()
    contact_sheet(Sheet(cells, labels, [Panel("photograph"), Panel("result")])).save(file, format="PNG")
    return file.getvalue()


class Handlers:
    """What buttons and dials do.

    Args:
        easel: what paints.
    """

    def __init__(self, easel: Easel) -> None:
        self.easel = easel
        self.paintings: dict[str, Painting] = {}  # the latest, by name
        self._brushed = tempfile.TemporaryDirectory(prefix="nst-brush-")  # removed with the program

    def _remember(self, painting: Painting) -> None:
        self.paintings[painting.name] = painting
        for name, one in list(self.paintings.items())[:-KEPT]:
            if one.ended.is_set():
                del self.paintings[name]

    # ---- what is wanted ----------------------------------------------------------------------------------------------

    def wishes(self, photo: Any, paintings: Any, dials: tuple[Any, ...], brush: Any = None, masked: Any = None) -> Wishes:
        """What the page's fields say.

        Raises:
            gr.Error: in the program's own words.
        """
        if not photo:
            raise gr.Error("Drop a photograph first, or choose one below.")
        files = tuple(one[0] if isinstance(one, list | tuple) else one for one in paintings or ())
        if not files:
            raise gr.Error("Drop a painting first, or choose one below.")
        name, size, balance, stroke, color, seed = dials
        wishes = Wishes(
            photo, files, name, int(size), float(balance), float(stroke), COLORS.get(color, color), int(seed or 0)
        )
        mask = mask_from(brush)
        if mask is not None:
            path = Path(self._brushed.name) / f"{uuid.uuid4().hex}.png"
            save_mask(mask, path)
            which = KEEP if not masked or str(masked).startswith("leave") else str(masked).split()[-1]
            wishes = replace(wishes, mask=str(path), masked=which)
        try:
            wishes.check()
        except BadArgument as error:
            raise gr.Error(str(error)) from error
        return wishes

    def cost(self, photo: Any, paintings: Any, *dials: Any) -> str:
        """Time and memory, for the line beside the button."""
        if not photo:
            return "Drop a photograph and a painting, or choose some below."
        try:
            wishes = self.wishes(photo, paintings or [photo], dials)
            shape = fit_size(*_shape_of(photo, *stamp(photo)), wishes.size)
            return f"This will take {said(*self.easel.estimate.of(wishes, shape))}."
        except (ImageError, BadArgument) as error:
            return f"This photograph cannot be used: {error}"

    # ---- painting ----------------------------------------------------------------------------------------------------

    def paint(self, photo: Any, paintings: Any, brush: Any, masked: Any, *dials: Any) -> Iterator[tuple[Any, ...]]:
        """Paint, and show it forming."""
        yield from self._begin(self.wishes(photo, paintings, dials, brush, masked))

    def go_on(self, name: str) -> Iterator[tuple[Any, ...]]:
        """Go on from a picture that is done or was stopped."""
        before = self.paintings.get(name)
        if before is None or before.entry is None:
            raise gr.Error("There is no finished picture to go on with.")
        dials = {key: before.dials[key] for key in ("balance", "stroke", "color")}
        wishes = replace(before.wishes, init=str(before.entry.picture), **dials)
        yield from self._begin(wishes)

    def _begin(self, wishes: Wishes) -> Iterator[tuple[Any, ...]]:
        try:
            painting = self.easel.put(wishes)
        except BadArgument as error:
            raise gr.Error(str(error)) from error
        self._remember(painting)
        yield from self.watch(painting)

    def watch(self, painting: Painting) -> Iterator[tuple[Any, ...]]:
        """The fields of the page while a picture forms: slider, words, curve, name."""
        seen = None
        while True:
            ended = painting.ended.is_set()
            state = (painting.state, painting.step, id(painting.picture), self.easel.place(painting))
            if state != seen or ended:
                seen = state
                yield self.shown(painting)
            if ended:
                if painting.state == "failed":
                    raise gr.Error(painting.error)
                return
            painting.ended.wait(TICK)

    def shown(self, painting: Painting) -> tuple[Any, ...]:
        """What the page shows of a picture now."""
        slider: Any = gr.skip()
        if painting.picture is not None and painting.before is not None:
            slider = (str(painting.before), painting.picture)
        curve = pd.DataFrame(painting.losses or [(0, 0.0)], columns=["step", "loss"])
        return slider, self.words(painting), curve, painting.name

    def words(self, painting: Painting) -> str:
        """One line about a picture."""
        if painting.state == "waiting":
            place = self.easel.place(painting)
            return f"Waiting: {place} before this one." if place else "Beginning."
        if painting.state == "failed":
            return f"This failed: {painting.error}"
        if painting.state in ("done", "stopped") and painting.entry is not None:
            return f"{'Done' if painting.state == 'done' else 'Stopped'}: {painting.entry.said}"
        if painting.state == "stopped":
            return "Given up before it began."
        if not painting.step:
            return "Looking at the pictures."
        left = f" · about {painting.left:.0f} seconds left" if painting.left is not None else ""
        return f"Painting: step {painting.step} of {painting.steps}{left}"

    def again(self) -> Iterator[tuple[Any, ...]]:
        """After a reload: the picture that is being painted, if there is one."""
        painting = self.easel.current
        if painting is None:
            yield gr.skip(), "", gr.skip(), gr.skip()
            return
        self._remember(painting)
        yield from self.watch(painting)

    # ---- steering ----------------------------------------------------------------------------------------------------

    def turn(self, name: str, balance: float, stroke: float, color: str) -> None:
        """A dial was turned: it acts on the picture that is being painted."""
        painting = self.paintings.get(name)
        if painting is not None and painting.state in ("waiting", "painting"):
            try:
                painting.turn(float(balance), float(stroke), COLORS.get(color, color))
            except BadArgument as error:
                raise gr.Error(str(error)) from error

    def undo(self, name: str) -> tuple[Any, Any, Any]:
        """Take the last turn back; the dials of the page follow."""
        painting = self.paintings.get(name)
        if painting is None or painting.state != "painting" or not painting.undo():
            gr.Info("There is nothing to take back.")
            return gr.skip(), gr.skip(), gr.skip()
        words = {value: word for word, value in COLORS.items()}
        dials = painting.dials
        return dials["balance"], dials["stroke"], words[dials["color"]]

    def stop(self, name: str) -> None:
        """End it; the picture so far is kept."""
        if (painting := self.paintings.get(name)) is not None:
            self.easel.stop(painting)

    # ---- variants and history ----------------------------------------------------------------------------------------

    def variants(self, photo: Any, paintings: Any, *dials: Any) -> Iterator[tuple[Any, Any]]:
        """Four small ones in a row, as they come."""
        wanted = variants(self.wishes(photo, paintings, dials))
        waiting = {word: self.easel.put(one) for word, one in wanted.items()}
        found: list[tuple[Any, str]] = []
        for word, painting in waiting.items():
            painting.ended.wait()
            if painting.picture is not None:
                found.append((painting.picture, word))
            yield found, [one.plain() for one in wanted.values()]

    def chosen(self, states: list[dict[str, Any]], event: gr.SelectData) -> tuple[Any, ...]:
        """The dials of the variant that was chosen."""
        one = Wishes.of(states[event.index])
        words = {value: word for word, value in COLORS.items()}
        return one.balance, one.stroke, words[one.color], one.seed

    def history(self) -> tuple[list[tuple[Any, str]], list[str]]:
        """Everything that was painted, newest first; and which picture is which, for :meth:`kept`."""
        shown = self.easel.history.shown()
        return [(picture, entry.said) for entry, picture in shown], [entry.folder.name for entry, _ in shown]

    def kept(self, names: list[str], event: gr.SelectData) -> tuple[Any, ...]:
        """One of what a page shows, which may not be the newest any more: what made it, and its files."""
        entry = next((one for one in self.easel.history.entries() if one.folder.name == names[event.index]), None)
        if entry is None:
            raise gr.Error("This picture is no longer there.")
        files = [str(path) for name in KEEPSAKES if (path := entry.folder / name).exists()]
        return entry.command(), (entry.folder / "config.yaml").read_text(encoding="utf-8"), files

    def folder(self, photos: Any, paintings: Any, *dials: Any) -> Iterator[tuple[str, Any]]:
        """Many photographs, one after the other; the results by the photographs' names."""
        wanted = [(Path(photo), self.wishes(photo, paintings, dials)) for photo in photos or ()]
        if not wanted:
            raise gr.Error("Drop some photographs first.")
        waiting = [(path, self.easel.put(one)) for path, one in wanted]
        files: list[str] = []
        rows: list[tuple[Path, Path]] = []
        folder = self.easel.history.folder / f"folder-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
        for number, (path, painting) in enumerate(waiting, start=1):
            yield f"{number} of {len(waiting)}: {path.stem}", files
            painting.ended.wait()
            if painting.entry is not None:
                # two photographs may share a name
                target = folder / f"{path.stem}{f'-{number}' if (folder / f'{path.stem}.png').exists() else ''}.png"
                write_file(target, painting.entry.picture.read_bytes())
                files = [*files, str(target)]
                rows.append((path, target))
        if rows:
            write_file(folder / "sheet.png", _sheet(rows))
            files = [str(folder / "sheet.png"), *files]
        failed = [
            f"{path.name} ({painting.error or painting.state})" for path, painting in waiting if painting.entry is None
        ]
        yield f"{len(rows)} of {len(waiting)} painted{', not ' if failed else ''}{', '.join(failed)}", files
