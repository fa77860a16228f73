"""Stage `unmatched_boxes`: the names in box files that belong to no image, and what else is odd about the files."""

from vlmine_dagster.assets.objects import box_fingerprint
from vlmine_dagster.engine.stage import Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun

MATCH_CHECK = "box_files_are_about_the_images"
SPELLING_CHECK = "classes_are_spelled_one_way"


def _why_no_files(part: Part) -> str | None:
    objects = part.settings.objects
    has_boxes = objects is not None and (objects.boxes or objects.from_dataset)
    return None if has_boxes else "the project has no box files (objects.boxes)"


@stage(
    "unmatched_boxes",
    group="ingest",
    kinds={"duckdb", "parquet"},
    reads=[Reads("images", ("image_id",))],
    fingerprints=box_fingerprint,
    skipped=_why_no_files,
    is_on_demand=True,
    checks={
        MATCH_CHECK: "Every image that the box files name is exactly one image of the dataset.",
        SPELLING_CHECK: "No class is written in two ways that differ only in case, spaces, underscores or hyphens.",
    },
)
def unmatched_boxes(run: StageRun) -> Product:
    """The names of images in box files that match no image of the dataset, or several.

    One row per name, with the number of its boxes; these are in no row of `objects`, or are there as bad boxes.
    """
    from vlmine_dagster.mining.advice import listed_advice
    from vlmine_dagster.resources.objects import class_spellings, unmatched_rows

    shards = {name: run.read("images", partitions=[name]).column("image_id").to_pylist() for name in run.shards}
    rows = unmatched_rows(run.boxes.unmatched(shards))
    classes = run.boxes.class_counts()
    advice = {
        MATCH_CHECK: listed_advice(
            rows.column("name").to_pylist(),
            one="name in the box files matches no image of the dataset, or several",
            several="names in the box files match no image of the dataset, or several",
            advice="Add images or correct names.",
            good="every name in the box files is an image",
        ),
        SPELLING_CHECK: listed_advice(
            class_spellings(classes),
            one="class is written in several ways",
            several="classes are written in several ways",
            advice="Write each in one way, or they are mined as different ones.",
            good="every class is written in one way",
        ),
    }
    facts = {"lost boxes": sum(rows.column("box_count").to_pylist()), "classes": len(classes)}
    return Product(rows, facts, advice=advice)
