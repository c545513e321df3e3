"""Quality against seconds: how near to the painting and to the photograph each method is, the longer it runs.

Presets, recipes and the loop of :mod:`tests.benchmarks.crowson`, one after the other in this process, each with its own
schedule at one final size, until it is done or its time is over. Looking at a result is not counted in its time. Distances
are those of :mod:`nst_lightning.objective.distances`, of layers that nothing here optimises; they see statistics, and no
strokes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor

from nst_lightning import stylize
from nst_lightning.api import Moment
from nst_lightning.cli.command_line import NSTCommandLine
from nst_lightning.cli.shipped import names_of
from nst_lightning.objective.distances import distances
from nst_lightning.pictures.picture import fit_size, resize
from nst_lightning.pictures.read import read_image
from nst_lightning.presets import PRESETS, preset
from tests.benchmarks.crowson import SCHEDULE, Crowson, total_steps
from tests.benchmarks.steps import PICTURES, model_of

SIZE = 256
LIMIT = 45.0  # seconds of each
LOOKS = 1.5  # each look is so many times later than the one before
FIRST = 1.0  # seconds
LOOP = "crowson's loop"

Curve = list[dict[str, float]]


class Clock:
    """Runs while a method works, and stands while it is looked at.

    Args:
        pictures: content and style.
        limit: seconds.
    """

    def __init__(self, pictures: list[Tensor], limit: float) -> None:
        self.pictures = pictures
        self.limit = limit
        self.curve: Curve = []
        self._next = FIRST
        self._start = time.perf_counter()

    def tick(self, result: Callable[[], Tensor], last: bool) -> bool:
        """After a step: look where it is time to, and say whether time is left."""
        seconds = time.perf_counter() - self._start
        over = seconds >= self.limit
        if seconds >= self._next or last or over:
            found = distances(resize(result(), fit_size(*self.pictures[0].shape[2:], SIZE)), *self.pictures)
            self.curve.append({"seconds": seconds} | {name: found[name] for name in ("style_distance", "content_distance")})
            self._next = max(self._next, seconds) * LOOKS
            self._start = time.perf_counter() - seconds
        return not over


def settings_of(name: str) -> tuple[dict[str, Any], int]:
    """The model's arguments of a preset or recipe, and its steps."""
    if name in PRESETS:
        found = preset(name)
        return found["model"], int(found["trainer"]["max_steps"])
    words = ["fit", *PICTURES, "--recipe", name, f"--data.size={SIZE}"]
    config = NSTCommandLine(["fit"], until="parsed").resolve(words)
    return config["model"], int(config["trainer"]["max_steps"])


def measure(name: str, limit: float) -> Curve:
    """The curve of a method."""
    pictures = [read_image(path).rgb[None] for path in PICTURES]
    if name == LOOP:
        loop = Crowson(model_of("recipes/wasserstein.yaml"))
        clock, done = Clock(pictures, limit), 0
        for size, steps in SCHEDULE:
            loop.begin(size)
            for _ in range(steps):
                loop.step()
                done += 1
                if not clock.tick(lambda: loop.result.clamp(0, 1), done == total_steps()):
                    return clock.curve
        return clock.curve
    model, steps = settings_of(name)
    clock = Clock(pictures, limit)

    def look(moment: Moment) -> bool:
        return clock.tick(lambda: moment.tensor, moment.step == moment.steps)

    stylize(*PICTURES, size=SIZE, steps=steps, callback=look, trainer={"accelerator": "cpu"}, **model)
    return clock.curve


def report(console: Console, figure: Path, limit: float = LIMIT) -> dict[str, Any]:
    """Measure, print, and draw ``figure``."""
    table = Table("method", "s", "style distance", "content distance", title=f"quality against seconds, {SIZE} px")
    curves: dict[str, Curve] = {}
    for name in [*PRESETS, *names_of("recipes"), LOOP]:
        curves[name] = measure(name, limit)
        for at in (curves[name][0], curves[name][len(curves[name]) // 2], curves[name][-1]):
            table.add_row(name, f"{at['seconds']:.1f}", f"{at['style_distance']:.3f}", f"{at['content_distance']:.2f}")
    console.print(table)
    draw(curves, figure)
    return curves


def draw(curves: dict[str, Curve], path: Path) -> None:
    """Both distances over seconds, a line for each method."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    for spot, name in zip(figure.subplots(1, 2), ("style_distance", "content_distance"), strict=True):
        for number, (method, curve) in enumerate(curves.items()):
            ours = method in PRESETS
            style = {"linewidth": 2.4 if ours else 1.2, "linestyle": "-" if ours else ("--", ":", "-.")[number % 3]}
            spot.plot([at["seconds"] for at in curve], [at[name] for at in curve], marker=".", label=method, **style)
        spot.set(xscale="log", yscale="log", xlabel="seconds", title=name.replace("_", " "))
        spot.grid(alpha=0.3)
    figure.legend(*spot.get_legend_handles_labels(), loc="outside right center", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
