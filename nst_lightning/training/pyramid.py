"""Adam on the coefficients of the image's Laplacian pyramid, with the image as the only parameter.

Let the image be x = c₀ + U₁(c₁ + U₂(c₂ + …)), U_l the bilinear enlargement from level l to level l − 1: any image is one,
and this is how Kolkin et al. 2022 paint it. The objective depends on the coefficients c_l through x alone, so its gradient
there is g₀ = ∂L/∂x and g_l = U_lᵀ g_{l−1}. Adam changes c_l by Δ_l, computed from g_l and its moments and not from c_l; and
x, being linear in them, by Δ₀ + U₁(Δ₁ + U₂(Δ₂ + …)). So the coefficients are never needed: keeping Adam's moments of each
g_l gives the images that Adam on the coefficients gives, but for rounding.

It is a preconditioner. A coarse coefficient moves many pixels by its whole step: large forms and colours, which plain Adam
moves no faster than grain, go first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nst_lightning.pictures import mapped
from nst_lightning.pictures.pyramid import grown, sizes
from nst_lightning.pictures.strips import by_planes, planes, strips


class PyramidAdam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1) on each level of the image's pyramid.

    At a change of scale it begins anew: the levels of two sizes are different ones, and the source does so too.

    Args:
        parameters: images ``(1, 3, H, W)``.
        lr: the learning rate, in units of the image's range; of every level.
        betas: of the means of the gradient and of its square. The first 0 and no ``correction`` is RMSprop.
        eps: added to the root of the latter.
        levels: of the pyramid, fewer where a level would be smaller than a pixel.
        correction: whether the means are corrected for their beginning at 0.
        circular: whether opposite edges of the images continue each other, at every level.
    """

    restarts = True  # at a change of scale

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 0.002,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        levels: int = 8,
        correction: bool = True,
        circular: bool = False,
    ) -> None:
        if not 0 < lr < float("inf"):
            raise ValueError(f"lr {lr}: the learning rate is above 0")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas {betas}: from 0 to below 1")
        if levels < 1:
            raise ValueError(f"levels {levels}: the number of levels is 1 or more")
        settings: dict[str, Any] = {"lr": lr, "betas": tuple(betas), "eps": eps, "levels": levels}
        settings |= {"correction": correction, "circular": circular}
        super().__init__(parameters, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; ``closure`` computes the gradient and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for image in group["params"]:
                if image.grad is not None:
                    self._change(image, group)
        return loss

    def _change(self, image: nn.Parameter, group: dict[str, Any]) -> None:
        state = self.state[image]
        state["step"] = state.get("step", 0) + 1
        assert image.grad is not None
        if mapped.is_mapped(image):
            mapped.trim()
        flat = image.grad if image.grad.ndim == 4 else image.grad.reshape(1, 1, 1, -1)
        circular = group["circular"]
        every = sizes(int(flat.shape[2]), int(flat.shape[3]), group["levels"])
        gradients = [flat]
        for size in every[1:]:
            gradients.append(by_planes(partial(adjoint, size=size, circular=circular), gradients[-1]))
        total: Tensor | None = None
        for level in reversed(range(1, len(every))):
            change = self._adam(self._means(state, level, gradients[level]), gradients.pop(), state["step"], group)
            total = change if total is None else change.add_(grown(total, every[level], circular))
        # the finest level is as large as the image: what it and the others change is taken strip by strip
        means = self._means(state, 0, flat)
        pixels = image.view_as(flat)
        for plane in planes(flat):
            coarser = None if total is None else grown(total[:, plane], every[0], circular)
            for rows in strips(*every[0]):
                part = (slice(None), plane, rows)
                change = self._adam(tuple(mean[part] for mean in means), flat[part], state["step"], group)
                pixels[part] -= change if coarser is None else change.add_(coarser[:, :, rows])
            mapped.let_go()

    @staticmethod
    def _means(state: dict[str, Any], level: int, gradient: Tensor) -> tuple[Tensor, ...]:
        """The means of a level, of the gradient and of its square."""
        names = f"exp_avg_{level}", f"exp_avg_sq_{level}"
        for name in names:
            if name not in state:
                state[name] = mapped.zeros(gradient.shape, gradient.dtype, gradient.device)
            state[name] = mapped.kept(state[name])  # a checkpoint's
        return tuple(state[name] for name in names)

    @staticmethod
    def _adam(means: tuple[Tensor, ...], gradient: Tensor, step: int, group: dict[str, Any]) -> Tensor:
        """What Adam takes from coefficients, whose means are changed."""
        mean, square = means
        first, second = group["betas"]
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        steps = step if group["correction"] else float("inf")
        root = (square / (1 - second**steps)).sqrt_().add_(group["eps"])
        return mean / root * (group["lr"] / (1 - first**steps))


def adjoint(gradient: Tensor, size: tuple[int, int], circular: bool = False) -> Tensor:
    """Uᵀ g: the gradient in a picture of ``size`` of what depends on it enlarged, ``(1, C, *size)``.

    Args:
        gradient: ``(1, C, H, W)``, in the enlarged picture.
        size: of the smaller one.
        circular: whether it is enlarged around its edges.
    """
    with torch.enable_grad():
        small = gradient.new_zeros((*gradient.shape[:2], *size)).requires_grad_()
        large = grown(small, (int(gradient.shape[2]), int(gradient.shape[3])), circular)
        (found,) = torch.autograd.grad(large, small, gradient)
    return found


def pyramid_adam(parameters: Iterable[nn.Parameter], lr: float = 0.008) -> PyramidAdam:
    """With eight levels, as Kolkin et al. 2022, and means that forget sooner than theirs.

    Within some dozens of steps, means over 10 gradients (0.9) and 1000 squares (0.999) remember where the picture began.
    Means over 3 and 20 need half of the steps for the same picture.
    """
    return PyramidAdam(parameters, lr=lr, betas=(0.7, 0.95))
