"""Neural style transfer by optimisation, as a PyTorch Lightning module.

The names are loaded when they are first asked for (PEP 562), so that a command can set up the process, or answer
``--help``, before torch is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nst_lightning.api import Moment, stylize
    from nst_lightning.data import ImagePair
    from nst_lightning.losses.style_loss import StyleLoss
    from nst_lightning.module import StyleTransfer
    from nst_lightning.network.features import VGGFeatures, VGGSettings
    from nst_lightning.presets import preset
    from nst_lightning.training.controls import Controls

    __version__: str

__all__ = [
    "Controls",
    "ImagePair",
    "Moment",
    "StyleLoss",
    "StyleTransfer",
    "VGGFeatures",
    "VGGSettings",
    "preset",
    "stylize",
]

_HOMES = {
    "Controls": "training.controls",
    "ImagePair": "data",
    "Moment": "api",
    "StyleLoss": "losses.style_loss",
    "StyleTransfer": "module",
    "VGGFeatures": "network.features",
    "VGGSettings": "network.features",
    "preset": "presets",
    "stylize": "api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found  # the next time without this function
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
