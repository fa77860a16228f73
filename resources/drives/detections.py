"""A detector's boxes in space from a file: the columns of Waymo's `lidar_box`, or ours, and a score."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.resources.drives.contract import BOX_SIDES
from vlmine_dagster.resources.drives.waymo import type_name

DETECTIONS = pa.schema(
    [
        ("segment", pa.string()),
        ("timestamp_us", pa.int64()),
        ("type_name", pa.string()),
        *((name, pa.float64()) for name in BOX_SIDES),
        ("score", pa.float64()),
    ]
)
"""One row per detection: its segment (the shard), its moment, its class, its box in the vehicle's frame, its score."""

_BOX = "[LiDARBoxComponent]"
_WAYMO: Mapping[str, str] = {
    "segment": "key.segment_context_name",
    "timestamp_us": "key.frame_timestamp_micros",
    "type_name": f"{_BOX}.type",
    **{f"center_{axis}": f"{_BOX}.box.center.{axis}" for axis in "xyz"},
    **{name: f"{_BOX}.box.size.{axis}" for name, axis in zip(("length", "width_m", "height_m"), "xyz", strict=True)},
    "heading": f"{_BOX}.box.heading",
    "score": "score",
}


def read_detections(file: str) -> pa.Table:
    """Return a detector's boxes.

    Args:
        file: Parquet with the columns of `DETECTIONS`, or with Waymo's of `lidar_box` and `score`.

    Raises:
        ConfigError: it cannot be read, lacks a column, or has a score that is not a share.
    """
    try:
        rows = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{file} cannot be read as detections: {error}. Write a Parquet file.") from error
    names = _WAYMO if _WAYMO["segment"] in rows.column_names else {name: name for name in DETECTIONS.names}
    missing = [name for name in names.values() if name not in rows.column_names]
    if missing:
        raise ConfigError(
            f"{file} has no column {', '.join(missing)}. Detections have the columns {', '.join(DETECTIONS.names)}, or "
            f"those of Waymo's lidar_box and score."
        )
    columns = {name: rows.column(column) for name, column in names.items()}
    if pa.types.is_integer(columns["type_name"].type):
        columns["type_name"] = pa.array([type_name(number) for number in columns["type_name"].to_pylist()])
    try:
        found = pa.table(columns).cast(DETECTIONS)
    except pa.ArrowException as error:
        raise ConfigError(f"{file} cannot be read as detections: {error}. Correct that column.") from error
    scores = found.column("score").to_numpy()
    if len(scores) and not (0 <= scores.min() <= scores.max() <= 1):
        raise ConfigError(f"{file}: scores lie from {scores.min():g} to {scores.max():g}, expected 0 to 1.")
    return found
