"""What a person wants of a picture, in plain words, and what that is in settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import yaml

from nst_lightning.errors import BadArgument
from nst_lightning.presets import PRESETS, preset

COLORS = {"the painting's": "style", "the photograph's": "luminance", "matched": "match"}
SIZES = (256, 384, 512, 768, 1024, 2048, 4096)
BALANCE = 3.0  # the dial goes from -BALANCE to BALANCE, in doublings of the style weight
STROKES = (0.5, 2.0)  # of the stroke dial: the style image's longer side, relative to the result's
TILED = 2048  # pixels from which a result is painted in tiles
ENDING = 36  # steps at the last size when a finished picture is gone on with


@dataclass(frozen=True)
class Wishes:
    """One picture to be painted.

    Attributes:
        photo: file.
        paintings: files.
        preset: `draft`, `standard` or `fine`.
        size: longer side of the result in pixels.
        balance: doublings of the preset's style weight: above 0 more painting, below more photograph.
        stroke: the size of strokes, relative to the painting shown at the result's size.
        color: as ``ImagePair`` has it.
        seed: of chance.
        init: file of a picture to go on from, or None.
        mask: file, white where the brush was, or None.
        masked: what the brush means: `keep` the photograph, or the number of the painting for it, from 1.
    """

    photo: str
    paintings: tuple[str, ...]
    preset: str = "standard"
    size: int = 512
    balance: float = 0.0
    stroke: float = 1.0
    color: str = "style"
    seed: int = 0
    init: str | None = None
    mask: str | None = None
    masked: str = "keep"

    def check(self) -> None:
        """Refuse what no dial of the page gives: requests may come from elsewhere.

        Raises:
            BadArgument: naming the wish.
        """
        if self.preset not in PRESETS:
            raise BadArgument("preset", self.preset, f"one of {', '.join(PRESETS)}")
        if self.color not in COLORS.values():
            raise BadArgument("color", self.color, f"one of {', '.join(COLORS.values())}")
        for name, least, most in (("size", 32, max(SIZES)), ("balance", -BALANCE, BALANCE), ("stroke", *STROKES)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise BadArgument(name, value, f"a number from {least} to {most}")
        if not 0 <= self.seed < 2**32:
            raise BadArgument("seed", self.seed, "a whole number from 0 to 4294967295")

    @property
    def style_weight(self) -> float:
        """The weight that the balance stands for."""
        return weight_of(self.preset, self.balance)

    @property
    def pair(self) -> dict[str, Any]:
        """The settings of ``ImagePair``."""
        found: dict[str, Any] = {"content": self.photo, "style": list(self.paintings), "size": self.size}
        return found | {"style_scale": self.stroke, "color": self.color}

    @property
    def model(self) -> dict[str, Any]:
        """The settings of ``StyleTransfer`` that differ from the preset's."""
        found: dict[str, Any] = {"style_weight": self.style_weight}
        if self.size >= TILED:
            found["tile"] = 512
        if self.init is not None:
            last = preset(self.preset)["model"]["scales"][-1] | {"most": 0}  # it has all of its detail already
            found |= {"init": self.init, "scales": [last]}
        return found

    @property
    def steps(self) -> int | None:
        """The number of steps; None: the preset's."""
        return ENDING if self.init is not None else None

    def command(self, more: Mapping[str, str] = {}, output: str = "painted.png") -> list[str]:
        """The words that make the picture again; ``more`` flags, such as masks and turns, at the end."""
        words = ["nst", "fit", "--content", self.photo, "--style", *self.paintings]
        words += ["--preset", self.preset, "--size", str(self.size)]
        words += ["--style_weight", f"{self.style_weight:g}", "--style_scale", f"{self.stroke:g}", "--color", self.color]
        words += ["--seed", str(self.seed)]
        if self.size >= TILED:
            words += ["--model.tile", "512"]
        if self.init is not None:
            scales = yaml.safe_dump(self.model["scales"], default_flow_style=True, width=10_000).strip()
            words += ["--init", self.init, "--model.scales", scales, "--steps", str(self.steps)]
        return [*words, *(part for pair in more.items() for part in pair), "-o", output]

    def config(self) -> str:
        """The same as a YAML file for ``fit --config``."""
        model = preset(self.preset)["model"] | self.model
        trainer = {"max_steps": self.steps or preset(self.preset)["trainer"]["max_steps"]}
        whole = {"seed_everything": self.seed, "data": self.pair, "model": model, "trainer": trainer}
        return yaml.safe_dump(whole, sort_keys=False)

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it; :meth:`of` reads it."""
        return asdict(self) | {"paintings": list(self.paintings)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Wishes:
        """From :meth:`plain`; names that are not known are left out."""
        known = {field.name for field in fields(cls)}
        found = cls(**{name: value for name, value in values.items() if name in known})
        return replace(found, paintings=tuple(found.paintings))


def weight_of(name: str, balance: float) -> float:
    """The style weight of a preset after some doublings."""
    return float(f"{preset(name)['model']['style_weight'] * 2**balance:.6g}")


def variants(wishes: Wishes) -> dict[str, Wishes]:
    """Four small drafts to choose from, by what is different about them."""
    small = replace(wishes, preset="draft", size=min(wishes.size, 256), init=None)
    more, larger = wishes.balance + 1.5 <= BALANCE, wishes.stroke * 1.5 <= STROKES[1]  # or the other way, at a dial's end
    other = "luminance" if wishes.color == "style" else "style"
    return {
        "more painting" if more else "more photograph": replace(small, balance=wishes.balance + (1.5 if more else -1.5)),
        "larger strokes" if larger else "smaller strokes": replace(small, stroke=wishes.stroke * (1.5 if larger else 0.5)),
        "another start": replace(small, seed=(wishes.seed + 1) % 2**32),
        "the photograph's colours" if other == "luminance" else "the painting's colours": replace(small, color=other),
    }
