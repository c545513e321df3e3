"""From what a person names as pictures, files and folders, to pictures; errors name the argument."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from nst_lightning.errors import BadArgument
from nst_lightning.pictures.files import FORMATS, ImageError, ImageSource, Picture, read_image


def several(argument: str, source: Any) -> list[Any]:
    """One source as a list of one, a folder as the pictures in it.

    Args:
        argument: what to call it in an error.
        source: a path, a picture, a list of those, or None.

    Raises:
        BadArgument: for a folder without pictures.
    """
    if source is None:
        return []
    if isinstance(source, list | tuple):
        return [item for one in source for item in several(argument, one)]
    if isinstance(source, str | os.PathLike) and kind_of(source) == "folder":
        return pictures_in(source, argument)
    return [source]


def pictures_in(folder: str | os.PathLike[str], argument: str = "content") -> list[str]:
    """The picture files of a folder, sorted by name.

    Args:
        folder: an existing one; those inside it are not looked into.
        argument: what to call it in an error.

    Raises:
        BadArgument: if there is none.
    """
    found = [str(path) for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in FORMATS]
    if not found:
        raise BadArgument(argument, folder, f"is a folder without pictures ({', '.join(FORMATS)})")
    return found


def read(argument: str, source: ImageSource) -> Picture:
    """A picture as :func:`nst_lightning.pictures.files.read_image` reads it.

    Args:
        argument: what to call it in an error.
        source: a path, a PIL image or a tensor.

    Raises:
        BadArgument: if it cannot be read.
    """
    try:
        return read_image(source)
    except ImageError as error:
        value = source if isinstance(source, str | os.PathLike) else type(source).__name__
        raise BadArgument(argument, value, str(error)) from error


def kind_of(name: Any) -> str | None:
    """``file`` or ``folder``, or None for anything else, such as words too long for a name."""
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError, TypeError):
        return None
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else None
