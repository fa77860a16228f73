"""Label Studio's JSON exports: shares of the picture in percent, turned boxes, several annotators."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
    turned,
)
from vlmine_dagster.resources.boxes.json_files import items, start_of
from vlmine_dagster.settings.objects import BoxFormat

_MEMBER = re.compile(rb'"(id|data)"\s*:')
_NO_SHAPES = frozenset({"choices", "textarea", "rating", "number", "datetime", "taxonomy", "relation", "pairwise"})


def read_label_studio(file: BoxFile) -> Iterator[BoxRow | ImageEntry]:
    """Yield the image of each task, then its boxes.

    Of several annotations of one task that is taken which is marked as ground truth, else the one that was changed
    last. Boxes turn around their upper left corner; the smallest upright box around them counts, as it does of
    polygons.

    Raises:
        SourceError: an item is not a task of Label Studio.
    """
    for place, (_, task) in enumerate(items(file, ""), start=1):
        if "id" not in task and "data" not in task:
            raise file.unreadable(f"item {place} has neither id nor data, as tasks of Label Studio have")
        yield from _task(task, place)


def _task(task: Mapping[str, Any], place: int) -> Iterator[BoxRow | ImageEntry]:
    data = task.get("data") if isinstance(task.get("data"), Mapping) else task
    name = _image_name(data, place)
    results = _results(task)
    sizes = ((size_of(one.get("original_width")), size_of(one.get("original_height"))) for one in results)
    yield ImageEntry(name, name, *next((size for size in sizes if None not in size), (None, None)))
    shapes = [one for one in results if str(one.get("type", "")) not in _NO_SHAPES]
    for number, one in enumerate(shapes, start=1):
        yield _box(one, name, f"task {task.get('id', place)}, result {number}")


def _image_name(data: Any, place: int) -> str:
    """Return the image_id of a task, else the path in its address."""
    if data.get("image_id"):
        return str(data["image_id"])
    texts = [
        value for name, value in data.items() if isinstance(value, str) and name not in ("annotator", "updated_at")
    ]
    address = str(data.get("image") or next((text for text in texts if "." in text), "")) or f"task {place}"
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")  # /data/local-files/?d=path
    return local[0] if local else parts.path if parts.scheme else address


def _results(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    annotations = [one for one in task.get("annotations") or [] if not one.get("was_cancelled")]
    if annotations:
        chosen = max(annotations, key=lambda one: (bool(one.get("ground_truth")), str(one.get("updated_at") or "")))
        return list(chosen.get("result") or [])
    if "annotations" in task or "predictions" in task:
        predictions = task.get("predictions") or []
        return [
            {**one, "score": one.get("score", made.get("score"))}
            for made in predictions
            for one in made.get("result") or []
        ]
    lists = [value for value in task.values() if isinstance(value, list)]  # the export without the tasks' frame
    return [one for found in lists for one in found if isinstance(one, Mapping) and ("x" in one or "points" in one)]


def _box(one: Mapping[str, Any], name: str, place: str) -> BoxRow:
    value = one["value"] if isinstance(one.get("value"), Mapping) else one
    labels = next((found for key, found in value.items() if key.endswith("labels") and isinstance(found, list)), [])
    width, height = size_of(one.get("original_width")), size_of(one.get("original_height"))
    is_relative = width is None or height is None
    box, problem = _upright(value, width or 1, height or 1)
    degrees = number_of(value.get("rotation") or 0)
    if degrees and is_relative:
        problem = "a turned box needs original_width and original_height"
    if problem is not None:
        problem = problem.format(one.get("type", "unknown"))
    return BoxRow(
        name,
        box,
        label=text_or_none(labels[0]) if labels else None,
        score=one.get("score"),
        own_id=text_or_none(one.get("id")),
        is_relative=is_relative,
        attributes=attributes_of({"rotation": degrees, "other_labels": labels[1:]}),
        place=place,
        problem=problem,
    )


def _upright(value: Mapping[str, Any], width: float, height: float) -> tuple[Box, str | None]:
    """Return a box by the sides of its picture, and why there is none."""
    if isinstance(value.get("points"), list):
        points = [(number_of(x) * width / 100, number_of(y) * height / 100) for x, y in value["points"]]
        return around(points), None
    x, y, w, h = (number_of(value.get(name)) / 100 for name in ("x", "y", "width", "height"))
    if math.isnan(x + y + w + h):
        return NOWHERE, "a result of type {} gives no box"
    box = (x * width, y * height, w * width, h * height)
    return turned(box, degrees=number_of(value.get("rotation") or 0), pivot=box[:2]), None


def _is_label_studio(_path: str, head: bytes) -> bool:
    start = start_of(head)
    is_coco = b'"bbox"' in start and b'"image_id"' in start
    return start.startswith(b"[") and _MEMBER.search(start) is not None and not is_coco


PLUGIN = BoxFormat("label_studio", (".json",), _is_label_studio, read_label_studio)
