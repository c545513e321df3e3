"""What is shown when and where."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations, pairwise

import pytest

from nst_lightning.compare.pairs import drawn


@pytest.mark.parametrize("methods", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_every_pair_and_both_sides(methods, count, repeats):
    """If this fails, a pair is not shown, or a method is on one side more often: who likes that side likes the method."""
    names = [f"picture {number}" for number in range(count)]
    pairs = drawn(names, methods, repeats, random.Random(methods * count))
    seen = Counter((pair.name, *sorted((pair.left, pair.right))) for pair in pairs)
    assert seen == {(name, *two): repeats for name in names for two in combinations(range(methods), 2)}
    odd = methods % 2 == 0 and count % 2 == 1 and repeats % 2 == 1  # where it cannot be even
    for method in range(methods):
        left, right = (sum(getattr(pair, side) == method for pair in pairs) for side in ("left", "right"))
        assert abs(left - right) == odd
    for one, other in combinations(range(methods), 2):
        lefts = [pair.left for pair in pairs if {pair.left, pair.right} == {one, other}]
        assert abs(lefts.count(one) - lefts.count(other)) <= 1
    same = [{*before} == {*after} for before, after in pairwise(pairs)]
    assert not any(same) or len(seen) == 1, "a pair twice in a row"


def test_a_repeated_pair_has_changed_sides():
    """If this fails, a judge who always presses one key agrees with himself."""
    pairs = drawn(["a", "b", "c"], 3, 2, random.Random(0))
    first, second = pairs[:9], pairs[9:]
    assert {(name, right, left) for name, left, right in first} == set(second)


def test_order_and_sides_are_the_seeds():
    """If this fails, one seed draws different pages, or all seeds draw the same one."""
    names = list("abcdefgh")
    draws = [drawn(names, 2, 1, random.Random(seed)) for seed in (0, 0, 1, 2)]
    assert draws[0] == draws[1] and draws[0] != draws[2] != draws[3]
    orders = [[pair.name for pair in pairs] for pairs in draws]
    assert orders[0] != orders[2] and orders[0] != names
    sides = {tuple(pair.left for pair in sorted(pairs)) for pairs in draws}
    assert len(sides) == 3
