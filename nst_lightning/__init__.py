"""Neural style transfer by optimisation, as a PyTorch Lightning module."""

from nst_lightning.api import stylize
from nst_lightning.data import ImagePair
from nst_lightning.module import StyleTransfer
from nst_lightning.network.features import VGGFeatures, VGGSettings

__all__ = ["ImagePair", "StyleTransfer", "VGGFeatures", "VGGSettings", "stylize"]
