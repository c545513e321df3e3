"""From what a person names as pictures, files and folders, to pictures; errors name the argument."""

from __future__ import annotations

import os
from typing import Any

from nst_lightning.errors import BadArgument
from nst_lightning.pictures.folders import kind_of, pictures_in
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
