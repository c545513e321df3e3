"""The optimisers that are ready to use, and what a change of scale does to their state, which precision they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import LBFGS, Adam, Optimizer

from nst_lightning.errors import BadArgument, reason
from nst_lightning.training.pyramid import pyramid_adam


class BoundedLBFGS(LBFGS):
    """torch's L-BFGS without line search, whose steps are bounded.

    Where the objective is almost flat (a grey image) the first curvature pairs say little, and one step can throw every
    pixel out by thousands; the history never recovers. Scaling the direction keeps direction and curvature pair the same.
    """

    MAX_CHANGE = 0.1  # root mean square over the values of the image, in units of its range; usual steps make 0.01

    def _add_grad(self, step_size: float, direction: Tensor) -> None:
        change = abs(float(step_size)) * float(direction.norm()) / direction.numel() ** 0.5
        if change > self.MAX_CHANGE:
            direction.mul_(self.MAX_CHANGE / change)  # in place: torch forms the curvature pair from this tensor
        super()._add_grad(step_size, direction)


def lbfgs(parameters: Iterable[nn.Parameter]) -> LBFGS:
    """L-BFGS as style transfer needs it: one evaluation a step, no stopping by itself.

    ``max_iter=1`` makes a step one evaluation; N such steps equal one step of N without line search. torch's history of
    100 would keep 2.4 kB a pixel. Its tolerances are absolute and end a well-scaled objective silently.
    """
    return BoundedLBFGS(parameters, lr=1.0, max_iter=1, history_size=10, tolerance_grad=0.0, tolerance_change=0.0)


def adam(parameters: Iterable[nn.Parameter]) -> Adam:
    """Adam with the learning rate and betas of crowsonkb/style-transfer-pytorch, for an image in [0, 1].

    Large images are updated in place by torch's fused Adam: the plain one makes copies of the image in between. (Lightning
    cannot clip gradients with it, so smaller ones are not.)
    """
    images = list(parameters)
    fused = sum(image.numel() for image in images) >= LARGE and all(
        image.device.type in ("cpu", "cuda") for image in images
    )
    return Adam(images, lr=0.02, betas=(0.9, 0.99), fused=fused)


LARGE = 3 * 2048 * 2048  # values of an image


PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
PRECISION_ALIASES = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}  # Lightning's
OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter]], Optimizer]] = {
    "lbfgs": lbfgs,
    "adam": adam,
    "pyramid_adam": pyramid_adam,
}


def check_precision(make: Callable[[list[nn.Parameter]], Optimizer], precision: str) -> None:
    """Whether an optimiser can be made, and works at a precision.

    Args:
        make: makes the optimiser of a list of parameters.
        precision: as the Trainer names it.

    Raises:
        BadArgument: naming ``optimizer`` or ``precision``.
    """
    try:
        optimizer = make([nn.Parameter(torch.zeros(1))])
    except (TypeError, ValueError) as error:
        raise BadArgument("optimizer", None, reason(error)) from error
    precision = PRECISION_ALIASES.get(precision, precision)
    if precision not in PRECISIONS:
        why = "the image and the losses are float32" if precision.endswith("-true") else "not supported"
        raise BadArgument("precision", precision, f"{why}; use one of {', '.join(PRECISIONS)}")
    if precision == "16-mixed" and isinstance(optimizer, LBFGS):
        raise BadArgument("precision", precision, "L-BFGS cannot scale its loss; use bf16-mixed, or optimizer adam")


def choose_precision(asked: str | None) -> tuple[str, str]:
    """The precision asked for, or the fastest that this hardware computes natively, and why.

    bf16 convolutions take under half the time of float32 ones where the processor has instructions for them, and many
    times as long where it has not.
    """
    if asked:
        return asked, "as asked for"
    if torch.cuda.is_available():
        native, device = torch.cuda.is_bf16_supported(including_emulation=False), "GPU"
    else:
        native, device = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(), "processor"
    if native:
        return "bf16-mixed", f"this {device} computes bf16 natively; --trainer.precision 32-true for float32"
    return "32-true", f"this {device} has no native bf16"


@torch.no_grad()
def carry_over(old: Optimizer, old_image: Tensor, new: Optimizer, new_image: Tensor) -> None:
    """Take the state of the old image's optimiser to the new image of another size.

    Adam's moments are pictures and are resized like one: the second, a mean of squares, bilinearly, so that it stays
    positive (crowsonkb/style-transfer-pytorch does the same). L-BFGS's history is of no use at another size: its curvature
    pairs belong to another function.

    Args:
        old: the optimiser of ``old_image``.
        old_image: ``(1, 3, H, W)``.
        new: the optimiser of ``new_image``, without state.
        new_image: ``(1, 3, H', W')``.
    """
    if isinstance(old, LBFGS) or getattr(old, "restarts", False):
        return
    for name, value in old.state.get(old_image, {}).items():
        if isinstance(value, Tensor) and value.shape == old_image.shape:
            squares = "sq" in name
            resized = F.interpolate(value, size=new_image.shape[2:], mode="bilinear" if squares else "bicubic")
            value = resized.contiguous()
        new.state[new_image][name] = value
