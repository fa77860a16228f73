"""Tables of boxes, as a detector of one's own writes them: Parquet, or delimited text."""

import csv
import io
import math
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.boxes.contract import (
    BoxFile,
    BoxRow,
    ImageEntry,
    attributes_of,
    number_of,
    size_of,
    text_or_none,
)
from vlmine_dagster.resources.label_files.contract import KEY_NAMES, Columns, text_of
from vlmine_dagster.settings.objects import BoxFormat

_PARQUET = (".parquet", ".pq")
_DELIMITERS = ",;\t|"
_ROLES = {
    "image_id": KEY_NAMES,
    "x": ("x", "xmin", "x_min", "left", "x1"),
    "y": ("y", "ymin", "y_min", "top", "y1"),
    "width": ("width", "w", "box_width", "bbox_width"),
    "height": ("height", "h", "box_height", "bbox_height"),
    "right": ("xmax", "x_max", "right", "x2"),
    "bottom": ("ymax", "y_max", "bottom", "y2"),
    "label": ("label", "class", "class_name", "category", "category_name", "name", "class_id"),
    "score": ("score", "confidence", "probability"),
    "track_id": ("track_id", "track"),
    "object_id": ("object_id", "annotation_id", "id"),
}


def read_table(file: BoxFile) -> Iterator[BoxRow | ImageEntry]:
    """Yield the images and boxes of a table; a row without any side of a box is an image without objects.

    A box is given by x, y, width and height, or by its left, top, right and bottom edges; beside edges, width and
    height are those of the picture. Edges are pixels from 0. Columns of other names become attributes.
    """
    rows = _parquet_rows(file) if posixpath.splitext(file.path)[1].lower() in _PARQUET else _text_rows(file)
    names = [str(name) for name in next(rows, ("", []))[1]]
    at = _places(names, file)
    others = {name: place for place, name in enumerate(names) if place not in at.values()}
    last: ImageEntry | None = None
    for place, cells in rows:
        cell = {role: cells[index] for role, index in at.items()}
        image = _image(cell)
        if image != last:
            yield image
            last = image
        if any(text_of(cell.get(role)) for role in ("x", "y", "right", "bottom")):
            yield _box(cell, {name: cells[index] for name, index in others.items()}, image.ref, place)


def _places(names: list[str], file: BoxFile) -> dict[str, int]:
    """Return the place of each role's column.

    Raises:
        SourceError: a column is missing.
    """
    columns = Columns(_ROLES, ("image_id", "x", "y"), lambda _missing, _names: "", file.columns)
    at = columns.places(names)
    missing = columns.missing(at)
    if not ({"width", "height"} <= at.keys() or {"right", "bottom"} <= at.keys()):
        missing += [file.columns.get(role, role) for role in ("width", "height") if role not in at]
    if missing:
        raise SourceError(
            f"{file.uri}: no column {', '.join(missing)}. There are: {', '.join(names[:30])}. Expected image_id, x, y, "
            f"width, height, and label, score, track_id where there are such; map others by objects.columns."
        )
    return at


def _image(cell: Mapping[str, Any]) -> ImageEntry:
    name = text_of(cell["image_id"])
    has_edges = "right" in cell and "bottom" in cell
    return ImageEntry(name, name, *((size_of(cell.get(side)) if has_edges else None) for side in ("width", "height")))


def _box(cell: Mapping[str, Any], others: Mapping[str, Any], ref: str, place: str) -> BoxRow:
    x, y = number_of(cell["x"]), number_of(cell["y"])
    if "right" in cell and "bottom" in cell:
        width, height = number_of(cell["right"]) - x, number_of(cell["bottom"]) - y
    else:
        width, height = number_of(cell["width"]), number_of(cell["height"])
    score = number_of(cell.get("score"))
    return BoxRow(
        ref,
        (x, y, width, height),
        label=text_or_none(cell.get("label")),
        score=None if math.isnan(score) else score,
        track_id=text_or_none(cell.get("track_id")),
        own_id=text_or_none(cell.get("object_id")),
        attributes=attributes_of(others),
        place=place,
    )


def _parquet_rows(file: BoxFile) -> Iterator[tuple[str, Sequence[Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with file.open() as stream:
            table = pq.ParquetFile(stream)
            yield "", list(table.schema_arrow.names)
            count = 0
            for batch in table.iter_batches(batch_size=10_000):
                columns = [column.to_pylist() for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    yield f"row {count}", cells
                    count += 1
    except pa.ArrowException as error:
        raise file.unreadable(error) from error


def _text_rows(file: BoxFile) -> Iterator[tuple[str, Sequence[Any]]]:
    try:
        with file.open() as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            first = text.readline()
            delimiter = max(_DELIMITERS, key=first.count)
            header = next(csv.reader([first], delimiter=delimiter), [])
            yield "", header
            reader = csv.reader(text, delimiter=delimiter)
            for cells in reader:
                if any(cells):
                    yield f"line {reader.line_num + 1}", [*cells, *[""] * (len(header) - len(cells))]
    except (csv.Error, UnicodeDecodeError) as error:
        raise file.unreadable(error) from error


def _is_table(path: str, head: bytes) -> bool:
    if posixpath.splitext(path)[1].lower() in _PARQUET:
        return head.startswith(b"PAR1")
    first = head.split(b"\n", 1)[0].lower()
    return b"x" in first and b"y" in first and any(mark.encode() in first for mark in _DELIMITERS)


PLUGIN = BoxFormat("table", (".parquet", ".pq", ".csv", ".tsv"), _is_table, read_table)
