"""LabelMe: one JSON file per image, beside it or in a folder of its own."""

import json
import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.boxes.contract import (
    NOWHERE,
    Box,
    BoxFile,
    BoxRow,
    ImageEntry,
    around,
    attributes_of,
    number_of,
    size_of,
    text_or_none,
)
from vlmine_dagster.resources.boxes.json_files import start_of
from vlmine_dagster.settings.objects import BoxFormat

_MEMBER = re.compile(rb'"shapes"\s*:\s*\[')


def read_labelme(file: BoxFile) -> Iterator[BoxRow | ImageEntry]:
    """Yield the image of a file, then the smallest upright box around each of its shapes.

    The image goes by the JSON file's own name, as the tool saves it. A file that cannot be read is one object without a
    box: its image stays, and says why.
    """
    name = posixpath.splitext(file.path)[0]
    try:
        content = _content(file)
    except SourceError as error:
        yield from file.without_boxes(name, error)
        return
    yield ImageEntry(name, name, size_of(content.get("imageWidth")), size_of(content.get("imageHeight")))
    for place, shape in enumerate(content.get("shapes") or (), start=1):
        kind = str(shape.get("shape_type") or "polygon")
        box = _extent(kind, _points(shape))
        flags = {flag: True for flag, is_set in _mapping(shape.get("flags")).items() if is_set}
        shown = {"shape": "" if kind == "rectangle" else kind, "group_id": shape.get("group_id")}
        yield BoxRow(
            name,
            box or NOWHERE,
            label=text_or_none(shape.get("label")),
            attributes=attributes_of({**flags, **shown}),
            place=f"shape {place}",
            problem=None if box else f"a {kind} without points gives no box",
        )


def _content(file: BoxFile) -> Mapping[str, Any]:
    with file.open() as stream:
        content = stream.read()
    try:
        found = json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise file.unreadable(f"it is not JSON, or is truncated ({error})") from error
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.get("shapes") or ()):
        raise file.unreadable("its shapes are not a list of objects, as those of LabelMe are")
    return found


def _points(shape: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return the corners of a shape; what is not a number is NaN, and a third number, a depth, is left out."""
    points = shape.get("points")
    pairs = (point if isinstance(point, list) else [] for point in (points if isinstance(points, list) else []))
    return [(number_of(x), number_of(y)) for x, y, *_ in ([*pair, None, None] for pair in pairs)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _extent(kind: str, points: list[tuple[float, float]]) -> Box | None:
    if kind == "circle" and len(points) == 2:
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return x - radius, y - radius, 2 * radius, 2 * radius
    return around(points) if points else None


def _is_labelme(_path: str, head: bytes) -> bool:
    return start_of(head).startswith(b"{") and _MEMBER.search(head) is not None


PLUGIN = BoxFormat("labelme", (".json",), _is_labelme, read_labelme)
"""Whole files are parsed: each holds one image, and perhaps its picture."""
