"""What more labels would bring: classes that nobody has seen yet, by those that a random draw showed."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from vlmine_dagster.domain.tables import Split
from vlmine_dagster.mining.discovery import discovery_text
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.sources import shard_of

MORE_IMAGES = 500

Labelled = tuple[str, str | None, str, str]
"""image_id, label, split and outcome of an item."""


def class_discovery(items: Iterable[Labelled], labels: Labels | None, shards: Sequence[str]) -> str | None:
    """Return what 500 more random images would bring, in words; None where no class was drawn at random.

    Images that are labelled because they were mined are no random draw, and do not count.

    Args:
        items: The items of the pool.
        labels: The project's labels, None without any.
        shards: Names of the shards.
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
    return discovery_text(
        np.array(list(counts.values())), images=drawn, more=more, noun="classes", drawn_share=drawn / pool
    )
