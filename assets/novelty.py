"""Stage `novelty_scores`: how rare the keywords of each image are."""

import pyarrow.compute as pc

from assets.stages import Product, StageRun
from vlmine_dagster.errors import ContractError
from vlmine_dagster.tables import NOVELTY_SCORES

# Joined by place, not by keyword: a number an image is pooled faster than the pair of count and keyword that orders it.
_PLACES = """
CREATE TEMP TABLE places AS
SELECT keyword, image_count, row_number() OVER (ORDER BY image_count, keyword) AS place FROM vocab_counts
"""
_SCORES = """
SELECT image_id,
       image_count AS min_count,
       mean_count,
       1 / image_count AS novelty_min,
       1 / mean_count AS novelty_mean,
       keyword AS rarest_keyword,
       has_orphan
FROM (
    SELECT image_id, min(place) AS place, avg(image_count) AS mean_count, count(*) > count(place) AS has_orphan
    FROM keywords LEFT JOIN places USING (keyword)
    GROUP BY image_id
) LEFT JOIN places USING (place)
ORDER BY image_id
"""
_ORPHANS = "SELECT DISTINCT keyword FROM keywords ANTI JOIN places USING (keyword) LIMIT 3"


def compute(run: StageRun) -> Product:
    """Score images by 1 / min and 1 / mean of their keywords' counts over the pool."""
    with run.connect("keywords", "vocab_counts") as connection:
        connection.execute(_PLACES)
        rows = connection.sql(_SCORES).to_arrow_table()
        if pc.any(rows.column("has_orphan")).as_py():
            names = ", ".join(repr(row[0]) for row in connection.sql(_ORPHANS).fetchall())
            raise ContractError(
                f"novelty_scores[{run.partition}]: keywords {names} have no count. The counts come from another "
                f"pool: materialize vocab_counts again."
            )
    return Product(rows.drop_columns("has_orphan").cast(NOVELTY_SCORES.schema))
