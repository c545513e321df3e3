"""The seam: ``map(function, jobs)`` gives what comes of jobs, as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

TRIES = 4  # of a job whose worker dies each time: then it is the job


class Work(Protocol):
    """What a worker needs for a job: a frozen dataclass.

    Attributes:
        files: the content of the files that it names, by those names; none if the worker can read them.
        threads: for torch; None: as it is.
    """

    @property
    def files(self) -> Mapping[str, bytes]: ...

    @property
    def threads(self) -> int | None: ...


class Lost(NamedTuple):
    """What comes of a job that no worker could finish."""

    error: str


J = TypeVar("J", bound=Work)
R = TypeVar("R")


class Engine(Protocol):
    """Runs jobs somewhere. A worker lives for many jobs, so what a job caches is made once per worker.

    Attributes:
        packs: whether jobs have to carry the content of the files they name.
    """

    packs: bool

    def map(self, function: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[int, R | Lost]]:
        """The number of each job and what came of it, in the order in which they are done.

        Args:
            function: importable by name on the workers.
            jobs: may be made when they are asked for.
        """
        ...

    def close(self) -> None:
        """End the workers, busy or not."""
        ...
