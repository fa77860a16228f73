"""Format `coco`: COCO's JSON, with one annotation per object and the reason and signals beside each image."""

import json
from pathlib import Path
from typing import Any

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.reporting.exporters import UNLABELLED, Exported, ItemFacts, MinedList, Row, item_id, tags_of


class CocoExporter:
    """Writes one JSON object: images, categories, and a box for each mined object."""

    name = "coco"
    endings = ()

    def write(self, mined: MinedList, file: Path) -> Exported:
        """Write the list; objects that share an image share its entry.

        Raises:
            ConfigError: an image has no size, because it could not be read.
        """
        names = [UNLABELLED, *(name for name in mined.class_names if name != UNLABELLED)]
        images: dict[str, dict[str, Any]] = {}
        annotations: list[dict[str, Any]] = []
        count = 0
        for row, facts in mined.with_facts():
            count += 1
            image = images.setdefault(mined.picture_id(row), _image(mined, row, facts, number=len(images) + 1))
            if mined.has_boxes(row):
                annotations.append(_annotation(row, facts, image=image["id"], number=len(annotations) + 1))
        document = {
            "info": {"description": "A list mined by vlmine"},
            "licenses": [],
            "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
            "images": list(images.values()),
            "annotations": annotations,
        }
        file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
        return Exported(count)


def _image(mined: MinedList, row: Row, facts: ItemFacts, *, number: int) -> dict[str, Any]:
    width, height = size_of(mined, row, facts)
    tags = {"prediction": facts.prediction, **tags_of(row)}
    return {"file_name": mined.file_name(row), "width": width, "height": height, **tags, "id": number}


def size_of(mined: MinedList, row: Row, facts: ItemFacts) -> tuple[int, int]:
    """Return width and height of a row's picture; a crop is as large as its box, without the margin around it.

    Raises:
        ConfigError: the image could not be read.
    """
    if mined.are_crops and row.get("object_id") is not None:
        return max(1, round(row["width"])), max(1, round(row["height"]))
    if facts.width is None or facts.height is None:
        raise ConfigError(f"{row['image_id']} has no size: it could not be read. Export as CSV, or fix the image.")
    return facts.width, facts.height


def _annotation(row: Row, facts: ItemFacts, *, image: int, number: int) -> dict[str, Any]:
    box = [row["x"], row["y"], row["width"], row["height"]]
    attributes = {"prediction": facts.prediction, **tags_of(row), "object_id": item_id(row)}
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": 0,
        "attributes": attributes,
    }


PLUGIN = CocoExporter()
