"""Unseen shares and new kinds: by hand, and calibrated on a pool that is counted in full."""

import math

import pytest

from benchmarks.discovery import calibrate, exponential_classes
from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.discovery import (
    Discovery,
    cluster_factor,
    discovery,
    enough_advice,
    good_turing,
    new_kinds,
    unseen_count,
    unseen_share,
)
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


def test_where_no_kind_was_seen_twice_the_unseen_ones_are_counted_by_pairs_of_those_seen_once():
    assert unseen_count([1, 1, 1, 1, 6]) == pytest.approx(0.9 * 4 * 3 / 2)  # n = 10
    assert unseen_count([1, 9]) == unseen_count([5, 5]) == unseen_count([1]) == unseen_count([]) == 0.0
    assert unseen_count([1, 1, 1, 2, 2, 3]) == pytest.approx(0.9 * 9 / 4)


def test_nothing_seen_has_no_share_and_images_that_bring_nothing_new_inflate_no_variance():
    assert math.isnan(good_turing([]))
    assert cluster_factor([0, 0]) == cluster_factor([]) == 1.0
    assert cluster_factor([2, 0, 2]) == 2.0


def test_a_single_kind_seen_once_brings_new_ones_at_its_own_rate():
    found = new_kinds([1, 9], 5)  # no other kind is expected by pairs, so f1 m / n

    assert found.mean == 0.5
    assert found.low == 0.0
    assert found.high == pytest.approx(0.5 + 1.959964 * math.sqrt(0.5 + 4 * 0.25))
    nothing = new_kinds([], 5)
    assert math.isnan(nothing.mean)
    assert (nothing.low, nothing.high, nothing.n) == (0.0, math.inf, 0)


def test_with_nothing_seen_once_up_to_three_kinds_may_come_with_as_many_counts_again():
    found = [new_kinds([50, 50], more) for more in (0, 50, 100, 1000)]

    assert [(one.mean, one.low, one.high) for one in found] == [(0, 0, 0), (0, 0, 1.5), (0, 0, 3), (0, 0, 3)]


def test_a_draw_brings_no_more_than_is_left_of_the_pool():
    counts = [30, 9, 2, 1, 1]  # n = 43

    assert new_kinds(counts, 1000, drawn_share=0.5) == new_kinds(counts, 43)
    assert new_kinds(counts, 1000, drawn_share=0.8).mean == pytest.approx(new_kinds(counts, 43 / 4).mean)
    assert new_kinds(counts, 5, drawn_share=0.5) == new_kinds(counts, 5)


def test_an_interval_of_a_share_ends_at_all_and_holds_the_estimate():
    # About f1 / n = 1 it would be 1.64 +- 0.64; the estimate is 2 * 3 / (2 * 3 + 2).
    assert unseen_share([1, 1, 1]) == Interval(0.75, 0.75, 1.0, 3)


def test_a_share_that_was_drawn_lies_between_nothing_and_less_than_all():
    assert unseen_share([1, 2], drawn_share=0.0) == unseen_share([1, 2])
    with pytest.raises(ContractError, match=r"drawn_share -0.1 must lie in \[0, 1\)"):
        unseen_share([1, 2], drawn_share=-0.1)
    with pytest.raises(ContractError, match="more -1 must not be negative"):
        new_kinds([1, 2], -1)
    with pytest.raises(ContractError, match="counts must be >= 0, the least is -2"):
        unseen_share([1, -2])


def test_another_draw_of_images_has_as_many_counts_an_image_as_the_first():
    counts = [30, 9, 2, 1, 1, 0]

    found = discovery(counts, images=20, more=40, noun="keywords", drawn_share=0.1, cluster=1.5)

    assert (found.seen, found.images, found.more, found.unit) == (5, 20, 40, "image")
    assert found.new == new_kinds(counts, 86, drawn_share=0.1)  # 43 counts in 20 images
    assert found.unseen == unseen_share(counts, drawn_share=0.1, cluster=1.5)
    assert discovery([], images=0, more=9, noun="classes").unseen.n == 0


def _found(noun: str, *, new: Interval, unseen: Interval) -> Discovery:
    return Discovery(noun, seen=9, images=1000, more=2000, new=new, unseen=unseen, unit="object")


def test_what_a_draw_would_bring_is_told_in_whole_kinds_and_shares_of_the_rest():
    new, unseen = Interval(1234.4, 5.9, 2345.5, 9), Interval(0.125, 0.05, 0.25, 9)
    begins = "in another 2,000 random objects: about 1,234 (5 to 2,345); 12.5% of "

    assert _found("classes", new=new, unseen=unseen).text == (
        f"New classes {begins}the rest is of unseen classes (5.0% to 25.0%)."
    )
    assert _found("keywords", new=new, unseen=unseen).text == (
        f"New keywords {begins}what they say is not in the vocabulary (5.0% to 25.0%)."
    )
    assert "(5 to 2,346)" in _found("classes", new=Interval(9.0, 5.0, 2345.6, 9), unseen=unseen).text


def test_the_numbers_of_a_draw_are_the_share_that_is_seen_and_the_new_kinds():
    found = _found("classes", new=Interval(3.0, 1.0, math.inf, 9), unseen=Interval(0.125, 0.0, 0.25, 9))

    assert found.metrics == {
        "class_sample_coverage": 0.875,
        "class_sample_coverage_low": 0.75,
        "class_sample_coverage_high": 1.0,
        "new_classes_in_2000": 3.0,
        "new_classes_in_2000_low": 1.0,
    }
    assert "keyword_sample_coverage" in _found("keywords", new=found.new, unseen=found.unseen).metrics


@pytest.mark.parametrize(("high", "is_met"), [(1.0, True), (0.99, False)])
def test_labelling_goes_on_where_one_new_class_may_come(high, is_met):
    found = _found("classes", new=Interval(0.5, 0.0, high, 9), unseen=Interval(0.1, 0.0, 0.2, 9))

    assert enough_advice(found).is_met is is_met
    assert enough_advice(found).facts == found.metrics
    assert enough_advice(None).is_met
