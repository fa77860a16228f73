"""Which images and keywords count where it is estimated what more images would bring."""

from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pytest
from benches import bench_of
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import IMAGES, KEYWORDS, VOCAB_COUNTS, WHOLE_POOL
from vlmine_dagster.mining.discovery import cluster_factor, discovery
from vlmine_dagster.scoring.discovery import class_discovery, discoveries_of, keyword_discovery

# three classes drawn at random, of which the yak was seen once, and what does not count
ITEMS = [
    *[(f"a/{number}", "car", "seed", "ok") for number in range(4)],
    *[(f"a/b/{number}", "bus", "seed", "ok") for number in range(2)],
    ("a/4", "yak", "seed", "ok"),
    ("a/5", "gnu", "seed", "corrupt"),
    ("a/6", "gnu", "test", "ok"),
    ("a/b/7", "gnu", "seed", "ok"),  # labelled since it was mined
    *[(f"a/{number}", None, "pool", "ok") for number in range(10, 22)],
    ("a/22", "car", "pool", "ok"),  # an oracle knows
    ("a/23", None, "pool", "corrupt"),
]
LABELS = SimpleNamespace(is_mined=lambda name, key: (name, key) == ("a/b/7", "7"))


def test_classes_of_readable_images_that_were_drawn_at_random_count():
    found = class_discovery(ITEMS, LABELS, ["a", "a/b"], unit="object")

    # 7 are drawn of 21 readable ones: 7, the mined one and 13 of the pool
    expected = discovery([4, 2, 1], images=7, more=14, noun="classes", drawn_share=7 / 21, unit="object")
    assert found == expected
    assert found.text.startswith("New classes in another 14 random objects: about ")


def test_at_most_five_hundred_more_images_are_asked_about():
    pool = [(f"a/{number}", None, "pool", "ok") for number in range(100, 1000)]

    assert class_discovery([*ITEMS, *pool], LABELS, ["a", "a/b"]).more == 500


@pytest.mark.parametrize(
    ("items", "labels"),
    [
        (ITEMS, None),
        ([item for item in ITEMS if item[2] != "seed"], LABELS),
        ([item for item in ITEMS if item[2] == "seed" and item[0] != "a/b/7"], LABELS),  # nothing is left to draw
    ],
)
def test_where_no_class_was_drawn_or_all_images_were_nothing_is_estimated(items, labels):
    assert class_discovery(items, labels, ["a", "a/b"]) is None


def words_of(**words):
    pairs = [(name, word) for name, said in words.items() for word in said.split()]
    return pa.table(
        {"image_id": [name for name, _ in pairs], "keyword": pa.array([word for _, word in pairs], pa.string())}
    )


def counted(*rows):
    names = ("keyword", "unit_count", "image_count", "image_share")
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})


def of_tables(keywords, vocab_counts, **more):
    with duckdb.connect() as connection:
        connection.register("keywords", keywords)
        connection.register("vocab_counts", vocab_counts)
        return keyword_discovery(connection, **more)


def test_keywords_of_one_unit_that_come_together_in_an_image_widen_the_interval():
    keywords = words_of(a="road car yak gnu kudu", b="road car eland", c="road")
    counts = counted(
        ("road", 3, 3, 0.75), ("car", 2, 2, 0.5), *[(name, 1, 1, 0.25) for name in ("yak", "gnu", "kudu", "eland")]
    )

    found = of_tables(keywords, counts, unit="object")

    cluster = cluster_factor([3, 1])  # 3 and 1 keywords that nothing else has: (9 + 1) / 4
    assert cluster == 2.5
    assert found == discovery([3, 2, 1, 1, 1, 1], images=4, more=500, noun="keywords", cluster=2.5, unit="object")


def test_keywords_that_all_occur_twice_need_no_factor_and_no_keyword_is_no_estimate():
    twice = of_tables(words_of(a="road", b="road"), counted(("road", 2, 2, 1.0)))

    assert twice == discovery([2], images=2, more=500, noun="keywords")
    assert (
        of_tables(
            words_of(),
            counted().cast(
                pa.schema(
                    [
                        ("keyword", pa.string()),
                        ("unit_count", pa.int64()),
                        ("image_count", pa.int64()),
                        ("image_share", pa.float64()),
                    ]
                )
            ),
        )
        is None
    )


def test_what_is_published_is_told_classes_first(tmp_path):
    names, labels, splits, outcomes = (list(column) for column in zip(*ITEMS, strict=True))
    shards = [
        [place for place, name in enumerate(names) if name.startswith("a/b/") == is_inner] for is_inner in (False, True)
    ]
    images = plain_rows(IMAGES, image_id=names, label=labels, split=splits, outcome=outcomes)
    tables = {("images", shard): images.take(places) for shard, places in zip(("a", "a/b"), shards, strict=True)}
    assert discoveries_of(bench_of(tmp_path / "empty", {}, labels=LABELS)) == []
    (classes,) = discoveries_of(bench_of(tmp_path / "images", tables, labels=LABELS))

    words = plain_rows(KEYWORDS, image_id=["a/10", "a/11"], keyword=["road", "road"])
    counts = plain_rows(VOCAB_COUNTS, keyword=["road"], image_count=[2], unit_count=[2], image_share=[1.0])
    tables |= {("keywords", "a"): words, ("vocab_counts", WHOLE_POOL): counts}
    both = discoveries_of(bench_of(tmp_path / "both", tables, labels=LABELS))
    (alone,) = discoveries_of(bench_of(tmp_path / "unlabelled", tables))

    assert both[0] == classes == class_discovery(ITEMS, LABELS, ["a", "a/b"])
    assert both[1] == alone == discovery([2], images=2, more=500, noun="keywords")
