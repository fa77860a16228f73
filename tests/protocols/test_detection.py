"""LVIS and COCO-LT on miniatures that lie exactly as the real ones do."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import jpeg

from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.protocols import read_detection, write_detection
from vlmine_dagster.resources.boxes.store import open_boxes
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project

HOLDS = {"bus": 101, "unicycle": 11, "emu": 10}
"""Images of the train set that hold each class: one over, at and under LVIS's limits."""


def picture(root: Path, path: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(jpeg("coffee", 0))


def annotated(numbers: list[int], classes: dict[str, list[int]]) -> list[dict]:
    """Two boxes of each class in each of some images: objects are twice the images."""
    found = []
    for category, holders in enumerate(classes.values(), start=1):
        for number in holders:
            for twice in (0, 1):
                box = {
                    "bbox": [10.0 + twice, 20.0, 60.0, 50.0],
                    "area": 3000.0,
                    "segmentation": [[10, 20, 70, 20, 70, 70]],
                }
                found.append({"id": len(found) + 1, "image_id": number, "category_id": category, **box})
    assert set(numbers) >= {one["image_id"] for one in found}
    return found


def lvis(folder: Path) -> tuple[Path, Path]:
    """LVIS v1: no file_name but addresses, frequencies by category, and val images that lie in train2017."""
    root, lists = folder / "coco", folder / "lvis"
    lists.mkdir()
    train = list(range(1, 111))
    parts = {
        "train": (train, dict.fromkeys(train, "train2017"), {name: train[-count:] for name, count in HOLDS.items()}),
        "val": ([500, 501], {500: "train2017", 501: "val2017"}, {"bus": [500], "unicycle": [501], "emu": [501]}),
    }
    categories = [
        {"id": place, "name": name, "synset": f"{name}.n.01", "synonyms": [name], "def": "a thing",
         "frequency": "fcr"[place - 1], "image_count": count, "instance_count": 2 * count}
        for place, (name, count) in enumerate(HOLDS.items(), start=1)
    ]  # fmt: skip
    for part, (numbers, places, classes) in parts.items():
        images = [
            {"id": number, "width": 180, "height": 140, "license": 1, "date_captured": "2013-11-14 17:02:52",
             "coco_url": f"http://images.cocodataset.org/{places[number]}/{number:012d}.jpg",
             "flickr_url": "http://farm", "neg_category_ids": [], "not_exhaustive_category_ids": []}
            for number in numbers
        ]  # fmt: skip
        for number in numbers:
            picture(root, f"{places[number]}/{number:012d}.jpg")
        content = {"annotations": annotated(numbers, classes), "images": images, "categories": categories}
        content |= {"info": {"version": "v1"}, "licenses": []}
        (lists / f"lvis_v1_{part}.json").write_text(json.dumps(content))
    return root, lists


def coco_lt(folder: Path) -> tuple[Path, Path]:
    """COCO-LT: COCO's layout, names without folders, and files of other tasks beside."""
    root, lists = folder / "coco", folder / "annotations"
    lists.mkdir()
    parts = {"train": (range(1, 31), "instances_train2017_lt.json"), "val": (range(90, 93), "instances_val2017.json")}
    for part, (numbers, name) in parts.items():
        images = [{"id": n, "file_name": f"{n:012d}.jpg", "width": 180, "height": 140} for n in numbers]
        for number in numbers:
            picture(root, f"{part}2017/{number:012d}.jpg")
        classes = {"person": list(numbers), "toaster": list(numbers)[:2]}
        categories = [{"supercategory": "x", "id": place, "name": name} for place, name in enumerate(classes, start=1)]
        content = {"images": images, "annotations": annotated(list(numbers), classes), "categories": categories}
        (lists / name).write_text(json.dumps(content))
        (lists / f"captions_{part}2017.json").write_text("{}")
    return root, lists


def test_lvis_groups_classes_by_the_images_of_its_train_set(tmp_path):
    root, lists = lvis(tmp_path)

    found = read_detection("lvis", root=root, lists=lists)

    assert dict(found.train.image_counts) == HOLDS
    assert sum(found.train.images.values()) == 2 * sum(HOLDS.values())
    assert sorted(found.test.images) == ["train2017/000000000500.jpg", "val2017/000000000501.jpg"]


def test_lvis_becomes_a_project_whose_boxes_fit_its_images(tmp_path, monkeypatch):
    root, lists = lvis(tmp_path)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")

    result = CliRunner().invoke(main, ["protocol", "lvis", "--root", str(root), "--lists", str(lists)])

    assert result.exit_code == 0, result.output
    assert "110 in the pool, 2 for testing." in result.output
    assert (
        "110 images with 244 boxes; classes by the images that contain them: 1 rare, 1 common, 1 frequent"
        in result.output
    )
    project = Project.load(tmp_path / "project/vlmine.yaml")
    assert project.settings.unit == "object"
    assert (project.settings.dataset.labels.few_under, project.settings.dataset.labels.many_over) == (11, 100)
    with (tmp_path / "project/labels.csv").open() as file:
        splits = {row["key"]: row["split"] for row in csv.DictReader(file)}
    assert {key for key, split in splits.items() if split == "test"} == {
        "train2017/000000000500.jpg",
        "val2017/000000000501.jpg",
    }
    bench = Workbench(settings_file=str(project.file))
    assert bench.labels is not None
    images = {shard: [f"{shard}/{raw.key}" for raw in bench.source.read(shard)] for shard in bench.source.shards()}
    boxes = open_boxes(project, bench.lake)
    assert sum(len(names) for names in images.values()) == 112
    assert boxes.unmatched(images).num_rows == 0
    assert sum(boxes.of_images(*item).rows.num_rows for item in images.items()) == 244 + 6


def test_coco_lt_finds_the_folder_of_its_images_and_passes_over_other_tasks(tmp_path):
    root, lists = coco_lt(tmp_path)

    found = read_detection("coco-lt", root=root, lists=lists)

    assert dict(found.train.image_counts) == {"person": 30, "toaster": 2}
    assert next(iter(found.train.images)) == "train2017/000000000001.jpg"
    assert sorted(found.test.images)[0] == "val2017/000000000090.jpg"


def test_what_a_detection_set_lacks_is_said(tmp_path):
    root, lists = coco_lt(tmp_path)

    with pytest.raises(ConfigError, match="lvis needs --lists, the folder of its JSON files"):
        read_detection("lvis", root=root, lists=None)
    with pytest.raises(SourceError, match="30 of its 30 images are not under .*, such as 000000000001.jpg"):
        read_detection("coco-lt", root=tmp_path / "elsewhere", lists=lists)
    (lists / "instances_train2017.json").write_text("{}")
    with pytest.raises(
        SourceError, match="expected one JSON file whose name contains 'train', found instances_train2017"
    ):
        read_detection("coco-lt", root=root, lists=lists)


def test_images_that_judge_are_never_mined(tmp_path):
    root, lists = coco_lt(tmp_path)
    (lists / "instances_val2017.json").write_text((lists / "instances_train2017_lt.json").read_text())

    with pytest.raises(SourceError, match="train and val share 30 images, such as train2017/000000000001.jpg"):
        read_detection("coco-lt", root=root, lists=lists)


def test_a_written_project_is_not_overwritten(tmp_path):
    root, lists = coco_lt(tmp_path)
    (tmp_path / "vlmine.yaml").write_text("name: mine\n")

    with pytest.raises(ConfigError, match="already exists. Work in another folder"):
        write_detection(read_detection("coco-lt", root=root, lists=lists), tmp_path)
