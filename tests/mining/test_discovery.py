"""Unseen shares and new kinds: by hand, and calibrated on a pool that is counted in full."""

import pytest

from benchmarks.discovery import calibrate, exponential_classes
from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.discovery import new_kinds, unseen_share
from vlmine_dagster.mining.significance import Interval


def test_intervals_hold_the_truth_on_subsamples_of_a_counted_pool():
    found = calibrate(exponential_classes(), 500)

    assert found["in the interval"] >= 90
    assert found["median width"] <= 0.1
    assert found["new kinds in the interval"] >= 90


def test_nothing_seen_says_nothing_and_no_singletons_leave_a_width():
    assert unseen_share([]) == unseen_share([0, 0]) == Interval(1.0, 0.0, 1.0, 0)
    settled = unseen_share([50, 50])
    assert (settled.mean, settled.low) == (0, 0)
    assert 0.03 < settled.high < 0.04
    assert new_kinds([50, 50], 100).mean == 0
    assert new_kinds([50, 50], 100).high == 3


def test_the_unseen_share_and_its_interval_by_hand():
    counts = [1] * 10 + [2] * 5 + [40, 40]  # f1 = 10, f2 = 5, n = 100

    found = unseen_share(counts, drawn_share=0.5, cluster=2)

    assert found.mean == pytest.approx(0.1 * 99 * 10 / (99 * 10 + 2 * 5))
    # Wilson's form of f1 / n +- z sqrt(v) / n, with v = 2 (10 (1 - 0.1) / (1 - 0.5) + 2 * 5) = 56
    assert found.low == 0.0
    assert found.high == pytest.approx((10 + 1.96**2 / 2 + 1.96 * (56 + 1.96**2 / 4) ** 0.5) / 100, abs=1e-5)
    assert unseen_share(counts).low == pytest.approx(
        (10 + 1.96**2 / 2 - 1.96 * (19 + 1.96**2 / 4) ** 0.5) / 100, abs=1e-5
    )


def test_where_no_kind_was_seen_twice_one_is_taken_for_it():
    assert unseen_share([1, 1, 1, 1, 6]).mean == pytest.approx(0.4 * 36 / 38)  # n = 10, f1 = 4
    assert unseen_share([1, 1, 1, 1, 2, 4]).mean == pytest.approx(0.4 * 36 / 38)


def test_the_number_of_new_kinds_and_its_interval_by_hand():
    counts = [1] * 100 + [2] * 25 + [850]  # f1 = 100, f2 = 25, n = 1000: F = .999 * 100^2 / (2 * 25)

    found = new_kinds(counts, 1000)

    mean = 199.8 * (1 - (1 - 100 / (1000 * 199.8 + 100)) ** 1000)
    spread = (mean + 4 / 100 * mean**2) ** 0.5
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((mean - 1.96 * spread, mean + 1.96 * spread), abs=0.01)


def test_a_drawn_pool_has_nothing_left_to_bring():
    counts = [30, 9, 2, 1, 1]
    assert new_kinds(counts, 1000, drawn_share=0.99).mean < 0.05
    assert new_kinds(counts, 10).mean < new_kinds(counts, 20).mean < new_kinds(counts, 10**6).mean
    with pytest.raises(ContractError, match="drawn_share 1 must lie in"):
        unseen_share(counts, drawn_share=1)
