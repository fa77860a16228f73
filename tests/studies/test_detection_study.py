"""The study `detection` on tables that can be counted by hand."""

import json
from pathlib import Path

import pytest
from conftest import Made, jpeg, plain_rows

from vlmine_dagster.domain.errors import ConfigError, MissingInputError
from vlmine_dagster.domain.tables import IMAGES, OBJECTS, PARETO_SET
from vlmine_dagster.studies.detection import RANDOM, STUDY
from vlmine_dagster.studies.study import conduct

OBJECTS_BY_IMAGE = {
    "a/0": ["car"] * 3,
    "a/1": ["car", "yak"],
    "a/2": ["yak", "yak", "emu", "car"],
    "a/3": ["car"],
    "a/4": [],
}
"""Cars are in four images of five, yaks in two, an emu in one."""


@pytest.fixture
def listed(make_project) -> Made:
    """A shard of five images, its objects, and a list that begins with the image of emu and yaks."""
    experiments = {"good": {"signals": ["novelty_min"]}}
    retraining = {"kind": "probe", "budgets": [0.2, 0.6], "seeds": [0]}
    made = make_project(
        {"a": {f"{number}.jpg": jpeg("coffee", number) for number in range(5)}},
        objects={"boxes": "boxes.json"},
        experiments=experiments,
        retraining=retraining,
        budget=0.2,
    )
    (made.folder / "boxes.json").write_text("{}")
    objects = [(image, name) for image, names in OBJECTS_BY_IMAGE.items() for name in names]
    columns = {
        "object_id": [f"{image}#{place}" for place, (image, _) in enumerate(objects)],
        "image_id": [image for image, _ in objects],
        "class_name": [name for _, name in objects],
        "split": ["pool"] * len(objects),
        "outcome": ["too_small" if name == "emu" else "ok" for _, name in objects],
    }
    images = list(OBJECTS_BY_IMAGE)
    ranked = {"image_id": ["a/2", "a/0", "a/1", "a/3", "a/4"], "rank": [1, 2, 3, 4, 5], "front": [1] * 5}
    lake = made.bench.lake
    lake.publish("images", "a", plain_rows(IMAGES, image_id=images, split=["pool"] * 5, outcome=["ok"] * 5), inputs="x")
    lake.publish("objects", "a", plain_rows(OBJECTS, **columns), inputs="x")
    lake.publish("pareto_set", "good", plain_rows(PARETO_SET, **ranked), inputs="x")
    return made


def test_recall_counts_rare_objects_their_images_and_their_classes_by_images_and_by_boxes(listed):
    listed.settings(dataset={"kind": "webdataset", "root": "data", "labels": {"few_under": 3, "many_over": 3}})

    report = conduct(STUDY, listed.bench)

    def cells(measure: str, counted: str) -> dict[str, str]:
        table = report.tables[f"Recall of {measure} of rare classes, by the share of {counted} that is labelled"]
        return next(row for row in table if row["list"] == "good")

    # A fifth of five images is one, a fifth of ten boxes two: too few for the four of the first image.
    assert cells("objects", "images") == {"list": "good", "20%": "0.750", "60%": "1.000"}
    assert cells("images", "images") == {"list": "good", "20%": "0.500", "60%": "1.000"}
    assert cells("classes", "images") == {"list": "good", "20%": "1.000", "60%": "1.000"}
    assert cells("objects", "boxes") == {"list": "good", "20%": "0.000", "60%": "0.750"}
    assert report.words[0].startswith("classes by the images that contain them: 2 rare, 0 common, 1 frequent")
    folder = Path(report.folder)
    rows = (folder / "rows.csv").read_text().splitlines()
    assert len(rows) == 1 + (1 + 30) * 2 * 2 * 3
    assert sum(f",{RANDOM}," in row for row in rows) == 30 * 12
    assert json.loads((folder / "report.json").read_text())["study"] == "detection"


def test_a_random_order_reaches_on_average_what_it_labels(listed):
    listed.settings(dataset={"kind": "webdataset", "root": "data", "labels": {"few_under": 3, "many_over": 3}})
    report = conduct(STUDY, listed.bench)

    table = report.tables["Recall of images of rare classes, by the share of images that is labelled"]
    told = next(row for row in table if row["list"] == RANDOM)["60%"]

    # Of two images with a rare object, three of five labelled find 1.2 on average; thirty orders come near.
    assert float(told.split(" ")[0]) == pytest.approx(0.6, abs=0.15)


def test_the_study_asks_again_when_a_list_changes_and_says_what_it_lacks(listed):
    first = conduct(STUDY, listed.bench).tables
    ranked = {"image_id": ["a/3", "a/4", "a/0", "a/1", "a/2"], "rank": [1, 2, 3, 4, 5], "front": [1] * 5}
    listed.bench.lake.publish("pareto_set", "good", plain_rows(PARETO_SET, **ranked), inputs="y")

    assert conduct(STUDY, listed.bench).tables != first

    listed.bench.lake.remove("pareto_set", "good")
    with pytest.raises(MissingInputError, match="pareto_set of good is not there"):
        conduct(STUDY, listed.bench)


def test_a_list_of_objects_is_judged_by_the_images_that_they_are_in(listed):
    labels = {"boxes": True, "few_under": 3, "many_over": 3}
    listed.settings(unit="object", dataset={"kind": "webdataset", "root": "data", "labels": labels})
    ranked = {"image_id": ["a/2#7", "a/2#6", "a/1#4", "a/0#1"], "rank": [1, 2, 3, 4], "front": [1] * 4}
    listed.bench.lake.publish("pareto_set", "good", plain_rows(PARETO_SET, **ranked), inputs="y")

    report = conduct(STUDY, listed.bench)

    table = report.tables["Recall of objects of rare classes, by the share of images that is labelled"]
    # Two objects of one image cost one image; three of five images are a/2, a/1 and a/0.
    assert next(row for row in table if row["list"] == "good") == {"list": "good", "20%": "0.750", "60%": "1.000"}


def test_a_project_without_box_files_has_no_classes_to_find(listed):
    listed.settings(objects=None)

    with pytest.raises(ConfigError, match=r"needs boxes with classes of the whole pool: set objects\.boxes"):
        conduct(STUDY, listed.bench)
