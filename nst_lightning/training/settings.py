"""Settings that come as an object or as a plain map, as configs and checkpoints have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar

from nst_lightning.errors import BadArgument, reason

Kind = TypeVar("Kind")


def settings_of(kind: type[Kind], name: str, value: Kind | Mapping[str, Any]) -> Kind:
    """Settings as an object of their class.

    Args:
        kind: the class.
        name: of the argument.
        value: such an object, or its arguments by name.

    Raises:
        BadArgument: naming the argument, if the class does not take them.
    """
    if isinstance(value, kind):
        return value
    try:
        return kind(**value)  # type: ignore[arg-type]
    except TypeError as error:
        raise BadArgument(name, value, reason(error)) from error


def plain(value: Any) -> Any:
    """The same as maps, lists and values, so that a checkpoint loads with weights_only.

    >>> plain(["auto", 3])
    ['auto', 3]
    """
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
