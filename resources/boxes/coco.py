"""COCO JSON, of any size: images, categories and annotations pass one by one, and none is kept."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from vlmine_dagster.resources.boxes.contract import (
    NOWHERE,
    BoxFile,
    BoxRow,
    ImageEntry,
    attributes_of,
    number_of,
    size_of,
    text_or_none,
)
from vlmine_dagster.resources.boxes.json_files import items, start_of
from vlmine_dagster.settings.objects import BoxFormat

_IS_KNOWN = {"id", "image_id", "category_id", "bbox", "segmentation", "score", "track_id", "iscrowd", "area"}


def read_coco(file: BoxFile) -> Iterator[BoxRow | ImageEntry]:
    """Yield images, then boxes. A list of detections has boxes alone: their image_id is taken as the image's name.

    The file is parsed twice, since categories may come after the annotations. Crowds (`iscrowd`) keep their box and are
    marked in the attributes; masks and polygons are passed over.
    """
    categories: dict[str, str] = {}
    for kind, one in items(file, "images", "categories"):
        if kind == "images":
            ref = str(one.get("id"))
            yield ImageEntry(ref, _file_name(one) or ref, size_of(one.get("width")), size_of(one.get("height")))
        else:
            categories[str(one.get("id"))] = str(one.get("name"))
    last = ""
    for place, (kind, one) in enumerate(items(file, "annotations", "")):
        box = _box(one, place, categories)
        if not kind and box.ref != last:
            last = box.ref
            yield ImageEntry(last, last)
        yield box


def _file_name(image: Mapping[str, Any]) -> str:
    """Return the path of an image; LVIS has its address alone."""
    return str(image.get("file_name") or urlsplit(str(image.get("coco_url") or "")).path.lstrip("/"))


def _box(one: Mapping[str, Any], place: int, categories: dict[str, str]) -> BoxRow:
    category = text_or_none(one.get("category_id"))
    bbox = one.get("bbox")
    sides = [number_of(side) for side in bbox] if isinstance(bbox, list) else []
    attributes = {name: value for name, value in one.items() if name not in _IS_KNOWN}
    return BoxRow(
        str(one.get("image_id")),
        (sides[0], sides[1], sides[2], sides[3]) if len(sides) == 4 else NOWHERE,
        label=categories.get(category, category) if category else None,
        score=one.get("score"),
        track_id=text_or_none(one.get("track_id")),
        own_id=text_or_none(one.get("id")),
        attributes=attributes_of({**attributes, "is_crowd": bool(one.get("iscrowd"))}),
        place=f"annotation {place}",
        problem=None if len(sides) == 4 else "the annotation has no bbox of four numbers",
    )


def _is_coco(_path: str, head: bytes) -> bool:
    start = start_of(head)
    if start.startswith(b"{"):
        return True
    return start.startswith(b"[") and b'"bbox"' in start and b'"image_id"' in start


PLUGIN = BoxFormat("coco", (".json",), _is_coco, read_coco)
