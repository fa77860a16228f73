"""Stage `novelty_scores`: how rare the keywords of each image are."""

from vlmine_dagster.engine.stage import Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun


@stage(
    "novelty_scores",
    group="score",
    kinds={"duckdb", "parquet"},
    reads=[Reads("keywords", ("image_id", "keyword")), Reads("vocab_counts", ("keyword", "unit_count"))],
    is_one_run=True,
)
def novelty_scores(run: StageRun) -> Product:
    """The rarity of each image's keywords over the whole pool: 1 / min and 1 / mean of their image counts.

    One row per image with keywords; higher is rarer. Images without keywords have no row: unknown is not rare.
    """
    from vlmine_dagster.scoring.novelty import novelty_scores

    return Product(novelty_scores(run))
