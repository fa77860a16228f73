"""The columns of `novelty_scores`: how rare the keywords of each image are."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.domain.tables import NOVELTY_SCORES
from vlmine_dagster.mining.novelty import novelty_from_count
from vlmine_dagster.scoring.reading import Reader

# Pooled by place, a number that orders by count and then by keyword: faster than the pair itself.
_POOLED = """
SELECT image_id, min(place) AS place, avg(unit_count) AS mean_count, count(*) > count(place) AS has_orphan
FROM keywords LEFT JOIN places USING (keyword)
GROUP BY image_id
ORDER BY image_id
"""
_ORPHANS = "SELECT DISTINCT keyword FROM keywords ANTI JOIN places USING (keyword) LIMIT 3"


def novelty_scores(reader: Reader) -> pa.Table:
    """Return `novelty_scores` of all images with keywords, by image id.

    Counts are pooled in DuckDB, which need not hold all keywords at once: `mining.novelty.pooled_counts` says how.

    Args:
        reader: Reads `keywords` (image_id, keyword) and `vocab_counts` (keyword, unit_count).

    Raises:
        ContractError: a keyword has no count.
    """
    places = _places(reader.read("vocab_counts", ["keyword", "unit_count"]))
    with reader.connect("keywords") as connection:
        connection.register("places", places)
        pooled = connection.sql(_POOLED).to_arrow_table()
        if pc.any(pooled.column("has_orphan")).as_py():
            names = ", ".join(repr(row[0]) for row in connection.sql(_ORPHANS).fetchall())
            raise ContractError(
                f"novelty_scores[{reader.partition}]: keywords {names} have no count. The counts come from another "
                f"pool: materialize vocab_counts again."
            )
    rarest = places.take(pa.array(np.asarray(pooled.column("place")) % places.num_rows))
    columns = {
        "image_id": pooled.column("image_id"),
        "min_count": rarest.column("unit_count"),
        "mean_count": pooled.column("mean_count"),
        "novelty_min": novelty_from_count(rarest.column("unit_count")),
        "novelty_mean": novelty_from_count(pooled.column("mean_count")),
        "rarest_keyword": rarest.column("keyword"),
    }
    return pa.table(columns).cast(NOVELTY_SCORES.schema)


def _places(counts: pa.Table) -> pa.Table:
    """Number keywords by count and, since the table is sorted by keyword within a count, by keyword."""
    numbers = np.asarray(counts.column("unit_count")) * counts.num_rows + np.arange(counts.num_rows)
    return counts.append_column("place", pa.array(numbers))
