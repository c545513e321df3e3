"""How long a picture will take on this machine, and how much memory."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import torch

from nst_lightning.errors import BadArgument
from nst_lightning.network.features import VGGFeatures
from nst_lightning.network.layers import find_layer
from nst_lightning.pictures.atomic import write_file
from nst_lightning.presets import preset
from nst_lightning.training.precision import choose_precision
from nst_lightning.training.scales import Scale, schedule
from nst_lightning.ui.wishes import TILED, Wishes

PROBE = 192  # pixels of the square on which a step of the network is timed
# What a run costs in such steps, fitted to the presets' scales from 64 to 512 px (make bench has the presets).
STEP, PIXEL, LAYERS, MATCH, START = 0.47, 1.52, 0.53, 7.3, 6.0
MORE = 0.8  # of a step's pixels, for each five layers more
TILES = 1.9  # times a step in tiles: one more pass forward, and overlaps
FIXED = 1.5  # seconds of every run, whatever its size: reading, history, PNG and TIFF
SLOW, LONG = 0.5, 30.0  # of what a finished run teaches, of other sizes from so many seconds on
BASE, BYTES, TILED_BYTES = 0.95, 5.0e-6, 0.55e-6  # GiB: of the process, of a pixel, of a pixel in tiles


class Estimate:
    """Seconds and GiB of wishes; learns from every run.

    Args:
        path: a JSON file in which it keeps what it has learned.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._factors = {str(k): float(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
        except (OSError, ValueError, AttributeError, TypeError):
            self._factors = {}
        self.unit: float | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Measure meanwhile, so that the first answer is there when it is asked for."""
        self._thread = threading.Thread(target=self.measure, name="estimate", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for the measurement: torch aborts a process that ends in the middle of its work."""
        if self._thread is not None:
            self._thread.join(timeout=60)

    def measure(self) -> None:
        """Time a step of the network on this machine; a second on two cores."""
        layer = find_layer("relu4_1", "vgg16")
        features = VGGFeatures([layer])
        device = "cuda" if torch.cuda.is_available() else "cpu"
        features.to(device)
        image = torch.rand(1, 3, PROBE, PROBE, device=device, requires_grad=True)
        times = []
        for _ in range(8):
            start = time.perf_counter()
            with torch.autocast(device, torch.bfloat16, enabled=choose_precision(None)[0].startswith("bf16")):
                output = features(image)[layer]
            output.float().sum().backward()
            times.append(time.perf_counter() - start)
        self.unit = min(times)  # whatever else the machine does now, it may not do later

    def shares(self, wishes: Wishes, shape: tuple[int, int]) -> list[float]:
        """What a run has cost after each of its steps, in steps of the network on the probe."""
        model: dict[str, Any] = preset(wishes.preset)["model"] | wishes.model
        scales = [Scale(**scale) for scale in model["scales"]]
        steps = wishes.steps or preset(wishes.preset)["trainer"]["max_steps"]
        layers = len(model["style_layers"]) / 5
        done, found = START, []
        for stage in schedule(scales, max(shape), shape, steps):
            pixels = stage.shape[0] * stage.shape[1] / PROBE**2
            alone = stage.factors.get("nearest_neighbor_layers", 1.0) > 0
            step = STEP * layers + pixels * (PIXEL * (1 + MORE * (layers - 1)) + (LAYERS * layers if alone else 0))
            if stage.factors.get("nearest_neighbor", 1.0) > 0:
                done += MATCH * pixels * layers
            for _ in range(stage.last - stage.first):
                done += step * (TILES if wishes.size >= TILED else 1)
                found.append(done)
        return found

    def of(self, wishes: Wishes, shape: tuple[int, int]) -> tuple[float, float]:
        """Seconds and GiB.

        Args:
            wishes: what is wanted.
            shape: ``(height, width)`` of the result.
        """
        if self.unit is None:
            self.measure()
        assert self.unit is not None
        pixels = shape[0] * shape[1]
        per_pixel = TILED_BYTES if wishes.size >= TILED else BYTES
        factor = self._factors.get(f"{wishes.preset} {wishes.size}", self._factors.get(wishes.preset, 1.0))
        seconds = self.unit * self.shares(wishes, shape)[-1] * factor
        return FIXED + seconds, BASE + pixels * per_pixel + (0.9 if wishes.size >= TILED else 0.0)

    def learn(self, wishes: Wishes, shape: tuple[int, int], seconds: float) -> None:
        """Take in how long a whole run took."""
        if self.unit is None:
            return
        with self._lock:
            ratio = max(seconds - FIXED, 0.1) / (self.unit * self.shares(wishes, shape)[-1])
            # of other sizes a short run says little
            much = SLOW * min(1.0, seconds / LONG)
            for name, share in ((wishes.preset, much), (f"{wishes.preset} {wishes.size}", SLOW)):
                before = self._factors.get(name, 1.0 if name == wishes.preset else ratio)
                self._factors[name] = before ** (1 - share) * ratio**share
            write_file(self.path, json.dumps(self._factors).encode())


def said(seconds: float, gib: float) -> str:
    """For the page.

    >>> said(75.2, 1.83), said(3.2, 0.9)
    ('about 75 seconds and 1.8 GB', 'about 3 seconds and 0.9 GB')
    """
    if not seconds >= 0:
        raise BadArgument("seconds", seconds, "a time")
    unit = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
    return f"about {unit} and {gib:.1f} GB"
