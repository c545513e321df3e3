"""The losses of hypercolumns against independent NumPy calculations written from the papers, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from nst_lightning.errors import BadArgument
from nst_lightning.losses import make_content_loss, nearest_neighbor, neighbor_search
from nst_lightning.losses.cosine import unit
from nst_lightning.losses.nearest_neighbor import NearestNeighbor, NeighborSettings
from nst_lightning.losses.nearest_neighbor_layers import NearestNeighborLayers
from nst_lightning.losses.neighbor_search import Rows, Search, principal_axes, share_out
from nst_lightning.losses.points import PIXELS, Field
from nst_lightning.losses.relaxed_emd import Palette, RelaxedEMD, moments_loss, palette_loss, relaxed_emd_loss
from nst_lightning.losses.self_similarity import SelfSimilarity, self_similarity_loss
from nst_lightning.network.layers import find_layer

pytestmark = pytest.mark.usefixtures("one_thread")

LAYERS = {find_layer("relu1_1", "vgg16"): 0.75, find_layer("relu2_1", "vgg16"): 0.25}


def rows(count: int, width: int, seed: int = 0, low: float = -0.3) -> Tensor:
    """Random hypercolumns of unlike lengths."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(count, width, generator=generator, dtype=torch.float64) + low
    return values * (0.5 + torch.rand(count, 1, generator=generator, dtype=torch.float64))


def columns(count: int, seed: int = 0) -> dict:
    """What is read at some points: three colours and a few channels of each layer."""
    found = {PIXELS: rows(count, 3, seed, low=0.0) / 1.5}
    return found | {layer: 2 * rows(count, 4 + n, seed + 10 + n) for n, layer in enumerate(LAYERS)}


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def distances(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """1 − cos, pair by pair."""
    return np.array([[cosine(a, b) for b in theirs] for a in ours])


def joined(found: dict, pixels: bool, divide: bool = False) -> np.ndarray:
    """Hypercolumns: layers weighted relative to their mean weight, RGB in the units of the network's input."""
    parts = [found[PIXELS].detach().numpy() / 0.226] if pixels else []
    for layer, weight in LAYERS.items():
        parts.append(found[layer].detach().numpy() * 2 * weight / (layer.channels if divide else 1))
    return np.concatenate(parts, axis=1)


# ---- nearest neighbours ----------------------------------------------------------------------------------------------


def test_nearest_neighbor_is_the_mean_cosine_distance_to_the_matched():
    """If this fails, the loss is not Kolkin's: its normalisation by channels, its mean or its matches are others."""
    loss, image, style = NearestNeighbor(), columns(9), columns(7, seed=1)
    ours, theirs = joined(image, False, True), joined(style, False, True)
    numbers = torch.tensor([3, 3, 0, 6, 1, 1, 2, 0, 6], dtype=torch.int32)
    target = loss.matches(torch.from_numpy(theirs), numbers, LAYERS)
    assert len(target.rows) == 5  # those in use
    expected = np.mean([cosine(ours[n], theirs[m]) for n, m in enumerate(numbers.tolist())])
    assert loss([image], target, 0).item() == pytest.approx(expected, rel=1e-12)


def test_nearest_neighbor_adds_up_and_its_parts_too(monkeypatch):
    """If this fails, tiles or long pictures count some places twice."""
    loss, image = NearestNeighbor(), columns(20)
    style = torch.from_numpy(joined(columns(8, seed=1), False, True))
    target = loss.matches(style, torch.arange(20) % 8, LAYERS)
    whole = loss([image], target, 0)
    parts = [torch.arange(0, 7), torch.arange(7, 20)]
    added = sum(loss([{layer: one[part] for layer, one in image.items()}], target.of(part), 0) for part in parts)
    assert added.item() == pytest.approx(whole.item(), rel=1e-12)
    monkeypatch.setattr(nearest_neighbor, "CHUNK", 3)
    assert loss([image], target, 0).item() == pytest.approx(whole.item(), rel=1e-12)


def test_gradient_of_nearest_neighbor(monkeypatch):
    """If this fails, the closed-form gradient is not the slope of the loss."""
    monkeypatch.setattr(nearest_neighbor, "CHUNK", 3)
    loss, image = NearestNeighbor(), columns(5)
    target = loss.matches(torch.from_numpy(joined(columns(4, 1), False, True)), torch.arange(5) % 4, LAYERS)
    inputs = [image[layer].requires_grad_() for layer in LAYERS]
    assert gradcheck(lambda *x: 3 * loss([dict(zip(LAYERS, x, strict=True))], target, 0), inputs)
    nothing = {layer: torch.zeros_like(one).requires_grad_() for layer, one in image.items()}
    grads = torch.autograd.grad(loss([nothing], target, 0), [nothing[layer] for layer in LAYERS])
    assert all((grad == 0).all() for grad in grads)


@pytest.mark.parametrize("axes", [0, 256])
def test_the_search_finds_the_least_centred_cosine_distance(axes, monkeypatch):
    """If this fails, places are matched with others than the nearest."""
    monkeypatch.setattr(neighbor_search, "QUERIES", 7)
    monkeypatch.setattr(neighbor_search, "ROWS", 16)
    queries, style = rows(40, 30), rows(60, 30, seed=1)
    search = Search([Rows(style, torch.arange(60), 1.0)], axes)
    centred = [one.numpy() - one.numpy().mean(axis=0) for one in (queries, style)]
    expected = distances(*centred).argmin(axis=1)
    assert search.match(search.project(queries)).tolist() == expected.tolist()


def test_principal_axes_hold_the_variance_that_svd_says():
    """If this fails, the cheap search looks along the wrong directions."""
    factors = torch.logspace(0, -2, 50, dtype=torch.float64)
    data = (rows(300, 50, low=-0.5) * factors) @ torch.linalg.qr(rows(50, 50, seed=2)).Q
    data = data - data.mean(dim=0)
    axes = principal_axes(data, 10)
    torch.testing.assert_close(axes.T @ axes, torch.eye(10, dtype=torch.float64), atol=1e-12, rtol=0)
    values = np.linalg.svd(data.numpy(), compute_uv=False) ** 2
    assert float((data @ axes).square().sum()) > 0.99 * values[:10].sum()


def test_the_cheap_search_is_hardly_worse_than_the_exact_one():
    """If this fails, projecting to the painting's axes costs what the eye would see."""
    factors = torch.logspace(0, -1.5, 120, dtype=torch.float64)
    style, queries = (rows(500, 120, seed, low=-0.5) * factors for seed in (1, 2))
    exact = distances(*(one.numpy() - one.numpy().mean(axis=0) for one in (queries, style)))
    search = Search([Rows(style, torch.arange(500), 1.0)], 30)
    found = search.match(search.project(queries)).numpy()
    assert exact[np.arange(500), found].mean() < exact.min(axis=1).mean() * 1.1 + 1e-9
    assert exact[np.arange(500), found].mean() < exact.mean() * 0.6


def test_shares_of_matches():
    """If this fails, several style images do not get what their weights say, or give up their best matches for it."""
    generator = torch.Generator().manual_seed(0)
    found = torch.rand(600, 3, generator=generator) * torch.tensor([1.0, 0.5, 0.7])
    shares = [0.2, 0.3, 0.5]
    chosen = share_out(found, shares)
    counts = torch.bincount(chosen, minlength=3) / 600
    torch.testing.assert_close(counts, torch.tensor(shares), atol=0.01, rtol=0)
    # an auction's outcome is the cheapest with these numbers: no two queries would gain by an exchange
    taken = found[torch.arange(600), chosen]
    gain = taken[:, None] + taken[None] - found[:, chosen] - found[:, chosen].T
    assert gain.max() < 1e-5


def test_occurrence_spreads_the_matches():
    """If this fails, one motif is stamped everywhere in spite of the penalty."""
    style = rows(100, 20, seed=1)
    queries = style[:3].repeat(80, 1) + 0.05 * rows(240, 20, seed=2)
    used = []
    for occurrence in (0.0, 0.05, 0.5):
        search = Search([Rows(style, torch.arange(100), 1.0)], 0, occurrence)
        found = search.match(queries)
        assert torch.equal(found, Search([Rows(style, torch.arange(100), 1.0)], 0, occurrence).match(queries))
        used.append(len(torch.unique(found)))
    assert used[0] < used[1] < used[2], used


def test_a_place_and_its_rotations_share_their_occurrence():
    """If this fails, a motif turned by 90 degrees counts as another one."""
    style = rows(30, 20, seed=1).repeat(2, 1)
    places = torch.arange(30).repeat(2)
    found = Search([Rows(style, places, 1.0)], 0, 1.0).match(rows(600, 20, seed=2))
    alone = Search([Rows(style[:30], places[:30], 1.0)], 0, 1.0).match(rows(600, 20, seed=2))
    assert torch.equal(found % 30, alone)


@pytest.mark.parametrize(("name", "value"), [("occurrence", -0.1), ("refresh", -1), ("axes", -2)])
def test_settings_of_neighbors_that_cannot_be(name, value):
    """If this fails, a setting that means nothing is taken."""
    with pytest.raises(BadArgument, match=f"neighbors.{name}"):
        NeighborSettings(**{name: value})


def numpy_layers(image: list[np.ndarray], style: list[np.ndarray]) -> float:
    total = 0.0
    for ours, theirs, weight in zip(image, style, LAYERS.values(), strict=True):
        total += weight * distances(ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)).min(axis=1).mean()
    return total


def test_nearest_neighbor_by_layers():
    """If this fails, the final pass is not Kolkin's."""
    loss = NearestNeighborLayers()
    image, style = columns(12), columns(9, seed=1)
    split = [[{layer: found[layer]} for layer in LAYERS] for found in (image, style)]
    target = loss.samples_target([(split[1], 1.0)], LAYERS)
    expected = numpy_layers(*([found[layer].numpy() for layer in LAYERS] for found in (image, style)))
    assert loss(split[0], target, 0).item() == pytest.approx(expected, rel=1e-12)
    inputs = [image[layer].requires_grad_() for layer in LAYERS]
    assert gradcheck(lambda *x: loss([{layer: one} for layer, one in zip(LAYERS, x, strict=True)], target, 0), inputs)


# ---- relaxed earth mover ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(8, 13), (13, 8)])
def test_relaxed_emd(sizes):
    """If this fails, the distance is not the larger of the two relaxations."""
    image, style = rows(sizes[0], 6), rows(sizes[1], 6, seed=1)
    costs = distances(image.numpy(), style.numpy())
    expected = max(costs.min(axis=1).mean(), costs.min(axis=0).mean())
    assert relaxed_emd_loss(image, style).item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda x: relaxed_emd_loss(x, style), image.requires_grad_())


def test_moments_of_samples():
    """If this fails, the second term of STROTSS is another."""
    image, style = rows(8, 6), rows(13, 6, seed=1)
    spread = np.cov(style.numpy().T, bias=True)
    difference = np.abs(np.cov(image.numpy().T, bias=True) - spread).mean()
    expected = np.abs(image.numpy().mean(0) - style.numpy().mean(0)).mean() + difference
    mean, covariance = style.mean(0), torch.from_numpy(spread)
    assert moments_loss(image, mean, covariance).item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda x: moments_loss(x, mean, covariance), image.requires_grad_())


def test_palette():
    """If this fails, colours are compared otherwise than by cosine and Euclidean distance, or depend on their basis."""
    image, style = rows(9, 3, low=0.1) / 2, rows(14, 3, seed=1, low=0.1) / 2
    turn = np.linalg.qr(np.array([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]]).T)[0]  # luminance and two colour differences
    ours, theirs = image.numpy() @ turn, style.numpy() @ turn
    costs = distances(ours, theirs) + np.linalg.norm(ours[:, None] - theirs[None], axis=2)
    expected = max(costs.min(axis=1).mean(), costs.min(axis=0).mean())
    assert palette_loss(image, style).item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda x: palette_loss(x, style), image.requires_grad_())


def test_palette_of_black_and_of_colours_that_are_there():
    """If this fails, black pixels or exact matches give infinite gradients."""
    style = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.2, 0.1]], dtype=torch.float64)
    image = torch.cat([style, style + 1e-9]).requires_grad_()
    (gradient,) = torch.autograd.grad(palette_loss(image, style), image)
    assert gradient.isfinite().all() and gradient.abs().max() < 100


def test_strotss_adds_its_parts_over_hypercolumns_with_rgb():
    """If this fails, the hypercolumns of STROTSS lack RGB or weigh the layers otherwise."""
    image, styles = columns(8), [columns(6, seed=1), columns(3, seed=2)]
    loss, palette = RelaxedEMD(), Palette()
    read = [([one], share) for one, share in zip(styles, (0.7, 0.3), strict=True)]
    ours = joined(image, True)
    theirs = np.concatenate([joined(one, True) for one in styles])
    costs = distances(ours, theirs)
    expected = max(costs.min(axis=1).mean(), costs.min(axis=0).mean())
    expected += np.abs(ours.mean(0) - theirs.mean(0)).mean()
    expected += np.abs(np.cov(ours.T, bias=True) - np.cov(theirs.T, bias=True)).mean()
    assert loss([image], loss.samples_target(read, LAYERS), 0).item() == pytest.approx(expected, rel=1e-12)
    found = palette([image], palette.samples_target(read, LAYERS), 0)
    assert found.item() == pytest.approx(palette_loss(image[PIXELS], torch.cat([s[PIXELS] for s in styles])).item())


# ---- self-similarity -------------------------------------------------------------------------------------------------


def numpy_self_similarity(image: np.ndarray, content: np.ndarray) -> float:
    relations = [distances(one, one) for one in (image, content)]
    relations = [one / one.sum(axis=0, keepdims=True) for one in relations]
    return float(np.abs(relations[0] - relations[1]).mean()) * len(image)


def test_self_similarity():
    """If this fails, the content loss of STROTSS is another, or shrinks with the number of points."""
    image, content = columns(9), columns(9, seed=1)
    loss = SelfSimilarity()
    found = loss([image], ([content], LAYERS), 0)
    assert found.item() == pytest.approx(numpy_self_similarity(joined(image, True), joined(content, True)), rel=1e-9)
    assert loss([content], ([content], LAYERS), 0).item() == 0
    inputs = rows(7, 5).requires_grad_()
    assert gradcheck(lambda x: self_similarity_loss(x, rows(7, 5, seed=1)), inputs)


def test_self_similarity_does_not_see_what_places_look_like():
    """If this fails, it asks for the photograph's texture after all."""
    content = rows(9, 5)
    turned = content @ torch.linalg.qr(rows(5, 5, seed=3)).Q
    assert self_similarity_loss(turned, content).item() == pytest.approx(0, abs=1e-10)


def test_content_losses_by_name():
    """If this fails, a typing error in `content_loss` is taken, or names another loss."""
    assert make_content_loss("features") is None and isinstance(make_content_loss("self_similarity"), SelfSimilarity)
    with pytest.raises(BadArgument, match="did you mean 'self_similarity'"):
        make_content_loss("selfsimilarity")


def test_points_are_drawn_anew_every_tenth_step():
    """If this fails, a resumed run looks at other points, or every step at the same."""
    field = Field(60, 80)
    for loss in (RelaxedEMD(), Palette(), SelfSimilarity()):
        drawn = [loss.readings(field, LAYERS, step)[0].points for step in (0, 9, 10, 25)]
        assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[1], drawn[2])
        assert len(drawn[0]) == 1024 == len(torch.unique(drawn[0], dim=0))
        torch.rand(9)  # whoever else draws numbers
        assert torch.equal(drawn[3], loss.readings(field, LAYERS, 29)[0].points)


def test_unit_of_nothing_is_nothing():
    """If this fails, a place without features makes the gradient infinite."""
    nothing = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(unit(nothing).sum(), nothing)
    assert (unit(nothing) == 0).all() and (gradient == 0).all()
