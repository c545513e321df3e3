"""The DataModule: which pictures, at which size, in which colours and regions, and how many steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import lightning as L
import torch
from torch import Tensor

from nst_lightning.allocator import MOST, free_at_once
from nst_lightning.errors import BadArgument
from nst_lightning.pictures.colors import match_colors, match_luminance
from nst_lightning.pictures.fitted import check_pixels, enlarged, fitted
from nst_lightning.pictures.mapped import kept
from nst_lightning.pictures.masks import regions_of
from nst_lightning.pictures.oklab import hues_of
from nst_lightning.pictures.picture import Picture, fit_size, resize_picture
from nst_lightning.pictures.regions import shrink
from nst_lightning.pictures.sources import name_of, names_of, read, several


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
        alpha: ``(1, H, W)``, how much each position is seen, or None: opaque. The regions count it in.
    """

    image: Tensor
    regions: Tensor | None
    weight: float
    alpha: Tensor | None = None

    def to(self, device: torch.device) -> StyleImage:
        """The same on another device."""
        regions = None if self.regions is None else self.regions.to(device)
        return self._replace(image=self.image.to(device), regions=regions)


class ImagePair(L.LightningDataModule):
    """The content image and the style image, or several.

    Either may be absent: without a style image the content is reconstructed, without a content image the style's texture
    is synthesised. From Python every picture may also be a PIL image, a tensor, an array, the bytes of a file or an open
    file (:func:`nst_lightning.pictures.read.read_image`).

    Args:
        content: picture file whose scene is kept.
        style: picture file whose look is taken, several, or a folder (all its pictures). Each keeps its aspect ratio.
        size: longer side of the result in pixels, 1 or more, or `original`: that of the content image (of the style image
            where there is none). The pictures are resized to it, smaller ones too.
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
        dpi: after ``setup``: the resolution of the content image in pixels an inch, or None.
        size: after ``setup``: the longer side in pixels (before, 0 for `original`).
        settings: the arguments, pictures by their names.
        regions: after ``setup``: ``(R, H, W)``, how much each position of the image counts for each region, or None.
        notes: after ``setup``: a line for each picture that is enlarged so much that a person should know.

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
        size: int | Literal["original"] = 512,
        style_weights: list[float] | None = None,
        style_scale: float = 1.0,
        style_size: int | None = None,
        color: Literal["style", "luminance", "match", "oklab"] = "style",
        content_mask: str | None = None,
        style_mask: str | list[str] | None = None,
    ) -> None:
        super().__init__()
        if not 0 < style_scale < float("inf"):
            raise BadArgument("style_scale", style_scale, "relative to the size of the result, a number above 0")
        self.size = 0
        self._style_scale, self.style_size = style_scale, style_size
        if size != "original":
            self._set_size(size)
        if color not in ("style", "luminance", "match", "oklab"):
            raise BadArgument("color", color, "one of style, luminance, match, oklab")
        self.content = content
        self.style = style
        self.style_sources = several("style", style)
        self.style_weights = style_weights if style_weights is not None else [1.0] * len(self.style_sources)
        if len(self.style_weights) != len(self.style_sources):
            expected = f"{len(self.style_sources)} style images need as many weights"
            raise BadArgument("style_weights", self.style_weights, expected)
        if self.style_sources and not (min(self.style_weights) >= 0 < sum(self.style_weights) < float("inf")):
            raise BadArgument("style_weights", self.style_weights, "numbers of 0 or more, not all 0")
        self.color = color
        self.content_mask = content_mask
        self.style_masks = several("style_mask", style_mask)
        self._loaded = False
        self.notes: list[str] = []
        named = {"content": content, "style": style, "content_mask": content_mask, "style_mask": style_mask}
        others = {"size": size, "style_weights": style_weights, "style_scale": style_scale, "style_size": style_size}
        self.settings = {name: names_of(value) for name, value in named.items()} | others | {"color": color}

    def _set_size(self, size: Any) -> None:
        """The longer side of the result, and with it that of the style."""
        if isinstance(size, str) or size < 1:
            raise BadArgument("size", size, "the longer side in pixels, 1 or more, or original")
        self.size = int(size)
        self.style_scale = self._style_scale if self.style_size is None else self.style_size / size
        if size * self.style_scale < 1:
            raise BadArgument(*self._style_setting, "the style image's longer side has to be 1 pixel or more")

    @property
    def _style_setting(self) -> tuple[str, Any]:
        """What decides the size of the style image."""
        return ("style_scale", self._style_scale) if self.style_size is None else ("style_size", self.style_size)

    def setup(self, stage: str) -> None:
        """Read the pictures, once."""
        if self._loaded:
            return
        self.notes = []
        if self.content is None and not self.style_sources:
            raise BadArgument("content", None, "no picture at all; give a content image, a style image or both")
        content = read("content", self.content) if self.content is not None else None
        first = None
        if not self.size:
            first = None if content else read("style", self.style_sources[0])
            shown = content or first
            assert shown is not None
            self._set_size(max(shown.rgb.shape[-2:]))
        if self.size**2 > MOST:
            free_at_once()  # what is read and fitted meanwhile is as large
        if content:
            self.notes += enlarged(content, name_of(self.content), self.size)
        content = fitted(content, self.size, ("size", self.size)) if content else None
        self.content_image = kept(content.rgb[None]) if content else None
        self.alpha = kept(content.alpha) if content and content.alpha is not None else None
        self.dpi = content.dpi if content else None
        style_size = max(1, round(self.size * self.style_scale))
        pictures = []
        for number, source in enumerate(self.style_sources):
            # a source may be an open file, which is read once
            picture = first if first and number == 0 else read("style", source)
            self.notes += enlarged(picture, name_of(source), style_size)
            picture = fitted(picture, style_size, self._style_setting)
            pictures.append(picture._replace(rgb=kept(picture.rgb)))
        rgbs = [kept(self._recolor(picture)) for picture in pictures]
        shape = None if content is None else (int(content.rgb.shape[-2]), int(content.rgb.shape[-1]))
        masks, sizes = self.style_masks, [picture.rgb.shape[-2:] for picture in pictures]
        self._region_names, self.regions, style_regions = regions_of(self.content_mask, masks, shape, sizes)
        if self.alpha is not None:
            self.regions = self.alpha if self.regions is None else self.regions * self.alpha
        self.regions = None if self.regions is None else kept(self.regions)
        if self.regions is not None and not float(self.regions.sum()) > 0:
            expected = "is transparent everywhere: there is nothing to stylise"
            raise BadArgument("content", name_of(self.content), expected)
        self.styles = []
        for picture, rgb, regions, weight in zip(pictures, rgbs, style_regions, self.style_weights, strict=True):
            if picture.alpha is not None:
                regions = picture.alpha if regions is None else regions * picture.alpha
            if regions is not None and self.regions is not None and len(regions) == 1:
                regions = regions.expand(len(self.regions), -1, -1)
            self.styles.append(StyleImage(rgb, None if regions is None else kept(regions), float(weight), picture.alpha))
        self._check_visible()
        check_pixels(self.image_size, ("size", self.size))
        self._loaded = True

    def change(self, **settings: Any) -> None:
        """Prepare the pictures again with another ``style_scale`` or ``color``, after ``setup``.

        Raises:
            BadArgument: for a value out of range; for pictures from open files, which cannot be read again.
        """
        kept = {name: getattr(self, name) for name in ("content", "style", "size", "style_weights", "content_mask")}
        wanted = {name: settings.get(name, self.settings[name]) for name in ("style_scale", "style_size", "color")}
        changed = ImagePair(**kept, **wanted, style_mask=self.style_masks or None)
        if "style_scale" in settings and changed.style_size is not None:
            raise BadArgument("style_scale", settings["style_scale"], "the size of the style is given by style_size")
        changed.setup("fit")
        for name in ("_style_scale", "style_scale", "color", "styles", "regions"):
            setattr(self, name, getattr(changed, name))
        self.settings |= settings

    def _check_visible(self) -> None:
        """Every region of the image needs a style image that shows something of it."""
        for number, name in enumerate(self._region_names) if self.styles else ():
            if self.regions is not None and not float(self.regions[number].sum()) > 0:
                continue
            shown = [style.regions is None or float(style.regions[number].mean()) > 1e-6 for style in self.styles]
            if not any(seen and style.weight > 0 for seen, style in zip(shown, self.styles, strict=True)):
                what = f"the region {name}" if name else "the style image"
                expected = f"{what} has no visible pixel in a style image with a weight"
                raise BadArgument("style", name or ", ".join(map(name_of, self.style_sources)), expected)

    def _recolor(self, style: Picture) -> Tensor:
        if self.color in ("style", "oklab") or self.content_image is None:
            return style.rgb[None]
        change = match_luminance if self.color == "luminance" else match_colors
        return change(style.rgb[None], self.content_image, style.alpha, self.alpha)

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
        image = kept(resize_picture(Picture(self.content_image[0], self.alpha), shape).rgb[None])
        return match_luminance(image, image) if self.color == "luminance" else image

    def styles_at(self, size: int) -> list[StyleImage]:
        """The style images for a result with the longer side ``size``."""
        scaled = []
        for style in self.styles:
            shape = style_shape(style, size, self.style_scale)
            regions = None if style.regions is None else shrink(style.regions, shape)
            rgb, alpha, _ = resize_picture(Picture(style.image[0], style.alpha), shape)
            scaled.append(StyleImage(kept(rgb[None]), regions, style.weight, alpha))
        return scaled

    def regions_at(self, shape: tuple[int, int]) -> Tensor | None:
        """The regions of the image at another size, ``(R, *shape)``, or None."""
        return None if self.regions is None else shrink(self.regions, shape)

    @property
    def colors(self) -> Tensor | None:
        """The picture that the result takes its colours from, ``(1, 3, H, W)``: the content image under `luminance`."""
        return self.content_image if self.color == "luminance" else None

    @property
    def hues(self) -> Tensor | None:
        """The hues that the result takes, ``(1, 2, H, W)``: the content's, moved to the style's, under `oklab`."""
        if self.color != "oklab" or self.content_image is None or not self.styles:
            return None
        styles = [(style.image, style.regions, style.weight) for style in self.styles]
        return hues_of(self.content_image, self.regions, styles)

    def train_dataloader(self) -> Steps:
        """One batch per step up to the Trainer's ``max_steps``."""
        assert self.trainer is not None
        if self.trainer.max_steps < 1:
            raise BadArgument("max_steps", self.trainer.max_steps, "the number of steps is 1 or more")
        return Steps(self.trainer.max_steps)

    def val_dataloader(self) -> list[list[int]]:
        """One look at the result; to test and to predict likewise."""
        return [[0]]

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader


def style_shape(style: StyleImage, size: int, style_scale: float) -> tuple[int, int]:
    """Height and width of a style image for a result with the longer side ``size``."""
    return fit_size(int(style.image.shape[-2]), int(style.image.shape[-1]), max(1, round(size * style_scale)))
