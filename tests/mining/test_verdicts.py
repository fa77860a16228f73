import numpy as np
import pytest

from vlmine_dagster.mining.selection import random_signal, rank_images
from vlmine_dagster.mining.significance import Comparison, Interval, compare_arms
from vlmine_dagster.mining.verdicts import (
    FEWEST_TRAINED,
    FEWEST_UNTRAINED,
    common_tail_sentence,
    comparison_sentence,
    rules_text,
)

DRAWS, REPEATS = FEWEST_UNTRAINED, 100


def test_a_claim_needs_as_many_draws_as_the_page_of_the_studies_says():
    assert (FEWEST_UNTRAINED, FEWEST_TRAINED) == (30, 10)


def test_two_arms_of_one_strategy_differ_in_at_most_seven_of_a_hundred_repeats():
    ids = [f"image-{k}" for k in range(120)]
    tail = np.arange(120) < 40

    def recall(seed: int) -> float:
        order = rank_images({"random": random_signal(ids, random_seed=seed)}, ids).order
        return float(tail[order[:30]].mean())

    found = np.array(
        [[[recall((r * DRAWS + d) * 2 + arm) for d in range(DRAWS)] for arm in (0, 1)] for r in range(100)]
    )
    verdicts = [compare_arms({"a": a, "b": b}, reference="a", fewest=DRAWS)[0] for a, b in found]

    assert sum(verdict.is_shown for verdict in verdicts) <= 7
    assert all("nothing is shown" in comparison_sentence(v, where="at 25%") for v in verdicts if not v.is_shown)


def test_four_arms_of_one_strategy_together_differ_in_at_most_seven_of_a_hundred_repeats():
    rng = np.random.default_rng(7)
    found = rng.binomial(600, 0.35, (REPEATS, 4, DRAWS)) / 600

    shown = [
        any(c.is_shown for c in compare_arms({str(k): arm for k, arm in enumerate(arms)}, reference="0", fewest=DRAWS))
        for arms in found
    ]

    assert sum(shown) <= 7


def test_ten_retrained_draws_of_one_strategy_differ_in_at_most_seven_of_a_hundred_repeats():
    rng = np.random.default_rng(11)
    seeds = rng.normal(0.3, 0.05, (REPEATS, 1, FEWEST_TRAINED))  # a draw moves both arms
    found = seeds + rng.normal(0, 0.01, (REPEATS, 2, FEWEST_TRAINED))

    shown = [compare_arms({"a": a, "b": b}, reference="a", fewest=FEWEST_TRAINED)[0].is_shown for a, b in found]

    assert sum(shown) <= 7


def test_a_real_difference_is_shown_where_draws_are_paired():
    rng = np.random.default_rng(1)
    base = rng.normal(0.3, 0.05, DRAWS)

    [found] = compare_arms({"a": base, "b": base + rng.normal(0.02, 0.01, DRAWS)}, reference="a", fewest=DRAWS)

    assert found.is_shown
    assert comparison_sentence(found, where="at 10%").startswith("b finds more of the tail than a at 10%: +0.0")


def test_the_same_numbers_in_every_draw_show_nothing():
    [found] = compare_arms({"a": [0.3] * 30, "b": [0.3] * 30}, reference="a", fewest=30)

    assert comparison_sentence(found, where="at 5%") == (
        "nothing is shown between b and a at 5%: +0.000 [+0.000, +0.000], 30 paired draws, p = 1.00 after Holm"
    )


@pytest.mark.parametrize("draws", [1, 9])
def test_too_few_draws_show_nothing_however_large_the_gap(draws: int):
    [found] = compare_arms({"a": [0.1] * draws, "b": [0.9] * draws}, reference="a", fewest=10)

    assert not found.is_shown
    assert "only" in comparison_sentence(found, where="at 5%")


def test_an_arm_that_finds_less_is_called_so():
    worse = Comparison("a", "b", Interval(-0.2, -0.3, -0.1, 30), 0.001, 30)

    assert comparison_sentence(worse, where="at 5%").startswith("a finds less of the tail than b at 5%: -0.200")


def test_both_rules_are_told():
    assert rules_text([100, 20]) == (
        "many/medium/few classes: 0/2/0 by >100 / 20-100 / <20, 1/0/1 by >=100 / 21-99 / <=20"
    )


def test_the_tail_is_common_where_half_of_it_has_twice_the_bound_in_the_pool():
    bins = {"kite": "few", "yak": "few", "comet": "few", "road": "many"}

    assert common_tail_sentence(bins, {"kite": 900, "yak": 39, "road": 5000}, few_under=20) == ""
    assert common_tail_sentence(bins, {"kite": 900, "yak": 40, "road": 5000}, few_under=20).startswith(
        "the tail is common in this pool: half of the 3 few-shot classes have 40 images or more"
    )
    assert common_tail_sentence({"road": "many"}, {"road": 5000}, few_under=20) == ""
