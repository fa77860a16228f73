"""Evidence of two shards, read as published: whose it is, in which order, and who is left out."""

import numpy as np
import pytest
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import EMBEDDINGS, IMAGES, KEYWORD_ANSWERS, KEYWORDS
from vlmine_dagster.scoring.evidence import SeedAndPool

COLUMNS = {
    "images": ("image_id", "label", "split", "outcome"),
    "embeddings": ("image_id", "embedding", "tag_probabilities"),
    "keyword_answers": ("image_id", "outcome"),
    "keywords": ("image_id", "keyword"),
}
# name, label, split, outcome of the image, outcome of its keywords, whether it has features
FOUND = {
    "a/1": ("road", "seed", "ok", "ok", True),
    "a/2": (None, "pool", "ok", "empty", True),
    "a/3": (None, "pool", "ok", "refused", True),
    "a/4": ("tram", "test", "ok", "ok", True),
    "b/1": ("tram", "pool", "ok", "ok", True),  # an oracle knows, mining does not
    "b/2": (None, "seed", "ok", "ok", True),
    "b/3": ("tram", "seed", "ok", "refused", True),  # what is labelled need not be described
    "b/4": (None, "pool", "corrupt", "ok", True),
    "b/5": (None, "pool", "ok", "ok", False),
}
POOL, UNDESCRIBED, SEED = ["a/2", "b/1"], ["a/2", "a/3", "b/1"], ["a/1", "b/3"]


@pytest.fixture(scope="module")
def reader():
    tables: dict = {name: {} for name in COLUMNS}
    for shard in "ab":
        names = [name for name in FOUND if name.startswith(shard)]
        labels, splits, outcomes, answers, _ = zip(*(FOUND[name] for name in names), strict=True)
        known = [name for name in names if FOUND[name][4]][::-1]  # in another order
        tables["images"][shard] = plain_rows(
            IMAGES, image_id=names, label=list(labels), split=list(splits), outcome=list(outcomes)
        )
        tables["keyword_answers"][shard] = plain_rows(KEYWORD_ANSWERS, image_id=names, outcome=list(answers))
        size = (len(known), 1280), (len(known), 1000)
        marks = np.array([number_of(name) for name in known], dtype=np.float16)[:, None]
        tables["embeddings"][shard] = plain_rows(
            EMBEDDINGS,
            image_id=known,
            embedding=list(np.ones(size[0], np.float16) * marks),
            tag_probabilities=list(np.ones(size[1], np.float16) * marks / 64),
        )
        tables["keywords"][shard] = plain_rows(
            KEYWORDS, image_id=[names[0], names[0], names[1]], keyword=["x", "y", "z"]
        )
    return MemoryReader(tables, COLUMNS)


def number_of(name):
    return 8 * "ab".index(name[0]) + int(name[2:])


def test_pool_and_labelled_images_are_told_apart_and_who_is_not_described_is_no_pool(reader):
    found = SeedAndPool(reader)

    assert found.ids.to_pylist() == POOL
    assert (found.seed_ids, found.labels) == (SEED, ["road", "tram"])
    assert found.is_pool.tolist() == [False, True, True, False]  # a/1 a/2 b/1 b/3
    assert (len(found.everything), len(found.pool), len(found.seed)) == (4, 2, 2)
    assert SeedAndPool(reader, is_described=False).ids.to_pylist() == UNDESCRIBED


@pytest.mark.parametrize(("part", "names"), [("pool", POOL), ("seed", SEED), ("everything", sorted(POOL + SEED))])
def test_evidence_of_each_part_comes_in_the_order_of_its_images(reader, part, names):
    evidence = getattr(SeedAndPool(reader), part)
    wanted = [number_of(name) for name in names]

    together = evidence.together()

    assert together.features[:, 0].tolist() == wanted
    assert (64 * together.tag_probabilities[:, 9]).tolist() == wanted
    assert [len(block) for block in evidence.blocks()] == [sum(n < 8 for n in wanted), sum(n >= 8 for n in wanted)]
    assert [row[3] for rows in evidence.vectors("embedding") for row in rows] == wanted
    words = {"a/1": ["x", "y"], "a/2": ["z"], "b/1": ["x", "y"], "b/2": ["z"]}
    assert list(evidence.keywords()) == together.keywords == [words.get(name, []) for name in names]
