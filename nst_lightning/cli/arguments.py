"""From the words of a command line to arguments: short forms, config files, and errors that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import yaml
from lightning.pytorch.cli import LightningArgumentParser

from nst_lightning.errors import BadArgument, UsageError, nearest, reason
from nst_lightning.training.optimizers import OPTIMIZERS, PRECISIONS

# what flags that take one of several kinds of value take
WORDS = {
    "model.optimizer": tuple(OPTIMIZERS),
    "model.tile": ("auto", "none", "a size in pixels"),
    "trainer.precision": PRECISIONS,
}
LIST_FLAGS = ("--model.content_layers", "--model.style_layers", "--data.style", "--data.style_mask", "--data.style_weights")


class Parser(LightningArgumentParser):
    """A parser whose errors are one or two lines: the flag, the value, and what would be right."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a trial parse by jsonargparse itself
            super().error(message, ex)
        raise UsageError(self._explain(message))

    def flags(self) -> list[str]:
        """Every flag, without its dashes."""
        found = [option[2:] for action in self._actions for option in action.option_strings if option[:2] == "--"]
        for parser in getattr(self._subcommands_action, "choices", {}).values() if self._subcommands_action else ():
            found += parser.flags()
        return found

    def _explain(self, message: str) -> str:
        text = " ".join(message.split())
        unknown = re.search(r"[Uu]nrecognized arguments: (\S+)|(?:[Oo]ption|Key) '([\w.]+)'", text)
        if unknown:
            name = (unknown.group(1) or f"--{unknown.group(2).removeprefix('fit.')}").split("=")[0]
            if not name.startswith("-"):
                return f"{name}: not understood; two pictures at most go without a flag, the content and the style image"
            return f"{name}: no such flag or config key{nearest(name[2:], self.flags())}"
        choices = re.search(
            r"Parser key \"([\w.]+)\": Does not validate against any of the Union.*Given value: (.*)$", text
        )
        if choices:
            name, value = choices.group(1).removeprefix("fit."), choices.group(2)
            known = WORDS.get(name, ())
            expected = f"give one of {', '.join(known)}" if known else "not understood"
            return f"--{name} {value}: {expected}{nearest(value, known)}"
        return re.sub(r"Parser key \"([\w.]+)\": ", lambda match: f"--{match.group(1).removeprefix('fit.')}: ", text)


def check_config(path: str, kind: str = "config") -> None:
    """Whether a file can be a config at all; what is in it, the parser knows.

    Args:
        path: of the file.
        kind: what a person calls such a file.

    Raises:
        BadArgument: if it cannot be read, is not YAML, or is not a map from settings to values.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: bytes that are no text, or a name that no file can have
        why = error.strerror if isinstance(error, OSError) else reason(error)
        raise BadArgument("config", path, f"cannot be read ({why})") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise BadArgument("config", path, f"not YAML: {getattr(error, 'problem', 'syntax error')}{line}") from error
    if not isinstance(content, dict):
        raise BadArgument("config", path, f"holds no settings; a {kind} is a map such as `model: {{style_weight: 10}}`")


def flag_of(name: str, flags: Sequence[str]) -> str:
    """The flag that ends in an argument's name.

    >>> flag_of("content_weight", ["data.content", "model.content_weight"])
    '--model.content_weight'
    """
    return "--" + next((flag for flag in flags if flag == name or flag.endswith(f".{name}")), name)


def expand(args: Sequence[str]) -> list[str]:
    """Short forms in full: pictures without a flag, and lists without brackets.

    >>> expand(["fit", "a.jpg", "b.jpg", "--model.style_layers", "conv_1", "conv_2"])
    ['fit', '--data.content=a.jpg', '--data.style=b.jpg', '--model.style_layers=["conv_1", "conv_2"]']
    """
    expanded, rest = list(args[:1]), list(args[1:])
    if expanded != ["fit"]:
        return list(args)
    pictures = [f"--data.{name}" for name in ("style", "content")]
    while rest:
        word = rest.pop(0)
        if word in LIST_FLAGS:
            values = []
            while rest and not rest[0].startswith("-"):
                values.append(rest.pop(0))
            plain = values != ["null"] and not any(value.startswith(("[", "{")) for value in values)
            quoted = ", ".join(f'"{value}"' for value in values)
            expanded.append(f"{word}=[{quoted}]" if plain else f"{word}={' '.join(values)}")
        elif word.startswith("-") or not pictures:
            expanded.append(word)
            # every other flag has one value, given after it or after "="
            if rest and "=" not in word and not rest[0].startswith("--") and word not in ("--print_config", "-h"):
                expanded.append(rest.pop(0))
        else:
            expanded.append(f"{pictures.pop()}={word}")
    return expanded
