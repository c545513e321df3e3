"""What validation, test and prediction make of the picture of a run."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument
from nst_lightning.objective.tiled import TiledObjective
from nst_lightning.pictures.similarity import similarity
from nst_lightning.training.controls import Controls
from nst_lightning.training.detail import Detail
from nst_lightning.training.result import Result
from nst_lightning.training.resume import Resuming
from nst_lightning.training.scalars import Scalars
from nst_lightning.training.scales import Stage
from nst_lightning.training.targets import Targets

LARGE = 1 << 23  # pixels: the terms of a larger picture are not computed once more when its steps are made


class Measuring(L.LightningModule):
    """The part of :class:`~nst_lightning.module.StyleTransfer` that looks at the result and leaves it as it is.

    Args:
        average_decay: of the running average that is the result.
        circular: whether opposite edges of the image continue each other.

    Attributes:
        image: ``(1, 3, H, W)``, RGB, float32; the module's only parameter.
        progress: the result so far.
        stages: the scales of the run.
        stage: the one of the step; None outside of a run.
        targets: what the image is compared with.
        detail: what a large image keeps of a smaller one.
        resuming: what a checkpoint holds.
        scalars: what a logger gets.
        objective: the terms of a step.
        controls: the dials that somebody may turn while the module is fitted, or None.
    """

    _seen: dict[str, Tensor]  # the terms of the last step
    _seen_at: Stage | None  # the scale at which it was made

    image: nn.Parameter
    stages: list[Stage]
    targets: Targets
    objective: TiledObjective

    def __init__(self, average_decay: float, circular: bool = False) -> None:
        super().__init__()
        self.circular = circular
        self.register_parameter("image", None)
        self.stage: Stage | None = None
        self.progress = Result(average_decay, circular)
        self.scalars = Scalars()
        self.detail = Detail(circular)
        self.resuming = Resuming(self.progress, self.detail)
        self.controls: Controls | None = None
        self._seen, self._seen_at = {}, None
        self._measured: tuple[Any, dict[str, Tensor]] = (None, {})

    @property
    def pair(self) -> ImagePair:
        """The pictures of this run."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(datamodule, ImagePair):
            raise BadArgument("datamodule", type(datamodule).__name__, "StyleTransfer is fitted with an ImagePair")
        return datamodule

    @property
    def result(self) -> Tensor:
        """The picture as it stands: ``(1, 3, H, W)`` in ``[0, 1]``, on the image's device, at the size of the result."""
        return self.progress.shown(self.image, self.progress.size)

    @property
    def current(self) -> Tensor:
        """The same at the scale of the step, as it is computed."""
        return self.progress.shown(self.image, self._shape())

    @property
    def at_full_size(self) -> bool:
        """Whether the scale of the step is the last."""
        return self._shape() == self.progress.size

    def _shape(self) -> tuple[int, int]:
        return int(self.image.shape[2]), int(self.image.shape[3])

    def last_terms(self) -> dict[str, Tensor]:
        """The terms of the run's last step, of the image before it, where they stand for those of a large result.

        At 25 million pixels a run of six steps spent four of its fourteen minutes on the terms of what it had written. From
        step to step they change by little then. Nothing for up to :data:`LARGE` pixels, and where no step was made at this
        scale.
        """
        height, width = self._shape()
        stands = self._seen_at is not None and self._seen_at == self.stage and height * width > LARGE
        return {name: value for name, value in self._seen.items() if name != "loss"} if stands else {}

    def similarity(self) -> dict[str, Tensor]:
        """How near the result is to the content image: :func:`nst_lightning.pictures.similarity.similarity`."""
        result = self.result
        with torch.autocast(result.device.type, enabled=False):  # in bf16 SSIM would be 0.1 off
            return similarity(result, self.pair.content_image, self.pair.alpha)

    def evaluate(self, stage: Stage | None = None) -> dict[str, Tensor]:
        """What the result is like: :meth:`similarity`, and every term of the objective, without its weight but ``total``.

        The terms of a large result are those of :meth:`last_terms`.

        Args:
            stage: the scale at which the terms are computed; if not given, that of the run if it has the result's size, or
                the last, which the run then cannot leave.
        """
        if stage is None:
            stage = self.stage if self.stage is not None and self.at_full_size else self.stages[-1]
        key = (
            stage.first,
            stage.shape,
            id(self.image),
            self.image is not None and self.image._version,
            self.progress.average.steps,
        )
        if self._measured[0] != key:
            measured = self.last_terms() if stage == self.stage else {}
            if not measured:
                picture = self.progress.at(self.image, stage.shape)
                with self.trainer.precision_plugin.forward_context():
                    measured = self.targets.measure(picture, stage, self.global_step, self.resuming.matches)
            self._measured = key, self.similarity() | measured
        return self._measured[1]

    def forget_measured(self) -> None:
        """The objective is another: what was measured by it no longer holds."""
        self._measured = (None, {})
        self._seen_at = None

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measure the result, on the Trainer's validation clock; in a run at the scale of the step."""
        if not self.trainer.sanity_checking:
            values = {f"val/{name}": value for name, value in self.evaluate(self.stage).items()}
            # in a run `scalars` writes them: the Trainer's own count of steps is one behind here
            self.log_dict(values, batch_size=1, logger=self.stage is None)

    def on_validation_end(self) -> None:
        if self.stage is not None:
            values = {n: v for n, v in self.trainer.callback_metrics.items() if n.startswith("val/")}
            self.scalars.write(self.trainer, values)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Measure the result."""
        self.log_dict({f"test/{name}": value for name, value in self.evaluate().items()}, batch_size=1)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The result."""
        return self.result
