"""Numbers, times, settings and names, as a person reads them and a file can be called."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from nst_lightning.pictures.formats import ENDINGS


def digits(value: float, most: int = 4) -> str:
    """A number with the digits that matter, ``most`` of them after the first.

    >>> [digits(value) for value in (300, 1000.0, 12345.678, 0.123456, 1e-05, 2.5e12)]
    ['300', '1000', '12346', '0.1235', '1e-5', '2.5e12']
    """
    if isinstance(value, int) or (abs(value) < 1e7 and (value == int(value) or abs(value) >= 1000)):
        return str(round(value))
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), f"{value:.{most}g}")


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(7.4), duration(192), duration(7260)
    ('7 s', '3 min 12 s', '2 h 1 min')
    """
    hours, minutes, rest = round(seconds) // 3600, round(seconds) // 60 % 60, round(seconds) % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def slug(label: str) -> str:
    """A label as a part of a file's name.

    >>> slug("Style weight 1e6, noise"), slug("conv_4"), len(slug("x" * 300))
    ('style_weight_1e6_noise', 'conv_4', 59)
    """
    word = re.sub(r"[^\w.]+", "_", label.lower()).strip("_.")
    return word if len(word) <= 60 else f"{word[:50]}-{digest(label)}"


def digest(text: str) -> str:
    """A text as eight letters, other ones for other texts."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def label_of(value: Any) -> str:
    """A value as the figure shows it.

    >>> label_of("images/style/great_wave.jpg"), label_of(1e6), label_of(0.5), label_of(["conv_1", "conv_2"])
    ('great wave', '1e6', '0.5', 'conv_1, conv_2')
    """
    if isinstance(value, str):
        is_file = "/" in value or Path(value).suffix.lower() in (*ENDINGS, ".yaml", ".yml")
        return Path(value).stem.replace("_", " ") if is_file else value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return re.sub(r"e([+-])0*", lambda match: "e" + match.group(1).strip("+"), f"{value:g}")
    if isinstance(value, dict):
        return ", ".join(f"{name} {label_of(item)}" for name, item in value.items())
    return ", ".join(map(label_of, value)) if isinstance(value, list) else str(value)
