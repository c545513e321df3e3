"""The painting of a picture as a film: moments of a run, evenly in visible change."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SMALL = 48  # pixels: where change is measured; finer grain is not what one sees change
KEPT = 4  # times the frames of the film, of moments that are kept at most
QUALITY = 92  # of the JPEGs in which moments wait


class Kept(NamedTuple):
    """A moment of the run.

    Attributes:
        change: how much was seen to change until then, in mean levels of 1, summed.
        picture: JPEG.
    """

    change: float
    picture: bytes


class Timelapse:
    """Watches a forming image and keeps what a film of it needs, whatever the number of steps.

    Visible change is the mean absolute difference of the picture at 48 pixels. A moment is kept when the change since the
    last one is large enough; when there are too many, every other is dropped and twice the change is asked for.

    Args:
        frames: of the film.
        longest: pixels to which its longer side is shrunk, where it is longer.
    """

    def __init__(self, frames: int, longest: int = 1920) -> None:
        self.frames = frames
        self.longest = longest
        self._kept: list[Kept] = []
        self._seen: Tensor | None = None
        self._change = 0.0
        self._least = 0.0

    @torch.no_grad()
    def see(self, image: Tensor, picture: Callable[[], Image.Image], last: bool = False) -> None:
        """Look at the image after a step.

        Args:
            image: ``(1, 3, H, W)``, of any size.
            picture: makes what would be kept of it; called only then. All of one size.
            last: keep it in any case.
        """
        small = F.adaptive_avg_pool2d(image.detach().float(), SMALL).cpu()
        step = 0.0 if self._seen is None else float((small - self._seen).abs().mean())
        if self._kept and not last and step < self._least:
            return
        self._change += step
        self._seen = small
        file = io.BytesIO()
        kept = picture()
        kept.thumbnail((self.longest, self.longest), Image.Resampling.LANCZOS)
        if kept.mode == "RGBA":
            kept = Image.alpha_composite(Image.new("RGBA", kept.size, "white"), kept)
        kept.convert("RGB").save(file, "JPEG", quality=QUALITY, subsampling=0)
        self._kept.append(Kept(self._change, file.getvalue()))
        if len(self._kept) > KEPT * self.frames:
            self._least = max(2 * self._least, 2 * self._change / len(self._kept))
            self._kept = self._kept[::2]

    def film(self) -> Iterator[Image.Image]:
        """The frames, from the first moment to the last, one after the other; none if nothing was seen."""
        whole = self._kept[-1].change if self._kept else 0.0
        place = 0
        for number in range(self.frames if self._kept else 0):
            wanted = whole * number / max(1, self.frames - 1)
            while place + 1 < len(self._kept) and self._kept[place].change < wanted:
                place += 1
            shown = self._kept[-1 if number == self.frames - 1 else place]
            yield Image.open(io.BytesIO(shown.picture)).convert("RGB")
