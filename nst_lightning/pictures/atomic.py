"""Files that appear under their name when they are complete, or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

_umask = threading.Lock()  # a process has one umask, and it is read by setting it


def expand(path: str | os.PathLike[str]) -> Path:
    """A path with ``~`` in place of the home folder, as shells read it.

    >>> expand("a/~b.png") == Path("a/~b.png")
    True
    """
    return Path(os.path.expanduser(path))


def final_path(path: str | os.PathLike[str]) -> Path:
    """Where a file of this name is in the end: links are followed, to files that are not there yet too.

    Raises:
        OSError: for links that lead in a circle.
    """
    expanded = expand(path)
    if not expanded.is_symlink():
        return expanded
    final = Path(os.path.realpath(expanded))
    if final.is_symlink():  # realpath gives up on a circle
        os.stat(expanded)  # noqa: PTH116 (raises what the system says of it)
    return final


def free_bytes(path: str | os.PathLike[str]) -> int:
    """The room on the disk where a file or folder of this name is, or will be."""
    place = final_path(path).absolute()
    return shutil.disk_usage(next(one for one in (place, *place.parents) if one.is_dir())).free


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is complete, or not at all.

    Missing folders are made. A link stays a link: the file it points to is replaced.
    """
    target = final_path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".nst-")
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _umask:
            umask = os.umask(0)
            os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp makes files that nobody else may read
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file atomically, see :func:`atomic_write`."""
    with atomic_write(path) as file:
        file.write(content)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same keys as a CSV file with a header; None is an empty field."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, text.getvalue().encode())
