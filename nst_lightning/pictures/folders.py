"""What a name stands for on the disk: a picture file, or a folder of them. Loads no torch."""

from __future__ import annotations

import os
import stat
from typing import Any

from nst_lightning.errors import BadArgument
from nst_lightning.pictures.atomic import expand
from nst_lightning.pictures.formats import ENDINGS


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


def kind_of(name: Any) -> str | None:
    """``file`` or ``folder``, or None for anything else, such as words too long for a name."""
    try:
        mode = expand(name).stat().st_mode
    except (OSError, ValueError, TypeError):
        return None
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else None
