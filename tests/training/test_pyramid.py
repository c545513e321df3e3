"""Adam on the image's pyramid is Adam on its coefficients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam, RMSprop

from nst_lightning.pictures.pyramid import coarse, grown, shrunk, sizes
from nst_lightning.training.carry import carry_over
from nst_lightning.training.optimizers import OPTIMIZERS
from nst_lightning.training.precision import check_precision
from nst_lightning.training.pyramid import PyramidAdam, adjoint

pytestmark = pytest.mark.usefixtures("one_thread")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def decompose(image: Tensor, levels: int) -> list[Tensor]:
    """The Laplacian pyramid: what each level adds to the next coarser one, fine to coarse."""
    found = []
    every = sizes(int(image.shape[2]), int(image.shape[3]), levels)
    for size, larger in zip(every[1:], every, strict=False):
        small = shrunk(image, size)
        found.append(image - grown(small, larger))
        image = small
    return [*found, image]


def compose(coefficients: list[Tensor]) -> Tensor:
    image = coefficients[-1]
    for level in reversed(coefficients[:-1]):
        image = level + grown(image, (int(level.shape[2]), int(level.shape[3])))
    return image


def objective(image: Tensor) -> Tensor:
    """Not quadratic, not separable: gradients change with the image and tie pixels together."""
    small = torch.nn.functional.avg_pool2d(image, 3, 2, padding=1)
    return (image - random(*image.shape[2:], seed=1)).pow(4).sum() + (small.sin() * 3).exp().mean()


@pytest.mark.parametrize(("size", "levels"), [((16, 24), 3), ((23, 37), 8), ((1, 9), 4)])
@pytest.mark.parametrize("kind", ["adam", "rmsprop"])
def test_it_is_adam_on_the_coefficients(kind, size, levels):
    """If this fails, the optimiser is not the preconditioner of NNST, but something like it."""
    image = nn.Parameter(random(*size))
    coefficients = [nn.Parameter(level) for level in decompose(image.detach(), levels)]
    torch.testing.assert_close(compose(coefficients).detach(), image.detach())
    if kind == "adam":
        theirs: torch.optim.Optimizer = Adam(coefficients, lr=0.01, betas=(0.8, 0.9))
        ours = PyramidAdam([image], lr=0.01, betas=(0.8, 0.9), levels=levels)
    else:
        theirs = RMSprop(coefficients, lr=0.002)
        ours = PyramidAdam([image], lr=0.002, betas=(0.0, 0.99), levels=levels, correction=False)
    for _ in range(20):
        theirs.zero_grad()
        objective(compose(coefficients)).backward()
        theirs.step()
        ours.zero_grad()
        objective(image).backward()
        ours.step()
    assert float((image.detach() - random(*size)).abs().max()) > 0.02  # it went somewhere
    torch.testing.assert_close(image.detach(), compose(coefficients).detach(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("circular", [False, True])
def test_the_adjoint_of_enlarging(circular):
    """If this fails, coarse coefficients get another gradient than theirs."""
    small, large = random(5, 8), random(11, 16, seed=1)
    forth = (grown(small, (11, 16), circular) * large).sum()
    back = (small * adjoint(large, (5, 8), circular)).sum()
    assert float(forth) == pytest.approx(float(back), rel=1e-12)


def test_around_the_seam_is_like_anywhere():
    """If this fails, a seamless texture gets an edge from its optimiser: turned pictures make turned steps."""
    gradient = random(16, 24)
    changes = []
    for turned in (False, True):
        image = nn.Parameter(torch.full((1, 3, 16, 24), 0.5, dtype=torch.float64))
        optimizer = PyramidAdam([image], levels=4, circular=True)
        for _ in range(3):
            image.grad = gradient.roll((8, -8), (2, 3)) if turned else gradient.clone()
            optimizer.step()
        changes.append(image.detach())
    torch.testing.assert_close(changes[1], changes[0].roll((8, -8), (2, 3)), rtol=0, atol=1e-12)


def test_large_forms_move_first():
    """If this fails, it is no preconditioner: a uniform change takes as many steps as with Adam."""
    target = torch.full((1, 3, 32, 32), 0.4)
    changes = {}
    for name in ("adam", "pyramid"):
        image = nn.Parameter(torch.zeros(1, 3, 32, 32))
        optimizer = Adam([image], lr=0.002) if name == "adam" else PyramidAdam([image])
        for _ in range(20):
            optimizer.zero_grad()
            (image - target).square().sum().backward()
            optimizer.step()
        changes[name] = float(image.detach().mean())
    assert changes["pyramid"] > 4 * changes["adam"]


def test_its_state_is_saved_whole():
    """If this fails, a resumed run with pyramid_adam is another run."""

    def go(image: nn.Parameter, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            objective(image).backward()
            optimizer.step()

    whole = nn.Parameter(random(20, 30))
    optimizer = PyramidAdam([whole])
    go(whole, optimizer, 5)
    saved, state = whole.detach().clone(), copy.deepcopy(optimizer.state_dict())
    go(whole, optimizer, 4)
    rest = nn.Parameter(saved)
    again = PyramidAdam([rest])
    again.load_state_dict(state)
    go(rest, again, 4)
    assert torch.equal(rest, whole)


def test_a_change_of_scale_begins_anew():
    """If this fails, moments of the levels of one size are taken for those of another."""
    old, new = nn.Parameter(random(8, 8)), nn.Parameter(random(16, 16))
    before, after = OPTIMIZERS["pyramid_adam"]([old]), OPTIMIZERS["pyramid_adam"]([new])
    objective(old).backward()
    before.step()
    carry_over(before, old, after, new)
    assert not after.state
    objective(new).backward()
    after.step()


def test_settings_that_cannot_be():
    """If this fails, a wrong setting ends in a traceback in the middle of a run."""
    for settings in ({"lr": 0.0}, {"betas": (0.9, 1.0)}, {"levels": 0}):
        with pytest.raises(ValueError):
            PyramidAdam([nn.Parameter(torch.zeros(1))], **settings)
    check_precision(OPTIMIZERS["pyramid_adam"], "16-mixed")


def test_coarse_leaves_large_forms():
    """If this fails, `init: blurred` begins with the photograph's detail, or without its colours."""
    image = random(33, 50)
    found = coarse(image, 3)
    assert found.shape == image.shape
    assert float((found.mean() - image.mean()).abs()) < 0.02 and float(found.std()) < 0.3 * float(image.std())
    assert torch.equal(coarse(image, 0), image)
