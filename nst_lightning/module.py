"""The LightningModule: the image, the objective and the optimiser."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import LBFGS, Adam, Optimizer
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from nst_lightning.data import ImagePair, center_crop
from nst_lightning.errors import BadArgument, NonFiniteLoss, nearest, reason
from nst_lightning.features import VGGFeatures, VGGSettings
from nst_lightning.images import ImageError, read_image, resize
from nst_lightning.layers import Layer, layer_weights
from nst_lightning.losses import content_loss, gram_loss, total_variation
from nst_lightning.moments import Moments, moments
from nst_lightning.weights import load_weights

CONTENT_LAYERS = ["relu4_2"]
STYLE_LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
INITS = ("content", "style", "noise", "gray")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
PRECISION_ALIASES = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}  # Lightning's
NOISE = 0.05  # standard deviation around mid-gray
SSIM_WINDOW = 11  # pixels; Wang et al. 2004


def lbfgs(parameters: Any) -> LBFGS:
    """L-BFGS as style transfer needs it: one evaluation a step, no stopping by itself.

    ``max_iter=1`` makes a step one evaluation; N such steps equal one step of N without line search. torch's history of
    100 would keep 2.4 kB a pixel. Its tolerances are absolute and end a well-scaled objective silently.
    """
    return LBFGS(parameters, lr=1.0, max_iter=1, history_size=10, tolerance_grad=0.0, tolerance_change=0.0)


def adam(parameters: Any) -> Adam:
    """Adam with the learning rate and betas of crowsonkb/style-transfer-pytorch, for an image in [0, 1]."""
    return Adam(parameters, lr=0.02, betas=(0.9, 0.99))


OPTIMIZERS = {"lbfgs": lbfgs, "adam": adam}


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
        init: what the image is at the start: `content`, `style`, `noise` (faint, around gray, from the seed), `gray`, or a
            picture file.
        optimizer: `lbfgs` or `adam`, ready to use, or any torch optimiser by its class path.
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
        style_weight: float = 20.0,
        tv_weight: float = 0.0,
        init: str = "content",
        optimizer: Literal["lbfgs", "adam"] | OptimizerCallable = "lbfgs",
        features: VGGSettings = VGGSettings(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__()
        self.settings = features if isinstance(features, VGGSettings) else VGGSettings(**features)
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
        self.init = init
        self.optimizer = optimizer
        self.register_parameter("image", None)
        self.save_hyperparameters(logger=False)
        self.hparams["features"] = asdict(self.settings)  # plain, so that a checkpoint loads with weights_only
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
        for term, layers, image, source in (
            ("content", self.content_layers, pair.content_image, pair.content),
            ("style", self.style_layers, pair.style_image, pair.style),
        ):
            if term not in terms or image is None:
                continue
            deepest = max(layers)
            smallest = 2**deepest.pools_before
            if min(image.shape[-2:]) < smallest:
                height, width = image.shape[-2:]
                expected = (
                    f"is {width} x {height} pixels at size {pair.size}; {deepest.name} needs {smallest} on the shorter "
                    "side: give a larger size or shallower layers"
                )
                raise BadArgument(term, source if isinstance(source, str) else "(picture)", expected)
        if self.init in ("content", "style") and getattr(pair, f"{self.init}_image") is None:
            raise BadArgument("init", self.init, f"there is no {self.init} image; give one, or noise, gray or a file")
        if self.init not in INITS:
            self._read_init()
        self.check_precision(precision)
        load_weights(self.settings.arch, self.settings.weights, self.settings.preprocessing)

    def check_precision(self, precision: str) -> None:
        """Whether the optimiser can be made, and works at this precision.

        Args:
            precision: as the Trainer names it.

        Raises:
            BadArgument: naming ``optimizer`` or ``precision``.
        """
        try:
            optimizer = self._optimizer([nn.Parameter(torch.zeros(1))])
        except (TypeError, ValueError) as error:
            raise BadArgument("optimizer", None, reason(error)) from error
        precision = PRECISION_ALIASES.get(precision, precision)
        if precision not in PRECISIONS:
            why = "the image and the losses are float32" if precision.endswith("-true") else "not supported"
            raise BadArgument("precision", precision, f"{why}; use one of {', '.join(PRECISIONS)}")
        if precision == "16-mixed" and isinstance(optimizer, LBFGS):
            raise BadArgument("precision", precision, "L-BFGS cannot scale its loss; use bf16-mixed, or optimizer adam")

    def _terms(self, pair: ImagePair) -> set[str]:
        """The terms that are computed: those with a weight, layers and a picture."""
        terms = set()
        if self.weights["content"] > 0 and self.content_layers and pair.content_image is not None:
            terms.add("content")
        if self.weights["style"] > 0 and self.style_layers and pair.style_image is not None:
            terms.add("style")
        return terms

    def _read_init(self) -> Tensor:
        try:
            return read_image(self.init).rgb[None]
        except ImageError as error:
            expected = f"{error}; init is {', '.join(INITS)} or a picture file{nearest(self.init, INITS)}"
            raise BadArgument("init", self.init, expected) from error

    def configure_model(self) -> None:
        """Make the image and the network, once; without a Trainer (``load_from_checkpoint``) the checkpoint does it."""
        if self._trainer is None:
            return
        if not hasattr(self, "features"):
            terms = self._terms(self.pair)
            layers = {layer for term in terms for layer in getattr(self, f"{term}_layers")}
            self.features = VGGFeatures(layers, self.settings)
            self.terms = terms
        if self.image is None:
            self.image = nn.Parameter(self._initial_image().contiguous())  # L-BFGS views it as a vector

    def _initial_image(self) -> Tensor:
        size = self.pair.image_size
        if self.init == "content":
            assert self.pair.content_image is not None
            return self.pair.content_image.clone()
        if self.init == "style":
            assert self.pair.style_image is not None
            return center_crop(self.pair.style_image, size)
        if self.init == "gray":
            return torch.full((1, 3, *size), 0.5)
        if self.init == "noise":
            # A generator of its own: whatever else draws numbers, the same seed gives the same noise. Faint (Johnson's
            # neural-style starts so too): what of the noise no layer sees stays in the picture.
            generator = torch.Generator().manual_seed(torch.initial_seed())
            return 0.5 + NOISE * torch.randn((1, 3, *size), generator=generator)
        return resize(self._read_init(), size)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the image in the checkpoint's shape, before its values are loaded."""
        saved = checkpoint["state_dict"]["image"]
        if self.image is None or self.image.shape != saved.shape:
            self.image = nn.Parameter(torch.zeros_like(saved))

    def configure_optimizers(self) -> Optimizer:
        return self._optimizer([self.image])

    def _optimizer(self, parameters: list[nn.Parameter]) -> Optimizer:
        make = OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else self.optimizer
        return make(parameters)

    def on_fit_start(self) -> None:
        """Compute what the image is compared with; the device is known here."""
        size = self.pair.image_size
        if tuple(self.image.shape[-2:]) != size:
            found = f"{self.image.shape[-1]} x {self.image.shape[-2]} pixels"
            raise BadArgument("ckpt_path", found, f"the checkpoint's image is not {size[1]} x {size[0]} as this run's")
        self._last_good = self.image.detach().clone()
        self.content_targets: dict[Layer, Tensor] = {}
        self.style_targets: dict[Layer, Moments] = {}
        with torch.no_grad(), self.trainer.precision_plugin.forward_context():
            if "content" in self.terms and self.pair.content_image is not None:
                features = self.features(self.pair.content_image.to(self.device))
                self.content_targets = {layer: features[layer] for layer in self.content_layers}
            if "style" in self.terms and self.pair.style_image is not None:
                features = self.features(self.pair.style_image.to(self.device))
                self.style_targets = {layer: moments(features[layer]) for layer in self.style_layers}

    # ---- each step ---------------------------------------------------------------------------------------------------

    def losses(self, image: Tensor) -> dict[str, Tensor]:
        """Every term of the objective for an image, none multiplied by its weight but ``total``.

        Args:
            image: ``(1, 3, H, W)``.

        Returns:
            ``total``, ``content``, ``style``, ``tv`` (those that have a weight) and ``content/LAYER``, ``style/LAYER``.
        """
        features = self.features(image)
        found: dict[str, Tensor] = {}
        terms: dict[str, Tensor] = {}
        for layer, weight in self.content_layers.items() if "content" in self.terms else ():
            value = found[f"content/{layer.name}"] = content_loss(features[layer], self.content_targets[layer])
            terms["content"] = terms.get("content", 0) + weight * value
        for layer, weight in self.style_layers.items() if "style" in self.terms else ():
            value = found[f"style/{layer.name}"] = gram_loss(moments(features[layer]), self.style_targets[layer])
            terms["style"] = terms.get("style", 0) + weight * value
        if self.weights["tv"] > 0:
            terms["tv"] = total_variation(image)
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        return {"total": total, **terms, **found}

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """The objective, scaled for the optimiser; the terms come along for those who show them.

        Multiplied by the number of values in the image, so that a pixel's gradient has one size at every resolution
        (Adam's epsilon and L-BFGS's curvature threshold are absolute), and divided by the sum of the weights, so that
        only their ratio matters.

        Raises:
            NonFiniteLoss: if the objective is no number; the image is then the last one for which it was.
        """
        losses = self.losses(self.image)
        if not torch.isfinite(losses["total"]):
            with torch.no_grad():
                self.image.copy_(self._last_good)
            raise NonFiniteLoss(self.global_step)
        self._last_good.copy_(self.image.detach())
        active = [name for name in self.weights if name in losses]
        whole = sum(self.weights[name] for name in active)
        # twelve digits: the rounding of the division must not depend on a common factor of the weights either
        shares = {name: float(f"{self.weights[name] / whole:.12g}") for name in active}
        objective = torch.stack([shares[name] * losses[name] for name in active]).sum() * self.image.numel()
        return {"loss": objective, **losses}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step, then back into [0, 1]; not under L-BFGS, whose curvature pairs a clamp would falsify."""
        super().optimizer_step(*args, **kwargs)
        if not isinstance(self.trainer.optimizers[0], LBFGS):
            with torch.no_grad():
                self.image.clamp_(0, 1)

    # ---- the result --------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Tensor:
        """The picture as it stands: ``(1, 3, H, W)`` in ``[0, 1]``, on the image's device."""
        return self.image.detach().clamp(0, 1)

    def similarity(self) -> dict[str, Tensor]:
        """How near the result is to the content image: ``psnr`` in dB and ``ssim``, both higher when nearer.

        SSIM (Wang et al. 2004) needs 11 pixels on each side and is left out below that. Empty without a content image.
        """
        if self.pair.content_image is None:
            return {}
        result, content = self.result, self.pair.content_image.to(self.device)
        metrics = {"psnr": peak_signal_noise_ratio(result, content, data_range=1.0)}
        if min(result.shape[-2:]) > SSIM_WINDOW:
            ssim = structural_similarity_index_measure(result, content, data_range=1.0, kernel_size=SSIM_WINDOW)
            assert isinstance(ssim, Tensor)
            metrics["ssim"] = ssim
        return metrics

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Compare the result with the content image, on the Trainer's validation clock."""
        # RunLog writes them: the Trainer's own count of steps is one behind here
        self.log_dict({f"val/{name}": value for name, value in self.similarity().items()}, batch_size=1, logger=False)
