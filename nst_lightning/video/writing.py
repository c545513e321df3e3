"""Films to files: whole or not at all, with the times of the frames and the sound of the clip."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst_lightning.errors import UsageError

CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9"}
ENDINGS = (*CODECS, ".gif", ".webp", "")
TICKS = 90000  # a second, for the times of frames
BT709 = 1


def check_film(path: str) -> None:
    """Whether a film of this name can be written.

    Raises:
        UsageError: for an ending or a codec that there is not.
    """
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"--output {path}: give .mp4, .webm, .gif, .webp or the name of a folder, for PNGs")
    if ending in CODECS:
        import av

        if CODECS[ending] not in av.codecs_available:
            there = [name for name, codec in CODECS.items() if codec in av.codecs_available]
            raise UsageError(f"--output {path}: needs {CODECS[ending]}, not here; there are {', '.join([*there, '.gif'])}")


def write_film(path: str, pictures: Sequence[Path], times: Sequence[float], sound: str | None = None) -> None:
    """Write a film.

    Args:
        path: .mp4, .webm, .gif, .webp, or a folder.
        pictures: PNG files of one size, at least one.
        times: when each is shown, in seconds.
        sound: a clip whose sound is copied from where ``times`` begin, or None.
    """
    target = Path(path)
    ending = target.suffix.lower()
    target.parent.mkdir(parents=True, exist_ok=True)
    if not ending:
        target.mkdir(exist_ok=True)
        for number, picture in enumerate(pictures):
            shutil.copyfile(picture, target / f"{number:06d}.png")
        return
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".nst-", suffix=ending)
    os.close(handle)
    try:
        if ending in CODECS:
            _encode(name, ending, pictures, times, sound)
        else:
            _animate(name, pictures, times)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def durations(times: Sequence[float]) -> list[int]:
    """How long each frame is shown, in milliseconds; the last as long as the one before.

    >>> durations([0.0, 0.04, 0.1])
    [40, 60, 60]
    """
    shown = [max(20, round(1000 * (after - before))) for before, after in pairwise(times)]
    return [*shown, shown[-1] if shown else 1000]


def _animate(name: str, pictures: Sequence[Path], times: Sequence[float]) -> None:
    first, *others = (Image.open(picture).convert("RGB") for picture in pictures)
    first.save(name, save_all=True, append_images=others, duration=durations(times), loop=0)


def _encode(name: str, ending: str, pictures: Sequence[Path], times: Sequence[float], sound: str | None) -> None:
    import av

    rate = Fraction(1000 * max(1, len(times) - 1), max(1, round(1000 * (times[-1] - times[0])))).limit_denominator(1001)
    with av.open(name, "w") as film:
        stream: Any = film.add_stream(CODECS[ending], rate=rate if len(times) > 1 else Fraction(25))
        with Image.open(pictures[0]) as shown:
            # both codecs halve the colours' sides: an odd row or column is doubled
            stream.width, stream.height = (side + side % 2 for side in shown.size)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.options = {"crf": "17" if ending == ".mp4" else "24", "b": "0"} if ending == ".webm" else {"crf": "17"}
        for tag in ("color_primaries", "color_trc", "colorspace"):
            setattr(stream.codec_context, tag, BT709)
        copied = _sound(film, sound) if sound else None
        for picture, time in zip(pictures, times, strict=True):
            pixels = np.asarray(Image.open(picture).convert("RGB"))
            pad = ((0, stream.height - pixels.shape[0]), (0, stream.width - pixels.shape[1]), (0, 0))
            frame = av.VideoFrame.from_ndarray(np.pad(pixels, pad, mode="edge"), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = round((time - times[0]) * TICKS), Fraction(1, TICKS)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        if copied is not None:
            source, theirs, ours = copied
            with source:
                for packet in source.demux(theirs):
                    if packet.dts is None or packet.pts is None:
                        continue
                    at = float(packet.pts * packet.time_base) - times[0]
                    if at < 0 or at > times[-1] - times[0] + durations(times)[-1] / 1000:
                        continue
                    shift = round(times[0] / packet.time_base)
                    packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                    packet.stream = ours
                    film.mux(packet)


def _sound(film: Any, clip: str) -> Any:
    """The clip, its stream of sound and the film's own, or None where there is none that the film can hold."""
    import av

    if not Path(clip).is_file():
        return None
    try:
        source = av.open(clip)
    except (av.FFmpegError, ValueError):
        return None
    if source.streams.audio:
        theirs = source.streams.audio[0]
        if (
            theirs.codec_context.name in film.supported_codecs
            or theirs.codec_context.codec.canonical_name in film.supported_codecs
        ):
            return source, theirs, film.add_stream_from_template(theirs)
    source.close()
    return None
