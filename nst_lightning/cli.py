"""The command line: LightningCLI with checks before anything is built, and errors that a person can act on."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import torch
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from nst_lightning.callbacks import NewestCheckpoint, Progress, RunLog, SaveResult
from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument, NonFiniteLoss, nearest, reason
from nst_lightning.images import ImageError, check_output
from nst_lightning.module import StyleTransfer
from nst_lightning.optimizers import OPTIMIZERS, PRECISIONS, check_precision, choose_precision
from nst_lightning.silence import silence
from nst_lightning.weights import UNREADABLE

# what flags that take one of several kinds of value take
WORDS = {
    "model.optimizer": tuple(OPTIMIZERS),
    "model.tile": ("auto", "none", "a size in pixels"),
    "trainer.precision": PRECISIONS,
}
DESCRIPTION = """Neural style transfer by optimisation. With two pictures and nothing else:
python -m nst_lightning fit photo.jpg painting.jpg --output out.png"""
LIST_FLAGS = ("--model.content_layers", "--model.style_layers", "--data.style", "--data.style_mask", "--data.style_weights")
TRAINER_DEFAULTS = {
    "max_steps": 180,
    "max_epochs": -1,
    # validation counts steps, not epochs: a run is one epoch
    "val_check_interval": 50,
    "check_val_every_n_epoch": None,
    "num_sanity_val_steps": 0,
    # the model summary would list one image
    "enable_model_summary": False,
    "logger": {
        "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
        "init_args": {"save_dir": "logs", "name": "transfer", "default_hp_metric": False},
    },
}
CHECKPOINT_DEFAULTS = {
    # the newest only; with L-BFGS a checkpoint is 22 times as large as the image
    "checkpoint.every_n_train_steps": 50,
    "checkpoint.filename": "{step}",
    "checkpoint.save_on_exception": True,
}


class Parser(LightningArgumentParser):
    """A parser whose errors are one or two lines: the flag, the value, and what would be right."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a trial parse by jsonargparse itself
            super().error(message, ex)
        print(f"error: {self._explain(message)}", file=sys.stderr)
        self.exit(2)
        raise AssertionError("exit returned")

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


class NSTCommandLine(LightningCLI):
    """``python -m nst_lightning fit``: the module, the pictures, the Trainer and what is written."""

    def __init__(self, args: Sequence[str]) -> None:
        self.args = expand(args)
        try:
            super().__init__(
                StyleTransfer,
                ImagePair,
                args=self.args,
                parser_class=Parser,
                parser_kwargs={"description": DESCRIPTION, "fit": {"description": DESCRIPTION}},
                trainer_defaults=TRAINER_DEFAULTS,
                seed_everything_default=0,
                auto_configure_optimizers=False,
            )
        except BadArgument as error:
            flag = flag_of(error.name, self.fit_parser.flags())
            value = "" if error.value is None else f" {error.value}"
            self.parser.error(f"{flag}{value}: {error.expected}")

    @property
    def fit_parser(self) -> Parser:
        parser = self._subcommand_parsers["fit"]
        assert isinstance(parser, Parser)
        return parser

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "weights_only"}}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        for before, word in zip(["", *args], args, strict=False):
            path = word.split("=", 1)[1] if word.startswith("--config=") else word if before in ("--config", "-c") else None
            if path is not None:
                check_config(path)
        self.config = parser.parse_args(args)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--output",
            type=str | None,
            default=None,
            help="File to write the picture to: .png, .jpg, .tif or .webp. It is also in the run's folder.",
        )
        parser.add_argument("--bits", type=Literal[8, 16], default=8, help="Bits a channel of --output; 16 for .png only.")
        parser.add_lightning_class_args(RunLog, "log")
        parser.add_lightning_class_args(NewestCheckpoint, "checkpoint")
        parser.set_defaults(CHECKPOINT_DEFAULTS)

    def _parse_ckpt_path(self) -> None:
        """Settings of the checkpoint, and over them what was given on this command line (LightningCLI: the reverse)."""
        config = self.config[self.config.subcommand]
        if not config.ckpt_path:
            return
        if not Path(config.ckpt_path).is_file():
            is_folder = Path(config.ckpt_path).is_dir()
            raise BadArgument("ckpt_path", config.ckpt_path, "is a folder; give a file" if is_folder else "no such file")
        try:
            saved = torch.load(config.ckpt_path, weights_only=True, map_location="cpu")
            settings, found = dict(saved.get("hyper_parameters", {})), tuple(saved.get("state_dict", ()))
            complete = {"optimizer_states", "loops", "global_step", "pytorch-lightning_version"} <= set(saved)
        except UNREADABLE as error:
            expected = f"not a checkpoint that can be read ({reason(error)})"
            raise BadArgument("ckpt_path", config.ckpt_path, expected) from error
        if found != ("image",) or not complete:
            raise BadArgument("ckpt_path", config.ckpt_path, "not a checkpoint of this program")
        settings.pop("_instantiator", None)
        given = self.parser.parse_args(self.args, defaults=False)
        defaults = self.parser.get_defaults()
        base = self.parser.parse_object({"subcommand": "fit", "fit": {"model": settings}}, defaults)
        self.config = self.parser.parse_object(given, base)

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        # What needs both pictures and settings is checked here: nothing is built or written yet.
        config = self.config[self.subcommand]
        if config.output is not None:
            try:
                check_output(config.output, config.bits, config.data.size)
            except ImageError as error:
                raise BadArgument("output", config.output, str(error)) from error
        elif config.bits != 8:
            raise BadArgument("bits", config.bits, "is for --output, which is not given")
        if config.output is None and not self.trainer.loggers and not config.trainer.fast_dev_run:
            raise BadArgument("output", None, "nothing is logged, so the picture would be lost; give a file")
        self.datamodule.setup("fit")
        # what was asked for: on a CPU, Lightning runs 16-mixed as bf16-mixed
        self.model.check(self.datamodule, str(config.trainer.precision or self.trainer.precision))

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except SIGTERMException:
            raise
        except SystemExit:  # Lightning's answer to Ctrl-C is exit code 1
            raise SystemExit(128 + signal.SIGINT) from None

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        config = self.config[self.subcommand]
        if config.trainer.max_steps < 1:
            raise BadArgument("max_steps", config.trainer.max_steps, "the number of steps is 1 or more")
        if config.trainer.val_check_interval is not None and not config.trainer.val_check_interval:
            raise BadArgument("val_check_interval", 0, "the number of steps between two validations is 1 or more")
        precision, why = choose_precision(config.trainer.precision)
        if not config.trainer.precision and os.environ.get("LOCAL_RANK", "0") == "0":  # one process speaks
            print(f"precision {precision}: {why}", flush=True)
        check_precision(self.model.make_optimizer, str(precision))
        callbacks = self.config_init[self.subcommand].trainer.callbacks or []
        # the bar ends before the final line is printed
        bar = [Progress()] if config.trainer.enable_progress_bar is not False else []
        extra = [*bar, SaveResult(config.output, config.bits)]
        try:
            return super().instantiate_trainer(callbacks=[*callbacks, *extra], precision=precision, **kwargs)
        except (MisconfigurationException, ValueError, ImportError) as error:
            raise BadArgument("trainer", None, " ".join(str(error).split())) from error

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Any:
        if config.get("enable_checkpointing") is False:
            callbacks = [callback for callback in callbacks if not isinstance(callback, NewestCheckpoint)]
        if not config.get("logger"):
            self.save_config_callback = None  # there is no run's folder to write it to
        return super()._instantiate_trainer(config, callbacks)

    def _set_seed(self) -> None:
        try:
            super()._set_seed()
        except ValueError as error:
            raise BadArgument("seed_everything", self.config[self.subcommand].seed_everything, reason(error)) from error


def check_config(path: str) -> None:
    """Whether a file can be a config at all; what is in it, the parser knows.

    Raises:
        BadArgument: if it cannot be read, is not YAML, or is not a map from settings to values.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgument("config", path, f"cannot be read ({reason(error)})") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise BadArgument("config", path, f"not YAML: {getattr(error, 'problem', 'syntax error')}{line}") from error
    if not isinstance(content, dict):
        raise BadArgument("config", path, "holds no settings; a config is a map such as `model: {style_weight: 10}`")


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


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: the words after the program's name; those of this process if None.

    Returns:
        The exit code: 0 done, 1 failed in the run, 2 bad input, 130 Ctrl-C, 143 SIGTERM.
    """
    words = list(sys.argv[1:] if args is None else args)
    try:
        with silence():
            command_line = NSTCommandLine(words)
    except NonFiniteLoss as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that went away
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the first step: there is no picture yet
        return 128 + signal.SIGINT
    except SIGTERMException:
        return 128 + signal.SIGTERM
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0 if command_line.trainer.state.finished else 1
