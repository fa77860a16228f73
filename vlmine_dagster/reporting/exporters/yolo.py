"""Format `yolo`: a zip archive in the layout of Ultralytics YOLO, with the pictures."""

import csv
import io
import json
import zipfile
from pathlib import Path

from vlmine_dagster.reporting.exporters import UNLABELLED, Exported, ItemFacts, MinedList, Row, tags_of
from vlmine_dagster.reporting.exporters.coco import size_of


class YoloExporter:
    """Writes `data.yaml`, `images/ID.jpg`, `labels/ID.txt` for images with boxes, and `mined.csv` with the reasons.

    Labels lie under the name of the picture without its ending; where two images share that, their names keep it:
    `images/a.png.png` beside `images/a.jpg.jpg`.
    """

    name = "yolo"
    endings = ()

    def write(self, mined: MinedList, file: Path) -> Exported:
        """Write the list. A line of `labels` is a mined object; it holds no id, so crops keep ids where boxes do not.

        Raises:
            ConfigError: an image has no size, because it could not be read.
            MissingInputError: an image is gone from the dataset.
        """
        names = [*mined.class_names, UNLABELLED] if UNLABELLED not in mined.class_names else [*mined.class_names]
        lines: dict[str, list[str]] = {}
        rows, twins = [], mined.twins()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for row, facts, picture in mined.with_pictures():
                stem, dot, ending = picture.name.rpartition(".")
                name = f"{picture.name}{dot}{ending}" if stem in twins else picture.name
                if name not in lines:
                    lines[name] = []
                    archive.writestr(f"images/{name}", picture.data)
                if mined.has_boxes(row):
                    lines[name].append(_line(mined, row, facts, category=names.index(UNLABELLED)))
                rows.append({"file": f"images/{name}", "prediction": facts.prediction, **tags_of(row)})
            for name, boxes in lines.items():
                if boxes:
                    archive.writestr(labels_of(f"images/{name}"), "".join(boxes))
            archive.writestr("data.yaml", _data(names))
            archive.writestr("mined.csv", _table(mined, rows))
        return Exported(len(rows))


def labels_of(picture: str) -> str:
    """Return the file that holds the boxes of a picture: where Ultralytics looks for it, whatever the id is.

    Of the folders called `images` the last one becomes `labels`.

    Examples:
        >>> labels_of("images/shard-000/a.b.jpg"), labels_of("images/shard-000/images/a.jpg")
        ('labels/shard-000/a.b.txt', 'images/shard-000/labels/a.txt')
    """
    head, _, tail = f"/{picture}".rpartition("/images/")
    return f"{head}/labels/{tail.rpartition('.')[0]}.txt"[1:]


def _line(mined: MinedList, row: Row, facts: ItemFacts, *, category: int) -> str:
    """Return class, centre, width and height of a box, the last four as shares of the picture."""
    across, down = size_of(mined, row, facts)
    x, y, width, height = (float(row[side]) for side in ("x", "y", "width", "height"))
    shares = ((x + width / 2) / across, (y + height / 2) / down, width / across, height / down)
    return " ".join([str(category), *(f"{share:.6f}" for share in shares)]) + "\n"


def _data(names: list[str]) -> str:
    """Return data.yaml; JSON strings are YAML strings."""
    classes = "".join(f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for number, name in enumerate(names))
    return f"path: .\ntrain: images\nval: images\nnames:\n{classes}"


def _table(mined: MinedList, rows: list[dict[str, object]]) -> str:
    places = ("path", "x", "y", "width", "height")
    text = io.StringIO()
    writer = csv.DictWriter(
        text, ["file", *(name for name in mined.columns if name not in places), "prediction"], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


PLUGIN = YoloExporter()
