"""What can be told of a pool from its published vocabulary."""

import pyarrow as pa
import pytest

from vlmine_dagster.scoring.vocabulary import commonest_and_rarest, keyword_trouble, published_health


def counts(images, **words):
    """Rows of `vocab_counts` of so many images with keywords."""
    columns = {"keyword": list(words), "image_count": list(words.values())}
    return pa.table({**columns, "image_share": [count / images for count in words.values()]})


def test_one_keyword_is_enough_to_tell_how_many_images_have_any():
    health = published_health(counts(40, car=30))

    assert health.image_count == 40
    assert health.top_keyword_share == pytest.approx(0.75)


def test_an_empty_vocabulary_is_no_trouble_of_its_keywords():
    assert keyword_trouble(counts(40)) is None


def test_a_short_vocabulary_is_shown_once_and_of_a_long_one_both_ends():
    short = counts(9, car=9, road=5, yak=1)

    shown = [[row["keyword"] for row in commonest_and_rarest(short, shown)] for shown in (1, 2, 3)]

    assert shown == [["car", "yak"], ["car", "road", "yak"], ["car", "road", "yak"]]
