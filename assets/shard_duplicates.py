"""Stage `shard_duplicates`: about which images of a shard no model is asked, since another of the same picture is."""

from vlmine_dagster.engine.stage import Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun


def _unless_asked(part: Part) -> str | None:
    if part.settings.describes_once:
        return None
    return "no model is asked, or dedupe is not near (vlmine.yaml): every image is described"


@stage(
    "shard_duplicates",
    group="describe",
    kinds={"duckdb", "parquet"},
    reads=[Reads("duplicates", ("image_id", "kept_id", "kept_split"))],
    skipped=_unless_asked,
    is_on_demand=True,
    is_one_run=True,
)
def shard_duplicates(run: StageRun) -> Product:
    """The near-duplicates of a shard about which models are not asked: the answer about another image holds for them.

    One row per image. Cut by shard, so that a new shard changes nothing for those whose groups stay as they are.
    """
    from vlmine_dagster.scoring.near_duplicates import described_by_others

    return Product(described_by_others(run, run.partitions))
