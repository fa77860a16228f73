"""Stage `attributes`: what is known of each item beside its picture."""

from typing import Any

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.engine.stage import Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench


def _unless_asked(part: Part) -> str | None:
    return None if part.settings.needs_attributes else "no slices go by a column (vlmine.yaml)"


def _files(bench: Workbench, part: Part) -> list[Any]:
    from vlmine_dagster.resources.attributes import attribute_file
    from vlmine_dagster.resources.sources.attributes import HoldsAttributes

    source, named = bench.source, part.settings.dataset.attributes
    beside = source.attributes_fingerprint(part.partition) if isinstance(source, HoldsAttributes) else ""
    return [beside, "" if named is None else attribute_file(part.project.resolve(named)).digest]


def _is_object(part: Part) -> bool:
    return part.settings.unit == "object"


@stage(
    "attributes",
    group="ingest",
    kinds={"python", "parquet"},
    reads=[
        Reads(ITEMS, ("image_id", "attributes")),
        Reads("images", ("image_id", "attributes"), when=_is_object),
    ],
    fingerprints=_files,
    skipped=_unless_asked,
    is_on_demand=True,
)
def attributes(run: StageRun) -> Product:
    """What is known of each item beside its picture, such as the weather or the camera, as JSON.

    One row per item. Values come from the file `dataset.attributes`, from columns of Parquet, from JSON files beside
    the images or in their tar, and from the source. Slices of the pool go by them; no picture is opened.
    """
    from vlmine_dagster.resources.attributes import attribute_file, attribute_rows, attributes_beside

    items = run.read(ITEMS, ["image_id", "attributes"])
    images = run.read("images", ["image_id", "attributes"]) if run.needs("images") else items
    parents = dict(zip(images.column("image_id").to_pylist(), images.column("attributes").to_pylist(), strict=True))
    named = run.project.settings.dataset.attributes
    file = None if named is None else attribute_file(run.project.resolve(named))
    beside, unreadable = attributes_beside(run.source, run.partition)
    if unreadable:
        run.log.warning(
            f"{len(unreadable):,} JSON files beside images of {run.partition} cannot be read and count as "
            f'missing, such as that of {unreadable[0]}: each must contain one object, such as {{"weather": "fog"}}.'
        )
    rows = attribute_rows(items, shard=run.partition, parents=parents, beside=beside, file=file)
    without = rows.column("attributes").null_count
    facts = {"items with attributes": rows.num_rows - without, "without": without, "unreadable JSON": len(unreadable)}
    return Product(rows, facts)
