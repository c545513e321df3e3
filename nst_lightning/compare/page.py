"""The page that asks: page.html with its style and script, and copies of pictures under names that say nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

import nst_lightning
from nst_lightning.compare.copies import digest_of, of_one_size, open_copy, save_copy, shrunk
from nst_lightning.compare.inputs import Inputs
from nst_lightning.compare.key import FORMAT, JUDGE, KEY, QUESTIONS
from nst_lightning.compare.pairs import Pair, drawn
from nst_lightning.compare.results import Methods

LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


class Comparison:
    """What is compared with what, drawn from the seed and the content of the pictures: the same again for the same.

    Args:
        methods: with a result for each of the names.
        inputs: of each name.
        seed: of order, sides and tokens.
        repeats: how often every pair is shown.

    Raises:
        UsageError: if a picture cannot be read.
    """

    def __init__(self, methods: Methods, inputs: Mapping[str, Inputs], seed: int, repeats: int) -> None:
        self.methods, self.inputs, self.seed, self.repeats = methods, inputs, seed, repeats
        self.labels, self.names = list(methods), list(inputs)
        files = [methods[label][name].file for name in self.names for label in self.labels]
        others = list(dict.fromkeys(Path(file) for one in inputs.values() for file in (one.content, *one.style)))
        content = [[digest_of(file) for file in files], [digest_of(file) for file in others]]
        whole = json.dumps([FORMAT, self.labels, self.names, content, seed, repeats])
        self.id = hashlib.sha256(whole.encode()).hexdigest()[:12]
        dice = random.Random(f"{self.id} {seed}")
        self.pairs: list[Pair] = drawn(self.names, len(methods), repeats, dice)
        tokens = _tokens(len(files) + len(others), dice)
        self.of_result = {(name, label): tokens.pop() for name in self.names for label in self.labels}  # by name and method
        self.of_input = {file: tokens.pop() for file in others}

    def key(self) -> dict[str, Any]:
        """What key.json holds."""
        token = self.of_result
        return {
            "format": FORMAT,
            "comparison": self.id,
            "version": nst_lightning.__version__,
            "seed": self.seed,
            "repeats": self.repeats,
            "methods": self.labels,
            "results": {
                token[name, label]: {"method": label, "name": name, "file": str(self.methods[label][name].file)}
                for name, label in token
            },
            "inputs": {token: str(file) for file, token in self.of_input.items()},
            "pairs": [{"left": left, "right": right} for left, right in self.shown()],
        }

    def shown(self) -> list[tuple[str, str]]:
        """The tokens on the left and on the right of each pair."""
        of, labels = self.of_result, self.labels
        return [(of[pair.name, labels[pair.left]], of[pair.name, labels[pair.right]]) for pair in self.pairs]

    def document(self) -> str:
        """The page: pairs and tokens, and no name of a method, a picture or a folder."""
        pairs = [
            {
                "photograph": self.of_input[Path(self.inputs[pair.name].content)],
                "paintings": [self.of_input[Path(file)] for file in self.inputs[pair.name].style],
                "left": left,
                "right": right,
            }
            for pair, (left, right) in zip(self.pairs, self.shown(), strict=True)
        ]
        here = resources.files(__package__)
        html, style, script = (here.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        # 'self' is no folder of a disk in every browser
        policy = f"default-src 'none'; img-src 'self' file: data:; style-src {_hash(style)}; script-src {_hash(script)}"
        return environment.from_string(html).render(
            policy=f"{policy}; base-uri 'none'; form-action 'none'",
            style=style,
            script=script,
            comparison=self.id,
            questions=json.dumps(QUESTIONS),
            pairs=json.dumps(pairs, separators=(",", ":")),
        )

    def write(self, folder: Path) -> None:
        """Write page, pictures and key to a folder that is empty or not there, all together or not at all.

        Raises:
            UsageError: if a picture cannot be read, or the results of a name have different shapes.
            OSError: if the folder cannot be written.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".nst-"))
        try:
            judge = made / JUDGE
            judge.mkdir()
            self._copy(judge)
            (judge / "index.html").write_text(self.document(), encoding="utf-8")
            (made / KEY).write_text(json.dumps(self.key(), indent=1, ensure_ascii=False), encoding="utf-8")
            now = time.time()
            for path in (*judge.iterdir(), judge):  # the order in which they were written is nobody's business
                os.utime(path, (now, now))
            umask = os.umask(0)
            os.umask(umask)
            made.chmod(0o777 & ~umask)  # mkdtemp makes folders that nobody else may read
            if folder.exists():
                folder.rmdir()
            made.rename(folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise

    def _copy(self, judge: Path) -> None:
        largest = 0
        for name in self.names:
            files = [self.methods[label][name].file for label in self.labels]
            pictures = of_one_size([open_copy(file) for file in files], files)
            largest = max(largest, *pictures[0].size)
            for label, picture in zip(self.labels, pictures, strict=True):
                save_copy(picture, judge / f"{self.of_result[name, label]}.png")
        for file, token in self.of_input.items():
            save_copy(shrunk(open_copy(file), largest), judge / f"{token}.png")


def _tokens(count: int, dice: random.Random) -> list[str]:
    """Words of ten letters, no two alike."""
    tokens: set[str] = set()
    while len(tokens) < count:
        tokens.add("".join(dice.choices(LETTERS, k=10)))
    ordered = sorted(tokens)  # a set's own order differs from process to process
    dice.shuffle(ordered)
    return ordered


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
