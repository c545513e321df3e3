"""Scores of preferences: Bradley–Terry by maximum likelihood, and how sure they are. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PRIOR = 1.0  # comparisons of each method with one of score 0, half of them won
SURE = 1.959963984540054  # standard deviations on both sides that hold 95 %


class Compared(NamedTuple):
    """One comparison: two methods by their numbers, the first one's share of the win, and the picture it was about."""

    one: int
    other: int
    share: float
    picture: str


class Scores(NamedTuple):
    """Scores ``(K,)``, of mean 0, and the lower and upper end of their 95 % intervals."""

    score: np.ndarray
    low: np.ndarray
    high: np.ndarray


def wins_of(compared: Sequence[Compared], methods: int) -> np.ndarray:
    """How often the method of the row won against that of the column: ``(K, K)``, no difference as a half for each."""
    wins = np.zeros((methods, methods))
    for one, other, share, _ in compared:
        wins[one, other] += share
        wins[other, one] += 1 - share
    return wins


def bradley_terry(wins: np.ndarray, prior: float = PRIOR) -> np.ndarray:
    """The scores under which the answers are the likeliest.

    Method i wins against j with probability ``1 / (1 + exp(s_j - s_i))`` (Bradley and Terry 1952, *Rank analysis of
    incomplete block designs*, eq. 1, with ``s = log π``); a draw is half a win for both. A method that wins, or loses, all
    its comparisons would have an infinite score, and methods that no chain of comparisons joins none at all; so each is
    compared ``prior`` times more with an imaginary one of score 0, and wins half of that. The likelihood is concave then,
    and Newton's method with halved steps finds its one maximum.

    Args:
        wins: ``(K, K)``, 0 or more; the diagonal does not count.
        prior: above 0.

    Returns:
        ``(K,)``, of mean 0. A lead of log 3 = 1.1 wins three of four.
    """
    scores = _fitted(wins, prior)
    return scores - scores.mean()


def _fitted(wins: np.ndarray, prior: float = PRIOR) -> np.ndarray:
    """The scores before they are centred, as the prior sees them: their mean is near 0, not at it."""
    wins = wins * (1 - np.eye(len(wins)))
    games, scores = wins + wins.T, np.zeros(len(wins))
    value = _likelihood(wins, scores, prior)
    for _ in range(100):
        slope = (wins - games * _chance(scores)).sum(1) + prior * (0.5 - _sigmoid(scores))
        step = np.linalg.solve(_information(games, scores, prior), slope)
        while (new := _likelihood(wins, scores + step, prior)) < value and np.abs(step).max() > 1e-12:
            step = step / 2
        scores, value = scores + step, new
        if np.abs(step).max() < 1e-10:
            break
    return scores


def scored(compared: Sequence[Compared], methods: int) -> Scores:
    """Scores with 95 % intervals.

    Of two variances the larger one is taken. The inverse of the information (Hessian) holds where all answers are
    independent; it stays right for a method that wins everything. The sandwich with the pictures as clusters (Liang and
    Zeger 1986, *Longitudinal data analysis using generalized linear models*) holds where the answers to one picture, of
    several judges or repeated, go together.
    """
    wins = wins_of(compared, methods)
    games, scores = wins + wins.T, _fitted(wins)
    centre = np.eye(methods) - 1 / methods
    inverse = np.linalg.inv(_information(games, scores, PRIOR))
    pulls: dict[str, np.ndarray] = {}
    for one, other, share, picture in compared:
        pull = pulls.setdefault(picture, np.zeros(methods))
        left = share - float(_sigmoid(scores[one] - scores[other]))
        pull[one] += left
        pull[other] -= left
    variance = np.diag(centre @ inverse @ centre)
    if len(pulls) > 1:
        off = np.array(list(pulls.values()))
        off = off - off.mean(0)
        meat = off.T @ off * len(pulls) / (len(pulls) - 1)
        variance = np.maximum(variance, np.diag(centre @ inverse @ meat @ inverse @ centre))
    half = SURE * np.sqrt(variance)
    scores = scores - scores.mean()
    return Scores(scores, scores - half, scores + half)


def wilson(won: float, of: float) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927, *Probable inference*); everything where nothing was counted.

    >>> [round(end, 3) for end in wilson(8, 10)], wilson(0, 0)
    ([0.49, 0.943], (0.0, 1.0))
    """
    if of == 0:
        return 0.0, 1.0
    share, square = won / of, SURE**2 / of
    middle = (share + square / 2) / (1 + square)
    half = SURE / (1 + square) * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(values / 2))  # no overflow


def _chance(scores: np.ndarray) -> np.ndarray:
    """That the method of the row wins against that of the column."""
    return _sigmoid(scores[:, None] - scores[None])


def _likelihood(wins: np.ndarray, scores: np.ndarray, prior: float) -> float:
    """Its logarithm, with the prior."""
    lost = np.logaddexp(0, scores[None] - scores[:, None])  # -log of the chance
    imaginary = np.logaddexp(0, scores) + np.logaddexp(0, -scores)
    return -float((wins * lost).sum() + prior / 2 * imaginary.sum())


def _information(games: np.ndarray, scores: np.ndarray, prior: float) -> np.ndarray:
    """Minus the second derivative of the log likelihood, ``(K, K)``, positive definite."""
    chance = _chance(scores)
    weight = games * chance * chance.T
    weight = weight * (1 - np.eye(len(scores)))
    alone = _sigmoid(scores)
    return np.diag(weight.sum(1) + prior * alone * (1 - alone)) - weight
