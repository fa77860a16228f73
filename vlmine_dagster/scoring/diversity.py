"""The second step of an experiment: images that differ, from the top of its ranking."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.mining.diversity import candidate_count, coverage_picks, k_center_picks, picked_first
from vlmine_dagster.mining.selection import Ranking
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.vectors import matrix
from vlmine_dagster.settings import DiversitySettings

PICKED_BECAUSE = {
    "k_center": "unlike the labelled images and earlier picks",
    "coverage": "adds rare keywords that earlier picks lack",
}
"""What a reason says about a pick."""

_LABELLED_BATCH = 4096


def diversified(
    reader: Reader, settings: DiversitySettings, ranking: Ranking, image_ids: Sequence[str], budget: int
) -> Ranking:
    """Return a ranking whose first `budget` images are picked so that they differ.

    Args:
        reader: Reads `images` and `embeddings`, or `keywords` and `vocab_counts`.
        settings: How to pick, and from how many.
        ranking: Its ranking.
        image_ids: Ids of the images that the ranking's places mean.
        budget: Images to pick. Their order is that of the greedy choice; another budget has other candidates.
    """
    top = ranking.order[: candidate_count(len(ranking.order), budget, settings.pool_factor)]
    names = [image_ids[place] for place in top.tolist()]
    pick = _by_keywords if settings.reads_keywords else _by_features
    return picked_first(ranking, pick(reader, names, budget))


def _by_features(reader: Reader, names: Sequence[str], budget: int) -> npt.NDArray[np.int64]:
    candidates = pa.table({"image_id": names, "place": np.arange(len(names))})
    with reader.connect("embeddings") as connection:
        connection.register("candidates", candidates)
        rows = connection.sql(
            "SELECT embedding FROM candidates JOIN embeddings USING (image_id) ORDER BY place"
        ).to_arrow_table()
    features = matrix(rows, "embedding", np.float16)
    return k_center_picks(features, count=budget, covered=_labelled_features(reader))


def _labelled_features(reader: Reader) -> Iterator[npt.NDArray[np.float16]]:
    with reader.connect(ITEMS, "embeddings") as connection:
        rows = connection.sql(
            """SELECT embedding FROM items JOIN embeddings USING (image_id)
               WHERE split = 'seed' AND outcome = 'ok' AND label IS NOT NULL"""
        )
        for batch in rows.to_arrow_reader(_LABELLED_BATCH):
            yield matrix(pa.Table.from_batches([batch]), "embedding", np.float16)


def _by_keywords(reader: Reader, names: Sequence[str], budget: int) -> npt.NDArray[np.int64]:
    keywords: dict[str, list[str]] = {name: [] for name in names}
    with reader.connect("keywords", "vocab_counts") as connection:
        connection.register("candidates", pa.table({"image_id": names}))
        rows = connection.sql(
            """SELECT image_id, keyword, unit_count
               FROM keywords JOIN candidates USING (image_id) JOIN vocab_counts USING (keyword)
               ORDER BY image_id, keyword"""
        ).fetchall()
    for name, word, _ in rows:
        keywords[name].append(word)
    return coverage_picks(list(keywords.values()), {word: count for _, word, count in rows}, count=budget)
