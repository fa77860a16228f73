"""Stage `novelty_scores`: how rare the keywords of each image are."""

from assets.stages import Product, Reads, Stage, StageRun
from vlmine_dagster.errors import ContractError
from vlmine_dagster.tables import NOVELTY_SCORES

_SCORES = """
SELECT image_id,
       min(image_count) AS min_count,
       avg(image_count) AS mean_count,
       1 / min(image_count) AS novelty_min,
       1 / avg(image_count) AS novelty_mean,
       arg_min(keyword, (image_count, keyword)) AS rarest_keyword
FROM keywords JOIN vocab_counts USING (keyword)
GROUP BY image_id
ORDER BY image_id
"""


def compute(run: StageRun) -> Product:
    """The rarity of each image's keywords over the whole pool: 1 / min and 1 / mean of their image counts.

    A row is an image with keywords; higher is rarer. Images without keywords have no row: unknown is not rare.
    """
    with run.connect("keywords", "vocab_counts") as connection:
        orphans = connection.sql(
            "SELECT DISTINCT keyword FROM keywords ANTI JOIN vocab_counts USING (keyword) LIMIT 3"
        ).fetchall()
        if orphans:
            names = ", ".join(repr(row[0]) for row in orphans)
            raise ContractError(
                f"novelty_scores[{run.partition}]: keywords {names} have no count. The counts come from another "
                f"pool: materialize vocab_counts again."
            )
        rows = connection.sql(_SCORES).to_arrow_table()
    return Product(rows.cast(NOVELTY_SCORES.schema))


STAGE = Stage(
    table="novelty_scores",
    group="score",
    kinds=frozenset({"duckdb", "parquet"}),
    compute=compute,
    reads=(Reads("keywords", ("image_id", "keyword")), Reads("vocab_counts", ("keyword", "image_count"))),
    is_variant=True,
    is_one_run=True,
)
