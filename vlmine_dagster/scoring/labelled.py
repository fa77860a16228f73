"""The labelled images: those to learn from, those that judge, and what an oracle knows."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import Split
from vlmine_dagster.resources.intake import by_shard
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.sources import shard_of
from vlmine_dagster.scoring.reading import Reader

_LABELLED = "FROM items WHERE split = $split AND outcome = 'ok' AND label IS NOT NULL"


def labelled_images(reader: Reader, split: Split = Split.SEED) -> dict[str, str]:
    """Return the class of each readable labelled image of a split, by image id, in the order of the ids.

    Reads `images` (image_id, label, split, outcome).
    """
    query = f"SELECT image_id, label {_LABELLED} ORDER BY image_id"
    with reader.connect(ITEMS) as connection:
        return dict(connection.sql(query, params={"split": split.value}).fetchall())


def labelled_counts(reader: Reader) -> dict[str, int]:
    """Return how many readable images of the labelled set each class has."""
    query = f"SELECT label, count(*) {_LABELLED} GROUP BY label"
    with reader.connect(ITEMS) as connection:
        return dict(connection.sql(query, params={"split": Split.SEED.value}).fetchall())


def readable_pool(reader: Reader) -> list[str]:
    """Return the ids of the readable images of the pool, sorted: what every experiment is judged on."""
    query = "SELECT image_id FROM items WHERE split = 'pool' AND outcome = 'ok' ORDER BY image_id"
    with reader.connect(ITEMS) as connection:
        names: list[str] = connection.sql(query).to_arrow_table().column(0).to_pylist()
    return names


def true_classes(labels: Labels | None, image_ids: Sequence[str], shards: Sequence[str]) -> dict[str, str]:
    """Return the true class of each image that has one: for judging, and for an oracle's arm; never for mining."""
    if labels is None:
        return {}
    classes = {}
    for shard, names in by_shard(image_ids, shards).items():
        for name in names:
            label = labels.truth(name, name[len(shard) + 1 :])
            if label is not None:
                classes[name] = label
    return classes


def labelled_when_mined(
    labels: Labels | None, image_ids: Sequence[str], shards: Sequence[str], *, sequences: Sequence[str | None]
) -> npt.NDArray[np.bool_]:
    """Return which labelled images were labelled because they were mined, shape (N,); the others are a draw.

    Args:
        labels: The labels; None where there are none.
        image_ids: N ids.
        shards: All shards.
        sequences: The sequence of each image, None where it is not a frame.
    """
    if labels is None or not labels.round_count:
        return np.zeros(len(image_ids), dtype=bool)
    known = frozenset(shards)
    keys = [name[len(shard_of(name, known)) + 1 :] for name in image_ids]
    return np.array([labels.is_mined(*one) for one in zip(image_ids, keys, sequences, strict=True)], dtype=bool)
