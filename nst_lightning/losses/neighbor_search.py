"""Which of a painting's hypercolumns is nearest to each of a picture's: by the centred cosine, cheaply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nst_lightning.losses.points import evenly

QUERIES = 1024  # compared at once
ROWS = 16384  # with so many of the painting's: 64 MiB of distances
SKETCHED = 4096  # hypercolumns of the painting of which the principal axes are taken


class Rows(NamedTuple):
    """The hypercolumns of one style image.

    Attributes:
        columns: ``(n, D)``.
        places: ``(n,)``, the number of the place that each shows: the same for a place turned by 90 degrees.
        share: of this image in all matches; those of all images add up to 1.
    """

    columns: Tensor
    places: Tensor
    share: float


def principal_axes(rows: Tensor, count: int) -> Tensor:
    """Orthonormal directions ``(D, K)`` that hold most of the variance of centred rows ``(n, D)``; K is at most ``count``.

    Subspace iteration from random directions (Halko et al. 2011, algorithm 4.4): a 2688 x 2688 eigenproblem takes seconds.
    """
    count = min(count, *rows.shape)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(rows.shape[0], count, generator=generator, dtype=torch.float64).to(rows)
    axes = torch.linalg.qr(rows.T @ start).Q
    for _ in range(2):
        axes = torch.linalg.qr(rows.T @ (rows @ axes)).Q
    return axes


class Search:
    """Finds the nearest hypercolumn of some style images for each of a picture's.

    The distance is 1 − cos, each set minus its own mean (Kolkin et al. 2022, section 3.2), measured along the painting's
    principal axes. Several style images get their shares of the matches: the distances to each are shifted by a constant,
    chosen so that as many queries as that prefer it.

    Args:
        styles: the style images' hypercolumns; kept.
        axes: how many principal axes; 0 for the exact distance.
        occurrence: what a place costs that is used as often as all are on average: the distance grows by
            ``occurrence x times used / expected times`` (Zhou et al. 2023, *Neural texture synthesis with guided
            correspondence*, there 0.05). Queries choose one after the other, in random order.
        heed: called now and then in a long search; may raise what ends it.
    """

    def __init__(
        self, styles: Sequence[Rows], axes: int = 256, occurrence: float = 0.0, heed: Callable[[], None] | None = None
    ) -> None:
        self.heed = heed
        self.styles = list(styles)
        self.occurrence = occurrence
        self.dtype = wide = torch.float64 if styles[0].columns.dtype == torch.float64 else torch.float32
        means = [
            torch.stack([part.to(wide).sum(dim=0) for part in style.columns.split(SKETCHED)]).sum(dim=0)
            / len(style.columns)
            for style in styles
        ]
        self.axes: Tensor | None = None
        if axes and axes < styles[0].columns.shape[1]:
            each = -(-SKETCHED // len(styles))
            sketches = []
            for style, mean in zip(styles, means, strict=True):
                picks = evenly(len(style.columns), each).to(style.columns.device)
                sketches.append(style.columns[picks].to(wide) - mean)
            self.axes = principal_axes(torch.cat(sketches), axes)
        self._units = []
        for style, mean in zip(styles, means, strict=True):
            units = []
            for part in style.columns.split(SKETCHED):
                rows = part.to(wide) - mean
                units.append(self.project(rows) / _norm(rows))
            self._units.append(torch.cat(units))

    def project(self, columns: Tensor) -> Tensor:
        """Hypercolumns ``(n, D)`` along the axes, ``(n, K)``: what :meth:`match` compares."""
        return columns if self.axes is None else columns.to(self.axes.dtype) @ self.axes

    def match(self, queries: Tensor) -> Tensor:
        """The nearest for each query, ``(n,)`` int32: numbers of rows over all style images, in their order.

        Args:
            queries: ``(n, K)``, projected.
        """
        return self.match_groups(
            [(torch.arange(len(queries), device=queries.device), queries)], len(queries), queries.mean(dim=0)
        )

    def match_groups(self, groups: Iterable[tuple[Tensor, Tensor]], count: int, mean: Tensor) -> Tensor:
        """The same for queries that are not in memory all at once.

        Args:
            groups: queries that are in memory together: their numbers ``(n,)``, and they themselves ``(n, K)``, projected.
                Those of a group choose in random order, one group after the other.
            count: of all queries.
            mean: of all queries, ``(K,)``.
        """
        distances = mean.new_empty(count, len(self.styles))
        found = torch.empty(count, len(self.styles), dtype=torch.int64, device=mean.device)
        used = [mean.new_zeros(int(style.places.max()) + 1) for style in self.styles]
        # one after the other would be right, and slow; within a small part nobody sees what the others of it chose
        together = min(QUERIES // 4, max(1, count // 32)) if self.occurrence else QUERIES
        for which, queries in groups:
            # off here only: the next group is read with the network's own settings
            with torch.autocast(mean.device.type, enabled=False):
                units = queries - mean
                units /= _norm(units)
                order = torch.arange(len(units))
                if self.occurrence:
                    order = torch.randperm(len(units), generator=torch.Generator().manual_seed(0))
                for part in order.to(units.device).split(together):
                    if self.heed is not None:
                        self.heed()
                    for number, style in enumerate(self.styles):
                        usage = used[number] / max(1.0, style.share * count)
                        nearest, row = self._nearest(units[part], number, usage)
                        distances[which[part], number], found[which[part], number] = nearest, row
                        if self.occurrence:
                            used[number].index_add_(0, style.places[row], torch.full_like(nearest, style.share))
        chosen = share_out(distances, [style.share for style in self.styles])
        first = torch.tensor([0] + [len(style.columns) for style in self.styles[:-1]], device=mean.device).cumsum(0)
        return (found + first).gather(1, chosen[:, None])[:, 0].int()

    def _nearest(self, queries: Tensor, number: int, usage: Tensor) -> tuple[Tensor, Tensor]:
        """The least distance of each query to the rows of one style image, and which row that is."""
        units, places = self._units[number], self.styles[number].places
        least = queries.new_full((len(queries),), float("inf"))
        which = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
        for first in range(0, len(units), ROWS):
            distances = 1 - queries @ units[first : first + ROWS].T
            if self.occurrence:
                # as a part of the expected: all places alike
                distances += self.occurrence * len(usage) * usage[places[first : first + ROWS]]
            nearest, row = distances.min(dim=1)
            better = nearest < least
            least, which = torch.where(better, nearest, least), torch.where(better, row + first, which)
        return least, which


def share_out(distances: Tensor, shares: Sequence[float]) -> Tensor:
    """Which style image each query takes, ``(n,)``: its nearest after each image's distances were shifted by a constant.

    The constants are the prices of an auction: each in turn is set so that its image gets its share of the queries, given
    the others' (Bertsekas 1988); for two images that is exact at once.

    Args:
        distances: ``(n, S)``.
        shares: of the S images; they add up to 1.

    >>> share_out(torch.tensor([[0.1, 0.5], [0.2, 0.3], [0.1, 0.4], [0.0, 0.9]]), [0.5, 0.5]).tolist()
    [0, 1, 1, 0]
    """
    count, images = distances.shape
    prices = distances.new_zeros(images)
    for number in [*range(images)] * (0 if images == 1 else 1 if images == 2 else 20):
        others = distances + prices
        others[:, number] = float("inf")
        margins = (others.min(dim=1).values - distances[:, number]).sort(descending=True).values
        wanted = min(max(round(shares[number] * count), 0), count)
        above = margins[wanted - 1] if wanted > 0 else margins[0] + 2
        below = margins[wanted] if wanted < count else margins[-1] - 2
        prices[number] = (above + below) / 2
        if images == 2:
            break
    return (distances + prices).argmin(dim=1)


def _norm(rows: Tensor) -> Tensor:
    """Lengths ``(n, 1)``, never 0."""
    return rows.norm(dim=1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny ** 0.5)
