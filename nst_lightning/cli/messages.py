"""What the parser says of a wrong flag or value, said so that a person can act on it.

jsonargparse names types of Python, every alternative it tried, and values as it holds them. From that: the flag, the value
as it was typed, and what would be right.
"""

from __future__ import annotations

import re

from nst_lightning.cli.flags import suggestion, what_is_wrong
from nst_lightning.errors import nearest

# what a flag takes that has several kinds of value
WANTED = {
    "model.optimizer": "give one of lbfgs, adam, pyramid_adam, or the class path of an optimiser, such as torch.optim.SGD",
    "model.lr_scheduler": "give the class path of a scheduler, such as torch.optim.lr_scheduler.CosineAnnealingLR",
    "model.tile": "give one of auto, none, a size in pixels",
    "model.scales": "give auto, none, or a list such as '[{size: 0.5, steps: 3}, {size: 1.0, steps: 1}]'",
    "model.content_layers": "give names of layers, or a map such as '{relu4_2: 1.0}'",
    "model.style_layers": "give names of layers, or a map such as '{relu1_1: 1.0, relu2_1: 0.5}'",
    "model.style_loss": "give the name of a loss, or a map such as '{wasserstein: 1.0, gram: 0.1}'",
    "model.features": "give its parts, such as --model.features.arch vgg19",
    "model.neighbors": "give its parts, such as --model.neighbors.rotations true",
    "data.size": "give the longer side in pixels (int), or original",
    "data.style_weights": "give one number (float) for each style image",
    "trainer.logger": "give true, false, or the class path of a logger, such as TensorBoardLogger or CSVLogger",
    "trainer.callbacks": "give the class path of a callback, such as LearningRateMonitor, or a list of them",
    "trainer.plugins": "give the class path of a plugin of Lightning's, or a list of them",
    "trainer.profiler": "give simple, advanced, or the class path of a profiler",
    "trainer.precision": "give one of 32-true, bf16-mixed, 16-mixed",
    "seed_everything": "give a whole number (int) of 0 or more",
}
WORDS = {
    "model.optimizer": ("lbfgs", "adam", "pyramid_adam"),
    "model.tile": ("auto", "none"),
    "model.scales": ("auto", "none"),
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed"),
}
TYPES = {
    "int": "a whole number (int)",
    "float": "a number (float)",
    "bool": "true or false",
    "str": "a text",
    "list": "a list",
    "dict": "a map",
}
SECTION = re.compile(r"^Parser key [\"'](?:fit\.)?([\w.]+)[\"']:\s*", re.DOTALL)


def explain(message: str) -> str:
    """A message of the parser in one line.

    Args:
        message: of jsonargparse, of any number of lines.

    >>> explain('Parser key "data.size":\\n  Expected a <class \\'float\\'>. Got value: abc')
    '--data.size abc: give the longer side in pixels (int), or original'
    >>> explain("unrecognized arguments: --data.sise 3")
    "--data.sise: no such flag or config key; did you mean '--data.size'?"
    """
    text = " ".join(message.split())
    unknown = re.search(r"[Uu]nrecognized arguments: (\S+)", text)
    if unknown:
        return unknown_word(unknown.group(1).split("=")[0])
    found = SECTION.match(message.strip())
    key = found.group(1) if found else ""
    option = re.search(r"(?:[Oo]ption|Key) '([\w.]+)'", text)
    if option and not found:
        name = option.group(1).removeprefix("fit.")
        return unknown_word(f"--{name}")
    if not found:
        return re.sub(r"^argument (?:-c/)?(--[\w.]+): ", r"\1: ", text)
    value = _value(message)
    of_class = re.search(r"given class_path '([\w.]+)'", text) or re.search(r"class_path='([\w.]+)'", text)
    name = of_class.group(1).rpartition(".")[2] if of_class else ""
    nested = re.search(r"NestedArg\(key='([\w.]+)', val=(.*?)\)(?: |$)", value)
    if option:
        given = nested.group(2).strip("'\"") if nested else ""
        whole = what_is_wrong(f"--{key}.{option.group(1)}") if not name else ""
        return f"--{key}.{option.group(1)} {given}".rstrip() + f": {whole or f'{name or key} has no such argument'}"
    if nested:
        given = nested.group(2).strip("'\"")
        return f"--{key}.{nested.group(1)} {given}: {_nested(key, text)}"
    lacking = re.search(r"following arguments are required: ([\w, ]+)", message)
    if lacking and name in ("", "Scale"):  # a part of a list of ours
        return f"--{key}: {lacking.group(1).strip()} is missing; {_wanted(key, text)}"
    if lacking:
        return f"--{key} {name}: needs {lacking.group(1).strip()}, such as --{key}.{lacking.group(1).split(',')[0]} VALUE"
    package = re.search(r"Requirement '([\w-]+)[^']*' not met", text) or re.search(r"No module named '([\w.-]+)'", text)
    if package:
        return f"--{key} {name or value}: the package {package.group(1)} is not installed; pip install {package.group(1)}"
    inner = re.search(r"callable class: Parser key \"([\w.]+)\".*Given value: (.*?)\. Got value", text)
    if inner:
        return f"--{key}.{inner.group(1)} {inner.group(2)}: {_expected(text.split('callable class')[1])}"
    own = re.search(r"- (?!Expected a |Not a valid |Problem with |Does not )([^-]*[.\w])\s+- ", text)
    if own and name and key not in WORDS:  # what the class itself says
        return f"--{key} {name}: {own.group(1)}"
    shown = "" if re.search(r"Namespace\(|NestedArg\(|^$", value) else f" {value}"
    return f"--{key}{shown}: {_wanted(key, text)}{nearest(value, WORDS.get(key, ()))}"


def unknown_word(word: str) -> str:
    """What to say of a word that is no flag, or of a flag that there is not."""
    if not word.startswith("-"):
        return f"{word}: not understood; two pictures at most go without a flag, the content and the style image"
    return f"{word}: {what_is_wrong(word) or f'no such flag or config key{suggestion(word[2:])}'}"


def _value(message: str) -> str:
    """The value as the parser had it from the command line or the config."""
    found = re.search(r".*(?:Given value|Got value): (.*)\Z", message.strip(), re.DOTALL)
    value = " ".join(found.group(1).split()) if found else ""
    if not found:
        loaded = re.search(r"Unable to load config '([^']*)'", message)
        value = loaded.group(1) if loaded else ""
    one = re.fullmatch(r"\['([^']*)'\]", value)  # a list of one, made of a word
    return one.group(1) if one else value


def _nested(key: str, text: str) -> str:
    if key == "model.optimizer" and "Expected a dot import path string" in text:
        return "is for an optimiser given by its class path; for lbfgs, adam and pyramid_adam give --model.learning_rate"
    return _wanted(key, text)


def _wanted(key: str, text: str) -> str:
    return WANTED.get(key) or _expected(text)


def _expected(text: str) -> str:
    """What the types that were tried want, in plain words."""
    if "Unable to load config" in text:
        return "is no config file; give its settings one by one, such as --model.style_weight 10"
    wanted: list[str] = []
    for kind in re.findall(r"Expected a (<class '[\w.]+'>|typing\.Literal\[.*?\])", text):
        name = kind[8:-2] if kind.startswith("<class") else kind
        if name.startswith("typing.Literal"):
            wanted.append("one of " + name[15:-1].replace("'", ""))
        elif name != "NoneType":
            wanted.append(TYPES.get(name, f"a {name.rpartition('.')[2]}"))
    return f"give {' or '.join(dict.fromkeys(wanted))}" if wanted else "not understood"
