"""How far a picture is from the content and the style, measured where no recipe optimises."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from nst_lightning.losses.moments import moments
from nst_lightning.losses.wasserstein import wasserstein_loss
from nst_lightning.network.features import VGGFeatures, VGGSettings
from nst_lightning.network.layers import find_layer
from nst_lightning.pictures.picture import resize

# Beside those that transfer.yaml and the recipes compare: what was only tuned to its own layers does not look good here.
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_3")
CONTENT_LAYERS = ("relu3_3", "relu5_1")


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
        ``content_distance``: the mean squared difference of features over the variance of the content's. Without a
        picture its distance is left out.

    >>> picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> distances(picture, picture, None)
    {'content_distance': 0.0}
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
    if content is not None:
        content = resize(content.cpu().float(), (int(result.shape[2]), int(result.shape[3])))
        theirs = {layer.name: value for layer, value in network(content).items()}
        shares = []
        for name in CONTENT_LAYERS:
            target_features = theirs[name].float()
            spread = target_features.var(dim=(2, 3)).mean().clamp(min=1e-12)
            shares.append(float((ours[name] - target_features).square().mean() / spread))
        found["content_distance"] = sum(shares) / len(shares)
    return found
