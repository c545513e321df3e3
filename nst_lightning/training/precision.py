"""Which numbers the network computes with."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import LBFGS, Optimizer

from nst_lightning.errors import BadArgument, reason
from nst_lightning.training.optimizers import small_image

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
PRECISION_ALIASES = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}  # Lightning's
# oneDNN's names of instruction sets below those that compute bf16; what its environment variable may hold it to
WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


def check_precision(make: Callable[[list[nn.Parameter]], Optimizer], precision: str) -> None:
    """Whether an optimiser works at a precision.

    Args:
        make: makes the optimiser of a list of parameters.
        precision: as the Trainer names it.

    Raises:
        BadArgument: naming ``optimizer`` or ``precision``.
    """
    try:
        optimizer = make([small_image()])
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
        native, device = _processor_computes_bf16(), "processor"
    if native:
        return "bf16-mixed", f"this {device} computes bf16 natively; --trainer.precision 32-true for float32"
    return "32-true", f"this {device} has no native bf16"


def _processor_computes_bf16() -> bool:
    """Whether the processor has instructions for bf16 and oneDNN, whose the convolutions are, may use them."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    held = limit.upper() in WITHOUT_BF16
    return not held and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
