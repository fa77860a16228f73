"""Lists without repeated moments: by the definition, a prefix for every budget, nothing lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.moments import thin_list

items = st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 40)), max_size=40)
rules = st.tuples(st.none() | st.integers(1, 12), st.none() | st.integers(1, 4)).filter(any)


def greedy(found, gap, most):
    """The definition, item by item."""
    kept: list[int] = []
    for place, (name, at) in enumerate(found):
        rivals = [other for other in kept if found[other][0] == name]
        is_near = gap is not None and any(abs(found[other][1] - at) < gap for other in rivals)
        if name < 0 or not (is_near or (most is not None and len(rivals) >= most)):
            kept.append(place)
    return kept


def thinned(found, gap, most):
    names, positions = [one[0] for one in found], [one[1] / 4 for one in found]
    return thin_list(names, positions, gap=None if gap is None else gap / 4, per_sequence=most)


@settings(max_examples=300)
@given(items, rules)
def test_what_stays_is_what_the_definition_keeps_and_a_smaller_budget_is_a_prefix(found, rule):
    whole = thinned(found, *rule)

    assert whole.kept.tolist() == greedy(found, *rule)
    assert sorted([*whole.kept, *whole.skipped]) == list(range(len(found)))
    for count in (1, len(found) // 2):
        first = thinned(found[:count], *rule).kept
        assert first.tolist() == [place for place in whole.kept if place < count]


@settings(max_examples=300)
@given(items, rules)
def test_every_skipped_item_has_a_better_one_of_its_sequence_in_its_place(found, rule):
    gap, _ = rule
    whole = thinned(found, *rule)

    for place, instead, is_close in zip(whole.skipped, whole.instead, whole.is_close, strict=True):
        assert instead in whole.kept
        assert found[instead][0] == found[place][0]
        near = [k for k in whole.kept if gap is not None and found[k][0] == found[place][0]]
        near = [k for k in near if abs(found[k][1] - found[place][1]) < gap]
        assert is_close == bool(near)
        assert instead == min(near or [k for k in whole.kept if found[k][0] == found[place][0]])
    assert (whole.more(is_close=True) + whole.more(is_close=False)).sum() == len(whole.skipped)


def test_a_gap_that_is_reached_exactly_is_a_gap_in_the_digits_that_were_written():
    assert thin_list([0, 0], [12.4, 14.4], gap=2).kept.tolist() == [0, 1]
    assert thin_list([0, 0], [12.4, 14.399], gap=2).kept.tolist() == [0]
    assert thin_list([0, 0, 0], [1.7e9 + 0.1, 1.7e9 + 0.3, 0.0], gap=0.2).kept.tolist() == [0, 1, 2]


def test_a_million_frames_take_one_pass():
    draw = np.random.default_rng(0)
    frames = np.arange(1_000_000)
    order = np.lexsort((draw.random(len(frames)), frames % 50))  # whole stretches of a drive score alike

    found = thin_list((frames // 10_000)[order], (frames % 10_000)[order] / 10, gap=2)

    at = frames[order][found.kept]
    apart = np.diff(np.sort(at))
    assert apart[np.diff(np.sort(at) // 10_000) == 0].min() >= 20
    assert len(found.kept) + len(found.skipped) == len(frames)


@pytest.mark.parametrize(
    ("positions", "rules", "told"),
    [
        ([1.0, 2.0], {}, "no rule"),
        ([1.0, 2.0], {"gap": 0}, "a gap of 0"),
        ([1.0, 2.0], {"per_sequence": 0}, "0 items per sequence"),
        ([1.0], {"gap": 1}, r"shape \(1,\), expected \(2,\)"),
        (None, {"gap": 1}, r"shape \(0,\), expected \(2,\)"),
        ([1.0, np.nan], {"gap": 1}, "1 item of a sequence has no position"),
    ],
)
def test_rules_that_cannot_be_followed_are_refused(positions, rules, told):
    with pytest.raises(ContractError, match=told):
        thin_list([0, 0], positions, **rules)


def test_nothing_in_nothing_out():
    found = thin_list([], [], gap=1, per_sequence=1)
    assert (len(found.kept), len(found.skipped)) == (0, 0)


def test_moments_of_one_camera_in_nanoseconds_since_1970_are_told_apart():
    at = 1.7e18 + 1e9 * np.arange(5)  # a second apart

    assert thin_list([0] * 5, at, gap=2e9).kept.tolist() == [0, 2, 4]
