"""From masks, pictures of flat colours, to the regions of the content and those of each style image in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from nst_lightning.errors import BadArgument
from nst_lightning.pictures import mapped
from nst_lightning.pictures.regions import find_regions, shrink
from nst_lightning.pictures.sources import name_of, read


def regions_of(
    content_mask: Any, style_masks: Sequence[Any], content_size: tuple[int, int] | None, sizes: Sequence[Sequence[int]]
) -> tuple[list[str], Tensor | None, list[Tensor | None]]:
    """Which part of which style image goes where.

    Args:
        content_mask: a picture, or None.
        style_masks: one for each style image, or none at all.
        content_size: height and width of the content image, or None if there is none.
        sizes: those of the style images.

    Returns:
        The names of the regions, their weights ``(R, H, W)`` in the content image, and in each style image. Without masks
        one region without a name, and None for the weights: all positions count alike.

    Raises:
        BadArgument: for a mask that cannot be read, or masks that do not go together.
    """
    if content_mask is None and not style_masks:
        return [""], None, [None] * len(sizes)
    if content_mask is None or content_size is None:
        raise BadArgument("content_mask", content_mask, "a style mask needs a content image with a mask")
    if len(style_masks) != len(sizes):
        given = f"{len(style_masks)} for {len(sizes)} style images"
        raise BadArgument("style_mask", given, "every style image needs a mask")
    ours = regions_in("content_mask", content_mask)
    theirs = [regions_in("style_mask", mask) for mask in style_masks]
    known = {color for regions in theirs for color in regions}
    for missing in sorted(set(ours) - known):
        raise BadArgument("style_mask", missing, f"no style mask has the region {missing} of the content mask")
    for missing in sorted(known - set(ours)):
        raise BadArgument("content_mask", missing, f"the content mask lacks the region {missing} of a style mask")
    content = _at(ours, ours, content_size)
    return list(ours), content, [_at(regions, ours, size) for regions, size in zip(theirs, sizes, strict=True)]


def _at(regions: Mapping[str, Tensor], names: Iterable[str], size: Sequence[int]) -> Tensor:
    """Some regions, by their names and absent ones empty, at a size: ``(R, H, W)``."""
    height, width = size
    found = mapped.zeros((len(list(names)), height, width))
    for one, name in zip(found, names, strict=True):
        if name in regions:
            one.copy_(shrink(regions[name], (height, width))[0])
            mapped.let_go()
    return found


def regions_in(argument: str, source: Any) -> dict[str, Tensor]:
    """The regions of a mask by their colours; from Python also a map from colours to weights ``(1, H, W)``."""
    if isinstance(source, Mapping):
        return dict(source)
    rgb, alpha, _ = read(argument, source)
    regions = find_regions(rgb, alpha)
    if not regions:
        raise BadArgument(argument, name_of(source), "is transparent everywhere: there is no region in it")
    return regions
