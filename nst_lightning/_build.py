"""The build backend: setuptools, with the pictures of the README at their public address.

A package index shows the README without the repository beside it, where ``images/…`` leads nowhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from setuptools import build_meta

PUBLIC = "https://github.com/nst-lightning/nst_lightning"
MADE = Path("build/README.md")  # where pyproject.toml looks for it

get_requires_for_build_wheel = build_meta.get_requires_for_build_wheel
get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
get_requires_for_build_editable = build_meta.get_requires_for_build_editable


def published(text: str, address: str = PUBLIC) -> str:
    """A README whose pictures and files of the repository are at its public address.

    >>> published("![a](images/a.jpg) [b](configs/README.md) [c](https://c.org)", "https://x.org/y")
    '![a](https://x.org/y/raw/main/images/a.jpg) [b](https://x.org/y/blob/main/configs/README.md) [c](https://c.org)'
    """
    text = re.sub(r"(!\[[^\]]*\])\((?!\w+:)([^)]+)\)", rf"\1({address}/raw/main/\2)", text)
    return re.sub(r"(?<!!)(\[[^\]]*\])\((?!\w+:|#)([^)]+)\)", rf"\1({address}/blob/main/\2)", text)


def _write_readme() -> None:
    MADE.parent.mkdir(exist_ok=True)
    MADE.write_text(published(Path("README.md").read_text(encoding="utf-8")), encoding="utf-8")


def build_wheel(folder: str, settings: Any = None, metadata: str | None = None) -> str:
    """See PEP 517."""
    _write_readme()
    return build_meta.build_wheel(folder, settings, metadata)


def build_sdist(folder: str, settings: Any = None) -> str:
    """See PEP 517."""
    _write_readme()
    return build_meta.build_sdist(folder, settings)


def build_editable(folder: str, settings: Any = None, metadata: str | None = None) -> str:
    """See PEP 660."""
    _write_readme()
    return build_meta.build_editable(folder, settings, metadata)


def prepare_metadata_for_build_wheel(folder: str, settings: Any = None) -> str:
    """See PEP 517."""
    _write_readme()
    return build_meta.prepare_metadata_for_build_wheel(folder, settings)


def prepare_metadata_for_build_editable(folder: str, settings: Any = None) -> str:
    """See PEP 660."""
    _write_readme()
    return build_meta.prepare_metadata_for_build_editable(folder, settings)
