"""What a frozen network keeps for the way back: where its features were positive and largest, not the features.

Autograd keeps each convolution's input, for a gradient of its kernel that a frozen network does not have, and the places of
each pooling's maxima in eight bytes. The gradient of the picture needs neither: a convolution's is the transposed one of
what comes back, whatever went in; a ReLU's is 0 where its output was; a maximum's goes to one place of a few. So a step
keeps 64 bytes a pixel in place of 128 for a ReLU of the first block in half precision, and 48 in place of 288 where a
pooling follows. The numbers are autograd's own, to the last digit.

Differentiable once, as a step needs it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

SAME_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # whole numbers, by bytes of a number
POSITIVE, PLACE = 1, 2  # bytes that are kept for each number of a ReLU's and of a pooling's output


def convolve(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor,
    padding: int,
    *,
    rectified: bool = False,
    pooled: bool = False,
    kept: bool = False,
) -> Tensor:
    """A convolution with a kernel of 3x3 that is not trained, and what follows it.

    Args:
        x: ``(B, C, H, W)``.
        kernel: ``(C', C, 3, 3)``.
        bias: ``(C',)``.
        padding: lines of zeros on every side, 0 or 1.
        rectified: whether a ReLU follows.
        pooled: whether :func:`max_pool` follows that; only behind a ReLU.
        kept: whether somebody holds the result anyway: then it says itself where it was positive.

    Returns:
        ``(B, C', H, W)``, smaller by 2 without padding, then halved if pooled.
    """
    if _is_carried_back(x):
        return _Convolution.apply(x, kernel, bias, padding, rectified, pooled, kept)
    return _forward(x, kernel, bias, padding, rectified, pooled)


def max_pool(x: Tensor) -> Tensor:
    """The maxima of squares of two: ``(B, C, H, W)`` to ``(B, C, H // 2, W // 2)``."""
    if _is_carried_back(x):
        return _MaxPool.apply(x)
    return _unpaired(F.max_pool2d(_paired(x), 2), x.shape)


def cut(x: Tensor, rows: slice, columns: slice) -> Tensor:
    """Some rows and columns of features ``(B, C, H, W)``, one after the other in memory, as their gradient is."""
    if x[..., rows, columns].shape == x.shape:
        return x
    if _is_carried_back(x):
        return _Cut.apply(x, rows, columns)
    return x[..., rows, columns].contiguous(memory_format=torch.channels_last)


def _is_carried_back(x: Tensor) -> bool:
    """Whether something has to be kept here; the compiler decides by itself what it keeps."""
    return torch.is_grad_enabled() and x.requires_grad and not torch.compiler.is_compiling()


def _forward(x: Tensor, kernel: Tensor, bias: Tensor, padding: int, rectified: bool, pooled: bool) -> Tensor:
    x = F.conv2d(x, kernel, bias, padding=padding)
    if rectified:
        x = x.relu_()
    return max_pool(x) if pooled else x


class _Convolution(torch.autograd.Function):
    """A convolution, a ReLU behind it, a pooling behind that."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor, padding: int, rectified: bool, pooled: bool, kept: bool
    ) -> Tensor:
        y = _forward(x, kernel, bias, padding, rectified, False)
        ctx.padding, ctx.rectified, ctx.whole, ctx.kept = padding, rectified, y.shape, kept
        places = None
        if pooled:
            y, places = _pool_with_places(y)
        positive = None
        if rectified:
            # no gradient comes to a square whose largest is 0: that of the maximum says it for all four
            positive = y if kept else y.view(SAME_SIZE[y.dtype.itemsize]).bool()
        ctx.save_for_backward(kernel, positive, places)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        kernel, positive, places = ctx.saved_tensors
        with torch.autocast(grad.device.type, enabled=False):
            if ctx.rectified:
                grad = torch.ops.aten.threshold_backward(grad, positive, 0) if ctx.kept else _only(grad, positive)
            if places is not None:
                grad = _unpool(grad, places, ctx.whole)
            grad = F.conv_transpose2d(grad, kernel, padding=ctx.padding)
        return grad, *[None] * 6


class _MaxPool(torch.autograd.Function):
    """:func:`max_pool`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, places = _pool_with_places(x)
        ctx.whole = x.shape
        ctx.save_for_backward(places)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (places,) = ctx.saved_tensors
        return _unpool(grads[0], places, ctx.whole)


class _Cut(torch.autograd.Function):
    """:func:`cut`: autograd's own gradient of a part is in another memory format than the features, and slow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: slice, columns: slice) -> Tensor:
        ctx.whole, ctx.part = x.shape, (..., rows, columns)
        return x[ctx.part].contiguous(memory_format=torch.channels_last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        batch, channels, height, width = ctx.whole
        found = grads[0].new_zeros((batch, height, width, channels)).permute(0, 3, 1, 2)
        found[ctx.part] = grads[0]
        return found, None, None


def _only(grad: Tensor, positive: Tensor) -> Tensor:
    """A gradient where the output was positive, 0 elsewhere: as whole numbers, which is four times as fast."""
    whole = SAME_SIZE[grad.dtype.itemsize]
    return positive.view(torch.int8).to(whole).mul_(grad.view(whole)).view(grad.dtype)


def _paired(x: Tensor) -> Tensor:
    """A view in which, on the CPU, each two lines are a picture of a batch.

    torch shares out the gradient of a channels-last pooling among threads by pictures, and there is one. (To cut off an odd
    line would cost as much.)
    """
    _, channels, height, width = x.shape
    if x.device.type != "cpu" or height % 2:
        return x
    return x.permute(0, 2, 3, 1).reshape(-1, 2, width, channels).permute(0, 3, 1, 2)


def _unpaired(y: Tensor, whole: torch.Size) -> Tensor:
    """The result of a pooling of pairs as one picture again."""
    batch, channels, height, _ = whole
    return y.permute(0, 2, 3, 1).reshape(batch, height // 2, -1, channels).permute(0, 3, 1, 2)


def _pool_with_places(x: Tensor) -> tuple[Tensor, Tensor]:
    """The maxima, and where each lies in its picture, or pair of lines, in as few bytes as hold it."""
    pairs = _paired(x)
    y, places = F.max_pool2d(pairs, 2, return_indices=True)
    few = torch.int16 if pairs.shape[2] * pairs.shape[3] <= torch.iinfo(torch.int16).max else torch.int32
    return _unpaired(y, x.shape), places.to(few)


def _unpool(grad: Tensor, places: Tensor, whole: torch.Size) -> Tensor:
    """The gradient of a pooling's input ``(B, C, H, W)``; of that input only the shape counts."""
    like = grad.new_empty((whole[0], whole[2], whole[3], whole[1])).permute(0, 3, 1, 2)
    pairs = _paired(like)
    grad = grad.permute(0, 2, 3, 1).reshape(places.shape[0], places.shape[2], places.shape[3], -1).permute(0, 3, 1, 2)
    found = torch.ops.aten.max_pool2d_with_indices_backward(
        grad, pairs, [2, 2], [2, 2], [0, 0], [1, 1], False, places.to(torch.int64)
    )
    return found.permute(0, 2, 3, 1).reshape(whole[0], whole[2], whole[3], whole[1]).permute(0, 3, 1, 2)
