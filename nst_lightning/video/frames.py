"""One module fitted frame after frame."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nst_lightning.data import ImagePair
from nst_lightning.losses.temporal import Held
from nst_lightning.module import StyleTransfer
from nst_lightning.pictures.colors import match_colors
from nst_lightning.training.quietly import fit_quietly
from nst_lightning.training.scales import Scale, schedule
from nst_lightning.training.seeds import seeded
from nst_lightning.video.flow import warp
from nst_lightning.video.masks import regions_of_frame
from nst_lightning.video.reel import Reel

EARLIER = (1, 2, 4)  # frames before, to which a frame is held: the nearest that is reliable
SHARE, LEAST, MOST = 6, 2, 6  # steps of a frame that follows another: a part of those of the last scale
# over the number of its steps: times the Wasserstein loss of a frame that follows another. Without the small scales, where
# that loss has the most to say, the neighbours' grey veil would draw over the film: with 1, the style distance grew by a
# fifth over sixty frames at 128 px; with 16 over 2 steps of a draft it stays (0.155 to 0.145), with 10 it grows (to 0.171)
PALETTE = 16.0
BLEND = 0.5  # share of the frame beside it in what a frame begins with, from the second pass on


class Painter:
    """Paints the frames of a scene, and of others after it.

    Args:
        module: the one that is fitted, with the settings of the first frame of a scene.
        data: arguments of :class:`~nst_lightning.ImagePair`; the content is replaced.
        trainer: arguments of the Trainer beside the quiet ones, ``max_steps`` those of the first frame of a scene.
        seed: of every frame.
        temporal_weight: of the temporal loss.
        flow: ``dis`` or ``none``.
        steps: of frames that follow another; None: a sixth of those of the last scale, from :data:`LEAST` to :data:`MOST`.
    """

    def __init__(
        self,
        module: StyleTransfer,
        data: Mapping[str, Any],
        trainer: Mapping[str, Any],
        seed: int,
        temporal_weight: float,
        flow: str = "dis",
        steps: int | None = None,
    ) -> None:
        self.module, self.data, self.trainer, self.seed = module, dict(data), dict(trainer), seed
        self.temporal_weight, self.flow, self.steps = temporal_weight, flow, steps
        self.scales = module.scales
        module.known = {}

    def paint(self, reel: Reel, scene: range, turns: int) -> None:
        """Paint what is missing of a scene, pass after pass: forward, then backward, then forward again.

        From the second pass on a frame begins with its own result, half of it that of the frame just painted where that is
        reliable (Ruder et al. 2016, section 4.4).
        """
        for turn in range(1, turns + 1):
            order = scene if turn % 2 else scene[::-1]
            for place, number in enumerate(order):
                if not reel.done(number, turn):
                    reel.keep(number, turn, *self._frame(reel, number, turn, order[max(0, place - EARLIER[-1]) : place]))

    def _frame(self, reel: Reel, number: int, turn: int, before: Sequence[int]) -> tuple[Tensor, dict[str, float]]:
        """Paint one frame.

        Args:
            reel: the film.
            number: of the frame.
            turn: which pass.
            before: those of the scene that were painted before it in this pass, the last one last.

        Returns:
            ``(1, 3, H, W)`` in ``[0, 1]``; the steps and seconds that it took.
        """
        started = time.monotonic()
        frame = reel.photo(number)
        held = begun = None
        if before:
            held, begun = self._held(reel, frame, number, turn, before)
        if turn > 1:
            own = reel.result(number, turn - 1)
            begun = own if held is None else own + BLEND * held.reliability * (held.target - own)
        steps = self._plan(frame, follows=begun is not None)
        self.module.begun = begun
        self.module.held = None if held is None else (held, self.temporal_weight)
        with seeded(self.seed):
            pair = ImagePair(content=frame[0], **self._data(reel, number))  # type: ignore[arg-type]  # a tensor is a picture too
            fit_quietly(self.module, pair, **self.trainer | {"max_steps": steps})
        result = self.module.result.detach().cpu().clamp(0, 1).clone()
        return result, {"steps": steps, "seconds": time.monotonic() - started}

    def _data(self, reel: Reel, number: int) -> dict[str, Any]:
        """The settings of a frame's pictures, its mask among them."""
        path = reel.mask_file(number)
        if not path.is_file():
            return self.data
        return self.data | {"content_mask": regions_of_frame(path, self.data.get("style_mask"))}

    def _plan(self, frame: Tensor, follows: bool) -> int:
        """Set the scales of a frame; its steps."""
        whole = int(self.trainer["max_steps"])
        self.module.scales = self.scales
        if not follows:
            return whole
        shape = (int(frame.shape[2]), int(frame.shape[3]))
        last = schedule(self.scales, max(shape), shape, whole)[-1]
        # a draft leaves its last scale to the layers by themselves; frame after frame they would draw their own grid
        factors = {name: factor for name, factor in last.factors.items() if name != "nearest_neighbor"}
        steps = self.steps or min(MOST, max(LEAST, (last.last - last.first) // SHARE))
        factors["wasserstein"] = PALETTE / steps * factors.get("wasserstein", 1.0)
        self.module.scales = [Scale(1.0, 1, factors)]
        return steps

    def _held(self, reel: Reel, frame: Tensor, number: int, turn: int, before: Sequence[int]) -> tuple[Held, Tensor]:
        """What a frame is held to, and what it begins with."""
        last = reel.result(before[-1], turn)
        if self.flow == "none":
            target = (last + frame - reel.photo(before[-1])).clamp(0, 1)
            return Held(target, torch.ones_like(frame[:, :1])), target
        target, trusted = torch.zeros_like(frame), torch.zeros_like(frame[:, :1])
        # what was hidden until now has no paint yet: it begins as the photograph in the last result's colours
        begun = match_colors(frame, last, None, None).clamp(0, 1)
        for distance in EARLIER:
            if distance > len(before) or bool((trusted > 0).all()):
                break
            found = reel.between(number, before[-distance])
            more = found.reliable * (1 - trusted)
            carried = warp(last if distance == 1 else reel.result(before[-distance], turn), found.flow)
            target, trusted = target + more * carried, trusted + more
            if distance == 1:  # at edges of motion nothing is held, but paint is there
                begun = begun + found.alike * (carried - begun)
        return Held(target, trusted), target + (1 - trusted) * begun
