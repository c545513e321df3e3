"""What each place of the image is matched with: once a scale, or every so many steps, the same however steps are computed.

The numbers of the matches are all that a checkpoint needs: the picture that was matched is gone when a run is resumed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from nst_lightning.data import StyleImage
from nst_lightning.losses.nearest_neighbor import Matches, NearestNeighbor, hypercolumns
from nst_lightning.losses.neighbor_search import Rows, Search
from nst_lightning.losses.points import Field, Reading
from nst_lightning.network.features import VGGFeatures
from nst_lightning.network.layers import Layer
from nst_lightning.objective.ranks import add_up, rank
from nst_lightning.objective.reading import SIDE, read_picture
from nst_lightning.pictures.pyramid import coarse
from nst_lightning.pictures.regions import Regions
from nst_lightning.pictures.strips import by_planes

T = TypeVar("T")
GROUP = 1 << 18  # points that are matched together, of a picture of four million pixels; more would fill the memory
POINTS = SIDE * SIDE  # more than a tile has
CONTENT_SHARE = 0.75  # of the picture that is matched: the photograph's, beside the result so far


class Start(NamedTuple):
    """Where the run stands when a scale begins.

    Attributes:
        image: the result so far, ``(1, 3, H, W)``, or None.
        first: whether this is the first scale: then there is no result yet, only a beginning.
        factors: of terms and style losses at this scale, by name; 1 where none is given.
        matches: the matches of a checkpoint at this scale.
    """

    image: Tensor | None = None
    first: bool = True
    factors: dict[str, float] = {}  # noqa: RUF012
    matches: dict[str, Tensor] | None = None


def query(content: Tensor | None, image: Tensor | None, first: bool) -> Tensor:
    """The picture that is matched: three parts photograph, one part result with the photograph's finest detail.

    Kolkin et al. 2022, section 3.2. At the first scale the photograph alone; without one the result alone.

    Args:
        content: ``(1, 3, H, W)``, or None.
        image: the result so far, likewise.
        first: see :class:`Start`.
    """
    if content is None:
        assert image is not None, "nothing to match: neither a photograph nor an image"
        return image.detach()
    if first or image is None:
        return content

    def mixed(photograph: Tensor, painted: Tensor) -> Tensor:
        result = coarse(painted, 1) + photograph - coarse(photograph, 1)
        return CONTENT_SHARE * photograph + (1 - CONTENT_SHARE) * result

    return by_planes(mixed, content, image.detach())


Known = dict[Any, Any]  # what was computed of style images, to be used again for the next frame of a film
MOST_KNOWN = 16


def recall(known: Known | None, name: Any, styles: Sequence[StyleImage], compute: Callable[[], T]) -> T:
    """What is known of some style images under a name, computed where it is not; without ``known``, computed."""
    if known is None:
        return compute()
    key = (name, *(part for style in styles for part in (_digest(style), style.weight)))
    if key not in known:
        known[key] = compute()
        for old in list(known)[:-MOST_KNOWN]:
            del known[old]
    found: T = known[key]
    return found


def _digest(style: StyleImage) -> bytes:
    """A style image and its regions at one size, as a key."""
    parts = [style.image] if style.regions is None else [style.image, style.regions]
    return b"".join(hashlib.sha1(part.detach().cpu().contiguous().numpy().tobytes()).digest() for part in parts)


class Matcher:
    """Matches the image with the style images within one region, for one loss.

    Args:
        loss: whose matches.
        features: the network.
        layers: the style layers and their shares.
        styles: the style images and their shares.
        field: the image, or its region.
        known: what was computed of the same style images for other pictures, or None.
        heed: see :class:`Search`.
    """

    def __init__(
        self,
        loss: NearestNeighbor,
        features: VGGFeatures,
        layers: dict[Layer, float],
        styles: Sequence[tuple[StyleImage, float]],
        field: Field,
        known: Known | None = None,
        heed: Callable[[], None] | None = None,
    ) -> None:
        self.heed = heed
        self.loss = loss
        self.features = features
        self.layers = layers
        self.factors = loss.factors(layers)
        (self.reading,) = loss.readings(field, layers)
        self._shared = known is not None
        name = ("rows", loss.name, field.number, tuple(layers.items()))
        self.styles, self._search = recall(
            known, name, [style for style, _ in styles], lambda: self._searched(styles, field)
        )

    def _searched(self, styles: Sequence[tuple[StyleImage, float]], field: Field) -> tuple[list[Rows], list[Search]]:
        """The rows of the style images, and room for the search among them, which is made when it is first needed."""
        found = [rows for style, share in styles for rows in self._rows(style, field.number, share)]
        whole = sum(rows.share for rows in found)  # a style image may have nothing of the region
        return [rows._replace(share=rows.share / whole) for rows in found], []

    def _rows(self, style: StyleImage, number: int, share: float) -> Iterator[Rows]:
        """The hypercolumns of a style image, turned as often as asked for; none where nothing of the region is visible."""
        height, width = (max(1, int(side) >> 2) for side in style.image.shape[2:])
        places = torch.arange(height * width).view(height, width)
        readings: list[tuple[int, Reading]] = []
        where: list[Tensor] = []
        for turns in range(4 if self.loss.settings.rotations else 1):
            sides = style.image.shape[2:] if turns % 2 == 0 else style.image.shape[:1:-1]
            regions = None if style.regions is None else Regions(torch.rot90(style.regions, turns, (1, 2)))
            part = 0 if regions is None or len(regions) == 1 else number
            (reading,) = self.loss.style_readings(Field(int(sides[0]), int(sides[1]), regions, part), self.layers, share)
            turned = torch.rot90(places, turns, (0, 1))
            cells = torch.minimum((reading.points / 4).long(), torch.tensor(turned.shape) - 1)
            readings.append((turns, reading))
            where.append(turned[cells[:, 0], cells[:, 1]])
        total = sum(len(reading.points) for _, reading in readings)
        if not total:
            return
        width = sum(layer.channels for layer in self.factors)
        dtype = self.features.dtype_for(style.image)  # half of the memory where the network computes so
        found = torch.empty(total, width, dtype=dtype, device=style.image.device)
        first = 0
        for turns, reading in readings:
            for _, which, columns in read_picture(self.features, torch.rot90(style.image, turns, (2, 3)), [reading]):
                found[first + which.to(found.device)] = hypercolumns(columns, self.factors).to(dtype)
            first += len(reading.points)
        numbers = torch.unique(torch.cat(where), return_inverse=True)[1]
        yield Rows(found, numbers.to(found.device), share)

    def numbers(self, picture: Tensor) -> Tensor:
        """The numbers of the rows that a picture's points are matched with, ``(N,)`` int32; the same in all processes."""
        device = picture.device.type
        if not self._search:
            settings = self.loss.settings
            with torch.autocast(device, enabled=False):
                self._search.append(Search(self.styles, settings.axes, settings.occurrence, self.heed))
        (search,) = self._search
        count = len(self.reading.points)
        if count <= GROUP:
            ((numbers, queries),) = self._queries(picture, search)
            with torch.autocast(device, enabled=False):
                found = search.match(queries[numbers.argsort()])
        else:  # the picture is looked at twice: distances are centred
            totals = [part.double().sum(dim=0) for _, part in self._queries(picture, search)]
            mean = (torch.stack(totals).sum(dim=0) / count).to(search.dtype)
            found = search.match_groups(self._queries(picture, search), count, mean)
        if not self.loss.settings.refresh and not self._shared:
            self._search.clear()
        # a near tie may go either way on another machine
        found = found if rank() == 0 else torch.zeros_like(found)
        add_up([found])
        return found

    def _queries(self, picture: Tensor, search: Search) -> Iterator[tuple[Tensor, Tensor]]:
        """What the search compares, group by group of neighbouring points: their numbers, and they themselves."""
        left, filled = len(self.reading.points), 0
        queries = numbers = torch.empty(0)
        for _, which, columns in read_picture(self.features, picture, [self.reading]):
            with torch.autocast(picture.device.type, enabled=False):
                part = search.project(hypercolumns(columns, self.factors))
            if not filled:
                queries = part.new_empty(min(left, GROUP + POINTS), part.shape[1])
                numbers = torch.empty(len(queries), dtype=torch.int64, device=part.device)
            here = slice(filled, filled + len(which))
            queries[here], numbers[here] = part, which.to(part.device)
            filled, left = here.stop, left - len(which)
            if filled >= GROUP or not left:
                yield numbers[:filled], queries[:filled]
                filled = 0

    def matches(self, numbers: Tensor) -> Matches:
        """What the loss compares the image with."""
        used, which = torch.unique(numbers.long(), return_inverse=True)
        kept, first = [], 0
        for style in self.styles:
            here = used[(used >= first) & (used < first + len(style.columns))] - first
            kept.append(style.columns[here.to(style.columns.device)])
            first += len(style.columns)
        found = self.loss.matches(torch.cat(kept), which, self.layers)
        if not self.loss.settings.refresh:
            self.styles = []  # all but those in use
        return found
