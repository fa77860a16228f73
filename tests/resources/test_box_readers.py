"""Box files that another library wrote, and its reading of files beside ours: globox knows most of the formats."""

from pathlib import Path

import numpy as np
import pytest
from globox import Annotation, AnnotationSet, BoundingBox
from PIL import Image
from test_boxes import column, images_table, sides, store, voc

from vlmine_dagster.resources.objects import Objects, object_rows

SIZES = {"tall.jpg": (90, 160), "wide.jpg": (200, 100)}
BOXES = {
    "tall.jpg": [("fire engine", 0, 0, 90, 160)],
    "wide.jpg": [("car", 10, 20, 40, 60), ("fire engine", 41.5, 5.25, 199, 99.5), ("car", 150, 30, 151, 31)],
}
CLASSES = ("car", "fire engine")


def theirs() -> AnnotationSet:
    found = AnnotationSet()
    for name, boxes in BOXES.items():
        given = [BoundingBox(label=label, xmin=a, ymin=b, xmax=c, ymax=d) for label, a, b, c, d in boxes]
        found.add(Annotation(name, image_size=SIZES[name], boxes=given))
    return found


def ours(folder: Path) -> Objects:
    images = images_table(SIZES)
    found = store(folder, {}).of_images("s", images.column("image_id").to_pylist())
    return object_rows(images, found.rows, min_size=0)


def expected(*, from_one: bool = False) -> list[tuple[float, ...]]:
    """The boxes as x, y, width, height; of corners that count from 1 the upper left one is a pixel further out."""
    found = []
    for name, boxes in sorted(BOXES.items()):
        width, height = SIZES[name]
        for _, left, top, right, bottom in boxes:
            edge = [max(side - from_one, 0) for side in (left, top)]
            found.append((*edge, min(right, width) - edge[0], min(bottom, height) - edge[1]))
    return found


@pytest.mark.parametrize("layout", ["coco", "yolo", "voc", "cvat", "open images", "labelme"])
def test_what_another_library_wrote_is_read_as_it_had_it(tmp_path, layout):
    folder = tmp_path / "boxes"
    folder.mkdir()
    written = theirs()
    if layout == "coco":
        written.save_coco(folder / "a.json", auto_ids=True)
    elif layout == "yolo":
        written.save_yolo_v5(folder, label_to_id={name: place for place, name in enumerate(CLASSES)})
        (folder / "classes.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    elif layout == "voc":
        written.save_pascal_voc(folder)
    elif layout == "cvat":
        written.save_cvat(folder / "a.xml")
    elif layout == "labelme":
        written.save_labelme(folder)
    else:
        written.save_openimage(folder / "a.csv")

    found = ours(tmp_path)

    np.testing.assert_allclose(sides(found), expected(from_one=layout == "voc"), atol=2e-3)
    assert column(found, "class_name") == ["fire engine", "car", "fire engine", "car"]
    assert set(column(found, "outcome")) == {"ok"}


def test_yolo_centres_are_where_another_reader_has_them(tmp_path):
    labels = {"tall": "1 .25 .75 .5 .25\n", "wide": "0 .123456 .4 .1 .7\n1 .9 .05 .2 .1\n"}
    store(tmp_path, {f"{name}.txt": text for name, text in labels.items()})
    for name, size in SIZES.items():
        Image.new("RGB", size).save(tmp_path / name)
    read = AnnotationSet.from_yolo_v5(tmp_path / "boxes", image_folder=tmp_path)

    found = ours(tmp_path)

    edges = [(box.xmin, box.ymin, box.width, box.height) for one in sorted(read, key=_name) for box in one.boxes]
    np.testing.assert_allclose(sides(found), edges, atol=2e-3)


def test_voc_corners_are_where_another_reader_has_them_but_for_the_first_pixel(tmp_path):
    boxes = [("car", (1, 1, 200, 100)), ("fire engine", (11, 21, 20.5, 25))]
    store(tmp_path, {"wide.xml": voc(*boxes, filename="wide.jpg")})
    (read,) = AnnotationSet.from_pascal_voc(tmp_path / "boxes")

    found = ours(tmp_path)

    edges = [(box.xmin - 1, box.ymin - 1, box.width + 1, box.height + 1) for box in read.boxes]
    np.testing.assert_allclose(sides(found), edges)


def _name(one: Annotation) -> str:
    return str(one.image_id)
