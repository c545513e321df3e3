"""Scores and intervals, against calculations of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, log_expit
from scipy.stats import binomtest

from nst_lightning.compare.scores import PRIOR, Compared, bradley_terry, scored, wilson, wins_of


def likelihood(scores: np.ndarray, compared: list[Compared], prior: float = PRIOR) -> float:
    """Minus the log likelihood, answer by answer."""
    value = -prior / 2 * float((log_expit(scores) + log_expit(-scores)).sum())
    for one, other, share, _ in compared:
        lead = scores[one] - scores[other]
        value -= share * log_expit(lead) + (1 - share) * log_expit(-lead)
    return value


def answers(scores: np.ndarray, pictures: int, judges: int, rng: np.random.Generator, taste: float = 0.0) -> list[Compared]:
    """What judges say who draw by the model; by ``taste`` the pictures differ in what is liked."""
    given = []
    for picture in range(pictures):
        liked = scores + taste * rng.standard_normal(len(scores))
        for _ in range(judges):
            for one in range(len(scores)):
                for other in range(one):
                    share = float(rng.random() < expit(liked[one] - liked[other]))
                    given.append(Compared(one, other, 0.5 if rng.random() < 0.1 else share, str(picture)))
    return given


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_the_likeliest(seed):
    """If this fails, the scores are not those of the maximum of the likelihood."""
    rng = np.random.default_rng(seed)
    given = answers(rng.normal(0, 1.5, 2 + seed), 5, 2, rng)
    found = bradley_terry(wins_of(given, 2 + seed))
    best = minimize(likelihood, np.zeros(2 + seed), (given,), tol=1e-12).x
    np.testing.assert_allclose(found, best - best.mean(), atol=1e-5)
    assert abs(found.sum()) < 1e-12


def test_without_a_prior_the_share_decides():
    """If this fails, the score of two methods is not the logarithm of their odds, or the prior is not small."""
    wins = np.array([[0.0, 75.0], [25.0, 0.0]])
    assert np.diff(bradley_terry(wins, 1e-9))[0] == pytest.approx(-np.log(3), abs=1e-6)
    assert np.diff(bradley_terry(wins))[0] == pytest.approx(-np.log(3), abs=0.02)


@pytest.mark.parametrize("games", [1, 1000, 1_000_000])
def test_who_wins_everything_has_a_score(games):
    """If this fails, a method that wins or loses all its comparisons, or has none, breaks the table."""
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[1, 2] = wins[0, 2] = games
    scores = bradley_terry(wins)
    assert np.isfinite(scores).all() and scores[0] > scores[1] > scores[2]
    assert scores[3] == pytest.approx((scores[0] + scores[2]) / 2, abs=1e-6), "what nobody saw is in the middle"
    ends = scored([Compared(0, 1, 1.0, str(number)) for number in range(min(games, 1000))], 3)
    assert np.isfinite(np.array(ends)).all() and (ends.high - ends.low > 0.5).all(), "sure of what was seen once"


def test_intervals_are_the_wider_of_two():
    """If this fails, the interval is neither that of the information nor that of the pictures as clusters."""
    rng = np.random.default_rng(0)
    for taste in (0.0, 3.0):
        given = answers(np.array([0.8, 0.0, -0.5]), 12, 4, rng, taste)
        best = minimize(likelihood, np.zeros(3), (given,), tol=1e-12).x
        information = np.zeros((3, 3))
        for column in range(3):  # numbers, where the program has a formula
            step = 1e-4 * np.eye(3)[column]
            slopes = [approx_fprime(best + sign * step, likelihood, 1e-6, given) for sign in (1, -1)]
            information[column] = (slopes[0] - slopes[1]) / 2e-4
        inverse = np.linalg.inv(information)
        by_picture = [[one for one in given if one.picture == picture] for picture in map(str, range(12))]
        pulls = np.array([-approx_fprime(best, lambda s, own=own: likelihood(s, own, 0.0), 1e-6) for own in by_picture])
        sandwich = inverse @ (12 * np.cov(pulls.T)) @ inverse
        centre = np.eye(3) - 1 / 3
        ways = [np.sqrt(np.diag(centre @ one @ centre)) for one in (inverse, sandwich)]
        found = scored(given, 3)
        np.testing.assert_allclose((found.high - found.low) / 2, 1.959964 * np.maximum(*ways), rtol=0.01)
        assert (ways[1] > ways[0]).all() == (taste > 0), "the test does not try both"


@pytest.mark.parametrize(("pictures", "judges", "taste"), [(8, 1, 0.0), (20, 3, 0.0), (20, 3, 1.0)])
def test_intervals_hold_what_they_say(pictures, judges, taste):
    """If this fails, the intervals hold the truth more rarely than in 95 of 100 cases, or nearly always."""
    rng, truth, runs = np.random.default_rng(1), np.array([0.6, 0.0, -0.6]), 300
    held = 0
    for _ in range(runs):
        given = [one for one in answers(truth, pictures, judges, rng, taste) if one.share != 0.5]
        found = scored(given, 3)
        target = truth
        if taste:  # the scores of all pictures there are: chances are of a mean, not means of chances
            target = truth * SHRUNK
        held += int(((found.low <= target) & (target <= found.high)).sum())
    assert held / (3 * runs) > 0.93
    assert held / (3 * runs) < 0.995


def of_all_pictures() -> float:
    """By how much smaller scores are over all pictures where tastes of spread 1 differ between them."""
    liked = np.array([0.6, 0.0, -0.6]) + np.random.default_rng(2).standard_normal((20000, 3))
    chance = expit(liked[:, :, None] - liked[:, None]).mean(0)
    return float(bradley_terry(1e9 * chance)[0] / 0.6)


SHRUNK = of_all_pictures()


@pytest.mark.parametrize(("won", "of"), [(0, 5), (3, 7), (7, 7), (480, 1000)])
def test_shares(won, of):
    """If this fails, the interval of a share is not Wilson's."""
    expected = binomtest(won, of).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(won, of), (expected.low, expected.high), atol=1e-9)


def test_no_difference_is_half_a_win():
    """If this fails, draws count for one of the two, or not at all."""
    assert wins_of([Compared(0, 1, 0.5, ""), Compared(1, 0, 1.0, "")], 2).tolist() == [[0, 0.5], [1.5, 0]]
