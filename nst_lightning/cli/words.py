"""The words of a command line in full: pictures without a flag, flags without section, lists, presets, recipes, homes.

Needs no torch, so that what is mistyped is said at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from nst_lightning.cli.flags import full_name
from nst_lightning.cli.shipped import names_of, shipped
from nst_lightning.errors import UsageError, nearest
from nst_lightning.presets import PRESETS, ROOT

LISTS = (
    "--data.style",
    "--data.style_mask",
    "--data.style_weights",
    "--model.content_layers",
    "--model.style_layers",
)
BARE = ("--print_config", "--help", "-h", "--help_all")  # flags that take no value after them


def expand(args: Sequence[str]) -> list[str]:
    """Short forms in full; words of other commands than ``fit`` stay as they are.

    Raises:
        UsageError: for a preset or a recipe that there is not.

    >>> expand(["fit", "a.jpg", "b.jpg", "--style_layers", "conv_1", "conv_2", "--size", "64"])[:3]
    ['fit', '--data.content=a.jpg', '--data.style=["b.jpg"]']
    >>> expand(["fit", "--style_layers", "conv_1", "conv_2", "--size", "64", "-o", "c.png"])[1:]
    ['--model.style_layers=["conv_1", "conv_2"]', '--data.size=64', '--output=c.png']
    """
    if list(args[:1]) != ["fit"]:
        return list(args)
    expanded: list[str] = []
    presets: list[str] = []
    recipes: list[str] = []
    rest = list(args[1:])
    pictures = ["--data.style", "--data.content"]
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            expanded.append(_given(pictures.pop(), [word]) if pictures else word)
            continue
        name, equals, value = word.partition("=")
        name = full_name(name)
        if name in BARE:
            expanded.append(name + equals + value)
            continue
        values = [value] if equals else []
        several = name in LISTS or name == "--recipe"
        while not equals and rest and _is_value(rest[0]) and (several or not values):
            if name == "--recipe" and values and not Path(_recipe(rest[0])).is_file():
                break  # a picture
            values.append(rest.pop(0))
        if name == "--preset" and values:
            presets.append(f"--config={_preset(values[0])}")
        elif name == "--recipe" and values:
            recipes += [f"--config={_known_recipe(one)}" for one in values]
        elif not values:
            expanded.append(name)  # the parser says that its value is missing
        else:
            expanded.append(_given(name, values))
    # presets under the configs, recipes over them, under the flags: what a person types counts
    place = max((number for number, word in enumerate(expanded, start=1) if word.startswith("--config=")), default=0)
    return ["fit", *presets, *expanded[:place], *recipes, *expanded[place:]]


def _is_value(word: str) -> bool:
    """Whether a word is no flag; a negative number is a value."""
    return not word.startswith("-") or word[1:2].isdigit() or word[1:2] == "."


def _recipe(name: str) -> str:
    return shipped(os.path.expanduser(name), folders=("recipes",))


def _known_recipe(name: str) -> str:
    path = _recipe(name)
    if path == name and not name.endswith((".yaml", ".yml", ".json")):
        known = names_of("recipes")
        raise UsageError(f"--recipe {name}: give one of {', '.join(known)}, or a config file{nearest(name, known)}")
    return path


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise UsageError(f"--preset {name}: give one of {', '.join(PRESETS)}{nearest(name, PRESETS)}")
    return str(ROOT / PRESETS[name])


def _given(name: str, values: list[str]) -> str:
    """A flag with its value, as one word that the parser reads as it was meant."""
    values = [os.path.expanduser(value) for value in values]
    if name == "--config":
        return f"{name}={shipped(values[0])}"
    if name not in LISTS or (len(values) == 1 and _is_structure(values[0])):
        return f"{name}={'./' if _reads_as_nothing(values[0]) else ''}{values[0]}"
    if len(values) > 1 and values[0].startswith(("[", "{")) and _is_structure(" ".join(values)):
        return f"{name}={' '.join(values)}"
    return f"{name}={json.dumps(values, ensure_ascii=False)}"


def _reads_as_nothing(text: str) -> bool:
    """Whether YAML, by which the parser reads values, takes a name for a comment or an anchor: ``#1.png``, ``&.png``."""
    try:
        return text[:1] in "#&" and text != "" and yaml.safe_load(text) is None
    except yaml.YAMLError:
        return False


def _is_structure(text: str) -> bool:
    """Whether a text is a list or a map already, or null; ``[1].jpg`` is a file."""
    if text == "null":
        return True
    if not text.startswith(("[", "{")):
        return False
    try:
        return isinstance(yaml.safe_load(text), list | dict)
    except yaml.YAMLError:
        return False


def home(value: object) -> object:
    """Settings with ``~`` at the beginning of a text as the home folder: no other setting begins so.

    >>> home({"data": {"style": ["~/a.jpg", 3]}}) == {"data": {"style": [os.path.expanduser("~/a.jpg"), 3]}}
    True
    """
    if isinstance(value, dict):
        return {key: home(item) for key, item in value.items()}
    if isinstance(value, list):
        return [home(item) for item in value]
    return os.path.expanduser(value) if isinstance(value, str) else value
