"""Optical flow between frames, where it is reliable, and pictures carried along by it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def flow_between(first: Tensor, second: Tensor) -> Tensor:
    """Where each pixel of one frame is in another, by DIS (Kroeger et al. 2016) of OpenCV.

    Args:
        first: ``(1, 3, H, W)`` in ``[0, 1]``.
        second: likewise.

    Returns:
        ``(1, 2, H, W)``: how far to the right and down, in pixels.
    """
    cv2: Any = import_module("cv2")  # of the extra [video]; its types lack the flow

    height, width = int(first.shape[2]), int(first.shape[3])
    grays = []
    for frame in (first, second):
        levels = (frame[0].mean(0).clamp(0, 1) * 255).round().byte().cpu().numpy()
        # DIS needs some patches at its coarsest level: small frames are enlarged
        grays.append(cv2.resize(levels, (max(width, 64), max(height, 64)), interpolation=cv2.INTER_LINEAR))
    found = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(grays[0], grays[1], None)
    found = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
    found = found * np.array([width / max(width, 64), height / max(height, 64)], dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(found)).permute(2, 0, 1)[None].float()


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """A picture seen from another frame.

    Args:
        picture: ``(1, C, H, W)``, of the frame to which the flow leads.
        flow: ``(1, 2, H, W)``, see :func:`flow_between`.

    Returns:
        ``(1, C, H, W)``: at each pixel the picture's value where the flow leads, beyond the border that of the border;
        bicubic and in ``[0, 1]`` for three channels, else bilinear.
    """
    height, width = int(flow.shape[2]), int(flow.shape[3])
    x = torch.arange(width, device=flow.device) + flow[:, 0]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    if picture.shape[1] != 3:
        return functional.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)
    # bilinear a hundred times over is a blur
    found = functional.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return found.clamp(0, 1)


def inside(flow: Tensor) -> Tensor:
    """Where a flow stays in the frame: ``(1, 1, H, W)`` of 0 and 1."""
    height, width = int(flow.shape[2]), int(flow.shape[3])
    x = torch.arange(width, device=flow.device) + flow[:, 0]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    return ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)).float()[:, None]


def reliability(backward: Tensor, forward: Tensor) -> Tensor:
    """Where the frame before is to be believed: 0 where a pixel was hidden and at edges of motion, else 1.

    The two inequalities of Sundaram, Brox and Keutzer (2010) as in Ruder et al. (2016), section 4.1: the flow there and
    back is not closed, ``|w~ + w|² > 0.01 (|w~|² + |w|²) + 0.5``, or it changes, ``|∇u|² + |∇v|² > 0.01 |w|² + 0.002``.

    Args:
        backward: ``(1, 2, H, W)``, from this frame to the one before.
        forward: from the one before to this.

    Returns:
        ``(1, 1, H, W)`` of 0 and 1.
    """
    back = warp(forward, backward)
    open_ = (back + backward).square().sum(1) > 0.01 * (back.square().sum(1) + backward.square().sum(1)) + 0.5
    dx = torch.gradient(backward, dim=3)[0].square().sum(1)
    dy = torch.gradient(backward, dim=2)[0].square().sum(1)
    edge = dx + dy > 0.01 * backward.square().sum(1) + 0.002
    return (~(open_ | edge)).float()[:, None] * inside(backward)


def is_cut(first: Tensor, second: Tensor, reliable: Tensor) -> bool:
    """Whether a film is cut between two frames: hardly any flow is closed, and their colours differ.

    Args:
        first: ``(1, 3, H, W)`` in ``[0, 1]``.
        second: likewise.
        reliable: of the flow between them, see :func:`reliability`.
    """
    if float(reliable.mean()) > 0.4:
        return False
    histograms = [
        torch.stack([torch.histc(frame[0, channel].cpu(), 16, 0, 1) for channel in range(3)]) / frame[0, 0].numel()
        for frame in (first, second)
    ]
    return float((histograms[0] - histograms[1]).abs().sum() / 6) > 0.2  # 0 the same, 1 nothing in common


def warping_error(before: Tensor, after: Tensor, backward: Tensor, reliable: Tensor) -> float:
    """How unsteady two frames are: mean squared difference of reliable pixels (Lai et al. 2018).

    Args:
        before: ``(1, 3, H, W)`` in ``[0, 1]``, a frame.
        after: the next one.
        backward: the flow from it to the one before.
        reliable: of that flow.
    """
    error = reliable * (after - warp(before, backward)).square()
    return float(error.sum() / (3 * reliable.sum()).clamp_min(1))
