"""Floors, bins and worst slices."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.hints import did_you_mean
from vlmine_dagster.mining.slices import FEWEST_JUDGED, binned, refuse_many, slice_metrics, with_floors

NAMES = ["day", "fog", "night"]


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(0, 30), st.integers(1, 6))
def test_every_slice_has_its_floor_or_all_its_candidates_and_nothing_else_moves(
    codes: list[int], count: int, floor: int
):
    count = min(count, len(codes))
    there = Counter(codes)
    needed = sum(min(floor, n) for n in there.values())
    if needed > count:
        with pytest.raises(ConfigError, match=f"the floors need {needed:,} places .* the budget selects {count:,}"):
            with_floors(codes, NAMES, count=count, floors=floor)
        return

    order, is_lifted = with_floors(codes, NAMES, count=count, floors=floor)

    chosen, rest = order[:count].tolist(), order[count:].tolist()
    assert sorted(order.tolist()) == list(range(len(codes)))
    assert chosen == sorted(chosen)
    assert rest == sorted(rest)
    found = Counter(codes[place] for place in chosen)
    assert all(found[code] >= min(floor, n) for code, n in there.items())
    # the naive rule: the best of each slice first, then the best of whatever is left
    sure = [place for place in range(len(codes)) if codes[:place].count(codes[place]) < floor]
    more = [place for place in range(len(codes)) if place not in sure]
    assert sorted(sure + more[: count - len(sure)]) == chosen
    assert [place for place, lifted in zip(order, is_lifted, strict=True) if lifted] == [
        p for p in chosen if p >= count
    ]


def test_a_smaller_count_need_not_be_part_of_a_larger_one():
    codes = [0, 0, 0, 0, 1]

    two, _ = with_floors(codes, ["day", "night"], count=2, floors=1)
    three, _ = with_floors(codes, ["day", "night"], count=3, floors={"day": 3})

    assert set(two[:2]) - set(three[:3]) == {4}


def test_a_floor_of_a_slice_that_is_not_there_is_refused_with_the_names_that_are():
    with pytest.raises(ConfigError, match=r"no slice 'nigth'\. Did you mean 'night'\? There are: day, fog, night\."):
        with_floors([0, 1, 2], NAMES, count=3, floors={"nigth": 1})


def test_bins_are_of_about_the_same_size_and_equal_values_share_one():
    values = [str(n) for n in range(100)] + [None]

    found = binned(values, 4, column="speed")

    assert Counter(found) == {"0 to 24.75": 25, "24.75 to 49.5": 25, "49.5 to 74.25": 25, "74.25 to 99": 25, None: 1}
    assert set(binned(["3"] * 5, 4, column="speed")) == {"3 to 3"}
    assert binned([None], 2, column="speed") == [None]


def test_a_bin_of_what_is_no_number_is_refused():
    with pytest.raises(ConfigError, match="slices.bins: 'fast' in column 'speed' is not a number"):
        binned(["1", "fast"], 2, column="speed")


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ([str(n) for n in range(1234)], "set slices.bins"),
        ([f"2026-03-{n:04}" for n in range(101)], "slices.characters"),
    ],
)
def test_too_many_values_are_refused_with_what_to_do(values: list[str], advice: str):
    with pytest.raises(ConfigError, match=rf"'when' has {len(values):,} different values.*at most 100.*{advice}"):
        refuse_many(values, column="when")
    refuse_many(values[:100], column="when")


def test_slices_with_few_images_are_not_judged():
    few = ["fog"] * (FEWEST_JUDGED - 1)

    assert slice_metrics("accuracy", few, [False] * len(few)) == {}
    assert slice_metrics("recall", [*few, "fog", *(["day"] * 10)], [True] * 15 + [False] * 5) == {
        "slice_recall: day": 0.5,
        "slice_recall: fog": 1.0,
        "worst_slice_recall": 0.5,
    }


def test_a_long_list_of_names_is_cut():
    assert did_you_mean("x", [f"n{k:03}" for k in range(25)]).endswith("n019, and 5 more.")
