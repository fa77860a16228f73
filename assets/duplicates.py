"""Stage `duplicates`: which images show the same picture as another one."""

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.junk import READ_OF_IMAGES
from vlmine_dagster.engine.stage import CORES_POOL, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.settings.junk import why_no_junk_lane


def _unless_asked(part: Part) -> str | None:
    return (
        None
        if part.settings.dedupe == "near"
        else "dedupe is not near (vlmine.yaml): copies are recognized by their bytes"
    )


@stage(
    "duplicates",
    group="score",
    kinds={"python", "parquet"},
    reads=[
        Reads(ITEMS, ("image_id", "sha256", "split", "outcome")),
        Reads("embeddings", ("image_id", "embedding")),
        Reads("images", READ_OF_IMAGES, when=lambda part: why_no_junk_lane(part.settings) is None),
    ],
    settings=lambda part: [part.settings.dedupe, part.settings.neighbour_search],
    skipped=_unless_asked,
    is_on_demand=True,
    version=6,
    pool=CORES_POOL,
)
def duplicates(run: StageRun) -> Product:
    """Images that show the same picture as another one: resized, cut a little, mirrored, brighter, coded again.

    One row per image, to be mined or labelled, that another one stands for. Candidates are near by the encoder's
    features; their pixels decide. What is labelled stands for what is not, else a photo that is not junk for one that
    is, else the first by id. With `dedupe: near` keywords count such images once, and lists show them once ("+7
    similar").
    """
    from vlmine_dagster.scoring.near_duplicates import duplicate_rows

    rows = duplicate_rows(run, run.pictures, max_pixels=run.project.settings.dataset.max_pixels)
    return Product(rows, {"near-duplicates": rows.num_rows, "shards": f"{len(run.shards)} used"})
