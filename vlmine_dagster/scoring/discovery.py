"""What more images would bring: classes and keywords that nobody has seen yet, by those that a random draw showed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import WHOLE_POOL, Split
from vlmine_dagster.mining.discovery import Discovery, discovery
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.sources import shard_of
from vlmine_dagster.resources.workbench import Workbench

if TYPE_CHECKING:
    import duckdb

MORE_IMAGES = 500

# Keywords that occur once come several per image: E[m^2] and E[m] of their number (see cluster_factor).
_TOGETHER = """
SELECT coalesce(sum(m * m), 0), coalesce(sum(m), 0) FROM
    (SELECT count(*) AS m FROM keywords
     SEMI JOIN (SELECT keyword FROM vocab_counts WHERE unit_count = 1) once USING (keyword) GROUP BY image_id)
"""

Labelled = tuple[str, str | None, str, str]
"""image_id, label, split and outcome of an item."""


def discoveries_of(bench: Workbench) -> list[Discovery]:
    """Return how many new classes and keywords more random images would bring, as far as that can be told.

    Args:
        bench: The project's resources; its published tables are read.
    """
    lake, shards = bench.lake, bench.lake.partitions(ITEMS)
    if not shards:
        return []
    with lake.connect(items=lake.require(ITEMS, shards)) as connection:
        items = connection.sql("SELECT image_id, label, split, outcome FROM items").fetchall()
    unit = bench.project.settings.unit
    found = [class_discovery(items, bench.labels, shards, unit=unit)]
    if lake.partitions("keywords") and lake.path("vocab_counts", WHOLE_POOL).exists():
        tables = {name: lake.require(name, lake.partitions(name)) for name in ("keywords", "vocab_counts")}
        with lake.connect(**tables) as connection:
            found.append(keyword_discovery(connection, unit=unit))
    return [one for one in found if one is not None]


def class_discovery(
    items: Iterable[Labelled], labels: Labels | None, shards: Sequence[str], *, unit: str = "image"
) -> Discovery | None:
    """Return what 500 more random images would bring; None where no class was drawn at random.

    Images that are labelled because they were mined are not a random draw, and do not count.

    Args:
        items: The items of the pool.
        labels: The project's labels, None without any.
        shards: Names of the shards.
        unit: What the items are: image or object.
    """
    if labels is None:
        return None
    known, counts, pool = frozenset(shards), Counter[str](), 0
    for name, label, split, outcome in items:
        if outcome != "ok" or split not in (Split.SEED, Split.POOL):
            continue
        pool += 1
        key = name[len(shard_of(name, known)) + 1 :]
        if label is not None and split == Split.SEED and not labels.is_mined(name, key):
            counts[label] += 1
    drawn = counts.total()
    if not drawn or drawn >= pool:
        return None
    more = min(MORE_IMAGES, pool - drawn)
    found = np.array(list(counts.values()))
    return discovery(found, images=drawn, more=more, noun="classes", drawn_share=drawn / pool, unit=unit)


def keyword_discovery(connection: "duckdb.DuckDBPyConnection", *, unit: str = "image") -> Discovery | None:
    """Return how many keywords 500 more images like those of the pool would bring that the vocabulary lacks.

    The images of the pool are taken for a random draw of a larger one, such as of the shards of the weeks to come.

    Args:
        connection: Views `keywords` (image_id, keyword) and `vocab_counts` (keyword, unit_count, image_count,
            image_share).
        unit: What has the keywords: image or object.

    Returns:
        None where the vocabulary is empty.
    """
    found = connection.sql("SELECT unit_count, image_count / image_share AS images FROM vocab_counts").fetchnumpy()
    counts = found["unit_count"]
    if not len(counts):
        return None
    images = round(float(found["images"][0]))
    squares, total = connection.sql(_TOGETHER).fetchall()[0]
    cluster = max(1.0, squares / total) if total else 1.0
    return discovery(counts, images=images, more=MORE_IMAGES, noun="keywords", cluster=cluster, unit=unit)
