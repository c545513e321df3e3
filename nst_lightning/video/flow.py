"""Optical flow between frames, where it is reliable, and pictures carried along by it."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# a cut: parts of the flow that are closed, and of the contrast that is left, see is_cut()
LOST, FEW, UNEXPLAINED = 0.12, 0.4, 0.6
DIFFERENT = 0.03  # mean over the channels: noise of cameras and of compression is less


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


class Motion(NamedTuple):
    """From a frame to the one before, or another.

    Attributes:
        flow: ``(1, 2, H, W)``, see :func:`flow_between`.
        reliable: ``(1, 1, H, W)`` of 0 and 1: 0 where a pixel was hidden and at edges of motion.
        alike: ``(1, 1, H, W)`` of 0 and 1: where the frame looks like what the flow leads to.
    """

    flow: Tensor
    reliable: Tensor
    alike: Tensor


def motion(frame: Tensor, before: Tensor, backward: Tensor, forward: Tensor) -> Motion:
    """What is to be believed of the flow between two frames.

    The two inequalities of Sundaram, Brox and Keutzer (2010) as in Ruder et al. (2016), section 4.1: the flow there and
    back is not closed, ``|w~ + w|² > 0.01 (|w~|² + |w|²) + 0.5``, or it changes, ``|∇u|² + |∇v|² > 0.01 |w|² + 0.002``.
    And what it leads to looks different: DIS gives the ground behind a thing that moves on the motion of that thing, closed
    both ways (on a disc that moves by 4 to 12 pixels 0.55 to 0.91 of what was hidden passed the two inequalities; 0.3 to
    0.4, which looks like what hid it, pass all three). A light that changes is no difference: the median counts as one.

    Args:
        frame: ``(1, 3, H, W)`` in ``[0, 1]``.
        before: likewise.
        backward: ``(1, 2, H, W)``, from the frame to the one before.
        forward: from the one before to the frame.
    """
    back = warp(forward, backward)
    open_ = (back + backward).square().sum(1) > 0.01 * (back.square().sum(1) + backward.square().sum(1)) + 0.5
    dx = torch.gradient(backward, dim=3)[0].square().sum(1)
    dy = torch.gradient(backward, dim=2)[0].square().sum(1)
    edge = dx + dy > 0.01 * backward.square().sum(1) + 0.002
    residual = (frame - warp(before, backward)).abs().mean(1, keepdim=True)
    residual = functional.avg_pool2d(functional.pad(residual, (1, 1, 1, 1), mode="replicate"), 3, 1)
    alike = (residual < DIFFERENT + 3 * residual.median()).float() * inside(backward)
    return Motion(backward, (~(open_ | edge))[:, None].float() * alike, alike)


def is_cut(first: Tensor, second: Tensor, found: Motion) -> bool:
    """Whether a film is cut between two frames: hardly any flow is closed, or little, and it does not explain the second.

    Measured on every pair of eight photographs from 48 to 384 px: cuts have at most 0.1 of their flow closed (0.32 at 64 px
    and below) and leave more than 0.6 of the second frame's contrast unexplained; a camera that turns by 20 degrees, zooms
    by 1.4 or moves by a sixth of the picture has 0.17 closed at least and leaves less than half.

    Args:
        first: ``(1, 3, H, W)`` in ``[0, 1]``.
        second: likewise.
        found: from the second to the first.
    """
    closed = float(found.reliable.mean())
    contrast = (second - second.mean(dim=(2, 3), keepdim=True)).abs().mean()
    left = (second - warp(first, found.flow)).abs().mean() / contrast.clamp_min(1e-3)
    return closed < LOST or (closed < FEW and float(left) > UNEXPLAINED)


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
