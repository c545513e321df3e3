"""``--engine`` and its settings. Loads no torch, so that help comes at once."""

from __future__ import annotations

import argparse

from nst_lightning.errors import UsageError

ENGINES = {"sequential": (), "processes": ("workers",), "ray": ("workers", "address", "cpus", "gpus")}
KINDS = {"workers": int, "address": str, "cpus": float, "gpus": float}


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Let a command have the flags."""
    parser.add_argument("--engine", choices=tuple(ENGINES), default="sequential")
    for name, kind in KINDS.items():
        parser.add_argument(f"--engine.{name}", type=kind)


def given(options: argparse.Namespace) -> dict[str, object]:
    """The settings that were given, by name.

    Raises:
        UsageError: for one of another engine: it is not ignored.
    """
    found = {name: value for name in KINDS if (value := getattr(options, f"engine.{name}")) is not None}
    for name, value in found.items():
        if name not in ENGINES[options.engine]:
            raise UsageError(f"--engine.{name} {value}: is not for --engine {options.engine}")
    return found
