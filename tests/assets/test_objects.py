"""The stages of objects on a small pool of tars."""

import io
import json
import logging
from collections.abc import Mapping

import pytest
from conftest import Made, jpeg
from PIL import Image
from tiny_models import make_detr

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.cli.status import failed_images, table_states
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.making import Made as MadePartition
from vlmine_dagster.engine.making import make
from vlmine_dagster.engine.stage import Unit
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.scoring.findings import readable_findings


def made_of(made: Made, table: str, partition: str) -> MadePartition:
    """One partition, made as a run makes it."""
    bench, unit = made.bench, Unit(GRAPH.stage_of(table))
    freshness = Freshness(GRAPH, bench, bench.source.shards())
    run = StageRun(
        unit.stage,
        GRAPH,
        bench,
        partitions=[partition],
        variant="default",
        shards=freshness.shards,
        config=unit.stage.config(),
        log=logging.getLogger("test"),
        run_id="run",
    )
    return make(run, freshness)[partition]


def rotated_jpeg() -> bytes:
    """A photo that lies down: stored as 180 x 140, upright 140 x 180."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg("coffee", 1))).save(file, "JPEG", exif=exif)
    return file.getvalue()


def annotations(**more: Mapping[str, object]) -> str:
    images = [
        {"id": 1, "file_name": "x.jpg", "width": 180, "height": 140},
        {"id": 2, "file_name": "lies.jpg", "width": 180, "height": 140},
        {"id": 3, "file_name": "gone.jpg", "width": 180, "height": 140},
    ]
    boxes = [
        (1, [10, 20, 100, 50]),
        (1, [10, 20, 100, 50]),
        (2, [0, 0, 60, 30]),
        (3, [0, 0, 60, 30]),
        (1, [0, 0, 5, 60]),
    ]
    return json.dumps(
        {
            "images": images,
            "annotations": [
                {"id": place, "image_id": image, "category_id": place % 2, "bbox": box}
                for place, (image, box) in enumerate(boxes)
            ],
            "categories": [{"id": 0, "name": "cup"}, {"id": 1, "name": "Cup"}],
            **more,
        }
    )


@pytest.fixture
def boxed(make_project) -> Made:
    made = make_project(
        {"a": {"x.jpg": jpeg("coffee", 0), "lies.jpg": rotated_jpeg()}, "b": {"y.jpg": jpeg("rocket", 0)}},
        objects={"boxes": "boxes.json"},
    )
    (made.folder / "boxes.json").write_text(annotations())
    for shard in ("a", "b"):
        made_of(made, "images", shard)
    return made


def test_objects_of_a_shard_are_there_with_what_became_of_them(boxed):
    facts = made_of(boxed, "objects", "a")
    made_of(boxed, "objects", "b")
    pool = made_of(boxed, "unmatched_boxes", "pool")

    rows = boxed.frame("objects").set_index("object_id")
    assert list(rows.index) == ["a/lies#2", "a/x#0", "a/x#1", "a/x#4"]
    assert rows.outcome.to_list() == ["ok", "ok", "ok", "too_small"]
    # A quarter turn to the right: what was the upper left corner of 180 x 140 is the upper right one of 140 x 180.
    assert rows.loc["a/lies#2", ["x", "y", "width", "height"]].to_list() == [110, 0, 30, 60]
    assert facts.metadata["images without annotations"] == 0
    assert {name: one.is_met for name, one in facts.advice.items()} == {
        "box_files_agree": False,
        "pictures_have_the_size_of_their_boxes": True,
    }
    assert boxed.frame("unmatched_boxes").name.to_list() == ["gone.jpg"]
    assert pool.metadata["lost boxes"] == 1
    assert "'cup' (3), 'Cup' (2)" in pool.advice["classes_are_spelled_one_way"].text


def test_what_is_odd_about_box_files_is_said_where_no_one_looks_at_checks(boxed):
    assert readable_findings(boxed.bench) == {}
    for shard in ("a", "b"):
        made_of(boxed, "objects", shard)
    made_of(boxed, "unmatched_boxes", "pool")

    found = readable_findings(boxed.bench)["objects"]

    assert found == [
        "1 name in the box files matches no image of the dataset, or several (boxes: 1). Such as: gone.jpg",
        "1 class is written in several ways, and mined as different ones. Such as: 'cup' (3), 'Cup' (1)",
        "1 box appears with two classes; both are objects. Such as: a/x: Cup and cup",
        "no object in the box files: 1 of 3 images",
    ]


def test_pictures_are_measured_for_the_junk_lane_only_where_they_are_mined_themselves(boxed):
    assert boxed.frame("images").sharpness.notna().all()
    boxed.settings(unit="object", objects={"boxes": "boxes.json"})
    assert Freshness(GRAPH, boxed.bench, ["a", "b"]).state(Unit(GRAPH.stage_of("images")), "a") == "stale"
    made_of(boxed, "images", "a")
    assert boxed.frame("images", "a").sharpness.isna().all()


def test_status_counts_outcomes_of_objects_and_lists_their_failures(boxed):
    made_of(boxed, "objects", "a")
    made_of(boxed, "unmatched_boxes", "pool")

    shards = boxed.bench.source.shards()
    rows = {row["table"]: row for row in table_states(boxed.bench, shards)}

    assert rows["objects"]["outcomes"] == {"ok": 3, "too_small": 1}
    assert rows["unmatched_boxes"]["outcomes"] == {"bad_box": 1}
    failed = {row["table"]: row for row in failed_images(boxed.bench, shards)}
    assert "its shorter side has 5 pixels, under 16" in failed["objects"]["failure"]
    assert failed["objects"]["object_id"] == "a/x#4"
    assert failed["unmatched_boxes"]["failure"] == "no image of the dataset has this name"


def test_a_changed_box_file_size_or_margin_makes_objects_stale_and_nothing_else(boxed):
    def state(table: str, partition: str) -> str:
        bench = boxed.bench
        return Freshness(GRAPH, bench, bench.source.shards()).state(Unit(GRAPH.stage_of(table)), partition)

    made_of(boxed, "objects", "a")
    assert state("objects", "a") == "fresh"
    boxed.settings(objects={"boxes": "boxes.json", "context": 0.5})  # another crop is another picture to a model
    assert state("objects", "a") == "stale"
    boxed.settings(objects={"boxes": "boxes.json", "min_size": 5})
    assert state("objects", "a") == "stale"
    boxed.settings(objects={"boxes": "boxes.json"})
    (boxed.folder / "boxes.json").write_text(annotations(categories=[]))
    assert state("objects", "a") == "stale"
    assert state("images", "a") == "fresh"


def test_a_project_without_boxes_has_no_stage_of_objects(make_project):
    project = make_project({"a": {"x.jpg": jpeg("coffee", 0)}}).project

    tables = {unit.stage.table for unit in GRAPH.applicable(project)}

    assert tables.isdisjoint({"objects", "unmatched_boxes"})
    assert GRAPH.skipped(project).keys().isdisjoint({"objects", "unmatched_boxes"})


def test_a_detector_takes_the_place_of_box_files(make_project, tmp_path):
    folder = make_detr(tmp_path / "detr")
    detector = {"kind": "transformers", "model": str(folder), "threshold": 0}
    made = make_project({"a": {"x.jpg": jpeg("coffee", 0), "y.jpg": b"no image"}}, objects={"detector": detector})
    made_of(made, "images", "a")

    facts = made_of(made, "objects", "a")

    rows = made.frame("objects")
    assert rows.image_id.to_list() == ["a/x"] * 6
    assert sorted(rows.object_id) == [f"a/x#{number}" for number in range(1, 7)]
    assert rows.score.between(0, 1).all()
    assert set(rows.class_name) <= {"cup", "cat", "rocket"}
    assert facts.metadata["unreadable"] == 0
    assert "unmatched_boxes" not in {unit.stage.table for unit in GRAPH.applicable(made.project)}
