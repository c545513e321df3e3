"""The LightningModule: the image, its schedule of scales, and its optimiser."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument, NonFiniteLoss, reason
from nst_lightning.losses import NeighborSettings, make_content_loss, make_style_losses
from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.layers import layer_weights
from nst_lightning.network.weights import load_weights
from nst_lightning.objective.matching import Start
from nst_lightning.objective.tiled import TiledObjective
from nst_lightning.pictures.files import resize
from nst_lightning.pictures.similarity import similarity
from nst_lightning.training.averages import RunningAverage
from nst_lightning.training.checks import check_sizes
from nst_lightning.training.compilation import Compilation
from nst_lightning.training.guard import Guard
from nst_lightning.training.initial import check_init, initial_image
from nst_lightning.training.optimizers import OPTIMIZERS, carry_over, check_precision
from nst_lightning.training.scales import Scale, Stage, check_factors, schedule
from nst_lightning.training.tile_sizes import Tiling, check_losses, check_tile

CONTENT_LAYERS = ["relu4_2"]
STYLE_LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1"]


class StyleTransfer(L.LightningModule):
    """Style transfer by optimisation (Gatys, Ecker, Bethge 2016): the image is the only parameter.

    The objective is ``content_weight * content + style_weight * style + tv_weight * total variation``. Only the ratio of
    the weights matters. A weight of 0, or a picture that is not given, removes its term and the work for it.

    Fit it with any Trainer: ``Trainer(max_steps=300).fit(StyleTransfer(), datamodule=ImagePair("a.jpg", "b.jpg"))``, then
    read ``result``.

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
        neighbors: how `nearest_neighbor` finds its matches.
        scales: sizes to go through, coarse to fine: `auto` (by factors of √2 from 128 px), `none` (the final size only),
            or a list of `{size: S, steps: N}`, S in pixels or as a part of the final size; `weights: {NAME: F}` there
            multiplies a term's or a style loss's weight by F at that size.
        average_decay: the result is the running average of the image with this decay, from 0 (the image itself) to below
            1; it is restarted at each scale and seeds the next.
        init: what the image is at the start: `content`, `blurred` (the content's large forms), `style`, `noise` (faint,
            around gray, from the seed), `gray`, or a picture file.
        tile: for large pictures: the step is computed from tiles, with the same result in the memory of one tile. `auto`
            (the largest tiles that fit the free memory; the whole image where that fits), the sides of a tile in pixels,
            or `none`. Unless `none`, a run that is out of memory goes on with smaller tiles.
        compile: let torch.compile make the objective faster (CUDA graphs on a GPU) at the scales where that pays; a line
            for each scale says what it brought. Meant for many steps on a GPU; on a CPU it hardly ever pays.
        optimizer: `lbfgs`, `adam` or `pyramid_adam` (of the levels of the image's pyramid: large forms move faster), ready
            to use, or any torch optimiser by its class path.
        features: the frozen network.

    Attributes:
        image: ``(1, 3, H, W)``, RGB, float32; made in ``configure_model``. Not clamped while L-BFGS runs.

    Raises:
        BadArgument: for an unknown layer or a negative weight; in ``setup`` for pictures or a precision that cannot work.
    """

    image: nn.Parameter

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
        features: VGGSettings = VGGSettings(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__()
        try:
            self.settings = features if isinstance(features, VGGSettings) else VGGSettings(**features)
        except TypeError as error:
            raise BadArgument("features", features, reason(error)) from error
        try:
            self.neighbors = neighbors if isinstance(neighbors, NeighborSettings) else NeighborSettings(**neighbors)
        except TypeError as error:
            raise BadArgument("neighbors", neighbors, reason(error)) from error
        weights = {"content_weight": content_weight, "style_weight": style_weight, "tv_weight": tv_weight}
        for name, value in weights.items():
            if not 0 <= value < float("inf"):
                raise BadArgument(name, value, "a weight is a number of 0 or more")
        if content_weight == style_weight == 0:
            raise BadArgument("style_weight", style_weight, "content_weight is 0 as well: nothing is left to optimise")
        self.weights = {name.removesuffix("_weight"): float(value) for name, value in weights.items()}
        self.content_layers = layer_weights(content_layers, self.settings.arch, "content_layers")
        self.style_layers = layer_weights(style_layers, self.settings.arch, "style_layers")
        if not (content_weight and self.content_layers) and not (style_weight and self.style_layers):
            raise BadArgument("style_layers", style_layers, "no layer has a weight: nothing is left to optimise")
        if not 0 <= average_decay < 1:
            raise BadArgument("average_decay", average_decay, "a number from 0 (no average) to below 1")
        self.style_losses = make_style_losses(style_loss, self.neighbors)
        self.content_loss = make_content_loss(content_loss)
        self.scales = scales if isinstance(scales, str) else [s if isinstance(s, Scale) else Scale(**s) for s in scales]
        if isinstance(self.scales, str) and self.scales not in ("auto", "none"):
            raise BadArgument("scales", scales, "auto, none or a list of sizes and steps")
        check_factors(self.scales, self.weights, [loss.name for loss, _ in self.style_losses])
        check_tile(tile)
        self.tile = tile
        self.compiles = compile
        self.init = init
        self.optimizer = optimizer
        self.register_parameter("image", None)
        self.stage: Stage | None = None
        self._matches: dict[str, Tensor] | None = None
        self.average = RunningAverage(average_decay)
        self.save_hyperparameters(logger=False)
        self.hparams["features"] = asdict(self.settings)  # plain, so that a checkpoint loads with weights_only
        self.hparams["neighbors"] = asdict(self.neighbors)
        if not isinstance(self.scales, str):
            self.hparams["scales"] = [asdict(scale) for scale in self.scales]
        if callable(optimizer) and callable(self.hparams.get("optimizer")):
            del self.hparams["optimizer"]

    # ---- before the first step ---------------------------------------------------------------------------------------

    @property
    def pair(self) -> ImagePair:
        """The pictures of this run."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(datamodule, ImagePair), "StyleTransfer is fitted with an ImagePair as its datamodule"
        return datamodule

    def setup(self, stage: str) -> None:
        """Check that these pictures, this precision and this optimiser go together."""
        self.check(self.pair, self.trainer.precision)

    def check(self, pair: ImagePair, precision: str = "32-true") -> None:
        """Everything that can be known to fail before the network is built.

        Args:
            pair: after its ``setup``.
            precision: as the Trainer names it.

        Raises:
            BadArgument: naming the argument to change.
        """
        terms = self._terms(pair)
        if not terms:
            absent = "content" if self.weights["style"] == 0 else "style"
            raise BadArgument(absent, None, f"no {absent} image, and the weight of the other term is 0")
        tables = {"content": self.content_layers, "style": self.style_layers}
        check_sizes({term: tables[term] for term in terms}, pair, self.scales)
        check_init(self.init, pair)
        check_precision(self.make_optimizer, precision)
        check_losses(self.tile, self.style_losses if "style" in terms else (), pair.image_size)
        load_weights(self.settings.arch, self.settings.weights, self.settings.preprocessing)

    def _terms(self, pair: ImagePair) -> set[str]:
        """The terms that are computed: those with a weight, layers and a picture."""
        terms = set()
        if self.weights["content"] > 0 and self.content_layers and pair.content_image is not None:
            terms.add("content")
        if self.weights["style"] > 0 and self.style_layers and pair.styles:
            terms.add("style")
        return terms

    def configure_model(self) -> None:
        """Make the image and the network, once; without a Trainer (``load_from_checkpoint``) the checkpoint does it."""
        if self._trainer is None:
            return
        if not hasattr(self, "objective"):
            terms = self._terms(self.pair)
            self.stages = schedule(self.scales, self.pair.size, self.pair.image_size, self.trainer.max_steps)
            tables = {"content": self.content_layers, "style": self.style_layers}
            features = VGGFeatures({layer for term in terms for layer in tables[term]}, self.settings)
            self.objective = TiledObjective(
                features,
                content_layers=tables["content"] if "content" in terms else {},
                style_layers=tables["style"] if "style" in terms else {},
                style_losses=self.style_losses,
                weights=self.weights,
                content_loss=self.content_loss,
            )
            self.tiling = Tiling(self.tile, self.objective)
            self.compilation = Compilation(self.compiles, self.objective)
        if self.image is None:
            image = initial_image(self.init, self.pair, self.stages[0].shape)
            self.image = nn.Parameter(image.contiguous())  # L-BFGS views it as a vector

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the image in the checkpoint's shape, before its values are loaded."""
        saved = checkpoint["state_dict"]["image"]
        if self.image is None or self.image.shape != saved.shape:
            self.image = nn.Parameter(torch.zeros_like(saved))
        self.average.load(checkpoint.get("average", {}))
        self._matches = checkpoint.get("matches")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The running average goes along: without it a resumed run would have another result."""
        if self.stage is not None:  # in a run: a checkpoint of an image that is no number would replace a good one
            with self._last_good_on_error():
                self._guard.check()
        checkpoint["average"] = self.average.state()
        # the picture that was matched is gone when the run is resumed
        checkpoint["matches"] = self.objective.pointed.state() if hasattr(self, "objective") else {}

    def configure_optimizers(self) -> Optimizer:
        return self.make_optimizer([self.image])

    def make_optimizer(self, parameters: list[nn.Parameter]) -> Optimizer:
        """The optimiser of this run for some parameters."""
        make = OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else self.optimizer
        return make(parameters)

    # ---- the schedule of scales --------------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Begin with the scale that the image has: the first, or that of a checkpoint."""
        shape = (int(self.image.shape[2]), int(self.image.shape[3]))
        fitting = [stage for stage in self.stages if stage.shape == shape]
        if not fitting:
            shapes = dict.fromkeys(stage.shape for stage in self.stages)
            expected = f"the checkpoint's image is of none of this run's sizes, {', '.join(map(str, shapes))}"
            raise BadArgument("ckpt_path", f"{shape[0]} x {shape[1]}", expected)
        self.average.to(self.device)
        # at the step where a scale ends the image still has its size
        self._begin(next((stage for stage in fitting if self.global_step <= stage.last), fitting[-1]), self._matches)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Enter the next scale when its step has come; a function of the step, so a run resumes from anywhere."""
        stage = next(stage for stage in self.stages if self.global_step < stage.last or stage is self.stages[-1])
        assert self.stage is not None
        if stage is not self.stage:
            if stage.shape != self.stage.shape:
                self._resize(stage.shape)
            self._begin(stage)
        with self.trainer.precision_plugin.forward_context():
            self.objective.pointed.refresh(self.image, self.global_step - stage.first)

    def _resize(self, shape: tuple[int, int]) -> None:
        """Go on with the result so far at another size, the optimiser's state carried over."""
        old, optimizer = self.image, self.trainer.optimizers[0]
        self.image = nn.Parameter(resize(self.average.read(self.image), shape).contiguous())
        self.average.restart()
        self.trainer.strategy.setup_optimizers(self.trainer)
        carry_over(optimizer, old, self.trainer.optimizers[0], self.image)

    def _begin(self, stage: Stage, matches: dict[str, Tensor] | None = None) -> None:
        """Compute what the image is compared with at this scale, but for the matches of a checkpoint."""
        self.stage = stage
        self._guard = Guard(self.image)
        terms, pair = self._terms(self.pair), self.pair
        content = pair.content_at(stage.shape) if "content" in terms or "positions" in self.objective.sees else None
        styles = pair.styles_at(stage.size) if "style" in terms else []
        regions = pair.regions_at(stage.shape)
        content = None if content is None else content.to(self.device)
        styles = [style.to(self.device) for style in styles]
        regions = None if regions is None else regions.to(self.device)
        with self.trainer.precision_plugin.forward_context():
            self.tiling.choose(self.image)
            start = Start(self.image.detach(), stage is self.stages[0], stage.factors, matches)
            work = partial(self.objective.set_targets, content, styles, regions, start)
            self.tiling.survive(work, lambda: self.image, self.global_step)
            self.compilation.choose(self.image, stage.last - self.global_step)

    # ---- each step ---------------------------------------------------------------------------------------------------

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """The objective, scaled for the optimiser; the terms come along for those who show them.

        Multiplied by the number of values in the image, so that a pixel's gradient has one size at every resolution
        (Adam's epsilon and L-BFGS's curvature threshold are absolute).

        Raises:
            NonFiniteLoss: if the objective is no number; the image is then the last one for which it was.
        """
        losses = self.compilation(self.image, self.global_step)
        assert self.stage is not None
        with self._last_good_on_error():
            self._guard.see(self.image, losses["total"], self.global_step, last=self.global_step + 1 >= self.stage.last)
        return {**losses, "loss": losses["loss"] * self.image.numel()}

    @contextlib.contextmanager
    def _last_good_on_error(self) -> Iterator[None]:
        try:
            yield
        except NonFiniteLoss:
            with torch.no_grad():
                self.image.copy_(self._guard.image)
            self.average.restart()
            raise

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step, then back into [0, 1] (not under L-BFGS, whose curvature pairs a clamp would falsify) and averaged."""
        if self.trainer.accumulate_grad_batches == 1:
            self.image.grad = None  # Lightning lets it live until the next one is there
        work = partial(super().optimizer_step, *args, **kwargs)
        self.tiling.survive(work, lambda: self.image, self.global_step)
        with torch.no_grad():
            if not isinstance(self.trainer.optimizers[0], LBFGS):
                self.image.clamp_(0, 1)
        self.average.add(self.image)

    # ---- the result --------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Tensor:
        """The picture as it stands: ``(1, 3, H, W)`` in ``[0, 1]``, on the image's device, at the scale of the step."""
        return self.pair.finish(self.average.read(self.image).clamp(0, 1))

    def similarity(self) -> dict[str, Tensor]:
        """How near the result is to the content image: :func:`nst_lightning.pictures.similarity.similarity`."""
        return similarity(self.result, self.pair.content_image)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Compare the result with the content image, on the Trainer's validation clock."""
        # RunLog writes them: the Trainer's own count of steps is one behind here
        self.log_dict({f"val/{name}": value for name, value in self.similarity().items()}, batch_size=1, logger=False)
