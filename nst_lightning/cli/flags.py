"""The flags there are, read off the source: a mistyped one is answered before torch, which takes seconds to load, is there.

The parser itself is made by LightningCLI from the same signatures; a test compares the two.
"""

from __future__ import annotations

import ast
import difflib
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# section: the file and the class whose arguments it holds
OURS = {
    "data": ("data.py", "ImagePair"),
    "model": ("module.py", "StyleTransfer"),
    "log": ("callbacks.py", "RunLog"),
}
# arguments of sections that have parts of their own, and the dataclass of the parts
NESTED = {
    "model.features": ("network/features.py", "VGGSettings"),
    "model.neighbors": ("losses/nearest_neighbor.py", "NeighborSettings"),
}
LIGHTNING = {
    "checkpoint": ("pytorch/callbacks/model_checkpoint.py", "ModelCheckpoint"),
    "trainer": ("pytorch/trainer/trainer.py", "Trainer"),
}
# what belongs to no section; `help`, `print_config` and the like are the parser's
TOP = (
    "config",
    "preset",
    "recipe",
    "output",
    "bits",
    "quality",
    "background",
    "metadata",
    "turns",
    "seed_everything",
    "ckpt_path",
    "help",
    "help_all",
    "print_config",
)
# other words for a flag
ALIASES = {
    "-o": "--output",
    "-c": "--config",
    "--seed": "--seed_everything",
    "--steps": "--trainer.max_steps",
}
SECTIONS = (*OURS, *LIGHTNING)


@lru_cache
def table() -> dict[str, tuple[str, ...]]:
    """The flags of each section, without dashes and section; those without a section under ``""``.

    >>> "size" in table()["data"], "max_steps" in table()["trainer"], "arch" in table()["model.features"]
    (True, True, True)
    """
    lightning = find_spec("lightning")
    home = Path(next(iter(lightning.submodule_search_locations or [""]))) if lightning else PACKAGE
    known: dict[str, tuple[str, ...]] = {"": TOP}
    known |= {section: _arguments(PACKAGE / file, name) for section, (file, name) in (NESTED | OURS).items()}
    return known | {section: _arguments(home / file, name) for section, (file, name) in LIGHTNING.items()}


def _arguments(file: Path, name: str) -> tuple[str, ...]:
    """What a class takes: the arguments of its ``__init__``, or the fields of a dataclass."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                    return tuple(arg.arg for arg in [*part.args.args[1:], *part.args.kwonlyargs])
            return tuple(
                part.target.id
                for part in node.body
                if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
            )
    raise LookupError(f"{file} has no class {name}")


def all_flags() -> list[str]:
    """Every flag by its whole name, without dashes."""
    return [f"{section}.{name}".lstrip(".") for section, names in table().items() for name in names]


def full_name(flag: str) -> str:
    """A flag with its section, which may be left out where one section alone has it, and an alias as what it stands for.

    What is not known stays as it is; the section of a name that two have, too.

    Args:
        flag: with its dashes, without a value.

    >>> full_name("--size"), full_name("-o"), full_name("--steps"), full_name("--pooling")
    ('--data.size', '--output', '--trainer.max_steps', '--model.features.pooling')
    >>> full_name("--optimizer.lr"), full_name("--model.init"), full_name("--nothing")
    ('--model.optimizer.lr', '--model.init', '--nothing')
    """
    flag = ALIASES.get(flag, flag)
    if not flag.startswith("--"):
        return flag
    first, dot, rest = flag[2:].partition(".")
    if first in SECTIONS or first in table()[""]:
        return flag
    plus = "+" if not dot and first.endswith("+") else ""
    homes = owners(first.removesuffix("+"))
    return f"--{homes[0]}.{first.removesuffix('+')}{plus}{dot}{rest}" if len(homes) == 1 else flag


def owners(name: str) -> list[str]:
    """The sections that have a flag of this name."""
    return [section for section, names in table().items() if section and name in names]


def what_is_wrong(flag: str) -> str:
    """What to say of a flag that cannot exist, or nothing.

    Deeper parts (``--trainer.logger.save_dir``) are the parser's business.

    Args:
        flag: with its dashes and its section.

    >>> what_is_wrong("--model.style_wieght")
    "no such flag or config key; did you mean '--model.style_weight'?"
    >>> what_is_wrong("--model.optimizer.lr"), what_is_wrong("--data.size"), what_is_wrong("--print_config=skip_null")
    ('', '', '')
    """
    name = flag[2:].split("=")[0].removesuffix("+")
    first, _, rest = name.partition(".")
    known = table()
    if first in SECTIONS:
        second, _, third = rest.partition(".")
        nested = known.get(f"{first}.{second}")
        if nested and third and third not in nested:
            return _no_such(name)
        return "" if not rest or second in known[first] or second == "help" else _no_such(name)
    if name in known[""]:
        return ""
    homes = owners(first)
    if len(homes) > 1:
        return f"two sections have it; give {' or '.join(f'--{home}.{name}' for home in homes)}"
    return _no_such(name)


def _no_such(name: str) -> str:
    return f"no such flag or config key{suggestion(name)}"


def suggestion(name: str) -> str:
    """Half a sentence that names the flag most like ``name``: by its whole name, or by its last part.

    >>> suggestion("sise"), suggestion("model.style_wieght"), suggestion("qwrtz")
    ("; did you mean '--data.size'?", "; did you mean '--model.style_weight'?", '')
    """
    flags = all_flags()
    whole = difflib.get_close_matches(name, flags, n=1, cutoff=0.6)
    last = {re.sub(r".*\.", "", flag): flag for flag in reversed(flags)}
    short = difflib.get_close_matches(name.rpartition(".")[2], list(last), n=1, cutoff=0.6)
    best = last[short[0]] if short and "." not in name else whole[0] if whole else last[short[0]] if short else ""
    return f"; did you mean '--{best}'?" if best else ""
