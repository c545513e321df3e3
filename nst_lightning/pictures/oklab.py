"""The photograph's hues as the painting has them, under the light and dark of the result.

Kolkin et al. 2022, *Neural neighbor style transfer*: strokes take their lightness from the optimisation and their hues from
the photograph, whose a and b in OkLab are moved to the painting's mean and covariance and smoothed along the result's
lightness.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.pictures import mapped
from nst_lightning.pictures.strips import by_strips, strips, sums

# Ottosson 2020, "A perceptual color space for image processing": linear RGB to cones, and the roots of those to L, a, b.
TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
RADIUS = 1 / 50  # of the longer side: the window of the smoothing
FLAT = 1e-3  # variance of L below which a window has no edge; a deviation of 0.03


def _matrix(values: Sequence[Sequence[float]], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).to(like)


def _apply(matrix: Tensor, image: Tensor) -> Tensor:
    return torch.einsum("ij,...jhw->...ihw", matrix, image)


def linear(image: Tensor) -> Tensor:
    """sRGB to linear RGB (IEC 61966-2-1), both in ``[0, 1]``."""
    return torch.where(image <= 0.04045, image / 12.92, ((image.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def gamma(image: Tensor) -> Tensor:
    """Linear RGB to sRGB, the inverse of :func:`linear`."""
    return torch.where(image <= 0.0031308, image * 12.92, 1.055 * image.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def oklab(image: Tensor) -> Tensor:
    """sRGB ``(..., 3, H, W)`` in ``[0, 1]`` to OkLab: L in ``[0, 1]``, a and b around 0.

    >>> [round(value, 3) for value in oklab(torch.ones(3, 1, 1)).flatten().abs().tolist()]
    [1.0, 0.0, 0.0]
    """
    cones = _apply(_matrix(TO_CONES, image), linear(image))
    return _apply(_matrix(TO_LAB, image), cones.sign() * cones.abs() ** (1 / 3))


def from_oklab(lab: Tensor) -> Tensor:
    """OkLab ``(..., 3, H, W)`` to sRGB; colours that no screen shows lie outside ``[0, 1]``."""
    roots = _apply(torch.linalg.inv(_matrix(TO_LAB, lab.double())).to(lab), lab)
    return gamma(_apply(torch.linalg.inv(_matrix(TO_CONES, lab.double())).to(lab), roots**3))


def moved(ours: Tensor, theirs: Sequence[tuple[Tensor, Tensor | None, float]], weights: Tensor | None) -> Tensor:
    """Hues with another mean and covariance: Σs^½ Σc^-½ (x − μc) + μs, by the symmetric roots.

    Args:
        ours: ``(2, H, W)``.
        theirs: the hues whose statistics they get, ``(2, H', W')``, how much each position counts ``(H', W')`` or None,
            and the share of each picture.
        weights: ``(H, W)``, how much each position counts in ours, or None.
    """

    def statistics(hues: Tensor, counts: Tensor | None) -> tuple[Tensor, Tensor]:
        height, width = (int(side) for side in hues.shape[1:])

        def part(rows: slice) -> tuple[Tensor, Tensor]:
            pixels = hues[:, rows].flatten(1).double()
            return pixels, torch.ones_like(pixels[0]) if counts is None else counts[rows].flatten().double()

        mass = sums(lambda rows: part(rows)[1].sum(), height, width).clamp(min=1e-12)
        mean = sums(lambda rows: torch.mv(*part(rows)), height, width) / mass
        return mean, sums(lambda rows: torch.mul(*part(rows)) @ part(rows)[0].T, height, width) / mass

    def root(matrix: Tensor, power: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        return (vectors * values.clamp(min=1e-7) ** power) @ vectors.T  # a grey picture has no spread to divide by

    mean, second = statistics(ours, weights)
    found = [(*statistics(hues, counts), share) for hues, counts, share in theirs]
    whole = sum(share for *_, share in found)
    target = torch.stack([one * (share / whole) for one, _, share in found]).sum(dim=0)
    target_second = torch.stack([one * (share / whole) for _, one, share in found]).sum(dim=0)
    spread, target_spread = (s - torch.outer(m, m) for s, m in ((second, mean), (target_second, target)))
    change = root(target_spread, 0.5) @ root(spread, -0.5)

    def moved_rows(rows: Tensor) -> Tensor:
        found = change @ (rows.flatten(1).double() - mean[:, None]) + target[:, None]
        return found.view_as(rows).to(rows.dtype)

    return by_strips(moved_rows, ours)


def _smoothed(hues: Tensor, lightness: Tensor, reach: int) -> Tensor:
    """:func:`smoothed` of rows that are cut out; right but for those within two windows of a cut."""

    def mean(values: Tensor) -> Tensor:
        # rows, then columns; a window that the edge cuts off has fewer values
        for axis in (1, 2):
            side = int(values.shape[axis])
            total = F.pad(values.movedim(axis, -1).double().cumsum(-1), (1, 0))
            middle = torch.arange(side, device=values.device)
            last, first = (middle + reach + 1).clamp(max=side), (middle - reach).clamp(min=0)
            values = ((total[..., last] - total[..., first]) / (last - first)).movedim(-1, axis)
        return values

    guide = lightness.double()
    centre = mean(guide)
    variance = mean(guide.square()) - centre.square() + FLAT
    found = torch.empty_like(hues)
    for one, hue in zip(found.split(1), hues.split(1), strict=True):  # less memory than both at once
        level = mean(hue)
        slope = (mean(guide * hue) - centre * level) / variance
        one.copy_(mean(slope) * guide + mean(level - slope * centre))
    return found


def smoothed(hues: Tensor, lightness: Tensor) -> Tensor:
    """Hues smoothed along a lightness: the guided filter of He, Sun and Tang 2013, equations 5, 6 and 8.

    In each window hues are a straight line of the lightness, so they change where it does and are even where it is.

    Args:
        hues: ``(2, H, W)``.
        lightness: ``(1, H, W)``.
    """
    height, width = (int(side) for side in hues.shape[1:])
    reach = max(1, round(RADIUS * max(height, width)))
    found = mapped.zeros(hues.shape, hues.dtype, hues.device)
    for rows in strips(height, width, least=reach):
        # a mean of means: what lies within two windows
        first, last = max(0, rows.start - 2 * reach), min(height, rows.stop + 2 * reach)
        part = _smoothed(hues[:, first:last], lightness[:, first:last], reach)
        found[:, rows] = part[:, rows.start - first : rows.stop - first]
        mapped.let_go()
    return found


def hues_of(
    content: Tensor,
    regions: Tensor | None,
    styles: Sequence[tuple[Tensor, Tensor | None, float]],
) -> Tensor:
    """The photograph's hues, moved to those of its style images: a and b, ``(1, 2, H, W)``.

    Args:
        content: the photograph, ``(1, 3, H, W)`` in ``[0, 1]``.
        regions: ``(R, H, W)``, how much each position counts for each region, or None; each region is moved by itself.
        styles: for each style image ``(1, 3, H', W')``, its regions ``(R or 1, H', W')`` or None, and its weight.
    """
    ours = _hues(content)
    theirs = [(_hues(style), counts, weight) for style, counts, weight in styles if weight > 0]
    height, width = (int(side) for side in ours.shape[1:])
    total, covered = (mapped.zeros((count, height, width), ours.dtype, ours.device) for count in (2, 1))
    for number in range(1 if regions is None else len(regions)):
        part = None if regions is None else regions[number]
        known = [
            (hues, None if counts is None else counts[number if len(counts) > 1 else 0], weight)
            for hues, counts, weight in theirs
        ]
        known = [one for one in known if one[1] is None or float(one[1].sum()) > 0]
        if part is not None and not float(part.sum()) > 0:
            continue
        change = moved(ours, known, part) if known else ours
        for rows in strips(height, width):
            share = torch.ones_like(covered[:, rows]) if part is None else part[None, rows].to(ours)
            total[:, rows].addcmul_(share, change[:, rows])
            covered[:, rows] += share
            mapped.let_go()

    def mean(total: Tensor, covered: Tensor, ours: Tensor) -> Tensor:
        return torch.where(covered > 1e-6, total / covered.clamp(min=1e-6), ours)

    return by_strips(mean, total, covered, ours)[None]


def _hues(image: Tensor) -> Tensor:
    """a and b, ``(2, H, W)``, of ``(1, 3, H, W)``."""
    return by_strips(lambda rows: oklab(rows)[0, 1:], image)


def with_hues(image: Tensor, hues: Tensor) -> Tensor:
    """A picture in other hues, smoothed along its lightness.

    Args:
        image: ``(1, 3, H, W)`` in ``[0, 1]``; gives L.
        hues: a and b, ``(1, 2, H', W')``; of another size they are resized.
    """
    lightness = by_strips(lambda rows: oklab(rows)[0, :1], image)
    if hues.shape[2:] != image.shape[2:]:
        hues = mapped.kept(F.interpolate(hues, image.shape[2:], mode="bilinear", antialias=True))

    def colored(light: Tensor, hue: Tensor) -> Tensor:
        return from_oklab(torch.cat([light, hue])[None]).clamp(0, 1)

    return by_strips(colored, lightness, smoothed(hues[0].to(image), lightness))
