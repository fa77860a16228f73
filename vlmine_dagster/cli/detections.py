"""`vlmine detections`: what the boxes in space of a detector of one's own are worth, and what it is unsure about."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.cli.terminal import print_json, print_table, table_of
from vlmine_dagster.domain.counting import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.mining.boxes_3d import RareRule
    from vlmine_dagster.resources.drives.source import DriveSource
    from vlmine_dagster.resources.lake import Lake
    from vlmine_dagster.resources.workbench import Workbench

_SHOWN = 20


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--longer-than", type=float, help="Objects longer than this many metres are rare. Default: 7.")
@click.option("--fewer-points-than", type=int, help="Objects with fewer LiDAR points than this are rare.")
@click.option("--kind", "kinds", multiple=True, help="Objects of this finer class are rare; may be repeated.")
@click.option("--keyword", help="Objects are rare if a crop of their track has this keyword.")
@click.option("--type", "types", multiple=True, help="Only objects of this class are rare; may be repeated.")
@click.option(
    "--min-iou",
    type=click.FloatRange(0, 1),
    help="Smallest overlap at which an object counts as found. Default: Waymo's.",
)
@click.option("--other", type=click.Path(exists=True, dir_okay=False), help="Boxes of a second detector.")
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Write predictions for task_model here.")
@as_json
def detections(
    file: str,
    *,
    longer_than: float | None,
    fewer_points_than: int | None,
    kinds: tuple[str, ...],
    keyword: str | None,
    types: tuple[str, ...],
    min_iou: float | None,
    other: str | None,
    write: Path | None,
    is_json: bool,
) -> None:
    """Evaluate the boxes of a 3D detector in FILE, for rare and common objects and by distance."""
    from vlmine_dagster.mining.boxes_3d import RareRule
    from vlmine_dagster.resources.drives.detections import read_detections

    if longer_than is None and fewer_points_than is None and not kinds and keyword is None:
        longer_than = 7.0
    rule = RareRule(types, longer_than, fewer_points_than, kinds, keyword)
    bench = open_bench()
    source, boxes = _drives(bench), read_detections(file)
    found: dict[str, Any] = {"rare": rule.text, "precision": _precision(bench.lake, source, boxes, rule, min_iou)}
    if other is not None or write is not None:
        found |= _uncertainty(bench.lake, source, boxes, other, write)
    print_json(found) if is_json else _print(found)


def _precision(
    lake: "Lake", source: "DriveSource", boxes: "pa.Table", rule: "RareRule", min_iou: float | None
) -> list[dict[str, Any]]:
    from vlmine_dagster.scoring.detections_3d import judged_detections, track_keywords

    keywords = {} if rule.keyword is None else track_keywords(lake, source.shards())
    return [
        {"class": one.type_name, "of": one.of, "min_iou": one.min_iou, **vars(one.precision)}
        for one in judged_detections(source, boxes, rule, min_iou=min_iou, keywords=keywords)
    ]


def _drives(bench: "Workbench") -> "DriveSource":
    from vlmine_dagster.domain.errors import ConfigError
    from vlmine_dagster.resources.drives.source import DriveSource

    source = bench.source
    if not isinstance(source, DriveSource):
        kind = bench.project.settings.dataset.kind
        raise ConfigError(f"vlmine detections needs a data set of driving, not {kind}: docs/driving.md lists them.")
    return source


def _uncertainty(
    lake: "Lake", source: "DriveSource", boxes: "pa.Table", other: str | None, write: Path | None
) -> dict[str, Any]:
    from vlmine_dagster.resources.drives.detections import read_detections
    from vlmine_dagster.scoring.detections_3d import disagreements, object_scores, prediction_table

    scores = object_scores(source, lake, boxes)
    others = None if other is None else object_scores(source, lake, read_detections(other))
    found: dict[str, Any] = {"objects": len(scores)}
    if write is not None:
        import pyarrow.parquet as pq

        pq.write_table(prediction_table(scores, others), write)
        found["written"] = str(write)
    if others is not None:
        listed = disagreements(scores, others)[:_SHOWN]
        found["disagreements"] = [{"object_id": name, "score": one, "other": two} for name, one, two in listed]
    return found


def _print(found: dict[str, Any]) -> None:
    table = table_of({"class": "left", "objects": "left", "count": "right", "AP": "right", "APH": "right"})
    for row in found["precision"]:
        count, precision, heading = f"{row['count']:,}", f"{row['ap']:.3f}", f"{row['aph']:.3f}"
        table.add_row(f"{row['class']} (overlap {row['min_iou']:g})", row["of"], count, precision, heading)
    print_table(table)
    if "disagreements" in found:
        table = table_of({"the two detectors disagree on": "left", "score": "right", "other": "right"})
        for row in found["disagreements"]:
            table.add_row(row["object_id"], f"{row['score']:.2f}", f"{row['other']:.2f}")
        print_table(table)
    if "written" in found:
        objects = counted(found["objects"], "object")
        click.echo(f"{found['written']}: {objects}. Set task_model to kind predictions and this path.")
