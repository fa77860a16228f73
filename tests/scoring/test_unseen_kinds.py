"""Which images and keywords count where it is estimated what more images would bring."""

from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pytest
from benches import bench_of
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import IMAGES, KEYWORDS, VOCAB_COUNTS, WHOLE_POOL
from vlmine_dagster.mining.discovery import discovery
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


COMMON = [("road", 40, 40, 0.8), ("car", 30, 30, 0.6), ("tram", 2, 2, 0.04)]  # of 50 images


@pytest.mark.parametrize(
    ("words", "cluster"),
    [
        ({"a": "road yak gnu kudu", "b": "road car eland", "c": "road"}, 2.5),  # 3 and 1 together: (9 + 1) / 4
        ({"a": "road yak", "b": "gnu", "c": "kudu", "d": "eland tram"}, 1.0),
        ({"a": "road tram", "b": "road tram car"}, 1.0),  # none occurs once
    ],
)
def test_keywords_of_one_unit_that_come_together_in_an_image_widen_the_interval(words, cluster):
    once = [name for name in ("yak", "gnu", "kudu", "eland") if any(name in said.split() for said in words.values())]

    found = of_tables(words_of(**words), counted(*COMMON, *((name, 1, 1, 0.02) for name in once)), unit="object")

    counts = [40, 30, 2, *[1] * len(once)]
    assert found == discovery(counts, images=50, more=500, noun="keywords", cluster=cluster, unit="object")
    assert found.unseen.high < 0.2
    if once:
        wider = discovery(counts, images=50, more=500, noun="keywords", cluster=1.5 * cluster)
        assert found.unseen.high < wider.unseen.high


def test_where_there_is_no_keyword_nothing_is_estimated():
    assert of_tables(words_of(), counted(*COMMON).slice(0, 0)) is None


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
    uncounted = {key: rows for key, rows in tables.items() if key[0] != "vocab_counts"}
    assert discoveries_of(bench_of(tmp_path / "uncounted", uncounted, labels=LABELS)) == [classes]
    both = discoveries_of(bench_of(tmp_path / "both", tables, labels=LABELS))
    (alone,) = discoveries_of(bench_of(tmp_path / "unlabelled", tables))

    assert both[0] == classes == class_discovery(ITEMS, LABELS, ["a", "a/b"])
    assert both[1] == alone == discovery([2], images=2, more=500, noun="keywords")
