"""``fit``: LightningCLI with checks before anything is built."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import PurePath
from typing import Any, Literal

import yaml
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from nst_lightning.callbacks import RunLog, SaveResult
from nst_lightning.cli.early import read_config
from nst_lightning.cli.flags import NESTED
from nst_lightning.cli.parser import Parser, flag_of
from nst_lightning.cli.places import check_output_file, check_places, check_room
from nst_lightning.cli.runs import SaveConfig, name_run
from nst_lightning.cli.settle import LOGS, argument_named_in, as_list, check_processes, check_trainer, explain_class, settle
from nst_lightning.cli.words import expand
from nst_lightning.data import ImagePair
from nst_lightning.errors import BadArgument, UsageError, reason
from nst_lightning.module import StyleTransfer
from nst_lightning.objective.ranks import TilesStrategy
from nst_lightning.presets import preset
from nst_lightning.training.checkpoint_io import BesideCheckpointIO
from nst_lightning.training.checkpoints import NewestCheckpoint, Saved, find_checkpoint
from nst_lightning.training.controls import Controls
from nst_lightning.training.precision import check_precision, choose_precision
from nst_lightning.training.progress import Progress

DESCRIPTION = "Neural style transfer by optimisation: every flag. On one screen, by want: nst fit --help"
STANDARD = preset("standard")
TRAINER_DEFAULTS = {
    **STANDARD["trainer"],
    "max_epochs": -1,
    # validation counts steps, not epochs: a run is one epoch
    "val_check_interval": 50,
    "check_val_every_n_epoch": None,
    "num_sanity_val_steps": 0,
    # the model summary would list one image
    "enable_model_summary": False,
    "logger": {
        "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
        "init_args": {"save_dir": LOGS, "name": "transfer", "default_hp_metric": False},
    },
}
Until = Literal["parsed", "checked", "done"]
CHECKPOINT_DEFAULTS = {
    # the newest only; with L-BFGS a checkpoint is 22 times as large as the image
    "checkpoint.every_n_train_steps": 50,
    "checkpoint.filename": "{step}",
    "checkpoint.save_on_exception": True,
}


def _by_name(settings: dict[str, Any], section: str) -> dict[str, Any]:
    """Settings by their whole names, those of dataclasses one by one.

    >>> _by_name({"init": "noise", "features": {"pooling": "max"}}, "model")
    {'model.init': 'noise', 'model.features.pooling': 'max'}
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{section}.{key}"
        found |= _by_name(value, name) if name in NESTED else {name: value}
    return found


class NSTCommandLine(LightningCLI):
    """``python -m nst_lightning fit``: the module, the pictures, the Trainer and what is written.

    Args:
        args: the words after the program's name, the first of them ``fit``.
        until: ``parsed`` (whether the words are understood), ``checked`` (everything but the network is built, and whether
            it goes together is known; nothing is written) or ``done``.
        callbacks: more callbacks for the Trainer, beside those of the config.

    Raises:
        UsageError: with what to say, if the words do not make a run.
    """

    def __init__(self, args: Sequence[str], until: Until = "done", callbacks: Sequence[Callback] = ()) -> None:
        self.args = expand(args)
        self.until = until
        self._more_callbacks = list(callbacks)
        self._resumes: Saved | None = None
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
                save_config_callback=SaveConfig,
            )
        except BadArgument as error:
            flag = flag_of(error.name, self.fit_parser.flags())
            value = "" if error.value is None else f" {error.value}"
            raise UsageError(f"{flag}{value}: {error.expected}") from error

    @property
    def fit_parser(self) -> Parser:
        parser = self._subcommand_parsers["fit"]
        assert isinstance(parser, Parser)
        return parser

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "weights_only"}}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = self._parsed(args)

    def _parsed(self, words: Sequence[str]) -> Any:
        """The config that some words in full stand for."""
        for word in words:
            if word.startswith("--config="):
                read_config(word.split("=", 1)[1])
        return self.parser.parse_args(list(words))

    def before_instantiate_classes(self) -> None:
        """Fill in home folders, and the folder of the logs, in what configs, checkpoint and flags together say."""
        settle(self.config)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--output",
            type=str | None,
            default=None,
            help="File to write the picture to: .png, .jpg, .tif or .webp. It is also in the run's folder.",
        )
        parser.add_argument(
            "--bits", type=Literal[8, 16], default=8, help="Bits a channel of --output; 16 for .png and .tif."
        )
        parser.add_argument(
            "--quality",
            type=int | None,
            default=None,
            help="Of --output, 1 to 100, for .jpg and .webp; 95 if not given.",
        )
        parser.add_argument(
            "--background",
            type=str,
            default="white",
            help="Colour behind transparent pixels where --output has no transparency (.jpg): a name or '#rrggbb'.",
        )
        parser.add_argument(
            "--metadata",
            type=bool,
            default=True,
            help="Whether PNG files say by which version, settings and seed they were made; files by their bare names.",
        )
        parser.add_argument(
            "--turns",
            type=str | None,
            default=None,
            help="The turns.json of a run that was steered, in its folder: its dials are turned again at the same steps.",
        )
        parser.add_lightning_class_args(RunLog, "log")
        parser.add_lightning_class_args(NewestCheckpoint, "checkpoint")
        parser.set_defaults(CHECKPOINT_DEFAULTS)
        parser.set_defaults(_by_name(STANDARD["model"], "model"))

    def _parse_ckpt_path(self) -> None:
        """Settings of the checkpoint, and over them what was given on this command line (LightningCLI: the reverse)."""
        config = self.config[self.config.subcommand]
        if not config.ckpt_path:
            return
        self._resumes = find_checkpoint(config.ckpt_path)
        settings = self._resumes.settings
        given = self.parser.parse_args(self.args, defaults=False)
        asked = given.fit.get("model", {}).get("optimizer")
        if asked is not None and asked != settings.get("optimizer"):
            settings.pop("learning_rate", None)  # it was for another optimiser
        defaults = self.parser.get_defaults()
        base = self.parser.parse_object({"subcommand": "fit", "fit": {"model": settings}}, defaults)
        self.config = self.parser.parse_object(given, base)
        self.config.fit.ckpt_path = self._resumes.path

    def instantiate_classes(self) -> None:
        if self.until == "parsed":
            return
        try:
            super().instantiate_classes()
        except (BadArgument, UsageError):
            raise
        except (ValueError, ImportError) as error:  # a class of Lightning's, or of somebody else's, that cannot be made
            raise UsageError(explain_class(error, self.config[self.subcommand])) from error
        # What needs both pictures and settings is checked here: nothing is built or written yet.
        config = self.config[self.subcommand]
        check_places(config, self.trainer.loggers, self.datamodule.size)
        self.datamodule.setup("fit")
        if config.data.size == "original":
            check_output_file(config, self.datamodule.size)
        check_room(config, self.datamodule.image_size)
        # what was asked for: on a CPU, Lightning runs 16-mixed as bf16-mixed
        precision = str(config.trainer.precision or self.trainer.precision)
        self.model.check(self.datamodule, precision, self.trainer.callbacks)  # type: ignore[attr-defined]
        if config.turns is not None:
            self.model.controls = Controls.read(config.turns)
            self.model.controls.check(self.model.wanted.weights)
        if self._resumes is not None:
            _, _, run, shape = self._resumes
            self.model.check_checkpoint(config.ckpt_path, run, shape, self.datamodule, config.trainer.max_steps)
        if self.until == "done" and os.environ.get("LOCAL_RANK", "0") == "0":  # one process speaks
            for line in filter(None, [self._choice, *self.datamodule.notes]):
                print(line, flush=True)

    def resolve(self, words: Sequence[str]) -> dict[str, Any]:
        """The whole config that some words stand for, as plain values.

        Raises:
            UsageError: with what is not understood.
        """
        try:
            config = self._parsed(expand(words))
            settle(config)
        except BadArgument as error:
            raise UsageError(f"{flag_of(error.name, self.fit_parser.flags())} {error.value}: {error.expected}") from error
        return yaml.safe_load(self.parser.dump(config, skip_none=False))["fit"]

    def _run_subcommand(self, subcommand: str) -> None:
        if self.until != "done":
            return
        try:
            super()._run_subcommand(subcommand)
        except SIGTERMException:
            raise
        except UsageError:
            raise
        except SystemExit:  # Lightning's answer to Ctrl-C is exit code 1
            raise SystemExit(128 + signal.SIGINT) from None

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        config = self.config[self.subcommand]
        check_trainer(config.trainer)
        precision, why = choose_precision(config.trainer.precision)
        chosen = f"precision {precision}: {why}; memory channels_last: convolutions are faster in it"
        self._choice = "" if config.trainer.precision else chosen
        check_precision(self.model.make_optimizer, str(precision))
        given = self.config_init[self.subcommand].trainer
        callbacks, plugins = as_list(given.callbacks), as_list(given.plugins)
        kwargs["plugins"] = [*plugins, BesideCheckpointIO()]
        # the bar ends before the final line is printed
        bar = [Progress()] if config.trainer.enable_progress_bar is not False else []
        extra = [
            *bar,
            *self._more_callbacks,
            SaveResult(
                config.output,
                config.bits,
                quality=config.quality,
                background=config.background,
                metadata=config.metadata,
            ),
        ]
        make = partial(super().instantiate_trainer, precision=precision, **kwargs)
        try:
            trainer = make(callbacks=[*callbacks, *extra])
            if trainer.world_size > 1 and config.trainer.strategy == "auto":
                # Lightning's choice would make the same image several times
                trainer = make(callbacks=[*callbacks, *extra], strategy=TilesStrategy())
        except (MisconfigurationException, ValueError, TypeError, ImportError) as error:
            name, said = argument_named_in(str(error))
            raise BadArgument(name, config.trainer.get(name.rpartition(".")[2]), said) from error
        if isinstance(trainer.accelerator, CPUAccelerator):
            check_processes(trainer.num_devices)
        if trainer.world_size > 1 and not isinstance(trainer.strategy, TilesStrategy):
            expected = "several processes share one image by --trainer.strategy tiles"
            raise BadArgument("trainer.strategy", config.trainer.strategy, expected)
        return trainer

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Any:
        folder = config.get("logger") or config.get("default_root_dir") or self.config[self.subcommand].checkpoint.dirpath
        if config.get("enable_checkpointing") is False or not folder:  # without a folder they would lie where one stands
            callbacks = [callback for callback in callbacks if not isinstance(callback, NewestCheckpoint)]
            config["enable_checkpointing"] = False
        if not config.get("logger"):
            self.save_config_callback = None  # there is no run's folder to write it to
        for logger in as_list(config.get("logger")):
            name_run(logger, *self._pictures())
        return super()._instantiate_trainer(config, callbacks)

    def _pictures(self) -> list[str]:
        """The names of the content and the style images, without folders and endings."""
        pair = self.datamodule.settings
        return [PurePath(str(name)).stem for kind in ("content", "style") for name in as_list(pair[kind])]

    def _set_seed(self) -> None:
        try:
            super()._set_seed()
        except ValueError as error:
            raise BadArgument("seed_everything", self.config[self.subcommand].seed_everything, reason(error)) from error
