import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmine_dagster.domain.errors import ConfigError, ContractError
from vlmine_dagster.mining.advice import keyword_advice
from vlmine_dagster.mining.novelty import novelty_scores, pooled_counts
from vlmine_dagster.mining.vocabulary import count_images, vocabulary_health

pools = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=5, unique=True), min_size=1, max_size=30)


@given(pools)
def test_novelty_equals_a_recount_in_pandas(keywords):
    rows = pd.DataFrame([(i, w) for i, words in enumerate(keywords) for w in words], columns=["image", "keyword"])
    counts = rows.groupby("keyword")["image"].nunique()
    pooled = rows.assign(count=rows["keyword"].map(counts)).groupby("image")["count"].agg(["min", "mean"])
    expected = pooled.reindex(range(len(keywords)))

    found = count_images(keywords)

    assert found == counts.to_dict()
    for pooling in ("min", "mean"):
        np.testing.assert_allclose(novelty_scores(keywords, found, pooling=pooling), 1 / expected[pooling])


@given(pools, st.randoms())
def test_the_order_of_images_does_not_matter(keywords, random):
    order = list(range(len(keywords)))
    random.shuffle(order)
    counts = count_images(keywords)

    shuffled = [keywords[k] for k in order]

    assert count_images(shuffled) == counts
    np.testing.assert_array_equal(novelty_scores(shuffled, counts), novelty_scores(keywords, counts)[order])


def test_a_keyword_without_a_count_is_named_with_its_image():
    with pytest.raises(ContractError, match=r"keyword 'unicycle' \(image 1\) has no count"):
        novelty_scores([["car"], ["unicycle"]], {"car": 1})


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ConfigError, match="unknown pooling 'max', expected min or mean"):
        pooled_counts([["car"]], {"car": 1}, pooling="max")


def test_inputs_stay_as_they_are():
    keywords, counts = [["b", "a"]], {"a": 1, "b": 2}

    novelty_scores(keywords, counts)

    assert (keywords, counts) == ([["b", "a"]], {"a": 1, "b": 2})


@pytest.mark.parametrize("count", [0, 4])
def test_counts_that_the_pool_cannot_have_are_refused(count):
    with pytest.raises(ContractError, match=f"keyword 'b' has a count of {count}, expected 1 to 3"):
        vocabulary_health({"a": 2, "b": count}, image_count=4, images_with_keywords=3)


def test_an_empty_vocabulary_has_a_health_too():
    health = vocabulary_health({}, image_count=3, images_with_keywords=0)

    assert health.without_keywords_share == 1.0
    assert health.commonest == ()
    assert health.effective_keyword_count == 0.0


def test_equally_common_keywords_count_fully():
    health = vocabulary_health({"a": 2, "b": 2, "c": 2}, image_count=3, images_with_keywords=3)

    assert math.isclose(health.effective_keyword_count, 3.0)
    assert health.keywords_per_image == 2.0


def test_no_images_are_no_division_by_zero():
    assert vocabulary_health({}, image_count=0, images_with_keywords=0).without_keywords_share == 0.0


def test_a_keyword_of_two_images_is_not_seen_once():
    health = vocabulary_health({"a": 2, "b": 1, "c": 1}, image_count=4, images_with_keywords=3)

    assert health.seen_once_share == pytest.approx(2 / 3)


def test_keywords_that_nearly_all_images_share_tell_no_images_apart():
    alike = {"jellyfish": 2390, "broccoli": 12, "photocopier": 1}
    apart = {f"kind {number}": 200 for number in range(20)}

    healths = [vocabulary_health(counts, image_count=2400, images_with_keywords=2400) for counts in (alike, apart)]

    assert [health.tells_images_apart for health in healths] == [False, True]
    assert healths[0].information_bits == pytest.approx(0.039 + 0.045 + 0.005, abs=0.02)
    assert "hardly tell images apart (0.1 bits" in keyword_advice(healths[0]).text
    assert "hardly tell" not in keyword_advice(healths[1]).text
    assert vocabulary_health({"cat": 40}, image_count=40, images_with_keywords=40).tells_images_apart  # too few
