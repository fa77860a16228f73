"""The study `detector` on a small project of scenes with boxes: lists with the rare class teach it."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import Made, photo, plain_rows
from PIL import Image

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.tables import IMAGES, OBJECTS, PARETO_SET
from vlmine_dagster.studies.detector import STUDY, _Images, drawn_whole
from vlmine_dagster.studies.study import conduct

SIDE = 90
RARE = range(6)
"""Pool scenes that hold a rocket beside the coffee."""


def scene(number: int, names: list[str]) -> tuple[bytes, list[tuple[str, list[float]]]]:
    """A grey picture of 320 x 200 with one view per name, and their boxes."""
    draw = np.random.default_rng(number)
    picture, boxes = Image.new("RGB", (320, 200), (110, 120, 110)), []
    for place, name in enumerate(names):
        left, top = 20 + 150 * place + int(draw.integers(0, 40)), int(draw.integers(10, 100))
        view = photo(name).crop((20, 20, 260, 260)).resize((SIDE, SIDE))
        picture.paste(view, (left, top))
        boxes.append((name, [left, top, SIDE, SIDE]))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue(), boxes


@pytest.fixture
def listed(make_project) -> Made:
    """Labelled, pool and test scenes; `good` lists the rockets first, `bad` last."""
    splits = ["seed"] * 2 + ["pool"] * 12 + ["test"] * 4
    names = [
        ["coffee", "rocket"] if split == "test" or (split == "pool" and number - 2 in RARE) else ["coffee"]
        for number, split in enumerate(splits)
    ]
    made_scenes = [scene(number, found) for number, found in enumerate(names)]
    made = make_project(
        {"a": {f"{number:02d}.jpg": data for number, (data, _) in enumerate(made_scenes)}},
        dataset={"kind": "webdataset", "root": "data", "labels": {"few_under": 7, "many_over": 8}},
        objects={"boxes": "boxes.json"},
        experiments={"random": {"signals": ["random"]}, "good": {"signals": ["novelty_min"]}},
        retraining={"kind": "probe", "budgets": [0.5], "seeds": [0]},
        budget=0.5,
    )
    (made.folder / "boxes.json").write_text("{}")
    images = [f"a/{number:02d}" for number in range(len(splits))]
    rows = [
        (f"{image}#{place}", image, name, split, *box)
        for image, split, (_, boxes) in zip(images, splits, made_scenes, strict=True)
        for place, (name, box) in enumerate(boxes)
    ]
    columns = ("object_id", "image_id", "class_name", "split", "x", "y", "width", "height")
    objects = {name: list(values) for name, values in zip(columns, zip(*rows, strict=True), strict=True)}
    objects["outcome"] = ["ok"] * len(rows)
    pool = [image for image, split in zip(images, splits, strict=True) if split == "pool"]
    lake, ranks = made.bench.lake, {"rank": list(range(1, 13)), "front": [1] * 12}
    lake.publish("images", "a", plain_rows(IMAGES, image_id=images, split=splits, outcome=["ok"] * 18), inputs="x")
    lake.publish("objects", "a", plain_rows(OBJECTS, **objects), inputs="x")
    lake.publish("pareto_set", "good", plain_rows(PARETO_SET, image_id=pool, **ranks), inputs="x")
    lake.publish("pareto_set", "random", plain_rows(PARETO_SET, image_id=pool[::-1], **ranks), inputs="x")
    return made


def test_a_list_with_the_rare_class_teaches_a_detector_to_find_it(listed):
    report = conduct(STUDY, listed.bench, draws=1)

    rows = json.loads(next((Path(report.folder) / "steps").rglob("draw-0.json")).read_text())
    found = {(row["arm"], row["budget"]): row for row in rows}
    assert {row["mined"] for row in rows} == {0, 6}
    assert found["random", 0.0] == {**found["good", 0.0], "arm": "random"}
    assert found["random", 0.5]["rare_ap"] == 0
    assert found["good", 0.5]["rare_ap"] > 0.1
    assert found["good", 0.5]["frequent_ap"] > 0.2
    assert np.isnan(found["good", 0.5]["common_ap"])
    assert "average precision of common classes is unknown" in report.words[0]
    assert any("lists are of one labelled set" in one for one in report.words)


def test_images_that_judge_are_whole_sequences_of_which_nothing_is_labelled():
    sequences = {f"{drive}{frame}": drive for drive in "abcdefgh" for frame in range(3)}
    alone = {f"{number:02d}": f"{number:02d}" for number in range(30)}

    draws = [drawn_whole(sequences, count=8, draw=draw) for draw in range(20)]

    assert all(len(found) == 6 and len({sequences[name] for name in found}) == 2 for found in draws)
    assert len({tuple(found) for found in draws}) > 10
    order = np.random.default_rng([22, 3]).permutation(30)
    assert drawn_whole(alone, count=10, draw=3) == sorted(list(alone)[place] for place in order[:10])


def test_frames_of_a_labelled_sequence_never_judge(listed):
    images = listed.bench.lake.read("images", "a")
    splits = ["pool" if split == "test" else split for split in images.column("split").to_pylist()]
    drives = pa.array(["first"] * 6 + ["second"] * 3 + [None] * 9, pa.string())
    for name, values in (("split", pa.array(splits)), ("sequence_id", drives)):
        images = images.set_column(images.schema.get_field_index(name), name, values)
    objects = listed.bench.lake.read("objects", "a")
    of_objects = pa.array(["pool" if one == "test" else one for one in objects.column("split").to_pylist()])
    place = objects.schema.get_field_index("split")
    listed.bench.lake.publish("images", "a", images, inputs="z")
    listed.bench.lake.publish("objects", "a", objects.set_column(place, "split", of_objects), inputs="z")

    found = [set(_Images(listed.bench).judges(draw)) for draw in range(10)]

    assert all(len(one) == 5 for one in found)
    assert not any(one & {f"a/{number:02d}" for number in range(6)} for one in found)
    assert {len(one & {"a/06", "a/07", "a/08"}) for one in found} == {0, 3}


def test_a_project_without_boxes_or_without_labels_says_what_is_missing(listed):
    objects = listed.bench.lake.read("objects", "a")
    splits = objects.schema.get_field_index("split")
    pool = objects.set_column(splits, "split", [["pool"] * len(objects)])
    images = listed.bench.lake.read("images", "a")
    place = images.schema.get_field_index("split")
    listed.bench.lake.publish("objects", "a", pool, inputs="y")
    listed.bench.lake.publish("images", "a", images.set_column(place, "split", [["pool"] * len(images)]), inputs="y")
    with pytest.raises(ConfigError, match="no labelled image has a box with a class"):
        conduct(STUDY, listed.bench, draws=1)

    listed.settings(objects=None)
    with pytest.raises(ConfigError, match=r"needs boxes with classes of all images: set objects\.boxes"):
        conduct(STUDY, listed.bench, draws=1)
