"""What a run was, so that it can be made again: version, settings and seed, as one level of names and plain values."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import lightning as L
import torch

import nst_lightning
from nst_lightning.data import ImagePair


class Description(NamedTuple):
    """The settings of a run.

    Attributes:
        given: the pictures, size, steps and seed, and what a person set otherwise than it is by itself.
        usual: all others.
    """

    given: dict[str, Any]
    usual: dict[str, Any]

    @property
    def whole(self) -> dict[str, Any]:
        """All settings, those that a person set first."""
        return self.given | self.usual

    @property
    def for_table(self) -> dict[str, Any]:
        """The same for TensorBoard, which sorts by name: ``usual/…`` comes after what a person set."""
        return self.given | {f"usual/{name}": value for name, value in self.usual.items()}


def describe(module: L.LightningModule, pair: ImagePair, trainer: L.Trainer) -> Description:
    """The settings of a run.

    Args:
        module: its ``hparams`` are the arguments that it was made with.
        pair: likewise by its ``settings``.
        trainer: of the run.

    Returns:
        ``data/content``, ``model/style_weight`` and so on, with values as TensorBoard and a PNG file can hold them.
    """
    hparams = {name: value for name, value in module.hparams.items() if not name.startswith("_")}
    whole = {"data": pair.settings, "model": hparams}
    flat = flatten(whole)
    usual = flatten({"data": defaults_of(type(pair)), "model": defaults_of(type(module))})
    run = {"max_steps": trainer.max_steps, "precision": trainer.precision, "seed": torch.initial_seed()}
    flat |= flatten({"trainer": run, "version": nst_lightning.__version__})
    first = ("data/content", "data/style", "data/size", "trainer/max_steps", "trainer/seed")
    names = [name for name in first if flat.get(name) not in (None, "None", "")]
    names += [name for name, value in flat.items() if name in usual and value != usual[name]]
    given = {name: flat[name] for name in dict.fromkeys(names)}
    return Description(given, {name: value for name, value in flat.items() if name not in given})


def defaults_of(kind: type) -> dict[str, Any]:
    """What the arguments of a class are if they are not given."""
    found = {name: one.default for name, one in inspect.signature(kind).parameters.items()}
    return {
        name: vars(value) if hasattr(value, "__dataclass_fields__") else value
        for name, value in found.items()
        if value is not inspect.Parameter.empty
    }


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, with the values that TensorBoard can show.

    >>> flatten({"model": {"init": "noise", "layers": ["a", "b"]}})
    {'model/init': 'noise', 'model/layers': 'a b'}
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}/")
        elif isinstance(value, list | tuple):
            flat[prefix + name] = " ".join(map(str, value))
        else:
            flat[prefix + name] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat


def without_folders(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same with files by their bare names: a picture that is passed on tells nobody where its author keeps things.

    >>> without_folders({"data/style": "/home/me/a.jpg ~/b.jpg", "model/init": "noise", "data/size": 64})
    {'data/style': 'a.jpg b.jpg', 'model/init': 'noise', 'data/size': 64}
    """

    def bare(text: str) -> str:
        return " ".join(PurePath(word.replace("\\", "/")).name or word for word in text.split(" "))

    return {name: bare(value) if isinstance(value, str) else value for name, value in settings.items()}
