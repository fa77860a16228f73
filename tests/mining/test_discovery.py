"""Unseen shares and new kinds: by hand, and calibrated on a pool that is counted in full."""

import pytest

from benchmarks.discovery import calibrate, exponential_classes
from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.discovery import new_kinds, unseen_share


def test_intervals_hold_the_truth_on_subsamples_of_a_counted_pool():
    found = calibrate(exponential_classes(), 500)

    assert found["in the interval"] >= 90
    assert found["median width"] <= 0.1
    assert found["new kinds in the interval"] >= 90


def test_nothing_seen_says_nothing_and_no_singletons_leave_a_width():
    assert unseen_share([]) == pytest.approx(unseen_share([0, 0]))
    assert (unseen_share([]).low, unseen_share([]).high) == (0, 1)
    settled = unseen_share([50, 50])
    assert (settled.mean, settled.low) == (0, 0)
    assert 0.03 < settled.high < 0.04
    assert new_kinds([50, 50], 100).mean == 0
    assert new_kinds([50, 50], 100).high == 3


def test_a_drawn_pool_has_nothing_left_to_bring():
    counts = [30, 9, 2, 1, 1]
    assert new_kinds(counts, 1000, drawn_share=0.99).mean < 0.05
    assert new_kinds(counts, 10).mean < new_kinds(counts, 20).mean < new_kinds(counts, 10**6).mean
    with pytest.raises(ContractError, match="drawn_share 1 must lie in"):
        unseen_share(counts, drawn_share=1)
