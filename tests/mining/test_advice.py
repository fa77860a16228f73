"""Each check is shown to fire on data made to break it, and to stay quiet on good data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.advice import (
    Advice,
    agreement_advice,
    drift_advice,
    keyword_advice,
    listed_advice,
    luck_advice,
    wilson,
)
from vlmine_dagster.mining.vocabulary import VocabularyHealth

GOOD = {
    "image_count": 1000,
    "without_keywords_share": 0.01,
    "keyword_count": 800,
    "seen_once_share": 0.5,
    "commonest": (("road", 0.3), ("tree", 0.1)),
    "keywords_per_image": 6.0,
    "effective_keyword_count": 120.0,
}


def test_a_list_of_what_was_found_names_three_and_is_met_where_there_is_nothing():
    words = {"one": "file is missing", "several": "files are missing", "good": "all are there"}

    assert listed_advice([], **words) == Advice(True, "all are there", {"found": 0})
    assert listed_advice(list("abcd"), **words) == Advice(False, "4 files are missing. Such as: a; b; c", {"found": 4})


def test_a_list_of_one_is_told_in_the_singular_and_with_what_to_do():
    found = listed_advice(["a"], one="file is missing", several="files are missing", good="", advice="Add it.")

    assert found == Advice(False, "1 file is missing. Add it. Such as: a", {"found": 1})


class TestKeywords:
    def test_a_healthy_vocabulary_is_left_alone(self):
        assert keyword_advice(VocabularyHealth(**GOOD)).is_met

    @pytest.mark.parametrize(
        ("bad", "said"),
        [
            ({"without_keywords_share": 0.4}, "40% of the images have no keyword: check their descriptions"),
            ({"seen_once_share": 0.97}, "97% of the keywords occur in only one image"),
            ({"commonest": (("image", 0.99), ("car", 0.2))}, "keyword 'image' occurs in 99% of the images"),
            ({"keywords_per_image": 1.1}, "an image has 1.1 keywords on average: ask for longer descriptions"),
        ],
    )
    def test_each_failure_is_told_with_its_number_and_what_to_do(self, bad, said):
        advice = keyword_advice(VocabularyHealth(**{**GOOD, **bad}))

        assert not advice.is_met
        assert said in advice.text
        assert advice.text.count(". ") == 0  # nothing else is complained about

    @pytest.mark.parametrize(
        ("good", "bad"),
        [
            ({"without_keywords_share": 0.1}, {"without_keywords_share": 0.101}),
            ({"seen_once_share": 0.85}, {"seen_once_share": 0.851}),
            ({"seen_once_share": 0.9, "image_count": 99}, {"seen_once_share": 0.9, "image_count": 100}),
            ({"commonest": (("road", 0.6),)}, {"commonest": (("road", 0.601),)}),
            ({"commonest": ()}, {"commonest": (("road", 0.9),)}),
            ({"keywords_per_image": 2.0}, {"keywords_per_image": 1.99}),
            ({"information_bits": 5.0}, {"information_bits": 4.99}),
            ({"information_bits": 1.0, "image_count": 99}, {"information_bits": 1.0, "image_count": 100}),
        ],
    )
    def test_a_vocabulary_at_a_limit_is_left_alone_and_one_beyond_it_is_not(self, good, bad):
        assert keyword_advice(VocabularyHealth(**{**GOOD, **good})).is_met
        assert not keyword_advice(VocabularyHealth(**{**GOOD, **bad})).is_met

    def test_the_facts_are_what_was_measured(self):
        plain = {name: value for name, value in GOOD.items() if name != "commonest"}
        top = {"top_keyword": "road", "top_keyword_share": 0.3}

        measured = keyword_advice(VocabularyHealth(**GOOD, information_bits=7.5)).facts

        assert measured == {**plain, **top, "information_bits": 7.5}
        assert keyword_advice(VocabularyHealth(**plain, commonest=())).facts == plain

    def test_all_keywords_that_are_too_common_are_named_with_one_command(self):
        common = (("a photo", 1.0), ("image", 0.8), ("road", 0.5))

        advice = keyword_advice(VocabularyHealth(**{**GOOD, "commonest": common}))

        assert advice.text == (
            "2 keywords occur in most images and distinguish nothing, 'a photo' (100%), 'image' (80%): "
            "`vlmine vocabulary --leave-out 'a photo' --leave-out image` leaves them out"
        )

    def test_a_handful_of_images_is_not_blamed_for_keywords_seen_once(self):
        assert keyword_advice(VocabularyHealth(**{**GOOD, "image_count": 40, "seen_once_share": 0.95})).is_met


def law(size, *, start=0):
    """Keyword probabilities by a 1/x law."""
    return np.roll(1 / np.arange(1, size + 1), start) / (1 / np.arange(1, size + 1)).sum()


def images_by(draw, shares, *, images):
    """Return the images that yield each keyword, five keywords an image."""
    keys = draw.gumbel(size=(images, len(shares))) + np.log(shares)
    return np.bincount(np.argpartition(-keys, 5, axis=1)[:, :5].reshape(-1), minlength=len(shares))


class TestDrift:
    @pytest.mark.parametrize("images", [12, 200, 5000])
    def test_shards_of_one_law_are_left_alone(self, images):
        draw = np.random.default_rng(images)
        counts = [draw.multinomial(6 * images, law(200)) for _ in range(8)]

        advice = drift_advice(counts, [f"s{k}" for k in range(8)], [f"w{k}" for k in range(200)], [images] * 8)

        assert advice.is_met, advice.text

    def test_a_shard_of_another_law_is_named_with_its_keyword(self):
        draw = np.random.default_rng(0)
        counts = [draw.multinomial(3000, law(50, start=25 if k == 3 else 0)) for k in range(5)]

        advice = drift_advice(counts, list("abcde"), [f"w{k}" for k in range(50)], [500] * 5)

        assert not advice.is_met
        assert advice.facts["shard"] == "d"
        assert advice.facts["shards that drift"] == 1
        assert "shard d differs most" in advice.text
        assert "'w25'" in advice.text or "'w0'" in advice.text

    @pytest.mark.parametrize(("moved", "within"), [(0.0, 0.02), (0.4, 0.08)])
    def test_drift_is_what_differs_beyond_chance_whatever_the_keywords_an_image(self, moved, within):
        draw = np.random.default_rng(0)
        common = law(200)
        other = (1 - moved) * common + moved * np.roll(common, 100)
        counts = np.array([images_by(draw, other if shard == 3 else common, images=1000) for shard in range(10)])

        drift = drift_advice(counts, list("abcdefghij"), [f"w{k}" for k in range(200)], [1000] * 10).facts["drift"]

        many = [images_by(draw, shares, images=20_000) for shares in (common, other)]
        true_drift = 0.5 * abs(many[0] / many[0].sum() - many[1] / many[1].sum()).sum() if moved else 0.0
        assert drift == pytest.approx(true_drift, abs=within)

    def test_the_drift_is_the_distance_of_shares_less_what_chance_shows_by_hand(self):
        # Keyword shares of the two are 0.6, 0.3, 0.1 and 0.2, 0.6, 0.2: a distance of 0.4. Of 180 images 80, 90 and 30
        # yield a keyword, 200 / 180 keywords an image.
        by_chance = 0.0
        for images in (80, 90, 30):
            yielding = images / 180
            variance = yielding * (1 - yielding) * (1 / 80 + 1 / 100) / (200 / 180) ** 2
            by_chance += 0.5 * math.sqrt(2 * variance / math.pi)

        counts = [[60, 30, 10], [20, 60, 20], [0, 0, 0]]
        found = drift_advice(counts, list("abc"), ["day", "night", "dusk"], [80, 100, 0])

        assert found.facts == {"drift": pytest.approx(0.4 - by_chance), "shard": "a", "shards that drift": 2}
        assert "'day' occurs in 75% of its images and in 20% of the others. 2 of 2 shards" in found.text

    def test_shards_that_are_alike_have_no_drift(self):
        found = drift_advice([[9, 1], [9, 1]], ["a", "b"], ["day", "night"], [10, 10])

        assert found.facts == {"drift": 0.0, "shard": "a", "shards that drift": 0}
        assert "by 0.00 of its keywords beyond chance" in found.text

    def test_the_shards_that_drift_are_counted_and_the_worst_is_named_with_its_shares(self):
        counts = [*([[800, 200]] * 8), [0, 1000], [100, 900]]

        found = drift_advice(counts, list("abcdefghij"), ["day", "night"], [1000] * 10)

        assert (found.facts["shards that drift"], found.facts["shard"], found.is_met) == (2, "i", False)
        assert "'day' occurs in 0% of its images and in 72% of the others. 2 of 10 shards differ by more" in found.text

    def test_the_worst_shard_is_named_with_the_share_of_its_images_that_have_the_keyword(self):
        found = drift_advice([[100, 900], [100, 900], [700, 0]], list("abc"), ["night", "day"], [1000] * 3)

        assert "shard c differs most" in found.text
        assert "'night' occurs in 70% of its images and in 10% of the others" in found.text

    def test_a_shard_with_a_single_keyword_is_compared_too(self):
        found = drift_advice([[3, 4], [1, 0]], ["a", "b"], ["x", "y"], [5, 1])

        assert "'x' occurs in 60% of its images and in 100% of the others" in found.text

    def test_one_shard_and_shards_without_keywords_are_no_drift(self):
        assert drift_advice([[3, 4]], ["a"], ["x", "y"], [5]).is_met
        assert drift_advice([[3, 4], [0, 0]], ["a", "b"], ["x", "y"], [5, 0]).is_met

    def test_shapes_that_do_not_fit_are_refused(self):
        with pytest.raises(ContractError, match="drift_advice"):
            drift_advice([[1, 2]], ["a", "b"], ["x", "y"], [1, 2])


class TestAgreement:
    def test_a_pair_of_equal_lists_is_told_though_another_pair_agrees_more_over_the_whole(self):
        draw = np.random.default_rng(0)
        first = draw.permutation(1000).astype(float)
        same_list = np.where(first >= 900, first, draw.permutation(1000) * 0.9)
        near = first + 300 * draw.normal(size=1000)

        advice = agreement_advice({"a": first, "b": same_list, "c": near}, mined_count=100)

        assert not advice.is_met
        assert "a and b" in advice.text

    def test_signals_that_say_different_things_are_left_alone(self):
        draw = np.random.default_rng(0)
        shared = draw.normal(size=2000)
        signals = {"entropy": shared + draw.normal(size=2000), "novelty": shared + draw.normal(size=2000)}

        advice = agreement_advice(signals, mined_count=200)

        assert advice.is_met
        assert "Spearman 0." in advice.text
        assert "overlap of the first 200" in advice.text

    def test_a_signal_and_its_monotone_copy_are_told(self):
        values = np.random.default_rng(0).normal(size=1000)

        advice = agreement_advice({"entropy": values, "margin": np.exp(values), "other": -values}, mined_count=100)

        assert not advice.is_met
        assert "entropy and margin: Spearman 1.00" in advice.text
        assert "drop one" in advice.text

    @pytest.mark.parametrize(("count", "is_told"), [(99, False), (100, True)])
    def test_agreement_is_told_from_a_hundred_images_on_with_its_intervals(self, count, is_told):
        draw = np.random.default_rng(5)
        one = draw.normal(size=count)
        other = one + draw.normal(size=count)

        found = agreement_advice({"one": one, "other": other}, mined_count=30)

        assert found.is_met
        assert (found.text == "99 images with values that differ: too few to tell") is not is_told
        if is_told:
            rho = spearmanr(one, other).statistic
            half = 1.959964 * math.sqrt((1 + rho**2 / 2) / 97)  # Bonett and Wright, about Fisher's z
            ends = [math.tanh(math.atanh(rho) + side * half) for side in (-1, 1)]
            both = len({*np.argsort(-one)[:30].tolist()} & {*np.argsort(-other)[:30].tolist()})
            low, high = wilson(both, 60 - both)
            assert found.facts == pytest.approx(
                {"Spearman": rho, "Spearman from": ends[0], "Jaccard": both / (60 - both), "Jaccard from": low}
            )
            assert f"Spearman {rho:.2f} [{ends[0]:.2f}, {ends[1]:.2f}], overlap of the first 30 " in found.text
            assert f"[{low:.2f}, {high:.2f}] (Jaccard)" in found.text

    @pytest.mark.parametrize(("mined", "is_met"), [(100, True), (99, False)])
    def test_equal_lists_of_half_the_pool_are_no_agreement(self, mined, is_met):
        draw = np.random.default_rng(0)
        halves = [np.concatenate([100 + draw.permutation(100), draw.permutation(100)]) for _ in range(2)]
        halves[1][halves[0] == 100] = 100.0  # both lists leave out the same image of the upper half
        halves[1][(halves[1] == 100) & (halves[0] != 100)] = 200.0

        assert agreement_advice({"a": halves[0], "b": halves[1]}, mined_count=mined).is_met is is_met

    def test_at_least_one_image_is_mined_and_at_most_all(self):
        values = np.arange(200.0)

        assert "overlap of the first 1 1.00" in agreement_advice({"a": values, "b": values}, mined_count=0).text
        assert "overlap of the first 200 1.00" in agreement_advice({"a": values, "b": -values}, mined_count=500).text

    def test_a_single_signal_has_nothing_to_agree_with(self):
        assert agreement_advice({"a": np.arange(200.0)}, mined_count=9) == Advice(
            True, "a single signal cannot be compared with others"
        )

    def test_a_correlation_that_a_small_pool_cannot_show_is_not_claimed(self):
        values = np.arange(30.0)
        assert agreement_advice({"a": values, "b": values}, mined_count=3).is_met

    def test_images_without_a_signal_and_constant_signals_are_no_agreement(self):
        values = np.arange(300.0)
        half = np.where(values < 250, np.nan, values)
        few, constant = (agreement_advice({"a": values, "b": other}, mined_count=30) for other in (half, np.zeros(300)))
        assert few == Advice(True, "50 images with values that differ: too few to tell")
        assert constant == Advice(True, "300 images with values that differ: too few to tell")
        rarely = np.where(values < 100, np.nan, values)
        found = agreement_advice({"a": values, "b": rarely, "c": values % 7}, mined_count=30)
        assert "a and b: Spearman 1.00" in found.text  # by the 200 images that all of them know

    def test_a_budget_of_the_whole_pool_overlaps_and_is_not_blamed(self):
        draw = np.random.default_rng(0)
        signals = {"a": draw.normal(size=500), "b": draw.normal(size=500)}
        assert agreement_advice(signals, mined_count=500).is_met


class TestLuck:
    def test_random_picks_are_told_and_good_ones_are_not(self):
        draw = np.random.default_rng(0)
        is_tail = np.arange(10_000) < 400
        random = [int(is_tail[draw.permutation(10_000)[:1000]].sum()) for _ in range(200)]
        fired = [not luck_advice(n, mined_count=1000, tail_count=400, pool_size=10_000).is_met for n in random]

        assert np.mean(fired) >= 0.93  # at the 5% level
        assert luck_advice(80, mined_count=1000, tail_count=400, pool_size=10_000).is_met

    def test_too_few_rare_images_to_tell_is_said(self):
        advice = luck_advice(0, mined_count=10, tail_count=5, pool_size=100)

        assert advice.is_met
        assert "too few to tell" in advice.text

    @pytest.mark.parametrize(("found", "p", "is_met"), [(9, 0.05314, False), (10, 0.02144, True)])
    def test_luck_is_told_from_five_expected_images_on_at_the_level_of_five_percent(self, found, p, is_met):
        """With the p-value by counting: of the C(1000, 100) draws, those that hold at least so many of the 50."""
        counted = sum(math.comb(50, k) * math.comb(950, 100 - k) for k in range(found, 51)) / math.comb(1000, 100)

        advice = luck_advice(found, mined_count=100, tail_count=50, pool_size=1000)

        assert (advice.is_met, advice.facts) == (
            is_met,
            {"found": found, "by chance": 5.0, "p": pytest.approx(counted)},
        )
        assert counted == pytest.approx(p, abs=1e-5)
        assert f"5.0 expected by chance ({found / 5:.2f} times as many" in advice.text
        assert "too few" in luck_advice(found, mined_count=100, tail_count=49, pool_size=1000).text

    def test_all_images_but_one_can_still_be_lucky_and_an_empty_pool_cannot(self):
        assert "not significantly better" in luck_advice(50, mined_count=99, tail_count=50, pool_size=100).text
        assert luck_advice(0, mined_count=0, tail_count=0, pool_size=0).facts == {"found": 0, "by chance": 0.0}

    def test_a_budget_of_everything_proves_nothing(self):
        assert "too few to tell" in luck_advice(50, mined_count=100, tail_count=50, pool_size=100).text


def test_nothing_counted_tells_nothing_of_a_share():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 1)[1] < 1


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_an_interval_holds_its_share(count, share):
    found = round(share * count)
    share = found / count
    low, high = wilson(found, count)
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1
