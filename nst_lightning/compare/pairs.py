"""Which two results are shown when, and on which side."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple


class Pair(NamedTuple):
    """Two results of one name, and the methods on the left and on the right by their numbers."""

    name: str
    left: int
    right: int


def drawn(names: Sequence[str], methods: int, repeats: int, dice: random.Random) -> list[Pair]:
    """Every two methods for every name, in random order and side.

    In each round over all pairs a method is on the left as often as on the right, or once more or less where the number
    of its pairs is odd; so are two methods against each other. Every other round has the sides of the one before changed.

    Args:
        names: of the results.
        methods: how many.
        repeats: rounds.
        dice: what is random.

    >>> pairs = drawn(["a", "b"], 3, 1, random.Random(0))
    >>> len(pairs), [sum(pair.left == method for pair in pairs) for method in range(3)]
    (6, [2, 2, 2])
    """
    place = dice.sample(range(methods), methods)  # around a circle
    sides: list[Pair] = []
    for one, other in combinations(range(methods), 2):
        # with an odd number of names one is left over: it goes to the left for half of the others around the circle
        ahead = (place[other] - place[one]) % methods
        first = 2 * ahead < methods or (2 * ahead == methods and place[one] < place[other])
        order = [True, False] * (len(names) // 2) + [first] * (len(names) % 2)
        dice.shuffle(order)
        sides += [Pair(name, *((one, other) if left else (other, one))) for name, left in zip(names, order, strict=True)]
    pairs: list[Pair] = []
    for number in range(repeats):
        turned = [pair if number % 2 == 0 else Pair(pair.name, pair.right, pair.left) for pair in sides]
        dice.shuffle(turned)
        if pairs and len(turned) > 1 and {*pairs[-1]} == {*turned[0]}:  # no pair twice in a row
            turned.append(turned.pop(0))
        pairs += turned
    return pairs
