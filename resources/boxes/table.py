"""Tables of boxes, as a detector of one's own writes them: Parquet, or delimited text."""

import csv
import io
import math
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.boxes.contract import (
    NOWHERE,
    Box,
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
    "image_id": (*KEY_NAMES, "imageid", "image_file", "img_id", "img_name"),
    "x": ("x", "xmin", "x_min", "left", "x1", "bbox_x"),
    "y": ("y", "ymin", "y_min", "top", "y1", "bbox_y"),
    "center_x": ("center_x", "centre_x", "x_center", "x_centre", "xcenter", "cx"),
    "center_y": ("center_y", "centre_y", "y_center", "y_centre", "ycenter", "cy"),
    "bbox": ("bbox", "box"),
    "width": ("width", "w", "box_width", "bbox_width"),
    "height": ("height", "h", "box_height", "bbox_height"),
    "right": ("xmax", "x_max", "right", "x2"),
    "bottom": ("ymax", "y_max", "bottom", "y2"),
    "label": (
        *("label", "class_name", "category_name", "label_name", "labelname", "name"),
        *("class", "category", "class_id"),
    ),
    "score": ("score", "confidence", "conf", "probability"),
    "track_id": ("track_id", "track"),
    "object_id": ("object_id", "annotation_id", "id"),
}

_USUAL = ("x", "y", "width", "height")
_WAYS = (
    ("x", "y", "right", "bottom"),
    _USUAL,
    ("center_x", "center_y", "width", "height"),
    ("bbox",),
)
_PLACED = ("x", "y", "right", "bottom", "center_x", "center_y", "bbox")
_NUMBER = re.compile(r"[-+]?[\d.]+(?:e[-+]?\d+)?|nan|inf", re.IGNORECASE)
_LOOKED_AT = 1000
_LARGEST_SHARE = 1.1


def read_table(file: BoxFile) -> Iterator[BoxRow | ImageEntry]:
    """Yield the images and boxes of a table; a row without any side of a box is an image without objects.

    A box is given by x, y, width and height, by its left, top, right and bottom edges, by its centre and its sides, or
    by one column `bbox` that holds x, y, width and height. Beside edges or a bbox, width and height are those of the
    picture. Edges are pixels from 0; a table whose first boxes all end below 1.1 is in shares of the picture's sides.
    Where a name and a number tell the class, the name does. Columns of other names become attributes.
    """
    rows = _parquet_rows(file) if posixpath.splitext(file.path)[1].lower() in _PARQUET else _text_rows(file)
    names = [str(name) for name in next(rows, ("", []))[1]]
    at = _places(names, file)
    others = {name: place for place, name in enumerate(names) if place not in at.values()}
    first = list(islice(rows, _LOOKED_AT))
    is_relative = _are_shares([_sides({role: cells[index] for role, index in at.items()}) for _, cells in first])
    last: ImageEntry | None = None
    for place, cells in chain(first, rows):
        cell = {role: cells[index] for role, index in at.items()}
        image = _image(cell)
        if image != last:
            yield image
            last = image
        if any(text_of(cell.get(role)) for role in _PLACED):
            kept = {name: cells[index] for name, index in others.items()}
            yield _box(cell, kept, image.ref, place, is_relative=is_relative)


def _places(names: list[str], file: BoxFile) -> dict[str, int]:
    """Return the place of the columns that are read, by role.

    Raises:
        SourceError: a column is missing.
    """
    columns = Columns(_ROLES, ("image_id",), lambda _missing, _names: "", file.columns)
    at = columns.places(names)
    missing = columns.missing(at)
    way = next((way for way in _WAYS if set(way) <= at.keys()), None)
    if way is None:
        missing += [file.columns.get(role, role) for role in _USUAL if role not in at]
    if missing or way is None:
        raise SourceError(
            f"{file.uri}: no column {', '.join(missing)}. There are: {', '.join(names[:30])}. Expected image_id, x, y, "
            f"width, height, and label, score, track_id where they exist; map others by objects.columns."
        )
    unused = set(_PLACED) - set(way)
    return {role: place for role, place in at.items() if role not in unused}


def _image(cell: Mapping[str, Any]) -> ImageEntry:
    name = text_of(cell["image_id"])
    are_of_picture = "right" in cell or "bbox" in cell
    width, height = (size_of(cell.get(side)) if are_of_picture else None for side in ("width", "height"))
    return ImageEntry(name, name, width, height)


def _sides(cell: Mapping[str, Any]) -> Box:
    """Return x, y, width and height of a row, NaN where it has no such number."""
    if "bbox" in cell:
        given = cell["bbox"]
        numbers = [number_of(one) for one in (_NUMBER.findall(given) if isinstance(given, str) else given or ())]
        return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else NOWHERE
    if "right" in cell:
        left, top, right, bottom = (number_of(cell[role]) for role in ("x", "y", "right", "bottom"))
        return left, top, right - left, bottom - top
    width, height = number_of(cell["width"]), number_of(cell["height"])
    if "center_x" in cell:
        return number_of(cell["center_x"]) - width / 2, number_of(cell["center_y"]) - height / 2, width, height
    return number_of(cell["x"]), number_of(cell["y"]), width, height


def _are_shares(boxes: Sequence[Box]) -> bool:
    """Return whether boxes are in shares of the picture's sides: no picture's boxes all lie in its first pixel.

    Examples:
        >>> _are_shares([(0.1, 0.2, 0.5, 0.5)]), _are_shares([(0.1, 0.2, 0.5, 0.5), (3, 4, 5, 6)])
        (True, False)
        >>> _are_shares([(0, 0, 1, 1)])
        False
    """
    known = [box for box in boxes if all(map(math.isfinite, box))]
    are_small = all(max(x, y, x + width, y + height) <= _LARGEST_SHARE for x, y, width, height in known)
    return are_small and any(not float(side).is_integer() for box in known for side in box)


def _box(cell: Mapping[str, Any], others: Mapping[str, Any], ref: str, place: str, *, is_relative: bool) -> BoxRow:
    score = number_of(cell.get("score"))
    return BoxRow(
        ref,
        _sides(cell),
        label=text_or_none(cell.get("label")),
        score=None if math.isnan(score) else score,
        track_id=text_or_none(cell.get("track_id")),
        own_id=text_or_none(cell.get("object_id")),
        is_relative=is_relative,
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
    has_boxes = b"bbox" in first or (b"x" in first and b"y" in first)
    return has_boxes and any(mark.encode() in first for mark in _DELIMITERS)


PLUGIN = BoxFormat("table", (".parquet", ".pq", ".csv", ".tsv"), _is_table, read_table)
