"""Where tiles lie: which positions each owns, and which crop of the picture it has to see for them.

A picture is divided into rectangles along multiples of the network's total stride, the factor by which its poolings
shrink. Each tile owns the features of its rectangle at every layer; no position is owned twice or not at all. It sees a
crop that is larger on all sides by the reach of the network, so its features, and the gradient through them, are those
of the whole picture:

- What deeper layers need is less. Behind each pooling the crop is cut to what the layers from there on reach, but for an
  axis along which it runs over a seam.
- At the picture's border the crop ends too, and is padded as the picture is. Elsewhere padding spoils the outermost
  positions of the crop, which nobody owns.
- Sides need not be multiples of anything. Each pooling of an odd side drops its last line; a crop that ends where the
  picture ends drops the same one.
- Under circular padding a crop goes on at the opposite edge. There each level of the network is a ring of its own length,
  side >> level: the line that a pooling drops is the one before the seam, in the middle of the crop, and
  :class:`~nst_lightning.network.features.VGGFeatures` removes it there. A crop that begins before the seam begins at a
  multiple of the total stride too, so that its poolings pair the same lines as the picture's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nst_lightning.network.layers import Layer


def stride_of(layers: Iterable[Layer]) -> int:
    """The total stride of a network up to the deepest of some layers.

    >>> from nst_lightning.network.layers import find_layer
    >>> stride_of([find_layer("relu4_2", "vgg16"), find_layer("pool1", "vgg16")])
    8
    """
    return 1 << max(layer.pools_before for layer in layers)


def reach_of(layers: Sequence[Layer]) -> int:
    """How many pixels a position sees beyond its own cell of ``stride x stride`` pixels.

    Each 3x3 convolution adds the size of a cell at its level; a pooling joins four cells and adds nothing.

    Args:
        layers: every layer of the network up to the deepest in question.

    >>> from nst_lightning.network.layers import find_layer, layers_of
    >>> reach_of([layer for layer in layers_of("vgg19") if layer <= find_layer("relu5_1", "vgg19")])
    70
    """
    return sum(1 << layer.pools_before for layer in layers if layer.kind == "conv")


class Span(NamedTuple):
    """One axis of a tile.

    Attributes:
        first: the first line of the picture that it owns, a multiple of the total stride.
        last: the line after its last; the picture's side for the last tile.
        pieces: the ranges of lines that make up its crop, in this order; two where it runs over the seam.
        side: of the picture.
        reaches: how many lines of the picture it still sees beyond its own after one pooling, after two, and so on,
            multiples of the total stride; empty: all.
    """

    first: int
    last: int
    pieces: tuple[tuple[int, int], ...]
    side: int
    reaches: tuple[int, ...] = ()

    @property
    def seam(self) -> int:
        """How many lines of the crop lie before the seam; 0 without one."""
        return self.side - self.pieces[0][0] if len(self.pieces) > 1 else 0

    def begin(self, level: int) -> int:
        """The first line of the picture's features that it sees after ``level`` poolings; of its crop there is no seam."""
        if level and self.reaches:
            return max(0, self.first - self.reaches[level - 1]) >> level
        return self.pieces[0][0] >> level

    def end(self, level: int) -> int:
        """The line after the last that it sees there."""
        if level and self.reaches:
            return min(self.side >> level, (self.last + self.reaches[level - 1]) >> level)
        return self.pieces[-1][1] >> level

    def cut(self, level: int) -> slice:
        """What is left of the lines that a pooling gives, the last of ``level``."""
        if not self.reaches:
            return slice(None)
        start = self.begin(level) - (self.begin(level - 1) >> 1)
        return slice(start, start + self.end(level) - self.begin(level))

    def owned(self, level: int) -> slice:
        """The lines owned in the picture's features after ``level`` poolings."""
        return slice(self.first >> level, self.last >> level)

    def seen(self, level: int) -> slice:
        """The same lines, counted in the crop's features."""
        # a crop that begins before the seam for a tile behind it: the ring's lines from its start to the seam come first
        shift = self.seam >> level if self.pieces[0][0] > self.first else -self.begin(level)
        owned = self.owned(level)
        return slice(owned.start + shift, owned.stop + shift)

    def place(self, lines: Tensor, level: int) -> Tensor:
        """Where lines of the picture's features, within reach, lie in the crop's."""
        start = self.begin(level)
        if not self.seam:
            return lines - start
        return torch.where(lines >= start, lines - start, lines + (self.seam >> level))


class Tile(NamedTuple):
    """A rectangle of the picture and its crop.

    Attributes:
        rows: its vertical axis.
        columns: its horizontal axis.
    """

    rows: Span
    columns: Span

    @property
    def seams(self) -> tuple[int, int]:
        """As :class:`~nst_lightning.network.features.VGGFeatures` takes them."""
        return self.rows.seam, self.columns.seam

    def cut(self, level: int) -> tuple[slice, slice]:
        """What is left of the rows and columns after a pooling, as the same class takes it."""
        return self.rows.cut(level), self.columns.cut(level)

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of its crop."""
        rows, columns = (sum(last - first for first, last in span.pieces) for span in self)
        return rows, columns

    def crop(self, image: Tensor) -> Tensor:
        """The pixels that it sees, a copy ``(1, 3, h, w)``."""
        rows = torch.cat([image[:, :, first:last] for first, last in self.rows.pieces], dim=2)
        return torch.cat([rows[..., first:last] for first, last in self.columns.pieces], dim=3)

    def add(self, image: Tensor, crop: Tensor, above: int = 0) -> None:
        """Add values of the crop to the image's where they lie; ``above`` lines of the picture are not in ``image``."""
        top = 0
        for first, last in self.rows.pieces:
            left = 0
            for start, stop in self.columns.pieces:
                image[:, :, first - above : last - above, start:stop] += crop[
                    :, :, top : top + last - first, left : left + stop - start
                ]
                left += stop - start
            top += last - first

    def owned(self, positions: Tensor, level: int) -> Tensor:
        """Of values at all positions ``(..., H', W')`` of the picture, those at the tile's own."""
        return positions[..., self.rows.owned(level), self.columns.owned(level)]

    def seen(self, features: Tensor, level: int) -> Tensor:
        """Of the crop's features ``(1, C, h', w')``, those at the tile's own positions."""
        return features[..., self.rows.seen(level), self.columns.seen(level)]


def divide(side: int, tile: int, stride: int, reach: int, circular: bool, later: Sequence[int] = ()) -> list[Span]:
    """One axis of a picture in tiles of nearly the same length.

    Args:
        side: of the picture, ``stride`` or more.
        tile: the most lines that a tile owns, rounded up to ``stride``; what no cell covers goes to the last tile.
        stride: the total stride.
        reach: see :func:`reach_of`.
        circular: whether the opposite edges continue each other.
        later: the reach of the layers behind the first pooling, the second, and so on; none: crops are not cut there.

    >>> [(span.first, span.last, span.pieces) for span in divide(35, 16, 8, 2, circular=False)]
    [(0, 16, ((0, 24),)), (16, 35, ((8, 35),))]
    >>> [(span.first, span.last, span.pieces) for span in divide(51, 24, 8, 2, circular=True)]
    [(0, 24, ((40, 51), (0, 32))), (24, 51, ((16, 51), (0, 8)))]
    >>> [(span.begin(1), span.end(1)) for span in divide(52, 16, 4, 9, circular=False, later=[3])]
    [(0, 8), (4, 14), (10, 20), (16, 26)]
    """
    cells = side // stride
    number = max(1, -(-cells // -(-tile // stride)))
    halo = -(-reach // stride)
    spans = []
    for index in range(number):
        first, last = index * cells // number, (index + 1) * cells // number
        begin, end = first - halo, last + halo
        pieces: tuple[tuple[int, int], ...] = ((max(begin, 0) * stride, side if end >= cells else end * stride),)
        if circular and end - begin >= cells:
            pieces = ((0, side),)
        elif circular and begin < 0:
            pieces = (((cells + begin) * stride, side), (0, end * stride))
        elif circular and end > cells:
            pieces = ((begin * stride, side), (0, (end - cells) * stride))
        elif circular:
            pieces = ((begin * stride, end * stride),)
        whole = len(pieces) > 1 or (circular and pieces[0] == (0, side))  # a ring that is seen as one
        reaches = () if whole else tuple(-(-one // stride) * stride for one in later)
        spans.append(Span(first * stride, side if index == number - 1 else last * stride, pieces, side, reaches))
    return spans


def grid(
    shape: tuple[int, int], tile: int | None, layers: Sequence[Layer], circular: bool, more: bool = False
) -> list[Tile]:
    """The tiles of a picture, row by row.

    Args:
        shape: height and width.
        tile: their sides in pixels, rounded up to the total stride; None for the whole picture.
        layers: every layer of the network.
        circular: whether the network pads circularly.
        more: whether tiles see the positions next to their own too, for what lies between two of them.
    """
    stride = stride_of(layers)
    depth = max(layer.pools_before for layer in layers)
    reach, *later = (
        reach_of([layer for layer in layers if layer.pools_before >= level]) + stride * more for level in range(depth + 1)
    )
    rows, columns = (divide(side, tile or side, stride, reach, circular, later) for side in shape)
    return [Tile(row, column) for row in rows for column in columns]
