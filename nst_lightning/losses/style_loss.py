"""What the objective asks of a style loss.

A loss that sees :class:`~nst_lightning.losses.moments.Moments` works with several style images, regions and tiles
alike; one that sees features needs every position.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor, nn

EPSILON = 1e-4  # added to the diagonal of covariances, as crowsonkb/style-transfer-pytorch does


class StyleLoss(nn.Module):
    """What the objective asks of a style loss; derive from it for one of your own and give its class path.

    Attributes:
        sees: ``"moments"``: ``forward`` gets :class:`Moments` and the target made of Moments. ``"features"``: it gets
            features ``(N, C)`` in float32 and the target made of such.
    """

    sees: ClassVar[Literal["moments", "features"]] = "moments"

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
