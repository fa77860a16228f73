"""Stage `objects`: every object in the images of a shard, from box files or a detector."""

from functools import partial
from typing import TYPE_CHECKING, Any

from vlmine_dagster.engine.stage import ACCELERATOR_POOL, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.resources.detectors.contract import Detector

FILES_CHECK = "box_files_agree"
SIZES_CHECK = "pictures_have_the_size_of_their_boxes"


def why_no_objects(part: Part) -> str | None:
    """Return why a project has no objects, None where it has."""
    return "the project has no objects (objects in vlmine.yaml)" if part.settings.objects is None else None


def box_fingerprint(bench: Workbench, _part: Part) -> list[Any]:
    """Return the hash of all boxes, or of the detector."""
    return [one.fingerprint for one in (bench.boxes, bench.detector) if one is not None]


def _shard_boxes(bench: Workbench, part: Part) -> list[Any]:
    """Return the hash of what a shard's boxes depend on, or of the detector."""
    if bench.boxes is not None:
        return [bench.boxes.shard_fingerprint(part.partition)]
    return box_fingerprint(bench, part)


def _pool(part: Part) -> str | None:
    objects = part.settings.objects
    return None if objects is None or objects.detector is None else ACCELERATOR_POOL


def _fingerprints(bench: Workbench, part: Part) -> list[Any]:
    labels = bench.labels if part.settings.unit == "object" else None
    return [*_shard_boxes(bench, part), None if labels is None else labels.fingerprint]


def _settings(part: Part) -> list[Any]:
    settings = part.settings.objects
    return [] if settings is None else [settings.min_size, settings.context, part.settings.unit]


@stage(
    "objects",
    group="ingest",
    kinds={"python", "parquet", "greatexpectations"},
    reads=[
        Reads("images", ("image_id", "sha256", "width", "height", "split", "outcome")),
        Reads("images", ("sequence_id", "frame_index", "timestamp_s")),
    ],
    settings=_settings,
    fingerprints=_fingerprints,
    skipped=why_no_objects,
    is_on_demand=True,
    pool=_pool,
    checks={
        FILES_CHECK: "No box appears twice with different classes.",
        SIZES_CHECK: "Box files declare the size that the pictures have; otherwise the boxes may be of other pictures.",
    },
)
def objects(run: StageRun) -> Product:
    """Every object in the images of a shard, as the box files have it or a detector finds it.

    One row per object: its box in pixels of the upright picture, its class and score where they are known, and
    what became of it. Boxes that are broken, too small, or of images that cannot be read are rows with an outcome.
    """
    from vlmine_dagster.mining.advice import listed_advice
    from vlmine_dagster.resources.intake import exif_orientations, outcome_counts
    from vlmine_dagster.resources.objects import labelled, object_rows

    settings = run.project.settings
    images = run.read("images")
    boxes, more = _from_files(run, images) if run.detector is None else _from_detector(run, run.detector, images)
    found = object_rows(
        images,
        boxes,
        min_size=0 if settings.objects is None else settings.objects.min_size,
        context=0 if settings.objects is None else settings.objects.context,
        orientations=partial(exif_orientations, run.frames, run.partition, max_pixels=settings.dataset.max_pixels),
    )
    with_objects = len(set(found.rows.column("image_id").to_pylist()))
    facts = {"outcomes": outcome_counts(found.rows), "images with objects": with_objects, **more}
    advice = {
        FILES_CHECK: listed_advice(
            found.disagreements,
            one="box appears twice with different classes; both are objects",
            several="boxes appear twice with different classes; both are objects",
            advice="Remove one of the two from its file.",
            good="no box appears twice with different classes",
        ),
        SIZES_CHECK: listed_advice(
            found.other_sizes,
            one="image has another size than its box file says; its boxes are taken as they are",
            several="images have another size than their box file says; their boxes are taken as they are",
            advice="Look at some, and annotate the pictures that are mined.",
            good="every picture has the size that its box file says",
        ),
    }
    rows = labelled(found.rows, run.partition, run.labels) if settings.unit == "object" else found.rows
    return Product(rows, facts, advice=advice)


def _from_files(run: StageRun, images: "pa.Table") -> "tuple[pa.Table, dict[str, Any]]":
    boxes = run.boxes.of_images(run.partition, images.column("image_id").to_pylist())
    return boxes.rows, {"images without annotations": images.num_rows - len(boxes.annotated)}


def _from_detector(run: StageRun, detector: "Detector", images: "pa.Table") -> "tuple[pa.Table, dict[str, Any]]":
    from vlmine_dagster.resources.detectors.contract import detected_boxes
    from vlmine_dagster.resources.intake import read_bytes

    wanted = [row["image_id"] for row in images.to_pylist() if row["outcome"] == "ok"]
    progress = run.progress(len(wanted))
    found = detected_boxes(
        detector,
        detector.detect(read_bytes(run.frames, run.partition, wanted) if wanted else ()),
        on_progress=progress.add,
    )
    for name, reason in found.failures.items():
        run.log.warning(f"{name} was readable before and is not now: {reason}")
    return found.rows, {"images/s": progress.rate, "unreadable": len(found.failures)}
