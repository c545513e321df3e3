"""Lightning's own messages, kept to those that a person can act on here."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

LOGGERS = {
    "lightning.pytorch": logging.WARNING,
    "lightning.fabric": logging.WARNING,
    "torch.utils.cpp_extension": logging.ERROR,  # that there is no CUDA, when the compiler starts
}
WARNINGS = (
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*args parameter is intended to run from within Python.*",
    ".*callbacks used to create the checkpoint need to be provided.*",  # with another --checkpoint.every_n_train_steps
    ".*The dirpath has changed from.*",  # a resumed run has a folder of its own
    ".*LeafSpec.* is deprecated.*",
    ".*is smaller than the logging interval.*",  # RunLog has its own
    ".*AMP with fp16 is not supported on CPU.*",
    ".*was deprecated in v4.*",  # LightningCLI's use of jsonargparse
    ".*skip_none parameter was deprecated.*",
    ".*Unable to serialize instance.*",  # a default of somebody's callback, in the saved config
    ".*JsonargparseDeprecationWarning.*",
    r".*It is recommended to use `self\.log\(.*sync_dist.*",  # all processes of an image have the same numbers
)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Inside, Lightning says what is wrong, not what is well, and gives no advice on data loading."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    with warnings.catch_warnings():
        for pattern in WARNINGS:
            warnings.filterwarnings("ignore", f"(?s){pattern}")
        try:
            for name, level in LOGGERS.items():
                logging.getLogger(name).setLevel(level)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
