"""Style transfer in one call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal, cast

import lightning as L
from lightning.pytorch.callbacks import Callback
from PIL import Image
from torch import Tensor

from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument
from nst_lightning.module import StyleTransfer
from nst_lightning.pictures.picture import to_pil
from nst_lightning.pictures.read import ImageSource
from nst_lightning.presets import preset as preset_of
from nst_lightning.training.controls import Controls
from nst_lightning.training.precision import choose_precision
from nst_lightning.training.quietly import fit_quietly
from nst_lightning.training.seeds import seeded
from nst_lightning.training.silence import silence


class Moment:
    """A run after one of its steps, as the ``callback`` of :func:`stylize` sees it. What is not asked for costs nothing.

    Attributes:
        step: how many steps were made, from 1.
        steps: how many there will be.
    """

    def __init__(self, step: int, steps: int, terms: Mapping[str, Tensor], module: StyleTransfer) -> None:
        self.step = step
        self.steps = steps
        self._terms = terms
        self._module = module

    @cached_property
    def losses(self) -> dict[str, float]:
        """Every term of the objective before the step: ``total``, ``content``, ``style/relu1_1`` and so on."""
        return {name: float(value.detach()) for name, value in self._terms.items() if name != "loss"}

    @cached_property
    def tensor(self) -> Tensor:
        """The picture so far, ``(1, 3, H, W)`` in ``[0, 1]``, at the size of the result."""
        return self._module.result.clone()

    @cached_property
    def picture(self) -> Image.Image:
        """The picture so far, as :func:`stylize` would return it."""
        return to_pil(self.tensor, self._module.pair.alpha)


class _Call(Callback):
    """Calls a function after each step; the run ends where it returns False."""

    def __init__(self, function: Callable[[Moment], object]) -> None:
        self.function = function

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, StyleTransfer)
        if self.function(Moment(trainer.global_step, trainer.max_steps, outputs, pl_module)) is False:
            trainer.should_stop = True


def stylize(
    content: ImageSource | None = None,
    style: ImageSource | None = None,
    *,
    size: int | Literal["original"] = 512,
    steps: int | None = None,
    preset: Literal["draft", "standard", "fine"] = "standard",
    seed: int = 0,
    callback: Callable[[Moment], object] | None = None,
    controls: Controls | None = None,
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
        steps: optimisation steps; those of the preset if not given.
        preset: `draft` (a fifth of the time), `standard` or `fine` (whatever it takes): what is not among ``settings`` is
            as there (:func:`nst_lightning.presets.preset`).
        seed: of all that is drawn by chance, from 0 to 2**32 - 1. The same seed gives the same picture. The random states
            of torch, NumPy and Python are afterwards what they were.
        callback: called after each step with a :class:`Moment`, which has ``step``, ``steps``, ``losses`` and ``picture``.
            The run ends, and the picture so far is returned, where it returns False.
        controls: dials that may be turned while it paints, from another thread or the callback.
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
    chosen = preset_of(preset)
    steps = int(chosen["trainer"]["max_steps"]) if steps is None else steps
    if steps < 1:
        raise BadArgument("steps", steps, "the number of steps is 1 or more")
    if not 0 <= seed < 2**32:
        raise BadArgument("seed", seed, "a whole number from 0 to 4294967295")
    of_pair = {name: settings.pop(name) for name in list(settings) if name in inspect.signature(ImagePair).parameters}
    arguments = {"precision": choose_precision(None)[0], "max_steps": steps, **(trainer or {})}
    if callback is not None:
        given = arguments.get("callbacks") or []
        arguments["callbacks"] = [*(given if isinstance(given, list | tuple) else [given]), _Call(callback)]
    with silence(), seeded(seed):
        module = StyleTransfer(**{**chosen["model"], **settings})
        module.controls = controls
        pair = ImagePair(cast(Any, content), cast(Any, style), size, **of_pair)
        fit_quietly(module, pair, **arguments)
    # a PIL image: what Python programs pass pictures around in, and notebooks show
    return to_pil(module.result, pair.alpha)
