"""Settings between the parser and the classes they are for: filled in, and complaints of those classes by their flags."""

from __future__ import annotations

import re
from typing import Any

from nst_lightning.cli.messages import explain
from nst_lightning.cli.words import home
from nst_lightning.errors import BadArgument
from nst_lightning.threads import cores

PROCESSES = 4  # for each core, at most: each holds the network and the image
LOGS = "logs"  # the folder of runs where nothing else is said


def settle(config: Any) -> None:
    """Fill in what a setting says of others, in place.

    ``~`` at the beginning of a text is the home folder, and ``trainer.default_root_dir`` takes the place of ``logs/``,
    unless the logger names a folder of its own.

    Args:
        config: of ``fit``, under its name, as the parser gives it.
    """
    for key, value in list(config.items()):
        if isinstance(value, str | list | dict):
            config[key] = home(value)
    trainer, save_dir = config.fit.trainer, "logger.init_args.save_dir"
    if trainer.default_root_dir and trainer.get(save_dir) == LOGS:
        trainer[save_dir] = trainer.default_root_dir


def check_trainer(trainer: Any) -> None:
    """Settings of the Trainer that Lightning takes and with which no picture comes out, or no end.

    Args:
        trainer: its part of the config.

    Raises:
        BadArgument: naming the setting.
    """
    least = {
        "max_steps": (1, "the number of steps is 1 or more"),
        "val_check_interval": (1, "the number of steps between two validations is 1 or more"),
        "accumulate_grad_batches": (1, "1 or more; a step has one evaluation, more only repeat it"),
        "limit_train_batches": (1e-9, "above 0; without steps there is no picture"),
        "gradient_clip_val": (0, "0 (no clipping) or more"),
        "log_every_n_steps": (0, "0 or more"),
    }
    for name, (smallest, expected) in least.items():
        value = trainer.get(name)
        if isinstance(value, int | float) and value < smallest:
            raise BadArgument(f"trainer.{name}", value, expected)
    if trainer.max_epochs == 0:
        raise BadArgument("trainer.max_epochs", 0, "a run is one epoch: -1 (as many steps as max_steps) or 1")


def check_processes(count: int) -> None:
    """Whether this machine can hold so many processes; a number mistyped would fill its memory.

    Raises:
        BadArgument: if not.
    """
    if count > PROCESSES * cores():
        expected = f"processes that share one image; {PROCESSES * cores()} at most on the {cores()} cores of this machine"
        raise BadArgument("trainer.devices", count, expected)


def as_list(value: Any) -> list[Any]:
    """One thing as a list of one, nothing as an empty list.

    >>> as_list(3), as_list(None), as_list([1, 2])
    ([3], [], [1, 2])
    """
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def explain_class(error: BaseException, config: Any) -> str:
    """What to say when a class that the config names cannot be made.

    Args:
        error: what was raised for it, naming its class path.
        config: of ``fit``.
    """
    text = str(error)
    found = re.search(r"class_path '([\w.]+)'", text) or re.search(r"class_path='([\w.]+)'", text)
    path = found.group(1) if found else ""
    flag = next((key.removesuffix(".class_path") for key, value in config.items() if path and value == path), "")
    listed = next((key for key, value in config.items() if path and isinstance(value, list) and path in str(value)), "")
    if flag or listed:
        return explain(f'Parser key "{flag or listed}":\n  {text}')
    return " ".join(text.split())


def argument_named_in(message: str) -> tuple[str, str]:
    """Which argument of the Trainer a complaint of Lightning's is about, and the complaint in one line without addresses.

    >>> argument_named_in("You selected an invalid strategy name: `strategy='x'`. It must be a string. See https://a.b/c")
    ('trainer.strategy', "You selected an invalid strategy name: `strategy='x'`. It must be a string.")
    """
    said = re.sub(r"<([\w.]+) object at 0x\w+>", lambda found: found.group(1).rpartition(".")[2], message)
    address = r"\s*(?:\(?(?:See|Find|Visit|For more)[^.:]*:?\s*)?\(?https?://\S+"
    said = re.sub(address, "", " ".join(said.split()))
    named = re.search(r"`(?:Trainer\()?(\w+)(?:=|`)", said) or re.search(r"\b(devices|profiler|accelerator)\b", said)
    name = "max_time" if "`Timer(duration" in said else named.group(1) if named else ""
    return f"trainer.{name}".removesuffix("."), said
