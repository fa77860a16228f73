"""Pictures and tables that lie in files of their own, as most layouts of driving data have them."""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.feather

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.geometry.camera import Camera, clipped, projected_boxes
from vlmine_dagster.geometry.poses import Floats
from vlmine_dagster.resources.drives.contract import BOX_SIDES, OBJECTS, Picture
from vlmine_dagster.resources.sources.tree import FileTree


def file_pictures(tree: FileTree, paths: Sequence[tuple[str, str]], keys: Collection[str] | None) -> Iterator[Picture]:
    """Yield pictures by key and relative path; one that cannot be read says why."""
    wanted = {path: key for key, path in paths if keys is None or key in keys}
    for path, data in tree.read_each(list(wanted)):
        if isinstance(data, bytes):
            yield Picture(wanted[path], tree.uri(path), data)
        else:
            yield Picture(wanted[path], tree.uri(path), b"", str(data))


def read_feather(tree: FileTree, path: str, columns: Sequence[str]) -> pa.Table:
    """Return columns of a feather file.

    Raises:
        SourceError: it cannot be read, or lacks a column.
    """
    with tree.open(path) as raw:
        try:
            table = pyarrow.feather.read_table(io.BytesIO(raw.read(-1)))
        except pa.ArrowException as error:
            raise SourceError(f"{tree.uri(path)} is not a readable feather file: {error}. Fetch it again.") from error
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise SourceError(f"{tree.uri(path)} has no column {', '.join(missing)}. Fetch it again.")
    return table.select(columns)


def read_points(tree: FileTree, path: str, columns: int) -> npt.NDArray[np.float32]:
    """Return a file of raw float32 numbers, shape (N, columns).

    Raises:
        SourceError: it cannot be read, or its size is not a multiple of a point's.
    """
    with tree.open(path) as raw:
        data = raw.read(-1)
    if len(data) % (4 * columns):
        raise SourceError(
            f"{tree.uri(path)} has {len(data):,} bytes, not a whole number of points of {columns} numbers. Fetch it "
            f"again."
        )
    return np.frombuffer(data, "<f4").reshape(-1, columns)


def seen_objects(
    rows: Sequence[Mapping[str, Any]], boxes: Floats, camera: Camera, key: str, *, places: Floats | None = None
) -> Iterator[dict[str, Any]]:
    """Yield rows of `OBJECTS` for boxes that a camera sees, each with the rectangle around its projection.

    Args:
        rows: Rows of `BOXES`.
        boxes: Shape (N, 7), theirs, in the frame that the camera's pose is given in.
        camera: The camera.
        key: The picture's.
        places: Shape (N, 7), the boxes that rows get, if they lie in another frame than `boxes`.
    """
    rectangles = clipped(projected_boxes(boxes, camera), camera.size)
    for row, place, rectangle in zip(rows, boxes if places is None else places, rectangles, strict=True):
        if np.isfinite(rectangle).all():
            left, top, right, bottom = rectangle.tolist()
            sides = dict(zip(BOX_SIDES, place.tolist(), strict=True))
            yield {**row, **sides, "key": key, "x": left, "y": top, "width": right - left, "height": bottom - top}


def object_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows of `OBJECTS` as a table, by picture and track."""
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=OBJECTS)
    return table.sort_by([("key", "ascending"), ("track_id", "ascending")])
