"""Style transfer in one call."""

from __future__ import annotations

import inspect
from typing import Any, Literal, cast

import lightning as L
from PIL import Image

from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument
from nst_lightning.module import StyleTransfer
from nst_lightning.pictures.picture import to_pil
from nst_lightning.pictures.read import ImageSource
from nst_lightning.training.optimizers import choose_precision
from nst_lightning.training.silence import silence


def stylize(
    content: ImageSource | None = None,
    style: ImageSource | None = None,
    *,
    size: int | Literal["original"] = 512,
    steps: int = 180,
    seed: int = 0,
    trainer: dict[str, Any] | None = None,
    **settings: Any,
) -> Image.Image:
    """Give one picture the look of another.

    Args:
        content: the picture whose scene is kept: a path, a PIL image, a tensor ``(C, H, W)`` in ``[0, 1]``, an array
            ``(H, W, C)`` of uint8, uint16 or floats in ``[0, 1]``, the bytes of a picture file, or a file open in binary.
            None synthesises the texture of ``style``.
        style: the picture whose look is taken, likewise. None reconstructs ``content``.
        size: longer side of the result in pixels, or ``"original"``: the content's own.
        steps: optimisation steps.
        seed: of the noise, where ``init="noise"``. The same seed gives the same picture.
        trainer: arguments for the Trainer, such as ``{"accelerator": "cpu", "precision": "32-true"}``. The precision is
            the fastest that the hardware computes natively, unless given.
        settings: arguments of :class:`~nst_lightning.StyleTransfer` and :class:`~nst_lightning.ImagePair`, such as
            ``style_weight=30``, ``init="noise"`` or ``color="luminance"``.

    Returns:
        The picture, mode RGB, or RGBA where the content image has transparent pixels. Nothing is written to disk.

    Raises:
        BadArgument: naming the argument that cannot work.
        NonFiniteLoss: if the optimisation diverges.
    """
    if steps < 1:
        raise BadArgument("steps", steps, "the number of steps is 1 or more")
    L.seed_everything(seed, verbose=False)
    of_pair = {name: settings.pop(name) for name in list(settings) if name in inspect.signature(ImagePair).parameters}
    module = StyleTransfer(**settings)
    pair = ImagePair(cast(Any, content), cast(Any, style), size, **of_pair)
    silent = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    fast = {"precision": choose_precision(None)[0]}
    clock = {"max_steps": steps, "max_epochs": -1, "limit_val_batches": 0}
    with silence():
        L.Trainer(**(silent | fast | clock | (trainer or {}))).fit(module, datamodule=pair)
    # a PIL image: what Python programs pass pictures around in, and notebooks show
    return to_pil(module.result, pair.alpha)
