"""COCO JSON, of any size: images, categories and annotations pass one by one, and none is kept."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from vlmine_dagster.resources.boxes.contract import (
    NOWHERE,
    Box,
    BoxFile,
    BoxRow,
    ClassEntry,
    ImageEntry,
    around,
    attributes_of,
    number_of,
    size_of,
    text_or_none,
)
from vlmine_dagster.resources.boxes.json_files import items, start_of
from vlmine_dagster.resources.label_files.contract import text_of
from vlmine_dagster.settings.objects import BoxFormat

_MEMBER = re.compile(rb'"(info|licenses|images|annotations|categories|videos)"\s*:')
"""One of them is in the first bytes of every COCO file."""
_IS_KNOWN = {"id", "image_id", "category_id", "bbox", "segmentation", "score", "track_id", "iscrowd", "area"}


def read_coco(file: BoxFile) -> Iterator[BoxRow | ImageEntry | ClassEntry]:
    """Yield images and classes, then boxes.

    A list of detections, as detectors write it, has boxes alone: its numbers of images and classes mean what another
    file of the project says; where none does, the number is the name of the image.

    The file is parsed twice, since categories may come after the annotations. Crowds (`iscrowd`) keep their box and are
    marked in the attributes; masks are passed over, and polygons too where there is a box.

    Raises:
        SourceError: nothing in the file is an image, a category or an annotation.
    """
    categories: dict[str, str] = {}
    is_coco = False
    for kind, one in items(file, "images", "categories"):
        is_coco = True
        if kind == "images":
            ref = text_of(one.get("id"))
            yield ImageEntry(ref, _file_name(one) or ref, size_of(one.get("width")), size_of(one.get("height")))
        else:
            categories[text_of(one.get("id"))] = str(one.get("name"))
            yield ClassEntry(text_of(one.get("id")), str(one.get("name")))
    last = ""
    for place, (kind, one) in enumerate(items(file, "annotations", "")):
        box = _box(one, place, categories)
        if not kind and box.ref != last:
            last = box.ref
            yield ImageEntry(last, last, is_number=True)
        is_coco = True
        yield box
    if not is_coco:
        raise file.unreadable("it has neither images nor annotations, as COCO's files have")


def _file_name(image: Mapping[str, Any]) -> str:
    """Return the path of an image; LVIS has its address alone."""
    return str(image.get("file_name") or urlsplit(str(image.get("coco_url") or "")).path.lstrip("/"))


def _box(one: Mapping[str, Any], place: int, categories: dict[str, str]) -> BoxRow:
    category = text_or_none(one.get("category_id"))
    box = _sides(one)
    attributes = {name: value for name, value in one.items() if name not in _IS_KNOWN}
    return BoxRow(
        text_of(one.get("image_id")),
        box or NOWHERE,
        label=categories.get(category, category) if category else None,
        score=one.get("score"),
        track_id=text_or_none(one.get("track_id")),
        own_id=text_or_none(one.get("id")),
        attributes=attributes_of({**attributes, "is_crowd": bool(one.get("iscrowd"))}),
        place=f"annotation {place}",
        problem=None if box else "the annotation has no bbox of four numbers",
    )


def _sides(one: Mapping[str, Any]) -> Box | None:
    """Return the box of an annotation, or that around its polygons where it has none; None where it has neither."""
    bbox = one.get("bbox")
    if isinstance(bbox, list) and len(bbox) == 4:
        x, y, width, height = (number_of(side) for side in bbox)
        return x, y, width, height
    outlines = one.get("segmentation")
    if bbox or not isinstance(outlines, list):
        return None
    numbers = [[number_of(side) for side in outline] for outline in outlines if isinstance(outline, list)]
    points = [point for outline in numbers for point in zip(outline[::2], outline[1::2], strict=False)]
    return around(points) if points else None


def _is_coco(_path: str, head: bytes) -> bool:
    start = start_of(head)
    if start.startswith(b"{"):
        return _MEMBER.search(start) is not None
    return start.startswith(b"[") and b'"bbox"' in start and b'"image_id"' in start


PLUGIN = BoxFormat("coco", (".json",), _is_coco, read_coco)
