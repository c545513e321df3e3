"""Short films to files: H.264 in .mp4, VP9 in .webm, and animated .gif and .webp."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from importlib.util import find_spec
from itertools import pairwise
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
# x264 looks ahead with AVX-512 beyond narrow pictures, at whatever lies there: the same frames would make another file
NARROW, UNAHEAD = 128, {"rc-lookahead": "0"}
FPS = {".gif": 12.5}
USUAL_FPS = 25.0
LONGEST = {".gif": 384, ".webp": 768}  # pixels of a time-lapse: each frame is a whole picture there, or nearly
USUAL_LONGEST = 1920
TICKS = 90000  # a second, for the times of frames
SHORTEST = 20  # milliseconds: players slow down what is shorter
BT709, LIMITED = 1, 1  # as players expect of a film that says nothing, and said


def fps_of(path: str | os.PathLike[str]) -> float:
    """How many frames a second a film of this name has, where nothing else decides."""
    return FPS.get(Path(path).suffix.lower(), USUAL_FPS)


def longest_of(path: str | os.PathLike[str]) -> int:
    """The longer side in pixels that a film of this name has at most, where nothing else decides."""
    return LONGEST.get(Path(path).suffix.lower(), USUAL_LONGEST)


def durations(times: Sequence[float]) -> list[int]:
    """How long each frame is shown, in milliseconds; the last as long as the one before.

    >>> durations([0.0, 0.04, 0.1])
    [40, 60, 60]
    """
    shown = [max(SHORTEST, round(1000 * (after - before))) for before, after in pairwise(times)]
    return [*shown, shown[-1] if shown else 1000]


def check_film(path: str | os.PathLike[str]) -> None:
    """Find out before the work whether a film can be written.

    Raises:
        ImageError: for an ending of no known format, a package or a codec that is not there, or a folder that cannot be
            written.
    """
    path = expand(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        known = f"give .mp4, for example; endings: {', '.join(ENDINGS)}"
        raise ImageError(f"no known kind of film; {known}{nearest(ending, ENDINGS)}")
    if ending in CODECS and find_spec("av") is None:
        raise ImageError(f"{ending} needs PyAV: pip install 'nst_lightning[video]'; .gif and .webp need nothing more")
    if ending in CODECS:
        import av

        if CODECS[ending] not in av.codecs_available:
            there = [name for name, codec in CODECS.items() if codec in av.codecs_available]
            raise ImageError(f"needs {CODECS[ending]}, not here; there are {', '.join([*there, '.gif', '.webp'])}")
    if path.is_dir():
        raise ImageError("is a folder; give a file")
    check_folder(path.parent)


def write_film(
    frames: Iterable[Image.Image],
    path: str | os.PathLike[str],
    times: Sequence[float],
    sound: str | os.PathLike[str] | None = None,
) -> None:
    """Write a film atomically.

    Args:
        frames: pictures of one size, as many as ``times``, one or more. An .mp4 or .webm holds one of them at a time.
        path: ends in .mp4, .webm, .gif or .webp. An existing file is replaced.
        times: when each is shown, in seconds.
        sound: a clip whose sound is copied from where ``times`` begin, where the film can hold it; .mp4 and .webm only.

    Raises:
        ImageError: see :func:`check_film`.
        OSError: if the disk is full or the file cannot be written.
    """
    check_film(path)
    path = expand(path)
    ending = path.suffix.lower()
    with atomic_write(path) as file:
        if ending in CODECS:
            _encode(file, ending, frames, times, sound)
            return
        shown = [_plain(frame) for frame in frames]
        if ending == ".gif":
            shown = [frame.quantize(255, dither=Image.Dither.FLOYDSTEINBERG) for frame in shown]
        first, *rest = shown
        more: dict[str, int] = {} if ending == ".gif" else {"quality": 85, "method": 4}
        kind = ending[1:].upper()
        first.save(file, kind, save_all=True, append_images=rest, duration=durations(times), loop=0, **more)


def _plain(frame: Image.Image) -> Image.Image:
    if frame.mode == "RGBA":
        frame = Image.alpha_composite(Image.new("RGBA", frame.size, "white"), frame)
    return frame.convert("RGB")


def _encode(file: Any, ending: str, frames: Iterable[Image.Image], times: Sequence[float], sound: Any) -> None:
    import av

    codec = CODECS[ending]
    span = times[-1] - times[0]
    rate = Fraction((len(times) - 1) / span).limit_denominator(1001) if span > 0 else Fraction(USUAL_FPS)
    try:
        # without a number drawn by chance in it: the same frames make the same file
        with av.open(file, "w", format=ending[1:], container_options={"fflags": "bitexact"}) as film:
            stream: Any = film.add_stream(codec, rate=rate)
            stream.pix_fmt, stream.options = "yuv420p", QUALITY[codec]
            context = stream.codec_context
            context.time_base = Fraction(1, TICKS)
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = LIMITED
            copied = _sound(film, sound) if sound else None
            for picture, time in zip(frames, times, strict=True):
                pixels = np.asarray(_plain(picture))
                height, width = pixels.shape[:2]
                # both codecs halve the colours' sides: an odd row or column is doubled
                pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                if not context.is_open:
                    stream.height, stream.width = pixels.shape[:2]
                    if codec == "libx264" and stream.width < NARROW:
                        stream.options = QUALITY[codec] | UNAHEAD
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                frame.pts, frame.time_base = round((time - times[0]) * TICKS), Fraction(1, TICKS)
                film.mux(stream.encode(frame))
            film.mux(stream.encode())
            if copied is not None:
                _copy(film, *copied, times[0], times[0] + span + durations(times)[-1] / 1000)
    except (av.FFmpegError, ValueError) as error:
        raise ImageError(f"the codec {codec} cannot write it ({error}); .gif and .webp need none") from error


def _sound(film: Any, clip: str | os.PathLike[str]) -> tuple[Any, Any, Any] | None:
    """The clip, its stream of sound and the film's own, or None where there is none that the film can hold."""
    import av

    if not Path(clip).is_file():
        return None
    try:
        source = av.open(os.fspath(clip))
    except (av.FFmpegError, ValueError):
        return None
    if source.streams.audio:
        theirs = source.streams.audio[0]
        codec = theirs.codec_context
        if {codec.name, codec.codec.canonical_name} & set(film.supported_codecs):
            return source, theirs, film.add_stream_from_template(theirs)
    source.close()
    return None


def _copy(film: Any, source: Any, theirs: Any, ours: Any, start: float, end: float) -> None:
    """The packets of a stream between two times, as they are, from 0 on."""
    with source:
        for packet in source.demux(theirs):
            if packet.dts is None or packet.pts is None or not start <= float(packet.pts * packet.time_base) <= end:
                continue
            shift = round(start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = ours
            film.mux(packet)
