"""The animation of the README, images/results/video.webp: ``python -m tests.video.animation``; some minutes.

A camera over a photograph of the repository; beside it the film, and the same frames painted one by one.
"""

from pathlib import Path

import torch
from PIL import Image

from tests.video.clips import views
from tests.video.steady import error, painted

TARGET = Path(__file__).parents[2] / "images" / "results" / "video.webp"
SHAPE, COUNT, PAINTING = (192, 256), 24, "starry_night.jpg"


def main() -> None:
    clip = views(COUNT, SHAPE, move=(2.0, 0.5), zoom=1.012)
    rows = [clip.frames, *(painted(clip.frames, way, PAINTING) for way in ("ours", "alone"))]
    errors = [f"{error(clip, row):.5f}" for row in rows]
    print(f"warping error: clip {errors[0]}, ours {errors[1]}, one by one {errors[2]}")

    gap = torch.ones(3, SHAPE[0], 6)
    shown = []
    for frames in zip(*rows, strict=True):
        one = torch.cat([frames[0][0], gap, frames[1][0], gap, frames[2][0]], dim=2)
        shown.append(Image.fromarray((one.permute(1, 2, 0) * 255).round().byte().numpy()))
    loop = [*shown, *shown[-2:0:-1]]  # there and back: no jump
    loop[0].save(TARGET, save_all=True, append_images=loop[1:], duration=80, loop=0, quality=60, method=6)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
