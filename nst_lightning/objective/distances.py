"""How far a picture is from the content and the style, measured where no recipe optimises, and how it looks."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from nst_lightning.losses.moments import flatten, moments
from nst_lightning.losses.self_similarity import self_similarity_loss
from nst_lightning.losses.wasserstein import wasserstein_loss
from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.layers import find_layer
from nst_lightning.pictures.looks import SIDE, edge_agreement, noise
from nst_lightning.pictures.picture import fit_size, resize

# Beside those that transfer.yaml and the recipes compare: what was only tuned to its own layers does not look good here.
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_3")
CONTENT_LAYERS = ("relu3_3", "relu5_1")
RELATIONS = "relu4_3"
PLACES = 1024  # whose relations are compared, at most


@lru_cache(maxsize=1)
def _features() -> VGGFeatures:
    layers = {find_layer(name, "vgg16") for name in STYLE_LAYERS + CONTENT_LAYERS}
    return VGGFeatures(layers, VGGSettings())


@torch.no_grad()
def distances(result: Tensor, content: Tensor | None, style: Tensor | None) -> dict[str, float]:
    """Distances of a result, comparable between runs with other losses, layers and weights.

    Both are shares of what there is to explain, averaged over layers of the bundled VGG-16: 0 is the picture itself, about
    1 and above an unrelated one.

    Args:
        result: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: ``(1, 3, H', W')``, resized to the result, or None.
        style: ``(1, 3, H'', W'')``, or None.

    Returns:
        ``style_distance``: the Gaussian Wasserstein distance over the trace of the style's covariance.
        ``content_distance``: the mean squared difference of features over the variance of the content's.
        ``self_similarity``: how far the relations of places are from the content's, 0 for the content itself; see
        :func:`~nst_lightning.losses.self_similarity.self_similarity_loss`. ``edge_agreement`` with the content, and
        ``noise`` against the style's: see :mod:`nst_lightning.pictures.looks`. Without a picture, what compares with it
        is left out.

    >>> picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> {name: round(value, 6) for name, value in distances(picture, picture, None).items()}
    {'content_distance': 0.0, 'self_similarity': 0.0, 'edge_agreement': 1.0}
    """
    network = _features()
    ours = {layer.name: value.float() for layer, value in network(result.cpu().float()).items()}
    found: dict[str, float] = {}
    if style is not None and min(style.shape[-2:]) >= 16:
        theirs = {layer.name: value for layer, value in network(style.cpu().float()).items()}
        shares = []
        for name in STYLE_LAYERS:
            target = moments(theirs[name])
            channels = len(target.mean)
            shares.append(float(wasserstein_loss(moments(ours[name]), target) * channels / target.covariance.trace()))
        found["style_distance"] = sum(shares) / len(shares)
        painting = resize(style.cpu().float(), fit_size(style.shape[2], style.shape[3], max(result.shape[-2:])))
        if min(*result.shape[-2:], *painting.shape[-2:]) >= SIDE:
            found["noise"] = noise(result, painting)
    if content is not None:
        content = resize(content.cpu().float(), (int(result.shape[2]), int(result.shape[3])))
        theirs = {layer.name: value for layer, value in network(content).items()}
        shares = []
        for name in CONTENT_LAYERS:
            target_features = theirs[name].float()
            spread = target_features.var(dim=(2, 3)).mean().clamp(min=1e-12)
            shares.append(float((ours[name] - target_features).square().mean() / spread))
        found["content_distance"] = sum(shares) / len(shares)
        places = [flatten(one[RELATIONS].float()) for one in (ours, theirs)]
        some = torch.linspace(0, len(places[0]) - 1, min(PLACES, len(places[0]))).round().long()
        found["self_similarity"] = float(self_similarity_loss(places[0][some], places[1][some]))
        found["edge_agreement"] = edge_agreement(result, content)
    return found
