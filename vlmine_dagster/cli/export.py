"""`vlmine export`: a mined list as a file for labelling tools, and the pictures themselves beside it."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vlmine_dagster.cli.mined import experiment_of, mined, print_stale, shown_experiment
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.files import replacing
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.reporting.exporters import EXPORTERS, Row

if TYPE_CHECKING:
    from vlmine_dagster.reporting.exporters import Exported, ItemFacts, MinedList
    from vlmine_dagster.resources.workbench import Workbench

_COLUMNS = {"rank": "int64", "image_id": "string", "shard": "string", "path": "string", "reason": "string"}
_SIDES = ("x", "y", "width", "height")
_SIZES = {
    "image": "SELECT image_id, width, height FROM images WHERE image_id IN (SELECT unnest($names))",
    "object": "SELECT object_id, images.width, images.height FROM objects JOIN images "
    "ON objects.image_id = images.image_id WHERE object_id IN (SELECT unnest($names))",
}
_PREDICTED = "SELECT image_id, predicted_label FROM uncertainty_scores WHERE image_id IN (SELECT unnest($names))"
_TWINS = r"SELECT regexp_replace(image_id, '\.[^./]*$', '') AS stem FROM images GROUP BY stem HAVING count(*) > 1"
_OBJECT_COLUMNS = {"rank": "int64", "object_id": "string", **_COLUMNS, **dict.fromkeys(_SIDES, "float64")}


@click.command()
@click.option("--experiment", help="Experiment to export. Default: that of `vlmine top`.")
@click.option("-n", "count", type=click.IntRange(min=1), help="Number of images. Default: the experiment's budget.")
@click.option("--budget", type=float, help="Share of the list (up to 1) or number of images.")
@click.option("--to", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@click.option(
    "--format", "format_name", type=click.Choice(EXPORTERS.names), help="Format. Default: by the ending of --to."
)
@click.option("--verdict", type=click.Choice([one.value for one in Verdict]), help="Only items with this verdict.")
@click.option("--context", type=click.IntRange(min=0), default=0, help="Add N frames before and after each mined one.")
@click.option("--images", type=click.Path(file_okay=False, path_type=Path), help="Copy the images into this folder.")
@click.option("--crops", is_flag=True, help="Export the crop of each object instead of the whole image.")
def export(
    *,
    experiment: str | None,
    count: int | None,
    budget: float | None,
    file: Path,
    format_name: str | None,
    verdict: str | None,
    context: int,
    images: Path | None,
    crops: bool,
) -> None:
    """Write a mined list and its pictures for a labelling tool: CSV, Parquet, or Label Studio tasks (.json).

    By name (--format): coco, cvat, fiftyone, huggingface, webdataset, yolo. Installed plug-ins may add formats.
    """
    if count is not None and budget is not None:
        raise click.UsageError("give -n or --budget, not both")
    bench = open_bench()
    name = experiment or shown_experiment(bench)
    made = export_list(
        bench,
        name,
        file,
        format_name=format_name,
        count=count,
        budget=budget,
        images=images,
        context=context,
        are_crops=crops,
        verdict=None if verdict is None else Verdict(verdict),
    )
    around = " with the frames around them" if context else ""
    copied = f", their pictures in {images}" if images else ""
    click.echo(f"{file}: {counted(made.row_count, bench.project.settings.unit)} of {name}{around}{copied}.")
    if made.served is not None:
        click.echo(f"Label Studio must serve {made.served} (docs/operations.md: Labels come back).")
    print_stale(bench, [name])
    if made.row_count:
        click.echo("Next: vlmine labels import LABELLED_FILE")


def export_list(
    bench: "Workbench",
    experiment: str,
    file: Path,
    *,
    format_name: str | None = None,
    count: int | None = None,
    budget: float | None = None,
    images: Path | None = None,
    context: int = 0,
    verdict: Verdict | None = None,
    are_crops: bool = False,
) -> "Exported":
    """Write the first images of an experiment to a file, and copy their pictures if asked to.

    A row holds rank, image_id, shard, path, reason and the signals, of an object also object_id and its box in pixels
    of the upright image. The path is the copied picture; without copies it is where the bytes lie, `archive#member` or
    `table#row` inside a file. The file appears whole or not at all. Where an experiment skips frames, `more_frames`
    says how many, and where it has slices `slice` says which; with context, `role` is mined or context, and the frames
    around a mined one follow it with its rank and with its id as `context_of`.

    Args:
        bench: The project's resources.
        experiment: Whose list.
        file: Where to; another file there is replaced.
        format_name: Name of the format; by the ending of the file if None.
        count: Images to write; None writes those that a budget selects.
        budget: Share of the list or number of images, in place of the experiment's own budget.
        images: Folder for copies of the pictures, as shard/key; None copies none.
        context: Frames to add before, and as many after each mined frame.
        verdict: Only items about which this verdict stands, of a review that is finished or not, wherever they are on
            the list; the count is that of these.
        are_crops: Whether the picture of an object is its crop.

    Raises:
        ConfigError: there is no such experiment, crops are asked of whole images, context is asked of a dataset
            without sequences, the format is unknown, Label Studio could not open the pictures where they lie, or the
            file or folder cannot be written.
        MissingInputError: the experiment was not run yet, or an image is gone from the dataset.
    """
    from vlmine_dagster.mining.selection import budget_count
    from vlmine_dagster.reporting.exporters import exporter_for
    from vlmine_dagster.reporting.exporters.pictures import copy_pictures, refusing_unwritable

    settings = experiment_of(bench, experiment)
    if are_crops and (bench.project.settings.unit != "object" or context):
        raise ConfigError("--crops cuts objects out: it needs `unit: object` in vlmine.yaml, and no --context.")
    columns = dict.fromkeys(settings.signals, "float64")
    columns |= {"more_frames": "int64"} if settings.skips_frames else {}
    columns |= {} if bench.project.settings.slices_of(experiment) is None else {"slice": "string"}
    columns |= {"role": "string", "context_of": "string"} if context else {}
    exporter = exporter_for(file, format_name)
    if budget is not None:
        count = budget_count(budget, bench.lake.read("pareto_set", experiment, columns=["rank"]).num_rows)
    key = "object_id" if are_crops else "image_id"
    names = (row[key] for row in _listed(bench, experiment, count, context, verdict))
    ids = [] if images is None else list(dict.fromkeys(names))
    copies = {} if images is None else copy_pictures(bench, ids, images, are_crops=are_crops)
    rows = _rows(bench, _listed(bench, experiment, count, context, verdict), copies, columns, key=key)
    with refusing_unwritable(file), replacing(file) as beside:
        return exporter.write(_mined_list(bench, rows, columns, images, are_crops=are_crops), beside)


def _judged(bench: "Workbench", experiment: str, count: int | None, verdict: Verdict) -> Iterator[Row]:
    """Yield the items of a list about which a verdict stands, best first."""
    from vlmine_dagster.mining.judging import standing_verdicts
    from vlmine_dagster.resources.verdicts import verdict_log

    judgements = verdict_log(bench.project).standing()
    standing = standing_verdicts((one.image_id, one.reviewer, one.verdict) for one in judgements)
    rows = mined(bench, experiment, bench.lake.read("pareto_set", experiment, columns=["rank"]).num_rows)
    wanted = (row for row in rows if standing.get(row.get("object_id") or row["image_id"]) is verdict)
    return itertools.islice(wanted, count)


def _listed(
    bench: "Workbench", experiment: str, count: int | None, context: int, verdict: Verdict | None
) -> Iterator[Row]:
    """Yield the mined images, best first, each followed by the frames around it if these are asked for."""
    from vlmine_dagster.cli.context import context_reason, frames_around

    found = mined(bench, experiment, count) if verdict is None else _judged(bench, experiment, count, verdict)
    if not context:
        yield from found
        return
    listed = list(found)
    best = {row["image_id"]: row["rank"] for row in reversed(listed)}  # several objects may be of one image
    around = frames_around(bench, best, context)
    for row in listed:
        yield {**row, "role": "mined"}
        for frame in around.pop(row["image_id"], ()):
            yield {**frame, "role": "context", "reason": context_reason(frame)}


def _mined_list(
    bench: "Workbench", rows: Iterator[Row], more: Mapping[str, str], images: Path | None, *, are_crops: bool
) -> "MinedList":
    from vlmine_dagster.reporting.exporters import MinedList
    from vlmine_dagster.reporting.exporters.pictures import encoded_pictures

    dataset = bench.project.settings.dataset
    root = bench.project.resolve(dataset.root)
    is_remote, serves_files = "://" in root, dataset.capabilities.serves_files
    has_files = serves_files and not are_crops  # a crop is not a file unless it is copied
    pictures = images if images is not None else Path(root) if has_files and not is_remote else None
    own = _OBJECT_COLUMNS if bench.project.settings.unit == "object" else _COLUMNS
    return MinedList(
        {**own, **more},
        rows,
        pictures and pictures.resolve(),
        images is not None or has_files,
        are_crops=are_crops,
        class_names=() if bench.labels is None else bench.labels.class_names,
        facts_of=lambda names: _facts(bench, names),
        encoded_of=lambda names: {one.item_id: one for one in encoded_pictures(bench, names, are_crops=are_crops)},
        twins=lambda: _twins(bench),
    )


def _twins(bench: "Workbench") -> frozenset[str]:
    """Return the ids of images, without their ending, that several images have."""
    lake = bench.lake
    with lake.connect(images=lake.require("images", lake.partitions("images"))) as connection:
        return frozenset(stem for (stem,) in connection.sql(_TWINS).fetchall())


def _facts(bench: "Workbench", names: Sequence[str]) -> "dict[str, ItemFacts]":
    """Return size of the image and predicted class of items, by id."""
    from vlmine_dagster.reporting.exporters import ItemFacts

    lake, kind = bench.lake, bench.project.settings.items
    tables = {"images": lake.require("images", lake.partitions("images"))}
    tables |= {} if kind.parent is None else {kind.table: lake.require(kind.table, lake.partitions(kind.table))}
    scores = lake.partitions("uncertainty_scores")
    with lake.connect(**tables) as connection:
        sizes = connection.sql(_SIZES[kind.name], params={"names": list(names)}).fetchall()
    predicted: dict[str, str] = {}
    if scores:
        with lake.connect(uncertainty_scores=lake.require("uncertainty_scores", scores)) as connection:
            predicted = dict(connection.sql(_PREDICTED, params={"names": list(names)}).fetchall())
    return {name: ItemFacts(width, height, predicted.get(name)) for name, width, height in sizes}


def _rows(
    bench: "Workbench", found: Iterable[Row], copies: Mapping[str, str], more: Iterable[str], *, key: str
) -> Iterator[Row]:
    from vlmine_dagster.resources.sources import shard_of
    from vlmine_dagster.resources.sources.moved import current_uri

    root = bench.project.resolve(bench.project.settings.dataset.root)
    shards = frozenset(bench.lake.partitions("images"))
    for row in found:
        name = row["image_id"]
        yield {
            "rank": row["rank"],
            **({"object_id": row["object_id"], **row["box"]} if "object_id" in row else {}),
            "image_id": name,
            "shard": shard_of(name, shards),
            "path": copies.get(row.get(key, name)) or current_uri(row["uri"], root),
            "reason": row["reason"],
            **{column: row.get(column) for column in more},
        }
