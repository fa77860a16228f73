"""What a confirmed rare image costs on one list, and how many times as much on another."""

import math

import pytest

from vlmine_dagster.mining.review_cost import Judged, Prices, times_as_dear

HOURLY = Prices(hourly_usd=36.0)
SEEDS = range(20)
"""Of nearly a third of them the first or second sample of three items of which one is rare holds none."""


def judged(rare: int, of: int = 3, *, seconds: float = 10.0, prices: Prices = HOURLY) -> Judged:
    return Judged([seconds] * of, [True] * rare + [False] * (of - rare), prices)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_list_that_confirms_none_is_infinitely_dearer_whatever_the_samples_of_the_other_hold(seed):
    dearer, cheaper = (
        times_as_dear(*lists, random_seed=seed) for lists in ([judged(1), judged(0)], [judged(0), judged(1)])
    )

    # where a sample of the other holds none either, neither list is dearer
    assert (dearer.low, dearer.mean, dearer.high) == (1, math.inf, math.inf)
    assert (cheaper.low, cheaper.mean, cheaper.high) == (0, 0, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_list_that_costs_nothing_is_compared_with_none_whatever_its_samples_hold(seed):
    free = judged(1, prices=Prices())

    assert times_as_dear(free, judged(1), random_seed=seed) is None
    assert times_as_dear(judged(1), free, random_seed=seed) is None


def test_lists_that_confirm_none_and_those_without_verdicts_are_not_compared():
    assert times_as_dear(judged(0), judged(0)) is None
    assert times_as_dear(judged(0, of=0), judged(1)) is None
    assert times_as_dear(judged(1), judged(0, of=0)) is None


def test_each_list_has_samples_of_its_own_so_that_a_list_may_be_dearer_or_cheaper_than_itself():
    one = judged(20, of=100)

    found = times_as_dear(one, one)

    assert found.low < 0.8
    assert found.mean == 1
    assert found.high > 1.25
    assert found.n == 200


def test_the_interval_is_from_nothing_to_infinity_where_samples_of_either_list_may_hold_no_rare_one():
    one, other = judged(1, of=300), judged(1, of=300, seconds=20.0)

    found = times_as_dear(one, other)

    # 37% of the samples of a list hold none: 0 where it is this one alone, infinite where it is the other one alone
    assert (found.low, found.mean, found.high) == (0, 2, math.inf)
    assert times_as_dear(judged(3), judged(3, seconds=20.0)).low == 2  # all are rare in every sample
