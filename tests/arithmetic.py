"""How far two right results may lie apart, and a processor that rounds unlike any other.

The order in which a kernel adds is its own business: it differs between instruction sets, libraries and numbers of threads.
A test that compares floats says therefore how many roundings are between them, not how near they were on one machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

CONFIDENCE = 6.0  # Higham and Mary's λ: a sum of a million terms is outside once in a hundred
FEATURES = 1e-4  # of a layer's largest value: see `assert_features_close`


def rounding(terms: int, dtype: torch.dtype = torch.float32) -> float:
    """How far a sum of products may be off, as a part of the sum of its terms' absolute values.

    ``terms`` times the unit roundoff whatever the order (Higham 2002, *Accuracy and stability of numerical algorithms*,
    3.1), and for many terms 6 times its root: roundings are as often up as down (Higham and Mary 2019, *A new approach to
    probabilistic rounding error analysis*, theorem 2.4).

    >>> f"{rounding(9):.1e} {rounding(10000):.1e} {rounding(9, torch.float64):.1e}"
    '5.4e-07 3.6e-05 1.0e-15'
    """
    return torch.finfo(dtype).eps / 2 * min(float(terms), CONFIDENCE * terms**0.5)


def assert_sums_close(
    found: Tensor | np.ndarray,
    expected: Tensor | np.ndarray,
    terms: int,
    magnitude: float | Tensor | np.ndarray | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Two results of one sum, in whatever order each was added.

    Args:
        found: any shape.
        expected: of that shape.
        terms: of each sum; a product or quotient more is a term more.
        magnitude: the sum of the terms' absolute values, one or one for each sum; |expected| where no term is below 0.
        dtype: in which was added, of the rougher one.
    """
    found, expected = (np.asarray(x.detach() if isinstance(x, Tensor) else x, dtype=np.float64) for x in (found, expected))
    scale = np.abs(expected) if magnitude is None else np.asarray(magnitude, dtype=np.float64)
    assert found.shape == expected.shape
    off, allowed = np.abs(found - expected), 2 * rounding(terms, dtype) * scale  # both of them may be off
    # not `off <= allowed` alone: a number that is none is never close
    assert np.all(off <= allowed), f"off by {np.nanmax(off / np.maximum(allowed, 1e-300)):.3g} times what rounding may do"


def assert_features_close(found: Tensor, expected: Tensor) -> None:
    """Two results of the network's float32 convolutions at one layer, by whatever kernels.

    A convolution of 512 channels adds 4608 products, some 4e-5 of the sum of their absolute values at most; but these are
    a hundredth of a layer's largest value each and cancel, and the next layers average what is off. 1e-4 of the largest
    value leaves room for Winograd's kernels, which lose a digit.
    """
    torch.testing.assert_close(found, expected, rtol=0, atol=FEATURES * float(expected.detach().abs().max()))


class OtherRounding(TorchDispatchMode):
    """Sums of products come out as a kernel might give them that adds in another order than all that are here.

    To each result of a convolution, a product of matrices or a sum is added what the roundings of a plain loop come to, the
    worst of orders in use. They are the same for the same shapes, as a kernel's order is: equal runs stay equal.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        measure = MEASURES.get(func.overloadpacket)
        return measure(func, result, *args) if measure and not kwargs else result


def _off(result: Tensor, squares: Callable[[], Tensor], terms: int) -> Tensor:
    """A sum with other roundings; ``squares`` gives the sum of the squared terms.

    After k of K terms a loop has about k·S/K of the sum S, and √k of the terms' spread on top, and rounds that by u/√3 in
    the mean: over all k these are u·√(K·(S²/3 + Σ terms²/2)/3).
    """
    if result.dtype not in (torch.float32, torch.float64) or not result.numel():
        return result
    generator = torch.Generator().manual_seed(result.numel() + 31 * terms)
    noise = torch.randn(result.shape, generator=generator, dtype=result.dtype)
    spread = (terms / 3 * (result**2 / 3 + squares().clamp_(min=0) / 2)).sqrt_()
    return result.add_(noise * spread * (torch.finfo(result.dtype).eps / 2))


def _product(func: Any, result: Tensor, left: Tensor, right: Tensor) -> Tensor:
    return _off(result, lambda: func(left**2, right**2), left.shape[-1])


def _added_product(func: Any, result: Tensor, start: Tensor, left: Tensor, right: Tensor, *_: Any) -> Tensor:
    return _off(result, lambda: torch.mm(left**2, right**2), left.shape[-1])


def _convolution(func: Any, result: Tensor, image: Tensor, kernel: Tensor, bias: Tensor | None, *rest: Any) -> Tensor:
    return _off(result, lambda: func(image**2, kernel**2, None, *rest), kernel[0].numel())


def _convolution_back(func: Any, result: Any, grad: Tensor, image: Tensor, kernel: Tensor, *rest: Any) -> Any:
    terms = kernel[:, 0].numel()
    return (
        (_off(result[0], lambda: func(grad**2, image, kernel**2, *rest)[0], terms), *result[1:]) if rest[-1][0] else result
    )


def _exact(values: Tensor) -> bool:
    """Whether a sum is exact in every order: of whole numbers, such as a mask's, or of halves, quarters and so on."""
    fine = values.double() * 256
    return bool((fine == fine.round()).all())


def _sum(func: Any, result: Tensor, values: Tensor, *rest: Any) -> Tensor:
    terms = values.numel() // max(result.numel(), 1)
    return result if _exact(values) else _off(result, lambda: func(values**2, *rest), terms)


def _mean(func: Any, result: Tensor, values: Tensor, *rest: Any) -> Tensor:
    terms = values.numel() // max(result.numel(), 1)
    return result if _exact(values) else _off(result, lambda: func(values**2, *rest) / terms, terms)


aten = torch.ops.aten
MEASURES: dict[Any, Callable[..., Any]] = {
    aten.mm: _product,
    aten.bmm: _product,
    aten.addmm: _added_product,
    aten.addmm_: _added_product,
    aten.convolution: _convolution,
    aten.convolution_backward: _convolution_back,
    aten.sum: _sum,
    aten.mean: _mean,
}


def assert_pictures_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Two results of a run of some steps, in levels of 255, whose gradients differ by rounding.

    Adam's first steps and L-BFGS's move a value whose gradient is nothing but rounding as far as any other, up or down by
    chance. With sums of a plain loop (`--other-rounding`) 9 % were off by more than a level after eight steps of L-BFGS, by
    0.6 levels in the mean of all. Another weight, size or step is off by tens.
    """
    off = np.abs(found.astype(float) - expected.astype(float))
    assert np.mean(off > 1) < 0.2 and off.mean() < 1, f"{np.mean(off > 1):.1%} off, by {off.mean():.2g} levels in the mean"
