"""What the objective asks of a style loss.

A loss that sees :class:`~nst_lightning.losses.moments.Moments` needs the memory of one tile; one that sees features
those of all positions, which a large image's tiles put into a file. Both look at one layer after the other. A
:class:`PointLoss` looks at points of the picture, through all layers at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from nst_lightning.losses.points import Columns, Field, Reading
from nst_lightning.network.layers import Layer

EPSILON = 1e-4  # added to the diagonal of covariances, as crowsonkb/style-transfer-pytorch does


class StyleLoss(nn.Module):
    """What the objective asks of a style loss; derive from it for one of your own and give its class path.

    Attributes:
        sees: ``"moments"``: ``forward`` gets :class:`Moments` and the target made of Moments. ``"features"``: it gets
            features ``(N, C)`` in float32 and the target made of such. ``"samples"`` and ``"positions"``: see
            :class:`PointLoss`.
        name: as it was given in ``style_loss``.
    """

    sees: ClassVar[Literal["moments", "features", "samples", "positions"]] = "moments"
    name: str = ""

    def target(self, style: Any) -> Any:
        """What can be computed once of the style; given to ``forward``."""
        return style

    def forward(self, image: Any, target: Any, step: int) -> Tensor:
        """The loss, a scalar.

        Args:
            image: moments or features of the image.
            target: what ``target`` returned.
            step: the step of the run, for losses that draw numbers: the same step draws the same.
        """
        raise NotImplementedError


class PointLoss(StyleLoss):
    """A loss of hypercolumns: the features of several layers at points of the picture.

    ``"samples"``: some thousand points, gathered before the loss is computed, so that they may be compared with each other.
    ``"positions"``: any number of points, each with a target of its own, so that the loss is a sum over them; see
    :class:`~nst_lightning.losses.nearest_neighbor.NearestNeighbor`.

    The objective multiplies the value by the sum of the layers' weights: doubling them all doubles it, as it does for a
    loss that looks at the layers one by one.
    """

    sees: ClassVar[Literal["moments", "features", "samples", "positions"]] = "samples"

    def readings(self, field: Field, layers: Mapping[Layer, float], step: int) -> list[Reading]:
        """What to read of the image at a step; the same step asks for the same.

        Args:
            field: the image, or a region of it.
            layers: the layers of the term and their shares, which add up to 1.
            step: of the run.
        """
        raise NotImplementedError

    def style_readings(self, field: Field, layers: Mapping[Layer, float], share: float) -> list[Reading]:
        """What to read of a style image, once a scale; ``share`` is its weight as a part of all style images'."""
        return self.readings(field, layers, 0)

    def samples_target(self, styles: Sequence[tuple[list[Columns], float]], layers: Mapping[Layer, float]) -> Any:
        """The target of a loss of samples.

        Args:
            styles: for each style image what was read of it, and its share.
            layers: as above.
        """
        raise NotImplementedError


def relative(layers: Mapping[Layer, float]) -> dict[Layer, float]:
    """The weights of layers in a hypercolumn: 1 each where all are alike."""
    whole = sum(layers.values())
    return {layer: weight * len(layers) / whole for layer, weight in layers.items()}
