"""The presets: a draft, the standard, the best. Their settings are those of the configs that come along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nst_lightning.errors import BadArgument, nearest

# in an installed package beside the code, in a checkout beside the package
ROOT = next(
    (root for root in (Path(__file__).parent / "configs", Path(__file__).parents[1] / "configs") if root.is_dir()),
    Path(),
)

# one objective in more or less time; the second is what is done where nothing is said
PRESETS = {"draft": "draft.yaml", "standard": "transfer.yaml", "fine": "fine.yaml"}


def preset(name: str = "standard") -> dict[str, Any]:
    """What a preset says: its ``model`` (arguments of StyleTransfer) and its ``trainer`` (``max_steps``).

    Args:
        name: one of :data:`PRESETS`.

    Raises:
        BadArgument: for another name.

    >>> preset("draft")["trainer"]["max_steps"] < preset()["trainer"]["max_steps"]
    True
    """
    if name not in PRESETS:
        raise BadArgument("preset", name, f"one of {', '.join(PRESETS)}{nearest(name, PRESETS)}")
    settings = yaml.safe_load((ROOT / PRESETS[name]).read_text(encoding="utf-8"))
    return {"model": settings["model"], "trainer": settings["trainer"]}
