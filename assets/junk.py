"""Stage `junk`: which images of the pool are probably worth no label, and why."""

from typing import Any

from vlmine_dagster.domain.junk import READ_OF_IMAGES
from vlmine_dagster.engine.stage import Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.settings.junk import why_no_junk_lane


@stage(
    "junk",
    group="score",
    kinds={"python", "parquet"},
    reads=[
        Reads("images", READ_OF_IMAGES),
        Reads("keywords", ("image_id", "keyword"), where=lambda settings: bool(settings.out_of_domain)),
    ],
    settings=lambda part: [*part.settings.out_of_domain],
    skipped=lambda part: why_no_junk_lane(part.settings),
    is_on_demand=True,
    version=2,
)
def junk(run: StageRun) -> Product:
    """Images of the pool that are blurred, black, washed out, of one colour, nearly empty, of odd shape or text alone.

    Or out of domain: with a keyword that `out_of_domain` lists. One row per such image: what is wrong with it, the
    measure that tells it, and from which value on that is so in this pool. Lists put them into a lane of their own,
    after all others; `junk: keep` leaves them where they are.
    """
    from vlmine_dagster.scoring.junk import junk_counts, junk_rows

    rows, found = junk_rows(run)
    facts: dict[str, Any] = {"kinds": junk_counts(rows)} if rows.num_rows else {}
    if found.labelled:
        facts["not junk here, since labelled images are like that too"] = ", ".join(found.labelled)
    return Product(rows, {"junk": rows.num_rows, **facts, "shards": f"{len(run.shards)} used"})
