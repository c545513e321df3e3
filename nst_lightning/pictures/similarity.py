"""How near a result is to its photograph, and where two results differ."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from nst_lightning.pictures.files import fit_size, resize

SSIM_WINDOW = 11  # pixels; Wang et al. 2004
COMPARED = 1024  # pixels, the longest side at which pictures are compared
AMPLIFICATION = 8  # of differences, to be seen


def similarity(result: Tensor, content: Tensor | None) -> dict[str, Tensor]:
    """``psnr`` in dB and ``ssim``, both higher when nearer; empty without a content image.

    SSIM (Wang et al. 2004) needs 11 pixels on each side and is left out below that. Above 1024 px both pictures are shrunk
    to that: SSIM takes memory for some forty copies.

    Args:
        result: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: likewise, of any size, or None.
    """
    if content is None:
        return {}
    height, width = int(result.shape[2]), int(result.shape[3])
    result = resize(result, fit_size(height, width, min(max(height, width), COMPARED)))
    content = resize(content, (int(result.shape[2]), int(result.shape[3]))).to(result.device)
    metrics = {"psnr": peak_signal_noise_ratio(result, content, data_range=1.0)}
    if min(result.shape[-2:]) > SSIM_WINDOW:
        ssim = structural_similarity_index_measure(result, content, data_range=1.0, kernel_size=SSIM_WINDOW)
        assert isinstance(ssim, Tensor)
        metrics["ssim"] = ssim
    return metrics


def difference(first: Image.Image, second: Image.Image) -> tuple[Image.Image, float]:
    """Where two RGB pictures of one size differ, and by how much.

    Returns:
        The absolute difference of every channel, times 8 and clipped at 255, black where they are equal: a difference of
        3 levels, which nobody sees, becomes a dark 24, one of 32 is as bright as can be. And its mean before that, in
        levels of 255.
    """
    levels = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
    return Image.fromarray((levels * AMPLIFICATION).clip(0, 255).astype(np.uint8)), float(levels.mean())
