"""The LightningModule: the image, its schedule of scales, and its optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from nst_lightning.allocator import give_back
from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument
from nst_lightning.losses import NeighborSettings
from nst_lightning.losses.temporal import Held
from nst_lightning.network.features import VGGSettings
from nst_lightning.network.weights import load_weights
from nst_lightning.objective.matching import Known
from nst_lightning.pictures.mapped import is_mapped, kept, let_go
from nst_lightning.pictures.picture import resize
from nst_lightning.pictures.strips import strips
from nst_lightning.training.anew import begin_anew
from nst_lightning.training.checks import check_callbacks, check_sizes
from nst_lightning.training.initial import check_init, initial_image
from nst_lightning.training.optimizers import Optimization
from nst_lightning.training.precision import check_precision
from nst_lightning.training.progress import Progress
from nst_lightning.training.resume import check_same, check_shapes
from nst_lightning.training.scales import Scale, schedule
from nst_lightning.training.settings import plain, settings_of
from nst_lightning.training.staged import Staged
from nst_lightning.training.targets import Targets
from nst_lightning.training.tile_sizes import check_tile
from nst_lightning.training.wanted import Wanted

CONTENT_LAYERS = ["relu4_2"]
PACE = 0.65  # of the learning rate for an image that is painted already: Adam begins with steps as large as that
STYLE_LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1"]


class StyleTransfer(Staged):
    """Style transfer by optimisation (Gatys, Ecker, Bethge 2016): the image is the only parameter.

    The objective is ``content_weight * content + style_weight * style + tv_weight * total variation``. Only the ratio of
    the weights matters. A weight of 0, or a picture that is not given, removes its term and the work for it. The defaults
    here are those of the recipe `wasserstein`; what `fit` and ``stylize`` do is ``StyleTransfer(**preset()["model"])``.

    Fit it with any Trainer: ``Trainer(max_steps=300).fit(StyleTransfer(), datamodule=ImagePair("a.jpg", "b.jpg"))``, then
    read ``result``. Every ``fit`` begins anew with the pictures that it is given, also of a module or with a Trainer that
    were used before; it goes on only from a ``ckpt_path``. ``validate`` and ``test`` measure the result, ``predict``
    returns it. Monitors see ``loss/total``, ``val/total``, ``val/psnr`` and so on.

    Args:
        content_layers: layers of the content loss, as a list (equal shares of a weight of 1) or as layer: weight (0 or
            more). Names count the convolutions from the input (conv_4, relu_4, pool_4) or are those of the papers
            (conv2_2, relu2_2, pool2).
        style_layers: layers of the style loss, named and weighted in the same way.
        content_weight: weight of the content loss, 0 or more.
        style_weight: weight of the style loss, 0 or more.
        tv_weight: weight of the total variation, 0 or more; smooths.
        style_loss: `gram`, `mean_std`, `wasserstein`, `sliced_wasserstein`, `histogram`, `nearest_neighbor`,
            `nearest_neighbor_layers`, `relaxed_emd`, `palette`, the class path of a StyleLoss, or a map from those to
            weights.
        content_loss: `features` (squared differences) or `self_similarity` (how the places of the photograph relate to each
            other, whatever they look like).
        neighbors: how `nearest_neighbor` and `nearest_neighbor_layers` find their matches.
        scales: sizes to go through, coarse to fine: `auto` (by factors of √2 from 128 px), `none` (the final size only),
            or a list of `{size: S, steps: N}`, S in pixels or as a part of the final size; `weights: {NAME: F}` there
            multiplies the weight of a term, a style loss or a layer by F at that size. Beyond `most: P` pixels, of the
            last one, scales only add detail (but under L-BFGS): the large picture is the small one, finer.
        average_decay: the result is the running average of the image with this decay, from 0 (the image itself) to below
            1; it is restarted at each scale and seeds the next.
        init: what the image is at the start: `content`, `blurred` (the content's large forms), `style`, `noise` (faint,
            around gray, from the seed), `gray`, or a picture file.
        tile: for large pictures: the step is computed from tiles, with the same result in the memory of one tile. `auto`
            (the tiles that are fastest in the free memory; the whole image where that fits), the sides of a tile in pixels
            (no more memory than that takes), or `none`. Unless `none`, a run out of memory goes on with smaller tiles.
        compile: let torch.compile make the objective faster (CUDA graphs on a GPU) at the scales where that pays; a line
            for each scale says what it brought. Meant for many steps on a GPU; on a CPU it hardly ever pays.
        optimizer: `lbfgs`, `adam` or `pyramid_adam` (of the levels of the image's pyramid: large forms move faster), ready
            to use, or any torch optimiser by its class path.
        learning_rate: of `lbfgs` (1.0 if not given), `adam` (0.02) or `pyramid_adam` (0.008); others take theirs as an
            argument.
        lr_scheduler: a learning rate scheduler of torch by its class path. It counts the steps of the whole run;
            ReduceLROnPlateau looks at loss/total.
        features: the frozen network.

    Attributes:
        image: ``(1, 3, H, W)``, RGB, float32; made in ``configure_model``. Not clamped while L-BFGS runs.

    Raises:
        BadArgument: for an unknown layer or a weight out of range; in ``setup`` for pictures, a precision, an optimiser or
            callbacks that cannot work; in ``fit`` for a checkpoint of another size.
    """

    def __init__(
        self,
        content_layers: list[str] | dict[str, float] = CONTENT_LAYERS,
        style_layers: list[str] | dict[str, float] = STYLE_LAYERS,
        content_weight: float = 1.0,
        style_weight: float = 8.0,
        tv_weight: float = 0.0,
        style_loss: str | dict[str, float] = "wasserstein",
        content_loss: Literal["features", "self_similarity"] = "features",
        neighbors: NeighborSettings = NeighborSettings(),  # noqa: B008 (frozen)
        scales: Literal["auto", "none"] | list[Scale] = "auto",
        average_decay: float = 0.9,
        init: str = "content",
        tile: Literal["auto", "none"] | int = "auto",
        compile: bool = False,
        optimizer: Literal["lbfgs", "adam", "pyramid_adam"] | OptimizerCallable = "adam",
        learning_rate: float | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        features: VGGSettings = VGGSettings(),  # noqa: B008 (frozen)
    ) -> None:
        if not 0 <= average_decay < 1:
            raise BadArgument("average_decay", average_decay, "a number from 0 (no average) to below 1")
        settings = settings_of(VGGSettings, "features", features)
        super().__init__(average_decay, circular=settings.padding == "circular")
        self.settings = settings
        self.neighbors = settings_of(NeighborSettings, "neighbors", neighbors)
        weights = {"content": content_weight, "style": style_weight, "tv": tv_weight}
        self.wanted = Wanted(
            content_layers, style_layers, weights, style_loss, self.settings.arch, content_loss, self.neighbors
        )
        self.scales = scales if isinstance(scales, str) else [settings_of(Scale, "scales", scale) for scale in scales]
        if isinstance(self.scales, str) and self.scales not in ("auto", "none"):
            raise BadArgument("scales", scales, "auto, none or a list of sizes and steps")
        self.wanted.check_scales(self.scales)
        check_tile(tile)
        self.tile = tile
        self.compiles = compile
        self.init = init
        # of a film, set before each frame: what it is held to and the weight of that; the image to begin with, not `init`
        self.held: tuple[Held, float] | None = None
        self.begun: Tensor | None = None
        self.known: Known | None = None  # and what its frames share
        self.optimization = Optimization(optimizer, learning_rate, lr_scheduler, self.circular)
        self.save_hyperparameters(logger=False)
        self.hparams.update(plain({"features": self.settings, "neighbors": self.neighbors, "scales": self.scales}))
        for name, described in self.optimization.settings().items():
            if callable(self.hparams.get(name)):
                del self.hparams[name]
                if described is not None:  # else it has to be given to load_from_checkpoint
                    self.hparams[name] = described

    # ---- before the first step ---------------------------------------------------------------------------------------

    def configure_callbacks(self) -> list[L.Callback]:
        """The first place where the Trainer's are known, before anything is built or written.

        Lightning's own progress bar, which counts epochs and knows nothing of scales, is replaced by one that does.
        """
        check_callbacks(self.trainer.callbacks, None)  # type: ignore[attr-defined]
        bar = self.trainer.progress_bar_callback
        if bar is None or type(bar) not in (TQDMProgressBar, RichProgressBar):  # ours, or somebody's own
            return []
        bar.disable()
        return [Progress()]

    def setup(self, stage: str) -> None:
        """Check that pictures, precision, optimiser and callbacks go together; a fit begins anew."""
        self.check(self.pair, self.trainer.precision, self.trainer.callbacks)  # type: ignore[attr-defined]
        check_same(self.pair, self.hparams)
        self.resuming.begin(self.pair)
        self._keep_matches()
        self.stage = None
        if stage == "fit":
            begin_anew(self.trainer)
            self.register_parameter("image", None)
            self.progress.average.restart()
            self.resuming.matches = {}

    def teardown(self, stage: str) -> None:
        """What a run has freed is the system's again."""
        give_back()

    def check(self, pair: ImagePair, precision: str = "32-true", callbacks: Sequence[Any] = ()) -> None:
        """Everything that can be known to fail before the network is built.

        Args:
            pair: after its ``setup``.
            precision: as the Trainer names it.
            callbacks: the Trainer's.

        Raises:
            BadArgument: naming the argument to change.
        """
        terms = self.wanted.terms(pair)
        check_sizes({term: self.wanted.layers[term] for term in terms}, pair, self.scales)
        check_init(self.init, pair)
        self.optimization.check()
        check_precision(self.make_optimizer, precision)
        check_callbacks(callbacks, self.wanted.metrics(pair) if self._is_plain() else None)
        load_weights(self.settings.arch, self.settings.weights, self.settings.preprocessing)

    def check_checkpoint(self, path: str, run: dict[str, Any], shape: tuple[int, int], pair: ImagePair, steps: int) -> None:
        """Whether a run of ``steps`` can go on from a checkpoint: :func:`nst_lightning.training.resume.check_shapes`."""
        check_shapes(path, run, shape, pair, schedule(self.scales, pair.size, pair.image_size, steps))

    def configure_model(self) -> None:
        """Make the network, and for a fit the image; without a Trainer (``load_from_checkpoint``) there is no need.

        On the CPU, in spite of the Trainer, which has new tensors made on its device here: the pictures are on the CPU,
        noise and the network's scales are to be the same on every device, and what is made here is moved afterwards.
        """
        if self._trainer is None:
            return
        pair = self.pair
        with torch.device("cpu"):
            self.stages = schedule(self.scales, pair.size, pair.image_size, self.trainer.max_steps)
            self.objective = self.wanted.objective(pair, self.settings)
            self.objective.pointed.known = self.known
            self.targets = Targets(self.objective, pair, self.wanted.terms(pair), self.tile, self.compiles)
            if self.held is not None:
                self.objective.hold(*self.held)
            if self.trainer.state.fn == TrainerFn.FITTING:
                shape = self.stages[0].shape
                image = (
                    initial_image(self.init, pair, shape)
                    if self.begun is None
                    else resize(self.begun, shape, self.circular)
                )
                self.image = nn.Parameter(kept(image.contiguous()))  # L-BFGS views it as a vector

    def _is_plain(self) -> bool:
        """Whether no subclass logs metrics of its own."""
        steps = ("training_step", "validation_step", "on_train_batch_end", "on_validation_end", "optimizer_step")
        return all(getattr(type(self), name) is getattr(StyleTransfer, name) for name in steps)

    def configure_optimizers(self) -> Any:
        return self.optimization.configure([self.image], 1.0 if self.begun is None else PACE)

    def make_optimizer(self, parameters: list[nn.Parameter]) -> Optimizer:
        """The optimiser of this run for some parameters."""
        return self.optimization.make(parameters)

    # ---- each step ---------------------------------------------------------------------------------------------------

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """The objective, scaled for the optimiser; the terms come along for those who show them.

        Multiplied by the number of values in the image, so that a pixel's gradient has one size at every resolution
        (Adam's epsilon and L-BFGS's curvature threshold are absolute).

        Raises:
            NonFiniteLoss: if the objective is no number; the image is then the last one for which it was.
        """
        losses: dict[str, Tensor] | None = None
        with self._steering.stopping():
            if not self._steering.stopped:
                losses = self.targets.compute(self.image, self.global_step)
        if losses is None:  # the step was ended: it changes nothing, and those who look see the one before
            nothing = (self.image * 0).sum()
            return {"total": nothing.detach(), **self._seen, "loss": nothing}
        assert self.stage is not None
        with self._guard.restoring(self.image, self.progress.average):
            self._guard.see(self.image, losses["total"], self.global_step, last=self.global_step + 1 >= self.stage.last)
        self.scalars.see(self.trainer, losses)
        self._seen, self._seen_at = {name: value.detach() for name, value in losses.items()}, self.stage
        return {**losses, "loss": losses["loss"] * self.image.numel()}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step, then back into [0, 1] and averaged.

        Not clamped, nor held to what it was at a smaller scale, under L-BFGS, whose curvature pairs that would falsify.
        """
        alone = self.trainer.accumulate_grad_batches == 1
        if alone:
            self.image.grad = None  # Lightning lets it live until the next one is there
        work = partial(super().optimizer_step, *args, **kwargs)
        self.targets.survive(work, lambda: self.image, self.global_step)
        if alone and is_mapped(self.image):
            self.image.grad = None  # nor is there room for it beside the result
        assert self.stage is not None
        with torch.no_grad():
            if not isinstance(self.trainer.optimizers[0], LBFGS):
                if self.stage.detail and not self._steering.stopped:
                    self.detail.hold(self.image)
                for rows in strips(*self._shape()):
                    self.image[:, :, rows].clamp_(0, 1)
                    let_go()
        if not self._steering.stopped:
            self.progress.average.add(self.image)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.scalars.step(self.trainer, outputs, max(self.image.shape[2:]))
