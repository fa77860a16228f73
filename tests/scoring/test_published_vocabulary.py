"""What can be told of a pool from its published vocabulary."""

import math
from collections import Counter

import pyarrow as pa
import pytest
from memory import MemoryReader

from vlmine_dagster.scoring.vocabulary import commonest_and_rarest, keyword_trouble, published_health, vocabulary_drift


def counts(images, **words):
    """Rows of `vocab_counts` of so many images with keywords."""
    columns = {"keyword": list(words), "image_count": list(words.values())}
    return pa.table({**columns, "image_share": [count / images for count in words.values()]})


def test_one_keyword_is_enough_to_tell_how_many_images_have_any():
    health = published_health(counts(40, car=30))

    assert health.image_count == 40
    assert health.commonest == (("car", pytest.approx(0.75)),)


def test_an_empty_vocabulary_is_no_trouble_of_its_keywords():
    assert keyword_trouble(counts(40)) is None


def test_a_short_vocabulary_is_shown_once_and_of_a_long_one_both_ends():
    short = counts(9, car=9, road=5, yak=1)

    shown = [[row["keyword"] for row in commonest_and_rarest(short, shown)] for shown in (1, 2, 3)]

    assert shown == [["car", "yak"], ["car", "road", "yak"], ["car", "road", "yak"]]


def drift_of(shards):
    """The advice on shards that are given as images by keyword, and the number of images with keywords."""
    keywords = {name: [word for word, images in words.items() for _ in range(images)] for name, words, _ in shards}
    total = Counter(word for words in keywords.values() for word in words)
    tables = {
        "keywords": {name: pa.table({"keyword": pa.array(words, pa.string())}) for name, words in keywords.items()},
        "keyword_answers": {
            name: pa.table({"outcome": pa.array(["ok"] * images + ["empty", "failed"] * (images // 10), pa.string())})
            for name, _, images in shards
        },
    }
    reader = MemoryReader(tables, {"keywords": ("keyword",), "keyword_answers": ("outcome",)})
    commonest = [word for word, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))]
    return vocabulary_drift(reader, pa.table({"keyword": pa.array(commonest, pa.string())}))


def test_shards_are_compared_by_the_share_of_their_images_that_have_the_commonest_keyword():
    advice = drift_of([("a", {"day": 200, "dusk": 300}, 500), ("b", {"day": 900, "dusk": 100}, 1000), ("c", {}, 0)])

    assert advice.facts["shard"] == "a"
    assert "'day' occurs in 40% of its images and in 90% of the others" in advice.text
    # the keyword shares differ by 0.5; 1,100 and 400 of 1,500 images have either keyword, each image one of them
    by_chance = math.sqrt(2 * 11 / 15 * 4 / 15 * (1 / 500 + 1 / 1000) / math.pi)
    assert advice.facts["drift"] == pytest.approx(0.5 - by_chance)


@pytest.mark.parametrize(("commoner", "named"), [(199, "'rare'"), (200, "'w000'")])
def test_shards_are_compared_by_the_two_hundred_commonest_keywords(commoner, named):
    words = {f"w{number:03}": 2 for number in range(commoner)}

    advice = drift_of([("a", words, 100), ("b", {**words, "rare": 1}, 100)])

    assert f"{named} occurs in" in advice.text


def test_a_shard_without_answers_is_compared_with_none():
    with_it, without_it = (
        drift_of([("a", {"day": 30, "dusk": 10}, 40), ("b", {"day": 10, "dusk": 30}, 40), *more])
        for more in ([("c", {}, 0)], [])
    )

    assert with_it == without_it
