"""What a checkpoint holds besides the image, whether a run can go on from it, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

import nst_lightning
from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument
from nst_lightning.objective.ranks import gather, say
from nst_lightning.pictures import mapped
from nst_lightning.pictures.strips import strips, sums
from nst_lightning.training import carry
from nst_lightning.training.detail import Detail
from nst_lightning.training.result import Result
from nst_lightning.training.scales import Stage

ROUNDING = 2e-3  # of a sum over a row: other processors resize a little differently; a pixel of 8 bits is 4e-3


class Resuming:
    """Keeps in checkpoints what a run needs to go on to the last bit, and to know whether it can.

    The optimiser's state waits until the optimiser is there: Lightning would load it into whatever optimiser there is.

    Args:
        result: of the run.
        detail: what the image is held to.

    Attributes:
        matches: what the places of the image are matched with, of a checkpoint or for one.
    """

    def __init__(self, result: Result, detail: Detail) -> None:
        self.result = result
        self.detail = detail
        self.matches: dict[str, Tensor] = {}
        self._inputs: dict[str, Any] = {}
        self._made: dict[str, Any] | None = None
        self._saved: dict[str, Any] | None = None

    def begin(self, pair: ImagePair) -> None:
        """A run with these pictures, after their ``setup``."""
        self.result.size, self.result.colors, self.result.hues = pair.image_size, pair.colors, pair.hues
        self._inputs, self._made, self._saved = fingerprint(pair), None, None
        self.detail.drop()

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Put into a checkpoint what :meth:`load` takes out."""
        checkpoint["average"] = self.result.average.state()
        shown = {"size": self.result.size, "colors": self.result.colors, "hues": self.result.hues}
        checkpoint["run"] = {**shown, "inputs": self._inputs}
        checkpoint["matches"] = self.matches
        checkpoint["made"] = self._made
        checkpoint["detail"] = self.detail.small

    def check(self, checkpoint: Mapping[str, Any], path: str, pair: ImagePair, stages: Sequence[Stage]) -> None:
        """Refuse a checkpoint of another size, and say what else differs; see :func:`check_shapes`."""
        shape = tuple(checkpoint["state_dict"]["image"].shape[2:])
        check_shapes(path, checkpoint["run"], shape, pair, stages)
        for name in differences(checkpoint["run"]["inputs"], self._inputs):
            say(f"the {name} of this run and of {path} differ; going on with those of this run")

    def load(self, checkpoint: dict[str, Any]) -> None:
        """Take out of a checkpoint what is not the image's value."""
        if not self._inputs:  # no run: `load_from_checkpoint`
            run = checkpoint["run"]
            self.result.size, self.result.colors, self.result.hues = tuple(run["size"]), run["colors"], run.get("hues")
        self.result.average.load(checkpoint["average"])
        self.detail.small = checkpoint.get("detail")
        # numbers of places of the style images, for places of the photograph: of other pictures they mean nothing
        other = differences(checkpoint["run"]["inputs"], self._inputs)
        self.matches = {} if other else checkpoint.get("matches", {})
        names = ("made", "optimizer_states", "lr_schedulers", "global_step")
        self._saved = {name: checkpoint[name] for name in names} if checkpoint.get("made") else None
        checkpoint["optimizer_states"], checkpoint["lr_schedulers"] = [], []

    def restore(self, optimizer: Optimizer, schedulers: Sequence[Any], make: Callable[[list[Any]], Optimizer]) -> None:
        """Let a fresh optimiser and its schedulers go on as those of the checkpoint; see :func:`carry.restore`."""
        self._made = carry.made(optimizer, schedulers)
        if self._saved is not None:
            line = carry.restore(self._saved, optimizer, schedulers, make, self._saved["global_step"])
            if line:
                say(line)
        self._saved = None


def fingerprint(pair: ImagePair) -> dict[str, Any]:
    """What tells these inputs from others: the sums of every picture's rows and columns, and the settings.

    Args:
        pair: after its ``setup``.
    """
    return {
        "content image": _sums(pair.content_image),
        "style images": [_sums(style.image) for style in pair.styles],
        "weights of the style images": [style.weight for style in pair.styles],
        "masks or transparency": [_sums(pair.regions), *(_sums(style.regions) for style in pair.styles)],
        "colour setting": pair.color,
    }


def _sums(picture: Tensor | None) -> list[Tensor] | None:
    if picture is None:
        return None
    height, width = (int(side) for side in picture.shape[-2:])
    across = [picture[..., rows, :].sum(dim=-1, dtype=torch.float64) for rows in strips(height, width)]
    down = sums(lambda rows: picture[..., rows, :].sum(dim=-2, dtype=torch.float64), height, width)
    mapped.let_go()
    return [torch.cat(across, dim=-1).float(), down.float()]


def check_same(pair: ImagePair, settings: Mapping[str, Any]) -> None:
    """Whether all processes that share an image have the same: else they would add up gradients of different pictures.

    Raises:
        BadArgument: in all of them, naming what differs.
    """
    own = {
        "version": nst_lightning.__version__,
        "settings": sorted((name, repr(value)) for name, value in settings.items()),
    }
    first, *others = gather(own | fingerprint(pair))
    for number, theirs in enumerate(others, start=1):
        if names := differences(first, theirs):
            expected = f"process {number} has another {' and '.join(names)} than process 0; start all with the same command"
            raise BadArgument("strategy", "tiles", expected)


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names under which two fingerprints differ."""
    return [name for name in now if not _alike(then.get(name), now[name])]


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and bool(torch.allclose(one, other, rtol=0, atol=ROUNDING))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return type(one) is type(other) and one == other


def check_shapes(path: str, run: Mapping[str, Any], shape: Sequence[int], pair: ImagePair, stages: Sequence[Stage]) -> None:
    """Whether a checkpoint's picture has one of the sizes of a run.

    Args:
        path: of the checkpoint.
        run: what it says of its run: ``size``, ``(height, width)`` of the result.
        shape: ``(height, width)`` of its picture, which may be of an earlier scale.
        pair: after its ``setup``.
        stages: the scales of the run that is to go on.

    Raises:
        BadArgument: naming the checkpoint, both sizes and the way out.
    """
    way_out = "resume with the size and scales of the checkpoint, or begin anew from its picture with --model.init old.png"
    if tuple(run["size"]) != pair.image_size:
        expected = f"is of a run to {_size(run['size'])} pixels, this one is to {_size(pair.image_size)}: {way_out}"
        raise BadArgument("ckpt_path", path, expected)
    if tuple(shape) not in [stage.shape for stage in stages]:
        sizes = ", ".join(_size(stage.shape) for stage in stages)
        expected = f"its picture is {_size(shape)} pixels, the scales of this run are {sizes}: {way_out}"
        raise BadArgument("ckpt_path", path, expected)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]} x {shape[0]}"
