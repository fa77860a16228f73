"""Stage `images`: every image of a shard, opened and checked."""

from typing import TYPE_CHECKING, Any

from vlmine_dagster.engine.stage import Part, Product, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench

if TYPE_CHECKING:
    from vlmine_dagster.settings.project import ProjectSettings


def _is_measured(settings: "ProjectSettings") -> bool:
    """Whether photos are measured for the junk lane, which only lists of whole photos can have."""
    return settings.dataset.medium.is_photographed and settings.unit != "object"


def _origin(bench: Workbench, part: Part) -> list[Any]:
    dataset = part.settings.dataset
    bounds = [dataset.max_pixels, dataset.max_bytes]
    unmeasured = [] if _is_measured(part.settings) else ["not measured"]
    return [bench.source.fingerprint(part.partition), *bounds, dataset.own_settings, *unmeasured]


def _origin_and_labels(bench: Workbench, part: Part) -> list[Any]:
    return [*_origin(bench, part), None if bench.labels is None else bench.labels.fingerprint]


@stage(
    "images",
    group="ingest",
    kinds={"python", "parquet", "greatexpectations"},
    fingerprints=_origin_and_labels,
    source=_origin,
    joined=("label", "split"),
    version=4,
)
def images(run: StageRun) -> Product:
    """Every image found in a shard, readable or not.

    One row per image: where it is, the hash of its bytes, its size, of which recording it is a frame, its label if the
    miner may know it, and what became of it when it was opened. Bad images are rows with an outcome and a reason; they
    never go further. Photos are measured for blur, exposure and emptiness in the same pass (docs/junk.md),
    unless objects are mined.
    """
    from vlmine_dagster.resources.intake import inspect_shard, outcome_counts, refuse_failures, relabelled
    from vlmine_dagster.resources.sources.sequences import sequence_counts
    from vlmine_dagster.scoring.junk import PICTURE_MEASURE

    dataset = run.project.settings.dataset
    previous = run.previous()
    # Labels alone have changed: they are joined to the rows. Who asks for fresh ones wants the pictures opened.
    if previous is not None and previous.is_of_same_origin and not previous.is_of_same_inputs:
        rows = relabelled(previous.read(), run.partition, run.labels)
        facts: dict[str, Any] = {"opened": "none: only labels have changed"}
    else:
        progress = run.progress(None)
        rows = inspect_shard(
            run.source,
            run.partition,
            medium=run.medium,
            labels=run.labels,
            max_pixels=dataset.max_pixels,
            sequences=dataset.sequences,
            measure=PICTURE_MEASURE if _is_measured(run.project.settings) else None,
            on_progress=progress.add,
        )
        facts = {"images/s": progress.rate}
    if dataset.has_sequences:
        facts |= sequence_counts(rows)
    refuse_failures(rows, where=f"images[{run.partition}]", max_share=dataset.max_failure_share)
    return Product(rows, {"outcomes": outcome_counts(rows), **facts})
