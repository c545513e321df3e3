"""The DataModule: which pictures, at which size, in which colours and regions, and how many steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import lightning as L
import torch
from torch import Tensor

from nst_lightning.errors import BadArgument
from nst_lightning.pictures.colors import match_colors, match_luminance, with_luminance
from nst_lightning.pictures.files import ImageSource, Picture, fit_size, resize
from nst_lightning.pictures.oklab import with_hues
from nst_lightning.pictures.regions import find_regions, shrink
from nst_lightning.pictures.sources import read, several

MAX_SIZE = 16384


class Steps:
    """One batch per optimisation step, resumable; a batch is the number of the step.

    Not a ``DataLoader``: that would get a ``DistributedSampler`` and silently drop steps on several devices.

    >>> steps = Steps(5)
    >>> steps.load_state_dict({"done": 3})
    >>> list(steps), len(steps)
    ([3, 4], 5)
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.done = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        while self.done < self.count:
            self.done += 1
            yield self.done - 1
        self.done = 0

    def state_dict(self) -> dict[str, Any]:
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.done = int(state["done"])


class StyleImage(NamedTuple):
    """One style image.

    Attributes:
        image: ``(1, 3, H, W)`` in ``[0, 1]``.
        regions: ``(R, H, W)``, how much each position counts for each region, or None: one region, all alike.
        weight: its share beside other style images.
    """

    image: Tensor
    regions: Tensor | None
    weight: float

    def to(self, device: torch.device) -> StyleImage:
        """The same on another device."""
        regions = None if self.regions is None else self.regions.to(device)
        return self._replace(image=self.image.to(device), regions=regions)


class ImagePair(L.LightningDataModule):
    """The content image and the style image, or several.

    Either may be absent: without a style image the content is reconstructed, without a content image the style's texture
    is synthesised. From Python every picture may also be a PIL image or a tensor (3, H, W) in [0, 1].

    Args:
        content: picture file whose scene is kept.
        style: picture file whose look is taken, several, or a folder (all its pictures). Each keeps its aspect ratio.
        size: longer side of the result in pixels, 1 to 16384. The pictures are resized to it, smaller ones too.
        style_weights: one number of 0 or more for each style image; all alike if not given.
        style_scale: longer side of the style image relative to the result's, above 0: larger strokes above 1.
        style_size: longer side of the style image in pixels at the final size, in place of style_scale.
        color: `style` (the style's colours), `luminance` (the content's colours; only the luminance is transferred),
            `match` (the style's colours are first moved to the content's mean and covariance) or `oklab` (the content's
            hues, moved to those of the style, under the result's light and dark).
        content_mask: picture of flat colours, one for each region of the content image.
        style_mask: the same for each style image: a region of the content takes its style from those of its colour.

    Attributes:
        content_image: after ``setup``: ``(1, 3, H, W)`` in ``[0, 1]``, or None.
        styles: after ``setup``: the style images at the final size; empty if there are none.
        alpha: after ``setup``: the transparency of the content image, ``(1, H, W)``, or None.
        regions: after ``setup``: ``(R, H, W)``, how much each position of the image counts for each region, or None.

    Raises:
        BadArgument: for a value out of range, and in ``setup`` for pictures that cannot be read or do not go together.
    """

    content_image: Tensor | None
    styles: list[StyleImage]
    alpha: Tensor | None
    regions: Tensor | None

    def __init__(
        self,
        content: str | None = None,
        style: str | list[str] | None = None,
        size: int = 512,
        style_weights: list[float] | None = None,
        style_scale: float = 1.0,
        style_size: int | None = None,
        color: Literal["style", "luminance", "match", "oklab"] = "style",
        content_mask: str | None = None,
        style_mask: str | list[str] | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= size <= MAX_SIZE:
            raise BadArgument("size", size, f"the longer side in pixels, from 1 to {MAX_SIZE}")
        if not 0 < style_scale < float("inf"):
            raise BadArgument("style_scale", style_scale, "relative to the size of the result, a number above 0")
        if not 1 <= (size * style_scale if style_size is None else style_size) <= MAX_SIZE:
            name, value = ("style_scale", style_scale) if style_size is None else ("style_size", style_size)
            raise BadArgument(name, value, f"the style image's longer side has to be 1 to {MAX_SIZE} pixels")
        if color not in ("style", "luminance", "match", "oklab"):
            raise BadArgument("color", color, "one of style, luminance, match, oklab")
        self.content = content
        self.style = style
        self.size = size
        self.style_sources = several("style", style)
        self.style_weights = style_weights if style_weights is not None else [1.0] * len(self.style_sources)
        if len(self.style_weights) != len(self.style_sources):
            expected = f"{len(self.style_sources)} style images need as many weights"
            raise BadArgument("style_weights", self.style_weights, expected)
        if self.style_sources and not (min(self.style_weights) >= 0 < sum(self.style_weights) < float("inf")):
            raise BadArgument("style_weights", self.style_weights, "numbers of 0 or more, not all 0")
        self.style_scale = style_scale if style_size is None else style_size / size
        self.color = color
        self.content_mask = content_mask
        self.style_masks = several("style_mask", style_mask)
        self._loaded = False

    def setup(self, stage: str) -> None:
        """Read the pictures, once."""
        if self._loaded:
            return
        if self.content is None and not self.style_sources:
            raise BadArgument("content", None, "no picture at all; give a content image, a style image or both")
        content = self._read("content", self.content, self.size) if self.content is not None else None
        self.content_image = content.rgb[None] if content else None
        self.alpha = content.alpha if content else None
        style_size = max(1, round(self.size * self.style_scale))
        pictures = [self._read("style", source, style_size) for source in self.style_sources]
        rgbs = [self._recolor(picture.rgb[None]) for picture in pictures]
        self.regions, style_regions = self._regions([picture.rgb.shape[-2:] for picture in pictures])
        if self.alpha is not None:
            self.regions = self.alpha if self.regions is None else self.regions * self.alpha
        if self.regions is not None and not float(self.regions.sum()) > 0:
            raise BadArgument("content", self.content, "is transparent everywhere: there is nothing to stylise")
        self.styles = []
        for picture, rgb, regions, weight in zip(pictures, rgbs, style_regions, self.style_weights, strict=True):
            if picture.alpha is not None:
                regions = picture.alpha if regions is None else regions * picture.alpha
            if regions is not None and self.regions is not None and len(regions) == 1:
                regions = regions.expand(len(self.regions), -1, -1)
            self.styles.append(StyleImage(rgb, regions, float(weight)))
        self._check_visible()
        self._loaded = True

    def _check_visible(self) -> None:
        """Every region of the image needs a style image that shows something of it."""
        for number, name in enumerate(self._region_names) if self.styles else ():
            if self.regions is not None and not float(self.regions[number].sum()) > 0:
                continue
            shown = [style.regions is None or float(style.regions[number].mean()) > 1e-6 for style in self.styles]
            if not any(seen and style.weight > 0 for seen, style in zip(shown, self.styles, strict=True)):
                what = f"the region {name}" if name else "the style image"
                raise BadArgument(
                    "style", name or self.style, f"{what} has no visible pixel in a style image with a weight"
                )

    def _recolor(self, style: Tensor) -> Tensor:
        if self.color in ("style", "oklab") or self.content_image is None:
            return style
        change = match_luminance if self.color == "luminance" else match_colors
        return change(style, self.content_image)

    def _regions(self, sizes: Sequence[Sequence[int]]) -> tuple[Tensor | None, list[Tensor | None]]:
        """The regions of the content mask, and those of each style mask in the same order."""
        self._region_names = [""]
        if self.content_mask is None and not self.style_masks:
            return None, [None] * len(sizes)
        if self.content_mask is None or self.content_image is None:
            raise BadArgument("content_mask", self.content_mask, "a style mask needs a content image with a mask")
        if len(self.style_masks) != len(sizes):
            given = f"{len(self.style_masks)} for {len(sizes)} style images"
            raise BadArgument("style_mask", given, "every style image needs a mask")
        ours = find_regions(read("content_mask", self.content_mask).rgb)
        theirs = [find_regions(read("style_mask", mask).rgb) for mask in self.style_masks]
        self._region_names = list(ours)
        known = {color for regions in theirs for color in regions}
        for missing in sorted(set(ours) - known):
            raise BadArgument("style_mask", missing, f"no style mask has the region {missing} of the content mask")
        for missing in sorted(known - set(ours)):
            raise BadArgument("content_mask", missing, f"the content mask lacks the region {missing} of a style mask")
        content_size = (int(self.content_image.shape[-2]), int(self.content_image.shape[-1]))
        content = torch.cat([shrink(region, content_size) for region in ours.values()])
        styles: list[Tensor | None] = []
        for regions, (height, width) in zip(theirs, sizes, strict=True):
            absent = torch.zeros(1, height, width)
            styles.append(torch.cat([shrink(regions[c], (height, width)) if c in regions else absent for c in ours]))
        return content, styles

    @staticmethod
    def _read(argument: str, source: ImageSource, longer_side: int) -> Picture:
        rgb, alpha = read(argument, source)
        if alpha is not None and argument == "style":
            # what is hidden must not leak through resizing, colour matching or receptive fields
            visible = (rgb * alpha).sum(dim=(1, 2), keepdim=True) / alpha.sum().clamp(min=1e-6)
            rgb = rgb * alpha + visible * (1 - alpha)
        size = fit_size(rgb.shape[-2], rgb.shape[-1], longer_side)
        return Picture(resize(rgb, size), None if alpha is None else resize(alpha, size))

    # ---- what the module asks for ------------------------------------------------------------------------------------

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the result: those of the content image, or else of the first style image at ``size``."""
        if self.content_image is not None:
            return int(self.content_image.shape[-2]), int(self.content_image.shape[-1])
        height, width = self.styles[0].image.shape[-2:]
        return fit_size(int(height), int(width), self.size)

    def content_at(self, shape: tuple[int, int]) -> Tensor | None:
        """The content image as the losses see it, ``(1, 3, *shape)``: grey where only luminance is transferred."""
        if self.content_image is None:
            return None
        image = resize(self.content_image, shape)
        return match_luminance(image, image) if self.color == "luminance" else image

    def styles_at(self, size: int) -> list[StyleImage]:
        """The style images for a result with the longer side ``size``."""
        scaled = []
        for style in self.styles:
            height, width = (int(side) for side in style.image.shape[-2:])
            shape = fit_size(height, width, max(1, round(size * self.style_scale)))
            regions = None if style.regions is None else shrink(style.regions, shape)
            scaled.append(StyleImage(resize(style.image, shape), regions, style.weight))
        return scaled

    def regions_at(self, shape: tuple[int, int]) -> Tensor | None:
        """The regions of the image at another size, ``(R, *shape)``, or None."""
        return None if self.regions is None else shrink(self.regions, shape)

    def finish(self, image: Tensor) -> Tensor:
        """The picture to show for an image ``(1, 3, H, W)``: with the content's colours, or hues, under `color`."""
        if self.color not in ("luminance", "oklab") or self.content_image is None:
            return image
        size = (int(image.shape[-2]), int(image.shape[-1]))
        content = resize(self.content_image, size).to(image)
        if self.color == "luminance":
            return with_luminance(content, image)
        regions = self.regions_at(size)
        styles = [(s.image.to(image), None if s.regions is None else s.regions.to(image), s.weight) for s in self.styles]
        return with_hues(image, content, None if regions is None else regions.to(image), styles) if styles else image

    def train_dataloader(self) -> Steps:
        """One batch per step up to the Trainer's ``max_steps``."""
        assert self.trainer is not None
        if self.trainer.max_steps < 1:
            raise BadArgument("max_steps", self.trainer.max_steps, "the number of steps is 1 or more")
        return Steps(self.trainer.max_steps)

    def val_dataloader(self) -> list[list[int]]:
        """One look at the image where there is a content image to compare it with."""
        return [[0]] if self.content_image is not None else []
