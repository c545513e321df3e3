"""The table of preferences, for people and as rows of a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nst_lightning.compare.answers import Answers
from nst_lightning.compare.key import QUESTIONS
from nst_lightning.compare.scores import Compared, scored, wilson, wins_of

READ = """\
won: no difference is half a win. score: Bradley–Terry, 0 the mean of the methods; a lead of 1.1 wins three of four.
In brackets 95 %."""


def by_question(answers: Answers) -> dict[str, list[Compared]]:
    """The comparisons of each question that was answered, in the order of the page."""
    number = {method: place for place, method in enumerate(answers.methods)}
    found = {
        question: [
            Compared(number[one.left], number[one.right], one.share, one.name)
            for one in answers.given
            if one.question == question
        ]
        for question in QUESTIONS
    }
    return {question: compared for question, compared in found.items() if compared}


def rows(answers: Answers) -> list[dict[str, Any]]:
    """A row for each question and method against all others (``against`` is empty), and against each other one."""
    table = []
    for question, compared in by_question(answers).items():
        wins, scores = wins_of(compared, len(answers.methods)), scored(compared, len(answers.methods))
        for i, method in enumerate(answers.methods):
            for against, j in [("", None), *((other, k) for k, other in enumerate(answers.methods) if k != i)]:
                won = float(wins[i].sum() if j is None else wins[i, j])
                of = won + float(wins[:, i].sum() if j is None else wins[j, i])
                ends = [round(end, 4) if of else None for end in wilson(won, of)]
                row: dict[str, Any] = {"question": question, "method": method, "against": against}
                row |= {"won": won, "of": int(of), "share": round(won / of, 4) if of else None}
                row |= dict(zip(("share_low", "share_high"), ends, strict=True))
                values = [float(one[i]) if j is None and of else None for one in scores]
                row |= {
                    name: None if value is None else round(value, 4)
                    for name, value in zip(("score", "score_low", "score_high"), values, strict=True)
                }
                table.append(row)
    return table


def report(answers: Answers) -> str:
    """The tables as a person reads them, the best method first, and how judges agree with themselves."""
    parts = []
    judges, pictures = ({getattr(one, name) for one in answers.given} for name in ("judge", "name"))
    table = rows(answers)
    for question in by_question(answers):
        mine = [row for row in table if row["question"] == question]
        whole = sorted((row for row in mine if not row["against"]), key=lambda row: -(row["score"] or 0.0))
        order = [row["method"] for row in whole]
        shares = {(row["method"], row["against"]): _share(row) for row in mine}
        lines = [["", "score", "won", "of", "share", *(["against " + order[0], *order[1:]] if len(order) > 2 else [])]]
        for row in whole:
            score = _interval(row["score"], row["score_low"], row["score_high"], "{:+.2f}")
            against = [shares.get((row["method"], other), "–") for other in order] if len(order) > 2 else []
            lines.append([row["method"], score, f"{row['won']:g}", str(row["of"]), _share(row), *against])
        count = sum(one.question == question for one in answers.given)
        parts.append(f"{QUESTIONS[question]} {_counted(count, 'answer')}\n" + _aligned(lines))
    head = f"{_counted(len(judges), 'judge')} · {_counted(len(pictures), 'picture')}"
    return "\n\n".join([" · ".join([head, *habits(answers)]), *parts, READ])


def habits(answers: Answers) -> list[str]:
    """How often judges chose the left, and gave the same answer again where they were asked again."""
    decided = [one.share for one in answers.given if one.share != 0.5]
    said = [f"the left chosen in {np.mean(decided):.0%} of {len(decided)}"] if decided else []
    again: dict[Any, list[float]] = defaultdict(list)
    for one in answers.given:
        first, second = sorted((one.left, one.right))
        share = one.share if one.left == first else 1 - one.share
        again[one.judge, one.question, one.name, first, second].append(share)
    same = [one == other for shares in again.values() for one, other in pairwise(shares)]
    return said + ([f"the same answer again in {np.mean(same):.0%} of {len(same)}"] if same else [])


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}"


def _share(row: dict[str, Any]) -> str:
    return _interval(row["share"], row["share_low"], row["share_high"], "{:.0%}")


def _interval(value: float | None, low: float | None, high: float | None, form: str) -> str:
    if value is None:
        return "–"
    middle, *ends = (form.format(one) for one in (value, low, high))
    return f"{middle} ({ends[0].removesuffix('%')} to {ends[1]})"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns side by side, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])

    return "\n".join(map(line, lines))
