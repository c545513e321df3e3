"""The picture that a run has made so far."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor

from nst_lightning.errors import BadArgument
from nst_lightning.pictures import mapped
from nst_lightning.pictures.colors import with_luminance
from nst_lightning.pictures.oklab import with_hues
from nst_lightning.pictures.picture import resize
from nst_lightning.pictures.strips import by_strips
from nst_lightning.training.averages import RunningAverage


class Result:
    """The running average of the image, at any size and in its final colours.

    Args:
        decay: of the average.
        circular: whether opposite edges of the image continue each other.

    Attributes:
        average: of the image, since its scale began.
        size: ``(height, width)`` of the result, once the pictures are known.
        colors: the picture that it takes its colours from, ``(1, 3, H, W)``, or None.
        hues: likewise those of its hues alone, a and b of OkLab, ``(1, 2, H, W)``.
    """

    def __init__(self, decay: float, circular: bool = False) -> None:
        self.average = RunningAverage(decay)
        self.circular = circular
        self.size: tuple[int, int] = (0, 0)
        self.colors: Tensor | None = None
        self.hues: Tensor | None = None
        self._kept: tuple[list[weakref.ref[Tensor]], tuple[Any, ...], Tensor] | None = None

    def at(self, image: Tensor | None, shape: tuple[int, int]) -> Tensor:
        """What the objective sees of it: ``(1, 3, *shape)`` in ``[0, 1]``.

        Raises:
            BadArgument: if there is no image yet.
        """
        if image is None:
            raise BadArgument("ckpt_path", None, "there is no picture yet: fit first, or give a checkpoint")
        picture = by_strips(lambda rows: rows.clamp(0, 1), self.average.read(image))
        return picture if picture.shape[2:] == shape else mapped.kept(resize(picture, shape, self.circular))

    def shown(self, image: Tensor | None, shape: tuple[int, int]) -> Tensor:
        """What a person sees of it: in the content's colours or hues, where the rest alone is transferred.

        In hues it is kept until image or size change: at the end of a run the log, the similarity and the file all ask for
        it, and to smooth them takes three minutes at 100 million pixels. To be read, not written.
        """
        if self.hues is None or image is None:
            return self._shown_anew(image, shape)
        # an object has one such reference, so they are compared by `is`: tensors would be compared number by number
        of, moment = [weakref.ref(image), weakref.ref(self.hues)], (image._version, self.average.steps, shape)
        if self._kept is None or self._kept[1] != moment or any(a is not b for a, b in zip(self._kept[0], of, strict=True)):
            self._kept = None  # two of them are not needed at once
            self._kept = of, moment, self._shown_anew(image, shape)
        return self._kept[2]

    def _shown_anew(self, image: Tensor | None, shape: tuple[int, int]) -> Tensor:
        picture = self.at(image, shape)
        if mapped.is_mapped(picture):
            mapped.trim()
        if self.hues is not None:
            return with_hues(picture, self.hues.to(picture))
        if self.colors is None:
            return picture
        return by_strips(with_luminance, mapped.kept(resize(self.colors, shape)).to(picture), picture)
