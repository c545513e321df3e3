"""Distances that compare methods: each against its definition in NumPy, on the network's features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nst_lightning import VGGFeatures, VGGSettings
from nst_lightning.network.layers import find_layer
from nst_lightning.objective.distances import CONTENT_LAYERS, RELATIONS, STYLE_LAYERS, distances
from nst_lightning.pictures.read import read_image


@pytest.fixture(scope="module")
def found(pictures) -> tuple[dict[str, float], dict[str, list[np.ndarray]]]:
    """The distances of a picture between two others, and the features of all three, ``(C, N)`` at each layer."""
    content, style = (read_image(path).rgb[None] for path in pictures)
    result = 0.6 * content + 0.4 * style
    layers = {find_layer(name, "vgg16") for name in (*STYLE_LAYERS, *CONTENT_LAYERS)}
    network = VGGFeatures(layers, VGGSettings())
    with torch.no_grad():
        seen = [network(picture) for picture in (result, content, style)]
    features = {layer.name: [one[layer][0].flatten(1).double().numpy() for one in seen] for layer in layers}
    return distances(result, content, style), features


def test_style_distance(found):
    """If this fails, the table ranks methods by another number than the Wasserstein distance of Gaussians."""
    values, features = found
    shares = []
    for name in STYLE_LAYERS:
        ours, _, theirs = features[name]
        one, other = np.cov(ours, bias=True), np.cov(theirs, bias=True)
        means = np.square(ours.mean(axis=1) - theirs.mean(axis=1)).sum()
        # the root of B has to be real: its product with A has eigenvalues of 0, which sqrtm makes complex
        values_, vectors = np.linalg.eigh(other)
        root = (vectors * np.sqrt(values_.clip(0))) @ vectors.T
        cross = np.sqrt(np.linalg.eigvalsh(root @ one @ root).clip(0)).sum()
        shares.append((means + np.trace(one) + np.trace(other) - 2 * cross) / np.trace(other))
    # covariances get 1e-4 on the diagonal there, and most of the 512 eigenvalues of 48 positions are 0
    assert values["style_distance"] == pytest.approx(np.mean(shares), rel=1e-2)


def test_content_distance(found):
    """If this fails, the photograph's share in a result is another number than its explanation says."""
    values, features = found
    shares = []
    for name in CONTENT_LAYERS:
        ours, theirs, _ = features[name]
        shares.append(np.square(ours - theirs).mean() / theirs.var(axis=1, ddof=1).mean())
    assert values["content_distance"] == pytest.approx(np.mean(shares), rel=1e-4)


def test_self_similarity(found):
    """If this fails, it is not Kolkin's: relations of places, each column by its sum."""
    values, features = found
    relations = []
    for columns in features[RELATIONS][:2]:
        units = columns / np.linalg.norm(columns, axis=0).clip(1e-12)
        one = (1 - units.T @ units).clip(0)
        relations.append(one / one.sum(axis=0).clip(1e-12))
    expected = np.abs(relations[0] - relations[1]).mean() * len(relations[0])
    assert values["self_similarity"] == pytest.approx(expected, rel=1e-3)
