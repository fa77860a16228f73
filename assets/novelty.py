"""Stage `novelty_scores`: how rare the keywords of each image are."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.domain.tables import NOVELTY_SCORES
from vlmine_dagster.engine.stages import Product, StageRun

# Pooled by place, a number that orders by count and then by keyword: faster than the pair itself.
_SCORES = """
SELECT image_id, min(place) AS place, avg(image_count) AS mean_count, count(*) > count(place) AS has_orphan
FROM keywords LEFT JOIN places USING (keyword)
GROUP BY image_id
ORDER BY image_id
"""
_ORPHANS = "SELECT DISTINCT keyword FROM keywords ANTI JOIN places USING (keyword) LIMIT 3"


def compute(run: StageRun) -> Product:
    """Score images by 1 / min and 1 / mean of their keywords' counts over the pool."""
    places = _places(run.read("vocab_counts", ["keyword", "image_count"]))
    with run.connect("keywords") as connection:
        connection.register("places", places)
        rows = connection.sql(_SCORES).to_arrow_table()
        if pc.any(rows.column("has_orphan")).as_py():
            names = ", ".join(repr(row[0]) for row in connection.sql(_ORPHANS).fetchall())
            raise ContractError(
                f"novelty_scores[{run.partition}]: keywords {names} have no count. The counts come from another "
                f"pool: materialize vocab_counts again."
            )
    rarest = places.take(pa.array(np.asarray(rows.column("place")) % places.num_rows))
    columns = {
        "image_id": rows.column("image_id"),
        "min_count": rarest.column("image_count"),
        "mean_count": rows.column("mean_count"),
        "novelty_min": pc.divide(1.0, rarest.column("image_count")),
        "novelty_mean": pc.divide(1.0, rows.column("mean_count")),
        "rarest_keyword": rarest.column("keyword"),
    }
    return Product(pa.table(columns).cast(NOVELTY_SCORES.schema))


def _places(counts: pa.Table) -> pa.Table:
    """Number keywords by count and, since the table is sorted by keyword within a count, by keyword."""
    numbers = np.asarray(counts.column("image_count")) * counts.num_rows + np.arange(counts.num_rows)
    return counts.append_column("place", pa.array(numbers))
