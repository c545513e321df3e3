"""How near a result is to its photograph, and where two results differ."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from nst_lightning.pictures.picture import fit_size, resize
from nst_lightning.pictures.strips import by_planes

SSIM_WINDOW = 11  # pixels; Wang et al. 2004
COMPARED = 1024  # pixels, the longest side at which pictures are compared
AMPLIFICATION = 8  # of differences, to be seen


def similarity(result: Tensor, content: Tensor | None, alpha: Tensor | None = None) -> dict[str, Tensor]:
    """``psnr`` in dB and ``ssim``, both higher when nearer; empty without a content image.

    SSIM (Wang et al. 2004) needs 11 pixels on each side and is left out below that. Above 1024 px both pictures are shrunk
    to that: SSIM takes memory for some forty copies.

    Args:
        result: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: likewise, of any size, or None.
        alpha: of the content, ``(1, H, W)``, or None: each pixel counts as much as it is seen.
    """
    if content is None:
        return {}
    height, width = int(result.shape[2]), int(result.shape[3])
    size = fit_size(height, width, min(max(height, width), COMPARED))
    result = by_planes(partial(resize, size=size), result)
    content = by_planes(partial(resize, size=size), content).to(result.device)
    seen = torch.ones_like(result[0, :1]) if alpha is None else resize(alpha, size).to(result)
    # what is hidden is alike: its seam with what is seen does not count either
    result, content = result * (seen > 0), content * (seen > 0)
    error = ((result - content).square() * seen).sum() / (3 * seen.sum())
    metrics = {"psnr": -10 * torch.log10(error)}
    if min(result.shape[-2:]) > SSIM_WINDOW:
        measured = structural_similarity_index_measure(
            result, content, data_range=1.0, kernel_size=SSIM_WINDOW, return_full_image=True
        )
        assert isinstance(measured, tuple)
        metrics["ssim"] = measured[0] if alpha is None else _mean(measured[1], seen)
    return metrics


def _mean(values: Tensor, seen: Tensor) -> Tensor:
    """The mean of ``(1, 3, H, W)`` over what is seen, without the border that the window of SSIM does not fill."""
    edge = SSIM_WINDOW // 2
    inside = seen[:, edge:-edge, edge:-edge]
    if values.shape[-2:] == seen.shape[-2:]:
        values = values[..., edge:-edge, edge:-edge]
    return (values * inside).sum() / (3 * inside.sum().clamp(min=1e-9))


def difference(first: Image.Image, second: Image.Image) -> tuple[Image.Image, float]:
    """Where two RGB pictures of one size differ, and by how much.

    Returns:
        The absolute difference of every channel, times 8 and clipped at 255, black where they are equal: a difference of
        3 levels, which nobody sees, becomes a dark 24, one of 32 is as bright as can be. And its mean before that, in
        levels of 255.
    """
    levels = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
    return Image.fromarray((levels * AMPLIFICATION).clip(0, 255).astype(np.uint8)), float(levels.mean())
