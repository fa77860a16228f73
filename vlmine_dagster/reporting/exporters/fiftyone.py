"""Format `fiftyone`: a zip archive that FiftyOne opens as a `LegacyFiftyOneDataset` (plain JSON), with the pictures."""

import json
import zipfile
from pathlib import Path
from typing import Any

from vlmine_dagster.reporting.exporters import UNLABELLED, Exported, ItemFacts, MinedList, Row, tags_of
from vlmine_dagster.reporting.exporters.coco import size_of


class FiftyOneExporter:
    """Writes `metadata.json`, `samples.json` and `data/ID.jpg`."""

    name = "fiftyone"
    endings = ()

    def write(self, mined: MinedList, file: Path) -> Exported:
        """Write the list: one sample per picture, one detection per mined object in it.

        Raises:
            ConfigError: an image with boxes has no size, because it could not be read.
            MissingInputError: an image is gone from the dataset.
        """
        samples: dict[str, dict[str, Any]] = {}
        count = 0
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for row, facts, picture in mined.with_pictures():
                count += 1
                if picture.name not in samples:
                    archive.writestr(f"data/{picture.name}", picture.data)
                    samples[picture.name] = _sample(row, facts, f"data/{picture.name}")
                if mined.has_boxes(row):
                    detections = samples[picture.name].setdefault("mined", {"_cls": "Detections", "detections": []})
                    detections["detections"].append(_detection(mined, row, facts))
            archive.writestr("metadata.json", json.dumps({"name": "mined", "media_type": "image"}))
            archive.writestr("samples.json", json.dumps({"samples": list(samples.values())}, ensure_ascii=False))
        return Exported(count)


def _sample(row: Row, facts: ItemFacts, path: str) -> dict[str, Any]:
    predicted = {} if facts.prediction is None else {"prediction": _label("Classification", facts.prediction)}
    return {"filepath": path, "tags": ["mined"], **tags_of(row), **predicted}


def _detection(mined: MinedList, row: Row, facts: ItemFacts) -> dict[str, Any]:
    across, down = size_of(mined, row, facts)
    box = [row["x"] / across, row["y"] / down, row["width"] / across, row["height"] / down]
    return {**_label("Detection", UNLABELLED), "bounding_box": box, **tags_of(row)}


def _label(kind: str, name: str) -> dict[str, Any]:
    return {"_cls": kind, "tags": [], "label": name}


PLUGIN = FiftyOneExporter()
