"""The parser of ``fit``: LightningCLI's, with errors that a person can act on and texts that are true for this program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import yaml
from lightning.fabric.utilities.enums import LightningEnum
from lightning.pytorch.cli import LightningArgumentParser

from nst_lightning.cli.messages import explain
from nst_lightning.errors import UsageError

# what Lightning says of these is not so here
TEXTS = {
    "ckpt_path": "Checkpoint to go on from: a file, or a folder such as logs/transfer, whose newest readable one is taken.",
    "checkpoint.dirpath": "Folder of the checkpoints; by default `checkpoints` in the run's folder.",
    "checkpoint.filename": "Name of a checkpoint; {step} is the step it was written at.",
    "checkpoint.monitor": "A logged value, such as loss/total, whose best checkpoints are kept in place of the newest.",
    "checkpoint.save_top_k": "How many checkpoints are kept beside the one before the newest; 0 writes none, -1 keeps all.",
    "checkpoint.every_n_train_steps": "Steps between two checkpoints; two minutes, Ctrl-C and a scale's end write one.",
    "seed_everything": "Seed of the noise: the same seed gives the same picture. true takes another one each time.",
    "config": "Config file, or the name of one that comes along: transfer, texture, reconstruct. Later ones override.",
    "print_config": "Print the whole configuration, which runs again, and do nothing else.",
    "checkpoint.every_n_epochs": "Of no use here: a run is one epoch.",
    "checkpoint.save_on_train_epoch_end": "Of no use here: a run is one epoch.",
    "checkpoint.mode": "min or max: which value of the monitored one is best.",
    "trainer.max_steps": "Optimisation steps of the whole run, 1 or more; the scales share them.",
    "trainer.max_epochs": "Of no use here: a run is one epoch, whatever its number of steps.",
    "trainer.default_root_dir": "Folder of the logs in place of logs/, unless the logger names one of its own.",
    "trainer.precision": "32-true, bf16-mixed or 16-mixed; by default the fastest that the hardware computes natively.",
    "trainer.val_check_interval": "Steps between two comparisons with the photograph (PSNR, SSIM).",
    "trainer.strategy": "`tiles` shares one image between several processes; see --trainer.devices.",
    "trainer.devices": "Processes or GPUs; more than one needs --trainer.strategy tiles.",
}
ORDER = ("data", "model", "model.features", "log", "checkpoint", "trainer")  # Lightning's after ours

# defaults of Lightning's, such as that of the callback Timer, are texts of this kind, which YAML does not know
yaml.SafeDumper.add_multi_representer(LightningEnum, lambda dumper, value: dumper.represent_str(str(value.value)))


class Parser(LightningArgumentParser):
    """A parser whose errors are one or two lines: the flag, the value, and what would be right."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a trial parse by jsonargparse itself
            super().error(message, ex)
        raise UsageError(explain(message))

    def flags(self) -> list[str]:
        """Every flag, without its dashes."""
        found = [option[2:] for action in self._actions for option in action.option_strings if option[:2] == "--"]
        for parser in getattr(self._subcommands_action, "choices", {}).values() if self._subcommands_action else ():
            found += parser.flags()
        return found

    def format_help(self, *args: Any) -> str:
        """The help of every flag: this program's first, in its own words."""
        for action in self._actions:
            if action.dest in TEXTS:
                action.help = TEXTS[action.dest]
        self._action_groups = sorted(self._action_groups, key=_place)
        usage, self.usage = self.usage, "nst fit PHOTO PAINTING [-o FILE] [flags]"
        try:
            return super().format_help(*args)
        finally:
            self.usage = usage


def _place(group: Any) -> int:
    """Where a group of flags stands in the help; flags of no section first."""
    options = {option for action in group._group_actions for option in action.option_strings}
    return next((number for number, name in enumerate(ORDER) if f"--{name}" in options), -1)


def flag_of(name: str, flags: Sequence[str]) -> str:
    """The flag that ends in an argument's name.

    >>> flag_of("content_weight", ["data.content", "model.content_weight"])
    '--model.content_weight'
    """
    return "--" + next((flag for flag in flags if flag == name or flag.endswith(f".{name}")), name)
