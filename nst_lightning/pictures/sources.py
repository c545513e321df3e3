"""From what a person names as pictures, files and folders, to pictures; errors name the argument."""

from __future__ import annotations

import os
import stat
from typing import Any

from nst_lightning.errors import BadArgument
from nst_lightning.pictures.atomic import expand
from nst_lightning.pictures.formats import ENDINGS
from nst_lightning.pictures.picture import ImageError, Picture
from nst_lightning.pictures.read import ImageSource, read_image


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
    """The picture files of a folder, sorted by name; hidden ones (``.a.jpg``, macOS's ``._a.jpg``) are none.

    Args:
        folder: an existing one; those inside it are not looked into.
        argument: what to call it in an error.

    Raises:
        BadArgument: if there is none, or the folder cannot be read.
    """
    try:
        found = [
            str(path)
            for path in sorted(expand(folder).iterdir())
            if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()
        ]
    except OSError as error:
        raise BadArgument(argument, folder, f"is a folder that cannot be read ({error.strerror})") from error
    if not found:
        raise BadArgument(argument, folder, f"is a folder without pictures ({', '.join(ENDINGS)})")
    return found


def read(argument: str, source: ImageSource) -> Picture:
    """A picture as :func:`nst_lightning.pictures.read.read_image` reads it.

    Args:
        argument: what to call it in an error.
        source: whatever :func:`~nst_lightning.pictures.read.read_image` takes.

    Raises:
        BadArgument: if it cannot be read.
    """
    try:
        return read_image(source)
    except ImageError as error:
        raise BadArgument(argument, name_of(source), str(error)) from error


def name_of(source: Any) -> str:
    """What to call a picture: its path, or what kind of thing it is.

    >>> name_of("a.jpg"), name_of(b"...")
    ('a.jpg', '(bytes)')
    """
    return str(source) if isinstance(source, str | os.PathLike) else f"({type(source).__name__})"


def names_of(source: Any) -> Any:
    """What to call a picture, several, or none.

    >>> names_of(["a.jpg", b"..."]), names_of(None)
    (['a.jpg', '(bytes)'], None)
    """
    if isinstance(source, list | tuple):
        return [name_of(one) for one in source]
    return None if source is None else name_of(source)


def kind_of(name: Any) -> str | None:
    """``file`` or ``folder``, or None for anything else, such as words too long for a name."""
    try:
        mode = expand(name).stat().st_mode
    except (OSError, ValueError, TypeError):
        return None
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else None
