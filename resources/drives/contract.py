"""What every layout of driving data gives: frames, objects, boxes in space and sweeps, segment by segment."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.geometry.poses import Floats

FRAMES = pa.schema(
    [
        ("key", pa.string()),
        ("sequence", pa.string()),
        ("frame_index", pa.int64()),
        ("timestamp_us", pa.int64()),
        ("camera", pa.string()),
        ("weather", pa.string()),
        ("time_of_day", pa.string()),
        ("location", pa.string()),
    ]
)
"""One row per picture of a segment: its key within the shard, its recording and moment, and what is said of both."""

BOX_SIDES = ("center_x", "center_y", "center_z", "length", "width_m", "height_m", "heading")
"""Columns of a box in the frame of the vehicle, in the order of `vlmine_dagster.geometry`."""

BOXES = pa.schema(
    [
        ("timestamp_us", pa.int64()),
        ("track_id", pa.string()),
        ("class_name", pa.string()),
        ("type_name", pa.string()),
        *((name, pa.float64()) for name in BOX_SIDES),
        ("point_count", pa.int64()),
        ("speed", pa.float64()),
    ]
)
"""One row per box in space, seen by a camera or not: metres, radians, metres per second.

`class_name` is the kind that somebody gave the track, else the data set's own class, which is `type_name`.
"""

OBJECTS = pa.schema(
    [
        ("key", pa.string()),
        *((name, pa.float64()) for name in ("x", "y", "width", "height")),
        ("visibility", pa.float64()),
        ("camera_object_id", pa.string()),
        *BOXES,
    ]
)
"""One row per object in a picture: its rectangle in pixels, and its box in space where there is one."""


class Picture(NamedTuple):
    """An encoded picture of a segment.

    Attributes:
        key: Its key within the shard.
        uri: Where its bytes lie.
        data: The bytes; may be empty.
        failure: Why there are none, None where there are.
    """

    key: str
    uri: str
    data: bytes
    failure: str | None = None


@dataclass(frozen=True)
class Sweep:
    """One turn of the LiDAR.

    Attributes:
        timestamp_us: When, as in `BOXES`.
        points: Shape (N, 4): x, y, z in the frame of the vehicle, and intensity.
    """

    timestamp_us: int
    points: npt.NDArray[np.float32]


class DriveLayout(Protocol):
    """How a data set lays out its files. Every segment is a shard."""

    def shards(self) -> list[str]:
        """Return the names of all segments, sorted.

        Raises:
            SourceError: there is none.
        """

    def picture_files(self, shard: str) -> Sequence[str]:
        """Return the relative paths of files on which frames and pictures of a segment depend."""

    def object_files(self, shard: str) -> Sequence[str]:
        """Return the relative paths of files on which its objects depend."""

    def frames(self, shard: str) -> pa.Table:
        """Return one row of `FRAMES` per picture, in the order of time and camera."""

    def pictures(self, shard: str, keys: Collection[str] | None) -> Iterator[Picture]:
        """Yield pictures one by one, of all keys if None."""

    def objects(self, shard: str) -> pa.Table:
        """Return rows of `OBJECTS`."""

    def boxes(self, shard: str) -> pa.Table:
        """Return rows of `BOXES`."""

    def sweeps(self, shard: str) -> Iterator[Sweep]:
        """Yield the sweeps in the order of time."""


def box_array(rows: pa.Table) -> Floats:
    """Return the boxes of rows of `BOXES` or `OBJECTS`, shape (N, 7); NaN where there is none."""
    columns = [rows.column(name).to_numpy() for name in BOX_SIDES]
    return np.stack(columns, axis=1).astype(np.float64) if rows.num_rows else np.empty((0, 7))
