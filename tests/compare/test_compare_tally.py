"""From answers to tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from nst_lightning.compare.key import QUESTIONS
from nst_lightning.compare.options import help_of
from nst_lightning.main import main
from tests.compare.conftest import INPUTS, TINTS, answer

BETTER = list(TINTS)  # for a judge who likes the first ones


def by_rank(question: str, left: str, right: str) -> str:
    """Prefers the earlier method; of the photograph the later; sees no difference on the wall."""
    if question == "hang":
        return "none"
    return "left" if (BETTER.index(left) < BETTER.index(right)) == (question == "painting") else "right"


def tally(*words: str) -> list[dict[str, str]]:
    assert main(["compare", "--tally", *words, "--output", "table.csv"]) == 0
    with Path("table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def row(table, question: str, method: str, against: str = "") -> dict[str, str]:
    (found,) = (one for one in table if (one["question"], one["method"], one["against"]) == (question, method, against))
    return found


def test_who_wins(page, capsys):
    """If this fails, a win is counted for the other side, a method of the wrong key, or a draw for one of the two."""
    Path("answers.csv").write_text(answer(page, "Anna", by_rank))
    table = tally("answers.csv")
    assert len(table) == 3 * 3 * 3
    for rank, method in enumerate(BETTER):
        for question, won in (("painting", 6 - 3 * rank), ("photograph", 3 * rank), ("hang", 3)):
            found = row(table, question, method)
            assert (float(found["won"]), found["of"]) == (won, "6")
            ends = binomtest(won, 6).proportion_ci(method="wilson")
            assert float(found["share_low"]) == pytest.approx(ends.low, abs=1e-4)
            assert float(found["share_high"]) == pytest.approx(ends.high, abs=1e-4)
            assert float(found["score_low"]) < float(found["score"]) < float(found["score_high"])
    scores = [[float(row(table, question, method)["score"]) for method in BETTER] for question in QUESTIONS]
    assert scores[0][0] > 1 > scores[0][1] == pytest.approx(0, abs=1e-6) and scores[0][2] < -1
    np.testing.assert_allclose(scores[1], scores[0][::-1], atol=1e-3)
    np.testing.assert_allclose(scores[2], 0, atol=1e-6)
    pair = row(table, "painting", BETTER[2], BETTER[0])
    assert (pair["won"], pair["of"], pair["score"]) == ("0.0", "3", "")
    printed = capsys.readouterr().out
    for text in (*TINTS, *QUESTIONS.values(), "1 judge · 3 pictures", "9 answers", "100% (61 to 100%)", "Bradley–Terry"):
        assert text in printed
    assert printed.index("gram") < printed.index("strotss"), "the best is not first"


def test_several_judges_and_pages(page, folders, capsys):
    """If this fails, answers of several judges, or given to pages of other seeds, are not counted together."""
    assert main(["compare", *TINTS, *INPUTS, "--seed", "5", "--output", "other"]) == 0
    Path("a.csv").write_text(answer(page, "Anna", by_rank))
    Path("b.csv").write_text("\ufeff" + answer(page, 'Bo "the judge", jr', lambda *_: "right").replace("\n", "\r\n"))
    Path("c.csv").write_text(answer(folders / "other", "Anna", by_rank, ["painting"]))
    table = tally("a.csv", "b.csv", "c.csv", "--key", "logs/compare/key.json", "other/key.json")
    assert row(table, "painting", "gram")["of"] == "18" and row(table, "hang", "gram")["of"] == "12"
    assert "2 judges · 3 pictures" in capsys.readouterr().out
    assert tally("a.csv", "a.csv") == tally("a.csv"), "a file that is given twice counts twice"
    (folders / "other" / "c.csv").write_text(Path("c.csv").read_text())
    assert len(tally("other/c.csv")) == 9, "the key beside the answers is not found"


def test_judges_who_do_not_agree_with_themselves(folders, capsys):
    """If this fails, nobody sees that a judge presses always the same key, or answers by chance."""
    assert main(["compare", *TINTS, *INPUTS, "--repeats", "2"]) == 0
    page = folders / "logs" / "compare"
    for prefers, said in ((by_rank, "left chosen in 50% of 36"), (lambda *_: "left", "left chosen in 100% of 54")):
        Path("a.csv").write_text(answer(page, "Anna", prefers))
        assert main(["compare", "--tally", "a.csv"]) == 0
        printed = capsys.readouterr().out
        assert said in printed
        again = "100% of 27" if prefers is by_rank else "0% of 27"
        assert f"the same answer again in {again}" in printed


def test_part_of_the_answers(page, capsys):
    """If this fails, a judge who stopped early, or a question that nobody answered, breaks the table."""
    Path("a.csv").write_text("\n".join(answer(page, "Anna", by_rank).splitlines()[:2]) + "\n")
    table = tally("a.csv")
    assert {one["question"] for one in table} == {"painting"}
    unseen = [one for one in table if one["of"] == "0"]
    assert unseen and all(one["share"] == one["score"] == "" for one in unseen)
    assert QUESTIONS["hang"] not in capsys.readouterr().out


def change(column: int, to: str, line: int = 3):
    def edit(text: str) -> str:
        lines = text.splitlines()
        fields = lines[line - 1].split(",")
        fields[column] = to
        lines[line - 1] = ",".join(fields)
        return "\n".join(lines) + "\n"

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (change(4, "zzzzzzzzzz"), "line 3: 'zzzzzzzzzz': no such picture in the key"),
        (change(1, "abc"), "line 3: is of comparison abc, logs/compare/key.json of "),
        (change(3, "colour"), "line 3: 'colour': no such question; there are painting, photograph, hang"),
        (change(6, "both"), "line 3: 'both': no such answer; there are left, right, none"),
        (change(2, "2"), "line 3: pair 2: does not show"),
        (change(2, "-1"), "line 3: pair -1: does not show"),
        (change(2, "99"), "line 3: pair 99: does not show"),
        (lambda text: text.replace(",answer", ",said"), "has no column answer"),
        (lambda text: text.splitlines()[0] + "\n", "holds no answers"),
        (lambda text: "", "has no column judge"),
        (lambda text: text.rstrip()[:-8], "is cut off"),
        (lambda text: text + '"', "cannot be read"),
        (lambda text: "\0\0", "has no column judge"),
    ],
)
def test_answers_that_are_wrong(page, edit, said, capsys):
    """If this fails, answers that are damaged, or of another page, are counted as if they were right."""
    Path("a.csv").write_text(edit(answer(page, "Anna", by_rank)))
    assert main(["compare", "--tally", "a.csv", "--output", "table.csv"]) == 2
    printed = capsys.readouterr()
    assert "error: --tally a.csv: " in printed.err and said in printed.err and len(printed.err.splitlines()) == 1
    assert not Path("table.csv").exists()


def test_answers_that_contradict_each_other(page, capsys):
    """If this fails, a judge who went back and changed an answer counts twice."""
    text = answer(page, "Anna", by_rank)
    Path("a.csv").write_text(text)
    Path("b.csv").write_text(change(6, "none")(text))
    assert main(["compare", "--tally", "a.csv", "b.csv"]) == 2
    assert "--tally b.csv: line 3: Anna says otherwise in a.csv; give the later file alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "is no key"),
        ("[]", "is no key"),
        (
            '{"format": 1, "comparison": "a", "methods": ["a"], "results": {}, "pairs": [{"left": "x", "right": "y"}]}',
            "is no key",
        ),
    ],
)
def test_keys_that_are_wrong(page, content, said, capsys):
    """If this fails, a file that is no key ends in a traceback."""
    Path("a.csv").write_text(answer(page, "Anna", by_rank))
    if content is not None:
        Path("k.json").write_text(content)
    assert main(["compare", "--tally", "a.csv", "--key", "k.json"]) == 2
    assert f"--key k.json: {said}" in capsys.readouterr().err


def test_the_wrong_flags(page, capsys):
    """If this fails, a flag that does nothing is taken in silence."""
    for words, said in (
        (["--tally", "a.csv", "--seed", "1"], "--seed: is for a page, not for --tally"),
        (["gram", "--tally", "a.csv"], "gram: --tally takes files of answers"),
        (["--tally", "a.csv"], "--tally a.csv: cannot be read"),
        (["--tally"], "--tally: expected at least one argument"),
    ):
        assert main(["compare", *words]) == 2
        assert said in capsys.readouterr().err


def test_help_is_one_screen_and_whole(capsys):
    """If this fails, the help runs over a terminal of 80 x 24, or leaves a flag out."""
    assert main(["compare", "--help"]) == 0
    text = capsys.readouterr().out
    assert text == f"{help_of(['-h'])}\n"
    lines = text.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    for flag in ("--content", "--style", "--output", "--seed", "--repeats", "--tally", "--key"):
        assert flag in text
