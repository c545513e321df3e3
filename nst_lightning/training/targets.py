"""What the image is compared with, at one scale at a time; in tiles or compiled where that was chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor

from nst_lightning.data import ImagePair
from nst_lightning.objective.matching import Start
from nst_lightning.objective.tiled import TiledObjective
from nst_lightning.pictures.mapped import is_mapped, trim
from nst_lightning.training.compilation import Compilation
from nst_lightning.training.scales import Stage
from nst_lightning.training.tile_sizes import TileSize, Tiling


class Targets:
    """Sets an objective's targets when a scale begins, and has it computed in a form that memory and time allow.

    Args:
        objective: whose targets are set.
        pair: the pictures.
        terms: those that are computed, of ``content`` and ``style``.
        tile: see :class:`Tiling`.
        compiles: see :class:`Compilation`.
    """

    def __init__(
        self, objective: TiledObjective, pair: ImagePair, terms: Iterable[str], tile: TileSize, compiles: bool
    ) -> None:
        self.objective = objective
        self.pair = pair
        self.terms = set(terms)
        self.tiling = Tiling(tile, objective)
        self.compilation = Compilation(compiles, objective)
        self.stage: Stage | None = None
        self._matches: dict[str, Tensor] | None = None  # of the run, while something else is measured

    def enter(self, stage: Stage, image: Tensor, step: int, matches: Mapping[str, Tensor] | None = None) -> None:
        """Compute what the image is compared with at a scale.

        Args:
            stage: the scale.
            image: ``(1, 3, H, W)`` at it.
            step: of the run.
            matches: of a checkpoint at this scale: see :meth:`matches`.
        """
        self._enter(stage, image, step, matches)
        self._matches = None

    def _enter(self, stage: Stage, image: Tensor, step: int, matches: Mapping[str, Tensor] | None) -> None:
        pair, device = self.pair, image.device
        seen = "content" in self.terms or "positions" in self.objective.sees  # places of the photograph are matched
        content = pair.content_at(stage.shape) if seen else None
        styles = [style.to(device) for style in pair.styles_at(stage.size)] if "style" in self.terms else []
        regions = pair.regions_at(stage.shape)
        self.objective.enter(stage.factors)  # the layers of this scale: less overlap, larger tiles where they are few
        self.tiling.choose(image)
        work = partial(
            self.objective.set_targets,
            None if content is None else content.to(device),
            styles,
            None if regions is None else regions.to(device),
            # a frame that follows another is painted already
            Start(image.detach(), stage.first == 0 and self.objective.held is None, stage.factors, dict(matches or {})),
        )
        self.tiling.survive(work, lambda: image, step)
        self.stage = stage
        if is_mapped(image):
            trim()

    def refresh(self, image: Tensor, step: int) -> None:
        """Match the image anew, where the time has come; before each step."""
        assert self.stage is not None
        self.objective.pointed.refresh(image, step - self.stage.first)

    def matches(self) -> dict[str, Tensor]:
        """What the places of the run's image are matched with, for a checkpoint.

        The picture that was matched is gone when the run is resumed.
        """
        return self.objective.pointed.state() if self._matches is None else self._matches

    def compute(self, image: Tensor, step: int) -> dict[str, Tensor]:
        """The terms and the loss of a step, in the chosen form; see :meth:`Objective.forward`."""
        return self.compilation(image, step)

    @torch.no_grad()
    def measure(
        self, picture: Tensor, stage: Stage, step: int, matches: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The terms of the objective of a picture ``(1, 3, H, W)`` at a scale, which is entered if need be.

        The run's own matches are kept as they are; those of a checkpoint, if given, are used where they fit.
        """
        if stage != self.stage:
            kept = None if self.stage is None else self.matches()
            self._enter(stage, picture, step, matches)
            self._matches = kept
        found: dict[str, Tensor] = {}
        self.tiling.survive(lambda: found.update(self.objective(picture, step)), lambda: picture, step)
        return {name: value for name, value in found.items() if name != "loss"}

    def survive(self, work: Callable[[], None], image: Callable[[], Tensor], step: int) -> None:
        """See :meth:`Tiling.survive`."""
        self.tiling.survive(work, image, step)
