"""How checkpoints come to the disk and back: whole or not at all, and beside computing where there is memory."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from torch import Tensor
from torch.utils._pytree import tree_leaves

from nst_lightning.pictures import mapped
from nst_lightning.pictures.atomic import atomic_write

MOST = 1 << 30  # bytes of a checkpoint that is copied to be written beside computing: up to 16 million pixels
SPARE = 4  # times as much memory has to be free


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there when it is complete and on the disk.

    Lightning's own goes through the system's folder for temporary files, which may be another disk, and through a copy in
    memory as large as the checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with atomic_write(path) as file:
            try:
                torch.save(checkpoint, mapped.LettingGo(file))
            except RuntimeError as error:
                # torch wraps what the disk says, such as that it is full
                if isinstance(error.__context__, OSError):
                    raise OSError(f"{path} cannot be written ({error.__context__.strerror})") from error
                raise

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint; of a large one only what is looked at takes memory."""
        return load(path)


class BesideCheckpointIO(AsyncCheckpointIO):
    """Writes in a thread of its own, where it is allowed to, while the run goes on.

    Lightning's own does so always, keeps a copy for each checkpoint that is waiting, and repeats for ever what went wrong
    once. Here one is written at a time, what went wrong is said once, and a copy is made where memory is free: at 100
    million pixels a checkpoint has some six gigabytes, and a step takes minutes.

    Args:
        checkpoint_io: what writes and reads.

    Attributes:
        allowed: whether the next checkpoints may be written beside computing.
    """

    def __init__(self, checkpoint_io: TorchCheckpointIO | None = None) -> None:
        super().__init__(checkpoint_io or AtomicCheckpointIO())
        self.allowed = False

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Inside, checkpoints are written beside computing where there is memory."""
        before, self.allowed = self.allowed, True
        try:
            yield
        finally:
            self.allowed = before

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint, after the one before.

        Raises:
            OSError: if this one cannot be written, or the one before could not.
        """
        self.teardown()
        if self.allowed and has_room(checkpoint):
            try:
                super().save_checkpoint(checkpoint, path, storage_options=storage_options)
            except BaseException:  # it went wrong at once
                self._error = None
                raise
        else:
            assert self.checkpoint_io is not None
            self.checkpoint_io.save_checkpoint(checkpoint, path, storage_options=storage_options)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove one, after the one that is still written: a run that is killed in between has either."""
        if self._executor is None:
            super().remove_checkpoint(path)
        else:
            self._executor.submit(self._remove, path)

    def _remove(self, path: Any) -> None:
        if self._error is None:
            try:
                super().remove_checkpoint(path)
            except OSError as error:
                self._error = error

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.teardown()
        return super().load_checkpoint(*args, **kwargs)

    def see(self) -> None:
        """Say what went wrong meanwhile, without waiting for what is still written.

        Raises:
            OSError: if the last checkpoint could not be written.
        """
        if self._error is not None:
            self.teardown()

    def teardown(self) -> None:
        """Wait until all is written.

        Raises:
            OSError: if the last checkpoint could not be written.
        """
        try:
            super().teardown()
        finally:
            self._error = None


def has_room(checkpoint: dict[str, Any]) -> bool:
    """Whether a copy of a checkpoint takes little of the memory that is free."""
    count = sum(value.nbytes for value in tree_leaves(checkpoint) if isinstance(value, Tensor))
    return count <= MOST and SPARE * count <= psutil.virtual_memory().available


def load(path: Any) -> dict[str, Any]:
    """What is in a checkpoint, that of a large picture mapped from its file; nothing in it is run."""
    large = Path(path).stat().st_size > mapped.LARGE
    if large:  # torch checks what it reads, but not what it maps
        try:
            with zipfile.ZipFile(path) as parts:
                damaged = parts.testzip()
        except zipfile.BadZipFile as error:
            raise RuntimeError(str(error)) from error
        if damaged:
            raise RuntimeError(f"{damaged} is damaged")
    found: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu", mmap=large)
    return found
