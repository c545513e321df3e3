"""One module fitted frame after frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from nst_lightning.data import ImagePair
from nst_lightning.losses.temporal import Held
from nst_lightning.module import StyleTransfer
from nst_lightning.pictures.colors import match_colors
from nst_lightning.training.scales import Scale, schedule
from nst_lightning.training.seeds import seeded
from nst_lightning.video.flow import flow_between, is_cut, reliability, warp, warping_error

EARLIER = (1, 2, 4)  # frames before, to which a frame is held: the nearest that is reliable
LEAST, MOST = 16, 24  # steps of a frame that follows another

Painted = tuple[Tensor, Tensor]  # a frame of the clip and its result, (1, 3, H, W)


class Painter:
    """Paints frames one after the other.

    Args:
        module: the one that is fitted, with the settings of the first frame of a scene.
        data: arguments of :class:`~nst_lightning.ImagePair`; the content is replaced.
        trainer: arguments of the Trainer.
        seed: of every frame.
        temporal_weight: of the temporal loss.
        flow: ``dis`` or ``none``.
        steps: of frames that follow another; None: half of those of the last scale, from :data:`LEAST` to :data:`MOST`.
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

    def paint(self, frame: Tensor, before: Sequence[Painted]) -> tuple[Tensor, dict[str, float]]:
        """Paint a frame.

        Args:
            frame: ``(1, 3, H, W)`` of the clip, at the size of the film.
            before: frames and results before it, the last one last.

        Returns:
            ``(1, 3, H, W)`` in ``[0, 1]``, and what was measured: ``steps``, ``cut`` (1 where a scene begins), and where
            none does ``warping_error`` and ``floor``, that of the clip itself.
        """
        measured: dict[str, float] = {}
        held = begun = None
        if before:
            backward = flow_between(frame, before[-1][0])
            reliable = reliability(backward, flow_between(before[-1][0], frame))
            if not is_cut(before[-1][0], frame, reliable):
                held, begun = self._held(frame, before, backward, reliable)
                measured["floor"] = warping_error(before[-1][0], frame, backward, reliable)
        steps = self._plan(frame, follows=held is not None)
        self.module.begun = begun
        self.module.held = None if held is None else (held, self.temporal_weight)
        with seeded(self.seed):
            pair = ImagePair(content=frame[0], **self.data)  # type: ignore[arg-type]  # a tensor is a picture too
            L.Trainer(**self.trainer, max_steps=steps).fit(self.module, datamodule=pair)
        result = self.module.result.detach().cpu().clamp(0, 1).clone()
        measured |= {"steps": float(steps), "cut": float(held is None)}
        if held is not None:
            measured["warping_error"] = warping_error(before[-1][1], result, backward, reliable)
        return result, measured

    def _plan(self, frame: Tensor, follows: bool) -> int:
        """Set the scales of a frame; its steps."""
        whole = int(self.trainer_steps)
        self.module.scales = self.scales
        if not follows:
            return whole
        shape = (int(frame.shape[2]), int(frame.shape[3]))
        last = schedule(self.scales, max(shape), shape, whole)[-1]
        # a draft leaves its last scale to the layers by themselves; frame after frame they would draw their own grid
        factors = {name: factor for name, factor in last.factors.items() if name != "nearest_neighbor"}
        self.module.scales = [Scale(1.0, 1, factors)]
        return self.steps or min(MOST, max(LEAST, (last.last - last.first) // 2))

    trainer_steps: int = 0  # of the first frame of a scene

    def _held(self, frame: Tensor, before: Sequence[Painted], backward: Tensor, reliable: Tensor) -> tuple[Held, Tensor]:
        """What a frame is held to, and what it begins with."""
        if self.flow == "none":
            target = (before[-1][1] + frame - before[-1][0]).clamp(0, 1)
            return Held(target, torch.ones_like(frame[:, :1])), target
        target = reliable * warp(before[-1][1], backward)
        trusted = reliable
        for distance in EARLIER[1:]:
            if distance > len(before) or bool((trusted > 0).all()):
                break
            photo, result = before[-distance]
            back = flow_between(frame, photo)
            more = reliability(back, flow_between(photo, frame)) * (1 - trusted)
            target, trusted = target + more * warp(result, back), trusted + more
        # what was hidden until now has no paint yet: it begins as the photograph in the last result's colours
        fresh = match_colors(frame, before[-1][1], None, None).clamp(0, 1)
        return Held(target, trusted), target + (1 - trusted) * fresh
