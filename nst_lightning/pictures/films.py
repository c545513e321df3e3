"""Short films to files: H.264 in .mp4, VP9 in .webm, and animated .gif and .webp."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst_lightning.errors import nearest
from nst_lightning.pictures.atomic import atomic_write, expand
from nst_lightning.pictures.picture import ImageError
from nst_lightning.pictures.write import check_folder

CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9"}
ENDINGS = (*CODECS, ".gif", ".webp")
QUALITY = {
    "libx264": {"crf": "18", "preset": "medium"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4"},
}
LONGEST = {".gif": 384, ".webp": 768}  # pixels: every frame is a whole picture there, or nearly
FPS = {".gif": 12.5}
USUAL_FPS = 25.0


def fps_of(path: str | os.PathLike[str]) -> float:
    """How many frames a second a film of this name has."""
    return FPS.get(Path(path).suffix.lower(), USUAL_FPS)


def check_film(path: str | os.PathLike[str]) -> None:
    """Find out before the work whether a film can be written.

    Raises:
        ImageError: for an ending of no known format, a package that is not installed, or a folder that cannot be written.
    """
    path = expand(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ImageError(f"no known kind of film; endings: {', '.join(ENDINGS)}{nearest(ending, ENDINGS)}")
    if ending in CODECS and find_spec("av") is None:
        raise ImageError(f"{ending} needs PyAV: pip install 'nst_lightning[video]'; .gif and .webp need nothing more")
    if path.is_dir():
        raise ImageError("is a folder; give a file")
    check_folder(path.parent)


def write_film(frames: Sequence[Image.Image], path: str | os.PathLike[str], fps: float) -> None:
    """Write a film atomically.

    Args:
        frames: pictures of one size, the first to the last; one or more.
        path: ends in .mp4, .webm, .gif or .webp. An existing file is replaced.
        fps: frames a second.

    Raises:
        ImageError: see :func:`check_film`.
        OSError: if the disk is full or the file cannot be written.
    """
    check_film(path)
    path = expand(path)
    ending = path.suffix.lower()
    longest = LONGEST.get(ending, max(frames[0].size))
    factor = min(1.0, longest / max(frames[0].size))
    # both codecs halve the colours' resolution: sides have to be even
    size = tuple(max(2, 2 * round(side * factor / 2)) for side in frames[0].size)
    shown = [_plain(frame, (size[0], size[1])) for frame in frames]
    with atomic_write(path) as file:
        if ending in CODECS:
            file.write(_encoded(shown, CODECS[ending], ending, fps))
        else:
            if ending == ".gif":
                shown = [frame.quantize(255, dither=Image.Dither.FLOYDSTEINBERG) for frame in shown]
            first, *rest = shown
            more: dict[str, int] = {} if ending == ".gif" else {"quality": 85, "method": 4}
            kind = ending[1:].upper()
            first.save(file, kind, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, **more)


def _plain(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    if frame.mode == "RGBA":
        behind = Image.new("RGBA", frame.size, "white")
        frame = Image.alpha_composite(behind, frame)
    frame = frame.convert("RGB")
    return frame if frame.size == size else frame.resize(size, Image.Resampling.LANCZOS)


def _encoded(frames: Sequence[Image.Image], codec: str, ending: str, fps: float) -> bytes:
    import av

    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format=ending[1:]) as container:
            stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
            stream.width, stream.height = frames[0].size
            stream.pix_fmt = "yuv420p"
            stream.options = QUALITY[codec]
            # BT.709, limited range, as players expect of a film that says nothing, and said
            stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
            stream.codec_context.color_range = 1
            for picture in frames:
                frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except (av.FFmpegError, ValueError) as error:
        raise ImageError(f"the codec {codec} cannot write it ({error}); .gif and .webp need none") from error
    return buffer.getvalue()
