"""Runs that a page watches: one after the other, each in reach of its dials while it goes on."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import deque
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from nst_lightning.api import Moment, stylize
from nst_lightning.errors import BadArgument, NonFiniteLoss, UsageError
from nst_lightning.pictures.films import longest_of, write_film
from nst_lightning.pictures.mapped import trim
from nst_lightning.pictures.picture import ImageError, Picture, fit_size, resize, resize_picture, to_pil
from nst_lightning.pictures.read import read_image
from nst_lightning.pictures.regions import shrink
from nst_lightning.pictures.write import write_image
from nst_lightning.training.controls import UNDO, Controls
from nst_lightning.training.timelapse import Timelapse
from nst_lightning.ui.brush import KEEP, on_photograph, prepared
from nst_lightning.ui.estimate import Estimate
from nst_lightning.ui.history import Entry, History
from nst_lightning.ui.wishes import Wishes, weight_of

SHOWN = 768  # pixels of the forming picture in the page
FILM = "film.mp4" if find_spec("av") else "film.webp"  # of the forming picture, beside it
FRAMES, FPS = 60, 10.0  # of the film
EVERY = 0.5  # seconds between two of them


class Painting:
    """One picture, waiting or being painted or done.

    Attributes:
        wishes: what was wanted when it began.
        controls: its dials.
        state: `waiting`, `painting`, `done`, `stopped` or `failed`.
        step: steps made.
        steps: in all.
        left: seconds until the end, by what the steps so far took; None before the first.
        before: a file of the photograph as it is compared, at the size of ``picture``; None until it has been read.
        picture: the picture so far, at most 768 pixels; None before the first step.
        losses: step and objective.
        error: why it failed.
        entry: in the history, at the end.
    """

    def __init__(self, wishes: Wishes) -> None:
        self.name = uuid.uuid4().hex
        self.wishes = wishes
        self.controls = Controls()
        self.state = "waiting"
        self.step = self.steps = 0
        self.left: float | None = None
        self.before: Path | None = None
        self.picture: Image.Image | None = None
        self.losses: list[tuple[int, float]] = []
        self.error = ""
        self.entry: Entry | None = None
        self.dials: dict[str, Any] = {"balance": wishes.balance, "stroke": wishes.stroke, "color": wishes.color}
        self.before_turns: deque[dict[str, Any]] = deque(maxlen=UNDO)
        self.ended = threading.Event()

    def turn(self, balance: float, stroke: float, color: str) -> None:
        """Turn its dials, those that stand elsewhere than before."""
        wanted: dict[str, Any] = {"balance": balance, "stroke": stroke, "color": color}
        changed = {name: value for name, value in wanted.items() if value != self.dials[name]}
        if not changed:
            return
        replace(self.wishes, **changed).check()
        settings: dict[str, dict[str, Any]] = {
            "balance": {"style_weight": weight_of(self.wishes.preset, balance)},
            "stroke": {"style_scale": stroke},
            "color": {"color": color},
        }
        for name in changed:
            self.before_turns.append(self.dials)
            self.controls.set(**settings[name])
            self.dials = self.dials | {name: wanted[name]}

    def undo(self) -> bool:
        """Take the last turn back; whether there was one."""
        if not self.before_turns:
            return False
        self.dials = self.before_turns.pop()
        self.controls.undo()
        return True


class Easel:
    """Paints one picture after the other, in a thread of its own.

    Args:
        history: where pictures go.
        estimate: of their time; learns from them.
    """

    def __init__(self, history: History, estimate: Estimate) -> None:
        self.history = history
        self.estimate = estimate
        self.current: Painting | None = None
        self._waiting: deque[Painting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="easel", daemon=True)
        self._thread.start()

    def put(self, wishes: Wishes) -> Painting:
        """Begin a picture, or let it wait for those before it.

        Raises:
            BadArgument: for wishes that cannot be met.
        """
        wishes.check()
        if not wishes.paintings:
            raise BadArgument("painting", None, "choose a painting")
        painting = Painting(wishes)
        with self._changed:
            self._waiting.append(painting)
            self._changed.notify()
        return painting

    def place(self, painting: Painting) -> int:
        """How many pictures come before it; 0 when it is being painted, or done."""
        with self._changed:
            if painting not in self._waiting:
                return 0
            return list(self._waiting).index(painting) + (self.current is not None)

    def stop(self, painting: Painting) -> None:
        """End it: the picture so far is kept; one that waits is given up."""
        with self._changed:
            if painting in self._waiting:
                self._waiting.remove(painting)
                painting.state = "stopped"
                painting.ended.set()
                return
        painting.controls.stop()

    def close(self) -> None:
        """End all."""
        with self._changed:
            self._closed = True
            left = [*self._waiting, *([self.current] if self.current else [])]
            self._changed.notify()
        for painting in left:
            self.stop(painting)
        self._thread.join(timeout=60)
        self.estimate.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                self.current = painting = self._waiting.popleft()
                painting.state = "painting"
            watch = None
            try:
                watch = self._paint(painting)
            except (BadArgument, UsageError, NonFiniteLoss, OSError) as error:
                painting.state, painting.error = "failed", error.message if isinstance(error, UsageError) else str(error)
            except Exception as error:  # the page and its history live on
                painting.state, painting.error = "failed", f"{type(error).__name__}: {error}"
            with self._changed:
                self.current = None
            painting.ended.set()
            if watch is not None and painting.entry is not None:  # after the picture: nobody waits for the film
                with contextlib.suppress(ImageError, OSError):
                    write_film(watch.film.film(), painting.entry.folder / FILM, [number / FPS for number in range(FRAMES)])
            del watch
            trim()  # a page stays open for long

    def _paint(self, painting: Painting) -> Watch:
        folder, wishes = self.history.begin(painting.wishes)
        try:
            watch, painting.entry = self._painted(painting, wishes, folder)
            painting.state = "stopped" if painting.step < painting.steps else "done"
        finally:
            if painting.entry is None:
                self.history.drop(folder)
        return watch

    def _painted(self, painting: Painting, wishes: Wishes, folder: Path) -> tuple[Watch, Entry]:
        photo = read_image(wishes.photo)
        shape = fit_size(int(photo.rgb.shape[1]), int(photo.rgb.shape[2]), wishes.size)
        view = Picture(resize_picture(photo, fit_size(*shape, min(SHOWN, max(shape)))).rgb, None)
        write_image(view.rgb, folder / "before.png")
        painting.before = folder / "before.png"  # once: the library would write it anew with every picture
        keeps = wishes.mask is not None and wishes.masked == KEEP
        pair = wishes.pair | prepared(wishes, folder)
        cut = read_image(pair["content"]).alpha if keeps else None
        size_of_film = fit_size(*shape, min(longest_of(FILM), SHOWN, max(shape)))
        watch = Watch(painting, self.estimate.shares(wishes, shape), view if keeps else None, cut, size_of_film)
        size, content, style = pair.pop("size"), pair.pop("content"), pair.pop("style")
        settings: dict[str, Any] = {**wishes.model, **pair, "preset": wishes.preset, "seed": wishes.seed}
        stylize(content, style, size=size, steps=wishes.steps, callback=watch, controls=painting.controls, **settings)
        seconds = time.monotonic() - watch.started
        if painting.step >= painting.steps and not painting.controls.turns:
            self.estimate.learn(wishes, shape, seconds)
        assert watch.last is not None
        result = watch.last.tensor.cpu()
        watch.film.see(result, lambda: watch.frame(result), last=True)
        alpha = None if photo.alpha is None else shrink(photo.alpha, (int(result.shape[2]), int(result.shape[3])))
        if cut is not None:
            result, alpha = on_photograph(result, shrink(cut, (int(result.shape[2]), int(result.shape[3]))), photo), alpha
        how = "" if painting.step >= painting.steps else f", stopped at step {painting.step} of {painting.steps}"
        height, width = result.shape[-2:]
        said = f"{time.strftime('%d %b %H:%M')} · {width} x {height} · {wishes.preset} · {seconds:.0f} s{how}"
        return watch, self.history.keep(folder, wishes, result, alpha, painting.controls, said)


class Watch:
    """The callback of a run: what the page shows of it.

    Args:
        painting: whose attributes are set.
        shares: the work that is done after each step.
        photo: the photograph at the page's size, where parts of it stay; else None.
        cut: ``(1, H, W)``, what does not stay of it.
        shape: height and width of the film of the forming picture.
    """

    def __init__(
        self, painting: Painting, shares: list[float], photo: Picture | None, cut: Tensor | None, shape: tuple[int, int]
    ) -> None:
        self.painting = painting
        self.shares = shares
        self.photo = photo
        self.cut = cut
        self.shape = shape
        self.film = Timelapse(FRAMES, max(shape))
        self.last: Moment | None = None
        self.started = time.monotonic()
        self._shown = 0.0

    def __call__(self, moment: Moment) -> None:
        painting, now = self.painting, time.monotonic()
        painting.step, painting.steps, self.last = moment.step, moment.steps, moment
        self.film.see(moment.tensor, lambda: self.frame(moment.tensor))
        if now - self._shown < EVERY and 1 < moment.step < moment.steps:
            return
        self._shown = now
        painting.losses.append((moment.step, moment.losses["total"]))
        picture = moment.tensor.cpu()
        height, width = int(picture.shape[2]), int(picture.shape[3])
        painting.picture = self._shown_at(picture, fit_size(height, width, min(SHOWN, max(height, width))))
        done = self.shares[min(moment.step, len(self.shares)) - 1] / self.shares[-1]
        painting.left = (now - self.started) * (1 - done) / done

    def frame(self, image: Tensor) -> Image.Image:
        """A moment as the film has it."""
        return self._shown_at(image.detach().cpu(), self.shape)

    def _shown_at(self, picture: Tensor, shape: tuple[int, int]) -> Image.Image:
        picture = resize(picture, shape)
        if self.photo is not None and self.cut is not None:
            picture = on_photograph(picture, shrink(self.cut, shape), self.photo)
        return to_pil(picture)
