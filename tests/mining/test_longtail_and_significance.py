import math

import numpy as np
import pytest

from vlmine_dagster.domain.errors import ConfigError, ContractError
from vlmine_dagster.mining import significance as s
from vlmine_dagster.mining.longtail import LAWS, long_tail_sizes, mining_metrics, shot_accuracy, shot_bins, true_rarity
from vlmine_dagster.mining.reasons import selection_reason

BINS = {"brick": "many", "moon": "medium", "rocket": "few", "retina": "few"}
POOL = ["brick"] * 6 + ["moon"] * 2 + ["rocket", "retina"]


def test_bins_follow_the_rule_that_is_set():
    assert shot_bins({"a": 100, "b": 20, "c": 19}, many_over=99, few_under=21) == {"a": "many", "b": "few", "c": "few"}


@pytest.mark.parametrize("law", LAWS)
def test_sizes_begin_with_the_largest_and_end_with_the_largest_over_the_imbalance(law):
    sizes = long_tail_sizes(40, largest=1000, imbalance=50, law=law)

    assert (sizes[0], sizes[-1]) == (1000, 20)
    assert sizes == sorted(sizes, reverse=True)
    assert long_tail_sizes(1, largest=5, imbalance=10, law=law) == [5]
    assert long_tail_sizes(2, largest=5, imbalance=2, law=law) == [5, 3]  # halves are rounded up
    assert long_tail_sizes(3, largest=1, imbalance=1, law=law) == [1, 1, 1]
    assert long_tail_sizes(2, largest=10, imbalance=100, law=law) == [10, 1]  # no class is empty


@pytest.mark.parametrize(
    "wrong", [{"class_count": 0}, {"largest": 0}, {"imbalance": 0.99}, {"law": "zipf"}, {"class_count": -1}]
)
def test_sizes_of_no_class_and_by_no_law_are_refused(wrong):
    given = {"class_count": 2, "largest": 1, "imbalance": 1.0, "law": "pareto", **wrong}

    with pytest.raises(ConfigError, match=r"long_tail_sizes: .* Expected exponential or pareto, and 1 or more of each"):
        long_tail_sizes(given.pop("class_count"), **given)


def test_a_class_that_is_counted_as_empty_is_as_rare_as_one_of_a_single_image():
    assert true_rarity(["moon", "brick"], {"moon": 0, "brick": 2}).tolist() == [1.0, 0.5]


def test_balance_is_whole_of_equal_shares_and_nothing_of_a_single_class():
    even, uneven = (mining_metrics(mined, POOL, bins=BINS) for mined in (["brick", "moon"], ["brick", "brick"]))

    assert even["class_balance"] == 0.5  # ln 2 / ln 4
    assert uneven["class_balance"] == 0.0
    assert math.copysign(1, uneven["class_balance"]) == 1
    assert mining_metrics(["a"], ["a", "b"], bins={"a": "few", "b": "many"})["class_balance"] == 0.0


def test_bins_are_those_of_the_field_if_nothing_is_set():
    assert shot_bins({"a": 101, "b": 100, "c": 20, "d": 19}) == {"a": "many", "b": "medium", "c": "medium", "d": "few"}


def test_the_share_of_rare_classes_that_are_covered_counts_classes_and_not_images():
    bins = {"a": "few", "b": "few", "c": "few", "d": "many"}

    found = mining_metrics(["a", "b", "b", "d"], ["a", "b", "b", "b", "c", "d", "d"], bins=bins)

    assert found["few_coverage"] == pytest.approx(2 / 3)
    assert found["class_coverage"] == 0.75
    assert math.isnan(mining_metrics([], ["a", "d"], bins=bins)["class_balance"])


def test_mining_metrics_by_hand():
    metrics = mining_metrics(["rocket", "brick", "moon", "brick"], POOL, bins=BINS)

    assert metrics["few_images"] == 2
    assert metrics["few_recall"] == 0.5
    assert metrics["medium_recall"] == 0.5
    assert metrics["many_recall"] == pytest.approx(2 / 6)
    assert metrics["few_precision"] == 0.25
    assert metrics["few_lift"] == pytest.approx(0.25 / 0.2)
    assert metrics["few_coverage"] == 0.5
    assert metrics["class_coverage"] == 0.75
    assert metrics["class_balance"] == pytest.approx(1.5 * math.log(2) / math.log(4))


def test_what_cannot_be_divided_is_unknown():
    metrics = mining_metrics([], ["brick"], bins=BINS)

    assert all(math.isnan(metrics[name]) for name in ("few_recall", "few_precision", "few_lift", "class_balance"))


def test_a_class_without_a_bin_is_named():
    with pytest.raises(ContractError, match="no bin for 1 class, such as 'comet'"):
        mining_metrics(["comet"], ["comet"], bins=BINS)


def test_accuracy_is_a_mean_over_classes():
    found = shot_accuracy(["brick"] * 9 + ["rocket"], ["brick"] * 9 + ["moon"], bins=BINS)

    assert found["all_accuracy"] == 0.5
    assert found["many_accuracy"] == 1.0
    assert found["few_accuracy"] == 0.0
    assert math.isnan(found["medium_accuracy"])


def test_accuracy_wants_pairs():
    with pytest.raises(ContractError, match="1 true classes and 2 predicted"):
        shot_accuracy(["a"], ["a", "b"], bins={})


def test_an_interval_of_a_clear_difference_excludes_zero():
    draw = np.random.default_rng(3).normal(0, 0.01, 20)

    clear = s.paired_bootstrap(0.3 + draw, 0.2 + draw[::-1])

    assert clear.excludes_zero
    assert clear.low < clear.mean < clear.high
    assert not s.paired_bootstrap(draw, draw[::-1]).excludes_zero


def test_a_versus_a_shows_nothing_in_most_repeats():
    rng = np.random.default_rng(0)

    shown = sum(s.paired_bootstrap(*rng.normal(0, 1, (2, 30)), random_seed=k).excludes_zero for k in range(100))

    assert shown <= 12


def test_holm_adjusts_by_rank():
    base = [0.0] * 6
    arms = {"ref": base, "up": [1, 2, 3, 4, 5, 6], "same": base, "down": [-1, -2, -3, -4, -5, -6.5]}

    assert s.wilcoxon_holm(arms, reference="ref") == {"up": 0.09375, "same": 1.0, "down": 0.09375}


def test_holm_multiplies_the_smallest_p_by_all_arms_and_each_further_one_by_one_less():
    arms = {"ref": [0.0] * 6, "c": [1, -2, 3, 4, 5, 6], "a": [1, 2, 3, 4, 5, 6], "b": [-1, 2, 3, 4, 5, 6]}

    found = s.wilcoxon_holm(arms, reference="ref")

    assert found == {"c": 0.125, "a": 3 * 2 / 64, "b": 2 * 4 / 64}  # c: 6 / 64, not below that of b
    assert list(found) == ["c", "a", "b"]


def test_arms_must_be_paired():
    with pytest.raises(ContractError, match="'b' has 1 draw, 'a' has 2"):
        s.wilcoxon_holm({"a": [1, 2], "b": [1]}, reference="a")
    with pytest.raises(ContractError, match="no arm 'c'"):
        s.wilcoxon_holm({"a": [1]}, reference="c")
    with pytest.raises(ContractError, match="cannot be paired"):
        s.paired_bootstrap([1, 2], [1])


def test_a_draw_without_a_value_is_refused_rather_than_called_no_difference():
    with pytest.raises(ContractError, match="'b' has a draw without a finite value"):
        s.wilcoxon_holm({"a": [1.0, 2.0], "b": [1.0, float("nan")]}, reference="a")


def test_nobody_can_mine_more_of_a_class_than_the_pool_has():
    with pytest.raises(ContractError, match="2 images of class 'cat' are mined, but the pool has 1"):
        mining_metrics(["cat", "cat"], ["cat", "dog"], bins={"cat": "few", "dog": "many"})


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ContractError, match="expected a list of finite numbers"):
        s.mean_interval([])


@pytest.mark.parametrize("values", [[1.0, math.nan], [math.inf, 1.0], [[1.0, 2.0]]])
def test_an_interval_of_values_that_are_no_list_of_finite_numbers_is_refused(values):
    with pytest.raises(ContractError, match="expected a list of finite numbers"):
        s.mean_interval(values)


def test_overlap_of_a_signal_with_itself_is_whole():
    signal = np.arange(50.0)

    assert s.signal_overlap(signal, signal**3, budget_count=10) == s.SignalOverlap(1.0, 1.0)
    assert math.isnan(s.signal_overlap(signal, np.ones(50), budget_count=10).spearman)


def test_signals_of_different_pools_have_no_overlap():
    with pytest.raises(ContractError, match="do not fit together"):
        s.signal_overlap([1, 2], [1], budget_count=1)


def test_the_area_under_a_budget_curve_has_twelve_digits():
    assert s.area_under_budget_curve([0.0, 1.0], [1 / 3, 1 / 3]) == 0.333333333333


def test_area_wants_rising_budgets():
    with pytest.raises(ContractError, match="2 rising budgets"):
        s.area_under_budget_curve([0.2, 0.1], [1, 1])


def test_reasons_name_the_numbers():
    reason = selection_reason(
        {"novelty_mean": (0.1, 2.0), "margin": (0.05, 1.0), "variation_ratio": (0.5, 4.5), "sparsity": (-3.0, 1e7)},
        front=2,
        keyword="rocket",
        keyword_count=4,
        predicted_label="brick",
    )

    assert reason == (
        'keywords shared by 10.0 images on average, rarest "rocket" · '
        'model prefers "brick" to the next class by 5% · '
        'model 50% sure of "brick" · 10,000,000th least similar to the rest · front 2'
    )


def test_one_image_is_singular():
    reason = selection_reason({"novelty_min": (1.0, 1.0)}, front=1, keyword="kelpie", keyword_count=1)

    assert reason == 'keyword "kelpie" in 1 image'


def test_intervals_of_an_overlap_hold_its_value_and_are_those_of_the_resamples_of_images():
    rng = np.random.default_rng(4)
    first = rng.normal(size=200)
    second = first + rng.normal(size=200)

    spearman, jaccard = s.overlap_intervals(first, second, budget_count=20)

    whole = s.signal_overlap(first, second, budget_count=20)
    assert (spearman.mean, jaccard.mean) == (whole.spearman, whole.jaccard)
    assert spearman.low < whole.spearman < spearman.high
    assert jaccard.low < whole.jaccard < jaccard.high
    # by Fisher's z, 1.96 / sqrt(200 - 3) on either side
    z = np.arctanh(whole.spearman)
    np.testing.assert_allclose([spearman.low, spearman.high], np.tanh([z - 0.14, z + 0.14]), atol=0.04)
    half, _ = s.overlap_intervals(first, second, budget_count=20, level=0.5)
    half_z = 0.674 / np.sqrt(200 - 3)
    np.testing.assert_allclose([half.low, half.high], np.tanh([z - half_z, z + half_z]), atol=0.015)
