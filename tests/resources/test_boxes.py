"""Boxes of every format, moved into the pixels of upright pictures; nothing that is broken is lost."""

import io
import json
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.boxes.coco import read_coco
from vlmine_dagster.resources.boxes.contract import BoxFile, BoxRow
from vlmine_dagster.resources.boxes.files import BoxFiles
from vlmine_dagster.resources.boxes.store import BoxStore
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.objects import Objects, class_spellings, object_rows, unmatched_rows
from vlmine_dagster.resources.pictures import decode_picture, exif_orientation
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.settings.objects import BOX_FORMATS, ObjectSettings
from vlmine_dagster.settings.project import Project

WIDE = {"photo.jpg": (200, 100)}
"""Key and size of the one picture of most tests; never square."""

Content = Mapping[str, str | bytes]


def images_table(sizes: Mapping[str, tuple[int, int]], *, shard: str = "s", **outcomes: str) -> pa.Table:
    """Rows of `images` as far as objects read them."""
    return pa.table(
        {
            "image_id": [f"{shard}/{key}" for key in sizes],
            "sha256": [key.encode().hex() for key in sizes],
            "width": pa.array([width or None for width, _ in sizes.values()], pa.int32()),
            "height": pa.array([height or None for _, height in sizes.values()], pa.int32()),
            "sequence_id": pa.array([None] * len(sizes), pa.string()),
            "frame_index": pa.array([None] * len(sizes), pa.int64()),
            "timestamp_s": pa.array([None] * len(sizes), pa.float64()),
            "split": ["pool"] * len(sizes),
            "outcome": [outcomes.get(key, "ok") for key in sizes],
        }
    )


def store(folder: Path, content: Content, **settings: Any) -> BoxStore:
    """A store over some files of a folder `boxes`."""
    for path, text in content.items():
        file = folder / "boxes" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    chosen = ObjectSettings(**{"boxes": "boxes", **settings})
    files = BoxFiles(chosen, lambda path: str(folder / path), FingerprintCache())
    return BoxStore(files, folder / "store", Lake(str(folder / "lake"), scratch=folder / "scratch"))


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Objects]:
    """Read boxes of some files as objects of pictures of one shard."""

    def objects(
        content: Content, sizes: Mapping[str, tuple[int, int]] = WIDE, *, min_size: float = 0, **settings: Any
    ) -> Objects:
        images = images_table(sizes)
        found = store(tmp_path, content, **settings).of_images("s", images.column("image_id").to_pylist())
        return object_rows(images, found.rows, min_size=min_size)

    return objects


def sides(found: Objects) -> list[tuple[float, ...]]:
    """The boxes, rounded to thousandths of a pixel."""
    rows = found.rows.to_pylist()
    return [tuple(None if row[n] is None else round(row[n], 3) for n in ("x", "y", "width", "height")) for row in rows]


def column(found: Objects, name: str) -> list[Any]:
    return found.rows.column(name).to_pylist()


def coco(
    boxes: Sequence[Mapping[str, Any]], *, file_name: str = "photo.jpg", size: tuple[int, int] = (200, 100)
) -> str:
    image = {"id": 7, "file_name": file_name, "width": size[0], "height": size[1]}
    annotations = [{"id": 40 + place, "image_id": 7, "category_id": 1, **box} for place, box in enumerate(boxes)]
    return json.dumps(
        {
            "annotations": annotations,
            "images": [image],
            "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "van"}],
        }
    )


def test_coco_gives_what_pycocotools_gives_whatever_the_order_of_its_parts(read, tmp_path):
    from pycocotools.coco import COCO

    draw = np.random.default_rng(3)
    sizes = {f"{number:06d}.jpg": (int(60 + number), 40) for number in range(6)}
    images = [
        {"id": 100 + place, "file_name": name, "width": w, "height": h}
        for place, (name, (w, h)) in enumerate(sizes.items())
    ]
    annotations = []
    for number in range(60):
        x, y, w, h = (round(float(side), 2) for side in draw.uniform([0, 0, 1, 1], [30, 20, 25, 15]))
        crowd = (
            {"iscrowd": 1, "segmentation": {"counts": [5, 5], "size": [40, 60]}} if number % 7 == 0 else {"iscrowd": 0}
        )
        where = {"id": 1000 + number, "image_id": 100 + number % 6, "category_id": 1 + number % 3}
        annotations.append({**where, "bbox": [x, y, w, h], "area": w * h, **crowd})
    categories = [{"id": number, "name": f"class {number}"} for number in (1, 2, 3)]
    text = json.dumps({"annotations": annotations, "categories": categories, "images": images})
    (tmp_path / "reference.json").write_text(text)
    reference = COCO(tmp_path / "reference.json")

    found = read({"instances.json": text}, sizes)

    expected = {
        f"s/{reference.loadImgs(one['image_id'])[0]['file_name']}#{one['id']}": (
            tuple(one["bbox"]),
            reference.loadCats(one["category_id"])[0]["name"],
            bool(one["iscrowd"]),
        )
        for one in reference.loadAnns(reference.getAnnIds())
    }
    got = {
        row["object_id"]: (box, row["class_name"], json.loads(row["attributes"] or "{}").get("is_crowd", False))
        for row, box in zip(found.rows.to_pylist(), sides(found), strict=True)
    }
    assert got == expected
    assert set(column(found, "outcome")) == {"ok"}


def test_numbers_that_a_spreadsheet_made_of_ids_mean_the_same_in_coco(read):
    boxes = [{"bbox": [10, 20, 30, 40], "image_id": 7.0, "category_id": 2.0}]

    assert column(read({"a.json": coco(boxes)}), "class_name") == ["van"]


def test_a_coco_annotation_without_a_box_has_that_of_its_polygons(read):
    outlines = [[10, 20, 40, 20, 40, 60], [35, 30, 50, 30, 50, 40]]

    found = read({"a.json": coco([{"bbox": [], "segmentation": outlines}, {"segmentation": {"counts": "x"}}])})

    assert sides(found) == [(10, 20, 40, 40), (None,) * 4]


def test_yolo_counts_in_shares_of_both_sides_from_the_centre(read):
    found = read(
        {
            "labels/photo.txt": "1 .5 .5 .1 .4\n0 .25 .3 .5 .2 .875\n0 .1 .2 .3 .2 .3 .6\n9 .5 .5 .2\n",
            "data.yaml": "names: {0: car, 1: fire engine}\n",
            "README.txt": "made by hand",
        }
    )

    assert sides(found) == [(90, 30, 20, 40), (0, 20, 100, 20), (20, 20, 40, 40), (None,) * 4]
    assert column(found, "class_name") == ["fire engine", "car", "car", "9"]
    assert column(found, "score") == [None, 0.875, None, None]
    assert column(found, "outcome") == ["ok", "ok", "ok", "bad_box"]
    assert "4 numbers, expected 5" in column(found, "failure")[3]
    assert column(found, "origin")[1] == "labels/photo.txt: line 2"


@pytest.mark.parametrize(
    ("line", "shape", "score", "track"),
    [
        ("0 .5 .5 .1 .4 .91 17", "", 0.91, "17"),
        ("0 .5 .5 .1 .4 .91 1", "", 0.91, "1"),
        ("0 .5 .5 .1 .4 17", "", None, "17"),
        ("0 .5 .5 .1 .4 1", "", 1.0, None),
        ("0 .5 .5 .1 .4 .3 .3 2 .4 .4 0 .6 .6 1", "", None, None),
        ("0 .5 .5 .1 .4 .3 .3 .4 .4", "kpt_shape: [2, 2]", None, None),
    ],
)
def test_yolo_boxes_of_trackers_and_with_keypoints_are_no_polygons(read, line, shape, score, track):
    found = read({"photo.txt": line, "data.yaml": f"names: [car]\n{shape}"})

    assert sides(found) == [(90, 30, 20, 40)]
    assert (column(found, "score"), column(found, "track_id")) == ([score], [track])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"classes.txt": "car\nvan\n"}, "van"),
        ({"obj.names": "car\nvan\n"}, "van"),
        ({"data.yaml": "names: [car, van]"}, "van"),
        ({"data.yaml": "names: parts.txt", "parts.txt": "car\nvan\n"}, "van"),
        ({}, "1"),
    ],
)
def test_yolo_takes_class_names_from_the_usual_files(read, names, expected):
    assert column(read({"photo.txt": "1 0.5 0.5 0.2 0.2", **names}), "class_name") == [expected]


def voc(*objects: tuple[str, Sequence[float]], size: tuple[int, int] = (200, 100), filename: str = "photo.jpg") -> str:
    boxes = "".join(
        f"<object><name>{name}</name><difficult>1</difficult><bndbox><xmin>{c[0]}</xmin><ymin>{c[1]}</ymin>"
        f"<xmax>{c[2]}</xmax><ymax>{c[3]}</ymax></bndbox></object>"
        for name, c in objects
    )
    width, height = size
    return (
        f"<annotation><filename>{filename}</filename><size><width>{width}</width><height>{height}</height></size>"
        f"{boxes}</annotation>"
    )


def test_voc_counts_from_1_and_includes_both_corners(read):
    whole, inner = ("car", (1, 1, 200, 100)), ("van", (11, 21, 20, 25))

    found = read({"Annotations/photo.xml": voc(whole, inner, filename="an-older-name.jpg")})

    assert sides(found) == [(0, 0, 200, 100), (10, 20, 10, 5)]
    assert column(found, "class_name") == ["car", "van"]
    assert json.loads(column(found, "attributes")[0]) == {"difficult": True}


def test_voc_boxes_that_are_turned_become_upright_and_any_encoding_is_read(read):
    turned = "<cx>100</cx><cy>50</cy><w>40</w><h>20</h><angle>1.5707963267948966</angle>"
    text = f"<annotation><object><name>\u732b</name><robndbox>{turned}</robndbox></object></annotation>"

    found = read({"photo.xml": f'<?xml version="1.0" encoding="gbk"?>{text}'.encode("gbk")})

    assert sides(found) == [(90, 30, 20, 40)]
    assert column(found, "class_name") == ["\u732b"]


def test_a_voc_file_with_entities_is_not_parsed(read):
    found = read({"photo.xml": "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>"})

    assert column(found, "outcome") == ["bad_box"]
    assert "declares a document type" in column(found, "failure")[0]


def test_a_damaged_voc_file_takes_no_other_image_down(read):
    files = {"photo.xml": voc(("car", (11, 21, 40, 60))), "other.xml": "<annotation><object>"}

    found = read(files, {**WIDE, "other.jpg": (200, 100)})

    assert dict(zip(column(found, "image_id"), column(found, "outcome"), strict=True)) == {
        "s/photo.jpg": "ok",
        "s/other.jpg": "bad_box",
    }
    assert column(found, "failure")[0].startswith("other.xml cannot be read as boxes: it is not XML: no element found")


def test_label_studio_counts_in_percent_and_turns_boxes_around_their_corner(read):
    frame = {"original_width": 200, "original_height": 100, "type": "rectanglelabels"}
    results = [
        {"id": "a", **frame, "value": {"x": 10, "y": 20, "width": 5, "height": 40, "rectanglelabels": ["car"]}},
        {
            "id": "b",
            **frame,
            "value": {"x": 50, "y": 20, "width": 20, "height": 10, "rotation": 90, "rectanglelabels": ["van"]},
        },
        {
            "id": "c",
            **frame,
            "type": "polygonlabels",
            "value": {"points": [[10, 10], [20, 10], [20, 40]], "polygonlabels": ["car"]},
        },
        {"id": "d", **frame, "type": "brushlabels", "value": {"rle": [1, 2], "brushlabels": ["car"]}},
        {"id": "e", "type": "choices", "value": {"choices": ["street"]}},
    ]
    older = {"updated_at": "2024", "result": [{**results[0], "id": "old"}]}
    cancelled = {"updated_at": "2026", "was_cancelled": True, "result": [{**results[0], "id": "no"}]}
    task = {
        "id": 3,
        "data": {"image": "/data/local-files/?d=pool/photo.jpg"},
        "annotations": [older, {"updated_at": "2025", "result": results}, cancelled],
    }

    found = read({"export.json": json.dumps([task])})

    # (100, 20) is the pivot of the second: 40 px to the right become 40 px down, 10 px down become 10 px to the left.
    assert sides(found) == [(20, 20, 10, 40), (90, 20, 10, 40), (20, 10, 20, 30), (None,) * 4]
    assert column(found, "object_id") == [f"s/photo.jpg#{name}" for name in "abcd"]
    assert "brushlabels gives no box" in column(found, "failure")[3]


@pytest.mark.parametrize("more", [{}, {"annotations": []}])
def test_label_studio_tasks_with_predictions_alone_have_their_boxes(read, more):
    value = {"x": 10, "y": 20, "width": 5, "height": 40, "rectanglelabels": ["car"]}
    result = {"type": "rectanglelabels", "original_width": 200, "original_height": 100, "value": value}
    task = {"data": {"image": "photo.jpg"}, "predictions": [{"score": 0.75, "result": [result]}], **more}

    found = read({"tasks.json": json.dumps([task])})

    assert sides(found) == [(20, 20, 10, 40)]
    assert (column(found, "class_name"), column(found, "score")) == (["car"], [0.75])


def test_labelme_shapes_become_boxes_of_the_image_beside_their_file(read):
    shapes = [
        {
            "label": "car",
            "points": [[40, 60], [10, 20]],
            "shape_type": "rectangle",
            "flags": {"far": True, "near": False},
        },
        {"label": "van", "points": [[10, 20], [40, 20], [40, 60]], "shape_type": "polygon", "group_id": 3},
        {"label": "wheel", "points": [[50, 50], [50, 40]], "shape_type": "circle"},
        {"label": "gone", "points": [], "shape_type": "polygon"},
    ]
    content = {"version": "5", "shapes": shapes, "imagePath": "../old.jpg", "imageWidth": 200, "imageHeight": 100}
    files = {"photo.json": json.dumps(content), "other.json": '{"shapes": [', "third.json": '{"shapes": [3]}'}

    found = read(files, {"other.jpg": (200, 100), **WIDE, "third.jpg": (200, 100)})

    box = (10, 20, 30, 40)
    assert sides(found)[1:5] == [box, box, (40, 40, 20, 20), (None,) * 4]
    assert column(found, "class_name")[1:5] == ["car", "van", "wheel", "gone"]
    assert json.loads(column(found, "attributes")[1]) == {"far": True}
    assert [one and one.partition(":")[0] for one in column(found, "failure")] == [
        "other.json cannot be read as boxes", None, None, None, "a polygon without points gives no box",
        "third.json cannot be read as boxes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("points", "box"),
    [
        ([[40, 60, 1], [10, 20, 1]], (10, 20, 30, 40)),  # with a depth
        ([["40", "60"], ["10", "20"]], (10, 20, 30, 40)),
        ([[None, 60], [10, 20]], None),
        ([[40], [10, 20]], None),
        ("oops", None),
        (None, None),
    ],
)
def test_points_of_labelme_that_are_none_cost_that_shape_alone(read, points, box):
    shapes = [{"label": "car", "points": points, "shape_type": "rectangle", "flags": [True]}]
    files = {"photo.json": json.dumps({"shapes": [*shapes, {"label": "van", "points": [[1, 2], [3, 5]]}]})}
    found = read(files)
    assert column(found, "outcome") == ["ok" if box else "bad_box", "ok"]
    assert sides(found)[1] == (1, 2, 2, 3)
    assert box is None or sides(found)[0] == box


def test_what_a_reader_did_not_foresee_names_the_file_and_the_format(read, monkeypatch):
    def broken(_file: BoxFile) -> Iterator[BoxRow]:
        yield from (BoxRow("photo", (1.0,) * 4, label=["car"][place]) for place in range(2))

    known = replace(BOX_FORMATS.get("voc"), read=broken)
    monkeypatch.setattr(BoxFiles, "_format_of", lambda _files, _file: known)
    with pytest.raises(SourceError, match=r"boxes/a\.xml cannot be read as boxes: as voc .*IndexError"):
        read({"a.xml": voc(("car", (1, 1, 9, 9)))})


def test_cvat_has_images_turned_boxes_and_tracks_without_the_frames_outside(read):
    text = """<?xml version="1.0"?><annotations><version>1.1</version>
      <image id="0" name="photo.jpg" width="200" height="100">
        <box label="car" xtl="10" ytl="20" xbr="40" ybr="30" occluded="1"><attribute name="colour">red</attribute></box>
        <box label="van" xtl="80" ytl="40" xbr="120" ybr="60" rotation="90" occluded="0"/>
        <polygon label="van" points="1,2;5,2;5,9"/><tag label="night"/>
      </image>
      <track id="4" label="bus">
        <box frame="0" outside="0" xtl="1" ytl="2" xbr="31" ybr="42" occluded="0" keyframe="1"/>
        <box frame="5" outside="0" xtl="2" ytl="2" xbr="32" ybr="42" occluded="0" keyframe="0"/>
        <box frame="6" outside="1" xtl="2" ytl="2" xbr="32" ybr="42" occluded="0" keyframe="1"/>
      </track></annotations>"""

    found = read({"export.xml": text}, {**WIDE, "frame_000005.png": (200, 100), "frame_000006.png": (200, 100)})

    assert sides(found) == [(2, 2, 30, 40), (10, 20, 30, 10), (90, 30, 20, 40), (1, 2, 4, 7), (1, 2, 30, 40)]
    assert column(found, "track_id") == ["4", None, None, None, "4"]
    assert column(found, "object_id")[0] == "s/frame_000005.png#t4"
    assert json.loads(column(found, "attributes")[1]) == {"colour": "red", "occluded": True}


def test_cvat_shapes_become_the_smallest_upright_boxes_around_them(read):
    sides_of_cuboid = " ".join(
        f'x{corner}="{x}" y{corner}="{y}"'
        for corner, x, y in (
            *(("tl1", 10, 10), ("bl1", 10, 50), ("tr1", 40, 10), ("br1", 40, 50)),
            *(("tl2", 60, 12), ("bl2", 60, 48), ("tr2", 50, 12), ("br2", 50, 48)),
        )
    )
    text = f"""<annotations><image id="0" name="photo.jpg" width="200" height="100">
        <mask label="m" rle="3, 4" left="10" top="20" width="30" height="25"/>
        <ellipse label="e" cx="50" cy="50" rx="20" ry="10" rotation="90"/>
        <skeleton label="s"><points outside="0" points="10,10"/><points outside="1" points="0,0"/>
          <points outside="0" points="50,70"/></skeleton>
        <cuboid label="c" {sides_of_cuboid}/>
        <points label="p" points="30,30"/><sphere label="q"/>
      </image></annotations>"""

    found = read({"export.xml": text})

    assert sides(found) == [(10, 20, 30, 25), (40, 30, 20, 40), (10, 10, 40, 60), (10, 10, 50, 40), (None,) * 4]
    assert "it has no area" in column(found, "failure")[4]


TABLE = {
    "image_id": ["photo.jpg", "photo.jpg"],
    "x": [1.5, 8.0],
    "y": [2.0, 9.0],
    "width": [30.0, 5.0],
    "height": [20.0, 6.0],
    "label": ["car", None],
    "score": [0.75, float("nan")],
    "weather": ["rain", None],
}


def test_tables_are_read_from_parquet_and_from_text_alike(read, tmp_path):
    file = tmp_path / "boxes" / "detected.parquet"
    file.parent.mkdir()
    pq.write_table(pa.table(TABLE), file)
    parquet = read({})
    file.unlink()
    text = "image_id;x;y;width;height;label;score;weather\nphoto.jpg;1.5;2;30;20;car;0.75;rain\nphoto.jpg;8;9;5;6;;;\n"

    found = read({"detected.csv": "\ufeff" + text})

    assert sides(parquet) == sides(found) == [(1.5, 2, 30, 20), (8, 9, 5, 6)]
    for name in ("object_id", "class_name", "score", "attributes", "sha256"):
        assert column(parquet, name) == column(found, name)
    assert column(found, "attributes") == ['{"weather": "rain"}', None]
    assert column(found, "score") == [0.75, None]


def test_a_table_of_edges_may_hold_the_size_of_the_picture_beside_them(read):
    text = "filename,width,height,class,xmin,ymin,xmax,ymax\nphoto.jpg,200,100,car,10,20,40,60\n"

    assert sides(read({"train.csv": text})) == [(10, 20, 30, 40)]


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("image_id,xcenter,ycenter,width,height,class,name", "photo.jpg,25,40,30,40,0,car", (10, 20, 30, 40)),
        ("image_id,width,height,bbox,label", 'photo.jpg,200,100,"[10.0, 20, 3e1, 40]",car', (10, 20, 30, 40)),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax", "photo,car,0.05,0.2,0.2,0.6", (10, 20, 30, 40)),
        ("image,label_name,bbox_x,bbox_y,bbox_width,bbox_height", "photo.jpg,car,10,20,30,40", (10, 20, 30, 40)),
        ("image_id,x,y,width,height,label", "photo.jpg,0,0,1,1,car", (0, 0, 1, 1)),
    ],
)
def test_tables_of_other_tools_are_read_by_what_they_call_their_columns(read, header, row, expected):
    found = read({"boxes.csv": f"{header}\n{row}\n"})

    assert sides(found) == [expected]
    assert column(found, "class_name") == ["car"]


def test_a_parquet_column_of_lists_is_read_as_boxes(read, tmp_path):
    (tmp_path / "boxes").mkdir()
    rows = {"image_id": ["photo.jpg", "photo.jpg"], "bbox": [[10.0, 20.0, 30.0, 40.0], [1.0, 2.0]]}
    pq.write_table(pa.table(rows), tmp_path / "boxes" / "a.parquet")

    found = read({})

    assert sides(found) == [(10, 20, 30, 40), (None,) * 4]
    assert column(found, "outcome") == ["ok", "bad_box"]


def test_columns_of_other_names_are_mapped_and_missing_ones_are_named(read):
    text = "frame,x,y,width,height,kind\nphoto.jpg,1,2,30,40,car\n"

    found = read({"a.csv": text}, columns={"image_id": "frame", "label": "kind"})

    assert column(found, "class_name") == ["car"]
    with pytest.raises(
        SourceError, match=r"a\.csv: no column image_id\. There are: frame, x, y, width, height, kind\."
    ):
        read({"a.csv": text})


def shape_in_picture(orientation: int, *, declared: str) -> tuple[pa.Table, dict[str, int], Image.Image]:
    """A white rectangle (30, 10, 20, 40) in a stored picture of 120 x 80: its box, its orientation, it upright."""
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[10:50, 30:50] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, exif=exif)
    upright = decode_picture(file.getvalue(), max_pixels=10**6)
    size = (120, 80) if declared == "stored" else upright.size
    rows = pa.table(
        {
            "image_id": ["s/photo.jpg"], "origin": ["a: 1"], "declared_width": [float(size[0])],
            "declared_height": [float(size[1])], "x": [30.0], "y": [10.0], "width": [20.0], "height": [40.0],
            "label": ["car"], "score": pa.array([None], pa.float64()), "track_id": pa.array([None], pa.string()),
            "own_id": pa.array([None], pa.string()), "is_relative": [False],
            "attributes": pa.array([None], pa.string()), "problem": pa.array([None], pa.string()),
        }
    )  # fmt: skip
    return rows, {"s/photo.jpg": exif_orientation(file.getvalue(), max_pixels=10**6)}, upright


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_box_of_a_picture_lying_down_is_turned_with_it(orientation):
    boxes, tags, upright = shape_in_picture(orientation, declared="stored")

    found = object_rows(images_table({"photo.jpg": upright.size}), boxes, min_size=0, orientations=lambda _images: tags)

    x, y, width, height = map(int, sides(found)[0])
    light = np.asarray(upright.convert("L")) > 128
    assert (width, height) == (40, 20)
    assert light[y : y + height, x : x + width].mean() > 0.99
    assert light.sum() == pytest.approx(40 * 20, abs=40)  # nothing of the rectangle is elsewhere
    assert found.other_sizes == []


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_box_of_an_upright_picture_stays(orientation):
    boxes, tags, upright = shape_in_picture(orientation, declared="upright")

    found = object_rows(images_table({"photo.jpg": upright.size}), boxes, min_size=0, orientations=lambda _images: tags)

    assert sides(found) == [(30, 10, 20, 40)]


def test_a_declared_size_that_the_picture_never_had_is_told_and_the_box_stays(read):
    found = read({"a.json": coco([{"bbox": [10, 20, 30, 40]}], size=(100, 50))})

    assert sides(found) == [(10, 20, 30, 40)]
    assert found.other_sizes == ["s/photo.jpg (100 x 50 in the box file, 200 x 100 in truth)"]


def test_every_broken_box_is_a_row_that_says_why(read):
    whole, outside = [[10, 20, 30, 40], [190, 90, 30, 40]], [[300, 20, 5, 5], [-20, 5, 20, 5]]
    broken = [[10, 10, -5, 5], [10, 10, 0, 5], [10, None, 5, 5], [10, 10, 5]]
    boxes = [*whole, *outside, *broken, [50, 50, 8, 30]]

    found = read({"a.json": coco([{"bbox": box} for box in boxes])}, min_size=10)

    whole = [(10, 20, 30, 40), (190, 90, 10, 10)]
    assert sides(found) == [*whole, *[(None,) * 4] * 6, (50, 50, 8, 30)]
    assert column(found, "outcome") == ["ok", "ok", *["bad_box"] * 6, "too_small"]
    assert column(found, "failure") == [
        None,
        None,
        "it is outside the picture: x 300, y 20, width 5, height 5 in a picture of 200 x 100",
        "it is outside the picture: x -20, y 5, width 20, height 5 in a picture of 200 x 100",
        "it is inverted: x 10, y 10, width -5, height 5 in a picture of 200 x 100",
        "it has no area: x 10, y 10, width 0, height 5 in a picture of 200 x 100",
        "a side is not a number: x 10, y nan, width 5, height 5 in a picture of 200 x 100",
        "the annotation has no bbox of four numbers",
        "its shorter side has 8 pixels, under 10",
    ]
    assert json.loads(column(found, "attributes")[1]) == {"box_in_file": [190, 90, 30, 40]}


def test_boxes_of_an_image_that_cannot_be_read_have_its_outcome(tmp_path):
    images = images_table({"photo.jpg": (0, 0)}, **{"photo.jpg": "corrupt"})
    boxes = store(tmp_path, {"photo.txt": "0 0.5 0.5 0.2 0.2"}).of_images("s", ["s/photo.jpg"])

    found = object_rows(images, boxes.rows, min_size=16)

    assert column(found, "outcome") == ["corrupt"]
    assert sides(found) == [(None,) * 4]


@pytest.mark.parametrize(
    "name",
    [
        "s/street/é 07.jpg",
        "street/é 07.jpg",
        "é 07.jpg",
        "é 07",
        "street/e\u0301 07",
        r"C:\pool\street\é 07.png",
        "https/street/%C3%A9%2007.jpg",
    ],
)
def test_an_image_is_found_by_any_name_that_a_tool_gives_it(read, name):
    sizes = {"street/é 07.jpg": (200, 100), "street/é 08.jpg": (200, 100)}

    found = read({"a.json": coco([{"bbox": [1, 2, 30, 40]}], file_name=name)}, sizes)

    assert column(found, "image_id") == ["s/street/é 07.jpg"]


def test_names_of_no_image_and_of_several_are_rows_too(tmp_path):
    boxed = ("a/1.jpg,1,2,30,40", "1.jpg,1,2,30,40", "1.jpg,5,2,30,40", "gone.jpg,1,2,30,40", "b/2.jpg,,,,")
    text = "\n".join(["image_id,x,y,width,height", *boxed])
    boxes = store(tmp_path, {"a.csv": text})
    pool = {"s": ["s/a/1.jpg", "s/b/1.jpg"], "t": ["t/b/2.jpg", "t/b/3.jpg"]}

    rows = unmatched_rows(boxes.unmatched(pool)).to_pylist()
    shard = boxes.of_images("s", pool["s"])
    found = object_rows(images_table({"a/1.jpg": (200, 100), "b/1.jpg": (200, 100)}), shard.rows, min_size=0)

    assert [(row["name"], row["box_count"], row["outcome"]) for row in rows] == [
        ("1.jpg", 2, "bad_box"),
        ("gone.jpg", 1, "bad_box"),
    ]
    assert "fits 2 images, such as s/a/1.jpg and s/b/1.jpg" in rows[0]["failure"]
    assert column(found, "outcome") == ["ok", *["bad_box"] * 4]
    assert boxes.of_images("t", pool["t"]).annotated == {"t/b/2.jpg"}


def test_a_box_of_an_image_that_its_file_does_not_list_is_no_box_of_an_image_of_that_number(tmp_path):
    boxes = store(tmp_path, {"a.json": coco([{"bbox": [1, 2, 3, 4], "image_id": 12}])})

    names = [row["name"] for row in boxes.unmatched({"s": ["s/photo.jpg", "s/000012.jpg"]}).to_pylist()]

    assert names == ["12 (an image that its file does not list)"]


@pytest.mark.parametrize("order", [("a.json", "b.json"), ("b.json", "a.json")])
def test_numbers_in_a_list_of_detections_mean_what_a_file_of_images_says(read, order):
    found = [
        {"image_id": 7, "category_id": 2, "bbox": [10, 20, 30, 40], "score": 0.5},
        {"image_id": 7, "category_id": 9, "bbox": [60, 20, 30, 40], "score": 0.25},
        {"image_id": 8, "category_id": 2, "bbox": [60, 20, 30, 40], "score": 0.25},
    ]
    listed, detected = order

    rows = read({listed: coco([]), detected: json.dumps(found)})

    assert column(rows, "image_id") == ["s/photo.jpg"] * 2
    assert column(rows, "class_name") == ["van", "9"]
    assert column(rows, "origin") == [f"{detected}: annotation 0", f"{detected}: annotation 1"]


def test_numbers_of_detections_that_two_files_explain_otherwise_stay_numbers(read, tmp_path):
    other = coco([], file_name="other.jpg").replace("van", "bus")
    found = [{"image_id": 7, "category_id": 2, "bbox": [10, 20, 30, 40], "score": 0.5}]

    rows = read({"a.json": coco([]), "b.json": other, "c.json": json.dumps(found)}, {"7.jpg": (200, 100), **WIDE})

    assert column(rows, "image_id") == ["s/7.jpg"]
    assert column(rows, "class_name") == ["2"]


def test_two_files_that_disagree_keep_both_boxes_and_those_that_agree_one(read):
    one = coco([{"bbox": [10, 20, 30, 40]}, {"bbox": [60, 20, 30, 40]}])
    two = coco([{"bbox": [10, 20, 30, 40], "id": 90}, {"bbox": [60, 20, 30, 40], "id": 91, "category_id": 2}])

    found = read({"one.json": one, "two.json": two})

    assert dict(zip(column(found, "object_id"), column(found, "outcome"), strict=True)) == {
        "s/photo.jpg#40": "ok", "s/photo.jpg#41": "ok", "s/photo.jpg#90": "bad_box", "s/photo.jpg#91": "ok",
    }  # fmt: skip
    assert column(found, "failure")[2] == "it repeats a box of the same class (one.json: annotation 0)"
    assert found.disagreements == [
        "s/photo.jpg: 'car' in one.json: annotation 1, 'van' in two.json: annotation 1, the same box"
    ]


def test_an_object_keeps_its_id_and_its_hash_when_its_file_is_written_in_another_order(read):
    boxes = [{"bbox": [10, 20, 30, 40], "id": 5}, {"bbox": [60, 20, 30, 40], "id": 6}]

    first = read({"a.json": coco(boxes)}).rows.select(["object_id", "x", "sha256"])
    second = read({"a.json": coco(boxes[::-1])}).rows.select(["object_id", "x", "sha256"])

    assert first.equals(second)
    assert first.column("object_id").to_pylist() == ["s/photo.jpg#5", "s/photo.jpg#6"]


def test_ids_that_two_files_share_are_told_apart(read):
    found = read({"a.json": coco([{"bbox": [1, 2, 30, 40]}]), "b.json": coco([{"bbox": [61, 2, 30, 40]}])})

    assert column(found, "object_id") == ["s/photo.jpg#40", "s/photo.jpg#40~2"]


def test_a_class_that_is_spelled_in_two_ways_is_told(tmp_path):
    text = "image_id,x,y,width,height,label\na,1,2,3,4,fire engine\na,1,2,3,5,Fire_Engine\na,1,2,3,6,car\n"

    assert class_spellings(store(tmp_path, {"a.csv": text}).class_counts()) == ["'Fire_Engine' (1), 'fire engine' (1)"]


def test_a_hundred_thousand_boxes_in_one_image(tmp_path):
    count = 100_000
    place = np.arange(count, dtype=np.float64)
    file = tmp_path / "boxes" / "many.parquet"
    file.parent.mkdir()
    pq.write_table(
        pa.table(
            {
                "image_id": ["photo.jpg"] * count,
                "x": place % 1000,
                "y": place // 1000,
                "width": place % 7,
                "height": [3.0] * count,
            }
        ),
        file,
    )
    boxes = store(tmp_path, {}).of_images("s", ["s/photo.jpg"])

    found = object_rows(images_table({"photo.jpg": (2000, 100)}), boxes.rows, min_size=2)

    assert found.rows.num_rows == count == len(set(column(found, "object_id")))
    outcomes = column(found, "outcome")
    assert outcomes.count("bad_box") == np.sum(place % 7 == 0)
    assert outcomes.count("too_small") == np.sum(place % 7 == 1) + np.sum((place % 7 >= 2) & (place // 1000 > 98))


def test_a_coco_file_of_any_size_is_read_with_the_memory_of_a_small_one():
    def chunks(count: int) -> "Any":
        yield b'{"info": {}, "annotations": ['
        for number in range(count):
            comma = b"," if number else b""
            polygon = json.dumps([[0.5] * 20]).encode()
            yield comma + b'{"id": %d, "image_id": 1, "bbox": [1, 2, 3, 4], "segmentation": %s}' % (number, polygon)
        yield b'], "images": [{"id": 1, "file_name": "a.jpg"}], "categories": []}'

    def peak(count: int) -> int:
        @contextmanager
        def opened() -> "Any":
            parts = chunks(count)
            yield type("Stream", (), {"read": lambda _self, _size: next(parts, b"")})()

        tracemalloc.start()
        rows = sum(
            isinstance(one, BoxRow) for one in read_coco(BoxFile("a.json", "a.json", opened, lambda _path: None))
        )
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows == count
        return used

    assert peak(5000) < 1.5 * peak(500) + 100_000


@pytest.mark.parametrize("name", ["it's 100%? [a]*", "a=b"])
def test_a_store_works_in_a_folder_of_any_name(tmp_path, name):
    boxes = store(tmp_path / name, {"a.csv": "image_id,x,y,width,height,label\nphoto.jpg,1,2,30,40,car\n"})

    assert boxes.of_images("s", ["s/photo.jpg"]).rows.num_rows == 1
    assert store(tmp_path / name, {"b.csv": "image_id,x,y,width,height\nphoto.jpg,1,2,30,40\n"}).class_counts() == {
        "car": 1
    }


def test_files_are_read_once_and_again_when_one_changes(tmp_path):
    content = {"a.json": coco([{"bbox": [1, 2, 30, 40]}])}
    store(tmp_path, content).class_counts()
    (before,) = (tmp_path / "store").glob("*-boxes.parquet")
    written = before.stat().st_mtime_ns

    store(tmp_path, {}).class_counts()

    assert before.stat().st_mtime_ns == written
    assert store(tmp_path, {"a.json": coco([])}).class_counts() == {}
    assert [file.name for file in (tmp_path / "store").glob("*-boxes.parquet")] != [before.name]
    assert len(list((tmp_path / "store").glob("*.parquet"))) == 2


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        ({}, {"boxes": "nowhere"}, r"no file or folder .*nowhere\. Correct objects\.boxes"),
        ({"a.md": ""}, {}, r"no file ends in \.csv"),
        ({"a.json": '"text"'}, {}, r"no file in it is of a known format of boxes \(coco, "),
        ({"a.json": '{"images": [{"id": 1}'}, {}, r"a\.json cannot be read as boxes: it is not JSON, or is truncated"),
        ({"a.json": '[{"data": {}}'}, {}, r"a\.json cannot be read as boxes: it is not JSON, or is truncated"),
        ({"a.json": '{"categories": {}, "items": []}'}, {}, "it has neither images nor annotations, as COCO's files"),
        ({"a.json": '[{"image": "a", "x": [{"id": 1}]}]'}, {}, "item 1 has neither id nor data"),
        (
            {"a.json": '{"_via_settings": {}}'},
            {},
            r"no file in it is of a known format .*; a table starts with the names of",
        ),
        ({"a.json": '[{"name": "a", "labels": []}]'}, {}, "no file in it is of a known format"),
        (
            {"a.txt": "0 .5 .5 .1 .1", "data.yaml": "names: {car: 0}"},
            {},
            "Expected a list of names, or a name by numbe",
        ),
        ({"a.txt": "0 .5 .5 .1 .1", "data.yaml": "names: b.txt"}, {}, r"there is no file b\.txt beside it"),
        ({"a.xml": "<annotations><image>"}, {}, r"a\.xml cannot be read as boxes: it is not XML, or is truncated"),
        ({"a.xml": "<annotations><!DOCTYPE a [<!ENTITY b 'c'>]></annotations>"}, {}, "declares a document type"),
        ({"a.txt": "0 .5 .5 .1 .1", "data.yaml": "names: ["}, {}, r"the class names in data\.yaml cannot be read"),
    ],
)
def test_files_that_cannot_be_read_are_named_with_the_reason(tmp_path, content, settings, message):
    (tmp_path / "boxes").mkdir()
    with pytest.raises(SourceError, match=message):
        store(tmp_path, content, **settings).class_counts()


def test_a_file_behind_a_link_is_known_by_the_name_of_the_link(tmp_path: Path):
    snapshot, blob = tmp_path / "snapshots" / "abc", tmp_path / "blobs" / "0123456789abcdef"
    snapshot.mkdir(parents=True)
    blob.parent.mkdir()
    blob.write_text('{"images": [], "annotations": [], "categories": []}')
    (snapshot / "boxes.json").symlink_to("../../blobs/0123456789abcdef")  # as a Hugging Face cache keeps its files
    (tmp_path / "vlmine.yaml").write_text("name: p\ndataset: {kind: folder, root: snapshots/abc}\n")
    project = Project.load(tmp_path / "vlmine.yaml")

    files = BoxFiles(ObjectSettings(boxes="snapshots/abc/boxes.json"), project.resolve, FingerprintCache())

    assert files.formats() == ["coco"]
    assert project.resolve("snapshots/../snapshots/abc") == str(snapshot)
