"""Answers of judges, read from the files that the page makes, with the key that says what they were given to."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nst_lightning.compare.key import ANSWERS, COLUMNS, QUESTIONS, Key
from nst_lightning.errors import UsageError

SHARE = {"left": 1.0, "none": 0.5, "right": 0.0}  # of the win, for the left


class Answer(NamedTuple):
    """What a judge said of two results.

    Attributes:
        judge: who.
        question: one of :data:`~nst_lightning.compare.key.QUESTIONS`.
        name: of both results.
        left: the method on the left.
        right: and on the right.
        share: of the win for the left: 1, 0, or a half where no difference was seen.
    """

    judge: str
    question: str
    name: str
    left: str
    right: str
    share: float


class Answers(NamedTuple):
    """The answers of all files, and the methods in the order of the keys."""

    methods: list[str]
    given: list[Answer]


def read_answers(files: Sequence[str], keys: Mapping[str, Key], paths: Sequence[str]) -> Answers:
    """Read files of answers; the same answer in two files, as of a page that was saved twice, counts once.

    Args:
        files: of one or several judges.
        keys: by their comparisons.
        paths: of the keys, for what is said.

    Raises:
        UsageError: if a file cannot be read, is of a comparison without a key, has a line that does not go with its key,
            or contradicts another one of the same judge, or if there is no answer at all.
    """
    found: dict[tuple[str, str, str, str], tuple[str, str, Answer]] = {}
    for file in files:
        for number, row in _lines(file):
            where = f"--tally {file}: line {number}"
            key = keys.get(row["comparison"])
            if key is None:
                several = ", ".join(paths)
                raise UsageError(
                    f"{where}: is of comparison {row['comparison']}, {several} of {', '.join(keys)}; give its --key"
                )
            answer = _answer(row, key, where)
            what = (row["judge"], row["comparison"], row["pair"], row["question"])
            before = found.setdefault(what, (file, row["answer"], answer))
            if before[1] != row["answer"]:
                raise UsageError(f"{where}: {row['judge']} says otherwise in {before[0]}; give the later file alone")
    if not found:
        raise UsageError(f"--tally {files[0]}: holds no answers")
    methods = list(dict.fromkeys(method for key in keys.values() for method in key.methods))
    return Answers(methods, [answer for _, _, answer in found.values()])


def _lines(file: str) -> list[tuple[int, dict[str, str]]]:
    """The rows of a file with their line numbers."""
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            lines = [(reader.line_num, row) for row in reader]
            columns = reader.fieldnames or []
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"--tally {file}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise UsageError(f"--tally {file}: has no column {missing[0]}; give a file that the page of nst compare made")
    for number, row in lines:
        if None in row or None in row.values():
            raise UsageError(
                f"--tally {file}: line {number}: is cut off, or has too many fields; download the answers again"
            )
    return lines


def _answer(row: Mapping[str, str], key: Key, where: str) -> Answer:
    left, right = row["left"], row["right"]
    for token in (left, right):
        if token not in key.results:
            raise UsageError(f"{where}: {token!r}: no such picture in the key")
    for name, known in (("question", tuple(QUESTIONS)), ("answer", ANSWERS)):
        if row[name] not in known:
            raise UsageError(f"{where}: {row[name]!r}: no such {name}; there are {', '.join(known)}")
    number = row["pair"]
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= len(key.pairs)) or (
        key.pairs[int(number) - 1] != (left, right)
    ):
        raise UsageError(f"{where}: pair {number}: does not show {left} and {right}")
    (one, name), (other, _) = key.results[left], key.results[right]
    return Answer(row["judge"], row["question"], name, one, other, SHARE[row["answer"]])
