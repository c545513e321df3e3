"""What can be measured of how a picture looks, without a network: grain in calm areas, and edges where they should be."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad, unfold

from nst_lightning.pictures.colors import luminance

SIDE = 32  # pixels of a square whose grain is measured
SMOOTH = 4.0  # pixels; standard deviation of the blur under which a square is flat or not
CALM = 5  # one of so many squares counts as calm
EDGE_BLUR = 1.0  # pixels


def blur(plane: Tensor, deviation: float) -> Tensor:
    """A plane ``(1, 1, H, W)`` under a Gaussian of a standard deviation in pixels; the border is replicated."""
    # in two passes: torchvision's, in one, is too slow for masks of large pictures
    reach = max(1, round(4 * deviation))
    places = torch.arange(-reach, reach + 1, dtype=plane.dtype, device=plane.device)
    kernel = torch.exp(-places.square() / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    plane = pad(plane, (reach, reach, reach, reach), mode="replicate")
    return conv2d(conv2d(plane, kernel[None, None, None, :]), kernel[None, None, :, None])


@torch.no_grad()
def grain(picture: Tensor) -> float:
    """The energy above half of Nyquist in the calm areas of a picture: the noise that a calm wall or sky has.

    The picture is looked at in squares of 32 pixels, 16 apart. Calm is the fifth of them whose luminance varies least under
    a blur of 4 pixels. The energy is that of the square's colours under a Hann window: the sum over frequencies whose
    larger component is above half of Nyquist, over all channels, averaged over the calm squares.

    Args:
        picture: ``(1, 3, H, W)`` in ``[0, 1]``, at least 32 pixels high and wide.
    """
    picture = picture.detach().cpu().double()
    colors = unfold(picture, SIDE, stride=SIDE // 2)[0].T.reshape(-1, 3, SIDE, SIDE)
    smooth = unfold(blur(luminance(picture), SMOOTH), SIDE, stride=SIDE // 2)[0].T
    window = torch.hann_window(SIDE, periodic=False, dtype=picture.dtype)
    spectrum = torch.fft.fft2((colors - colors.mean(dim=(2, 3), keepdim=True)) * window[:, None] * window)
    frequency = torch.fft.fftfreq(SIDE).abs()
    high = torch.maximum(frequency[:, None], frequency) > 0.25
    energy = (spectrum.abs().square() * high).sum(dim=(1, 2, 3))
    calm = smooth.std(dim=1).argsort()[: max(1, len(smooth) // CALM)]
    return float(energy[calm].mean())


def noise(result: Tensor, painting: Tensor) -> float:
    """The :func:`grain` of a result as a multiple of its painting's own, the painting at the result's size.

    Above 1: calm areas are less calm than the painting's.

    Args:
        result: ``(1, 3, H, W)`` in ``[0, 1]``.
        painting: ``(1, 3, H', W')`` with the longer side of the result.
    """
    return grain(result) / max(grain(painting), 1e-12)


@torch.no_grad()
def edge_agreement(result: Tensor, content: Tensor) -> float:
    """Whether the edges of a result are where the photograph's are: 1 all, 0 unrelated.

    The correlation (Pearson) of the lengths of both gradients of luminance, by Sobel's filter under a blur of 1 pixel.

    Args:
        result: ``(1, 3, H, W)`` in ``[0, 1]``.
        content: the same shape.
    """
    lengths = []
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=torch.float64)
    for picture in (result, content):
        plane = pad(blur(luminance(picture.detach().cpu().double()), EDGE_BLUR), (1, 1, 1, 1), mode="replicate")
        rise = conv2d(plane, torch.stack([across, across.T])[:, None])
        # over two pixels: a stroke beside an edge is still at the edge
        lengths.append(avg_pool2d(rise.square().sum(dim=1, keepdim=True).sqrt(), 2).flatten())
    deviations = [one - one.mean() for one in lengths]
    norms = [one.norm().clamp(min=1e-12) for one in deviations]
    return float(deviations[0] @ deviations[1] / (norms[0] * norms[1]))
