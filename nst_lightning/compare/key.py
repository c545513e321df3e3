"""What is asked, and the key: which method made which picture of a page. Kept beside the page, which never loads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nst_lightning.errors import UsageError

KEY, JUDGE = "key.json", "judge"
FORMAT = 1
QUESTIONS = {
    "painting": "Which has more of the painting?",
    "photograph": "Which has more of the photograph?",
    "hang": "Which would you hang up?",
}
ANSWERS = ("left", "right", "none")
COLUMNS = ("judge", "comparison", "pair", "question", "left", "right", "answer")  # of a file of answers


class Key(NamedTuple):
    """The key of a page.

    Attributes:
        comparison: which one it is, by the content of its pictures, as in the answers.
        methods: in the order in which they were given.
        results: method and name of each result by its token.
        pairs: the tokens on the left and on the right, in the order of the page.
    """

    comparison: str
    methods: list[str]
    results: dict[str, tuple[str, str]]
    pairs: list[tuple[str, str]]


def read_key(path: str | Path) -> Key:
    """Read a key.

    Raises:
        UsageError: if it cannot be read, or is none.
    """
    try:
        content: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        results = {token: (str(one["method"]), str(one["name"])) for token, one in content["results"].items()}
        pairs = [(str(pair["left"]), str(pair["right"])) for pair in content["pairs"]]
        known = all(token in results for pair in pairs for token in pair)
        methods = [str(method) for method in content["methods"]]
        if content["format"] == FORMAT and known and {method for method, _ in results.values()} <= set(methods):
            return Key(str(content["comparison"]), methods, results, pairs)
    except OSError as error:
        raise UsageError(f"--key {path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise UsageError(f"--key {path}: is no key; give the {KEY} that nst compare wrote beside the page")


def key_for(answers: Sequence[str], usual: str) -> list[str]:
    """The keys to take where none is given: beside the answers, beside the page they lie in, or in the usual folder."""
    places = [folder for file in answers for folder in (Path(file).parent, Path(file).parent.parent)] + [Path(usual)]
    return list(dict.fromkeys(str(place / KEY) for place in places if (place / KEY).is_file()))
