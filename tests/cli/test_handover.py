"""Each export opens in an independent reader, and its answers come back to the ids that were handed over."""

import csv
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import jpeg, plain_rows
from PIL import Image

from vlmine_dagster.cli.export import export_list
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.tables import OBJECTS, PARETO_SET, UNCERTAINTY_SCORES
from vlmine_dagster.resources.intake import inspect_shard
from vlmine_dagster.resources.label_import import import_labels
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.plain_paths import plain_temporary_folder

PICTURES = {"images/x.y.jpg": jpeg("rocket", 0), "b/c/x.y.jpg": jpeg("coffee", 0), "a/ü & z.jpg": jpeg("coffee", 1)}
CLASSES = ("cup", "rocket")
LABELS = "key,split,class_id\na/known.jpg,seed,cup\nb/known.jpg,seed,rocket\n"
BOXES = {"#1": (10.0, 20.0, 100.0, 50.0), "#7": (0.0, 0.0, 60.0, 30.0)}


def make_bench(folder: Path, *, pictures: Mapping[str, bytes] = PICTURES, **more: object) -> Workbench:
    """A folder of pictures, one shard, of which three are on the list; the model guesses `rocket` for each."""
    for name, data in {**pictures, "a/known.jpg": jpeg("coffee", 2), "b/known.jpg": jpeg("rocket", 1)}.items():
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_bytes(data)
    (folder / "labels.csv").write_text(LABELS)
    settings = {
        "name": "p",
        "dataset": {"kind": "folder", "root": "data", "shard_count": 1, "labels": {"file": "labels.csv"}},
        "experiments": {"mine": {"signals": ["novelty_min"]}},
        **more,
    }
    (folder / "vlmine.yaml").write_text(yaml.safe_dump(settings))
    bench = Workbench(settings_file=str(folder / "vlmine.yaml"))
    (shard,) = bench.source.shards()
    rows = inspect_shard(bench.source, shard, labels=bench.labels, max_pixels=10**6)
    bench.lake.publish("images", shard, rows, inputs="x")
    return bench


def publish_list(bench: Workbench, ids: list[str], **columns: object) -> None:
    (shard,) = bench.lake.partitions("images")
    count = len(ids)
    ranked = plain_rows(
        PARETO_SET, image_id=ids, rank=[*range(1, count + 1)], selected=[True] * count, reason=['rare: "x", y'] * count
    )
    ranked = ranked.append_column("novelty_min", pa.array([1 / (1 + n) for n in range(count)]))
    scores = plain_rows(UNCERTAINTY_SCORES, image_id=ids, predicted_label=["rocket"] * count)
    for table, partition, rows in (("pareto_set", "mine", ranked), ("uncertainty_scores", shard, scores)):
        bench.lake.publish(table, partition, rows, inputs="x")


@pytest.fixture
def photos(tmp_path: Path) -> Workbench:
    bench = make_bench(tmp_path)
    publish_list(bench, [f"{bench.source.shards()[0]}/{name}" for name in PICTURES])
    return bench


@pytest.fixture
def boxed(tmp_path: Path) -> Workbench:
    """Two objects in one picture."""
    bench = make_bench(tmp_path, unit="object", objects={"boxes": "boxes.json"})
    (shard,) = bench.source.shards()
    ids = [f"{shard}/images/x.y.jpg{number}" for number in BOXES]
    x, y, width, height = zip(*BOXES.values(), strict=True)
    rows = plain_rows(
        OBJECTS,
        object_id=ids,
        image_id=[f"{shard}/images/x.y.jpg"] * 2,
        x=x,
        y=y,
        width=width,
        height=height,
        split=["pool"] * 2,
    )
    bench.lake.publish("objects", shard, rows, inputs="x")
    publish_list(bench, ids)
    return bench


def edited(change: Callable[[object], None]) -> Callable[[Path, Path], None]:
    """A labelling tool that reads a JSON file, fills it, and writes it."""

    def label(file: Path, back: Path) -> None:
        document = json.loads(file.read_text())
        change(document)
        back.write_text(json.dumps(document))

    return label


ANSWERS = ("cup", "rocket", "cup")


def label_csv(file: Path, back: Path) -> None:
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with back.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "label"])
        writer.writeheader()
        writer.writerows({**row, "label": answer} for row, answer in zip(rows, ANSWERS, strict=False))


def label_parquet(file: Path, back: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.append_column("label", pa.array(ANSWERS[: table.num_rows])), back)


def label_tasks(tasks: list[dict[str, object]]) -> None:
    for task, answer in zip(tasks, ANSWERS, strict=False):
        result = [{"type": "choices", "from_name": "label", "to_name": "image", "value": {"choices": [answer]}}]
        task["annotations"] = [{"result": result}]


def label_coco(document: dict[str, list[dict[str, object]]]) -> None:
    """As CVAT returns COCO: own numbers, and nothing of an image but its name."""
    numbers = {one["name"]: one["id"] for one in document["categories"]}
    if document["annotations"]:
        for one, answer in zip(document["annotations"], ANSWERS, strict=False):
            one["category_id"] = numbers[answer]
    else:
        document["annotations"] = [
            {"id": 9 + at, "image_id": image["id"], "category_id": numbers[answer], "bbox": [0, 0, 9, 9], "area": 81}
            for at, (image, answer) in enumerate(zip(document["images"], ANSWERS, strict=False))
        ]
    document["images"] = [
        {name: one[name] for name in ("id", "file_name", "width", "height")} for one in document["images"]
    ]


def label_cvat(file: Path, back: Path) -> None:
    tree = ElementTree.parse(file)  # noqa: S314  # we wrote it
    marks = tree.findall("image/box")
    for mark, answer in zip(marks, ANSWERS, strict=False):
        mark.set("label", answer)
    for image, answer in zip([] if marks else tree.findall("image"), ANSWERS, strict=False):
        image.set("name", f"job_7/{image.get('id')}.jpg")  # what CVAT calls it does not matter: the tag has the id
        ElementTree.SubElement(image, "tag", {"label": answer})
    tree.write(back)


def label_yolo(file: Path, back: Path) -> None:
    """As tools of Ultralytics' layout: of the folders called images the last one becomes labels."""
    with zipfile.ZipFile(file) as given, zipfile.ZipFile(back, "w") as made:
        data = yaml.safe_load(given.read("data.yaml"))
        number = {name: at for at, name in data["names"].items()}
        made.writestr("data.yaml", yaml.safe_dump({**data, "names": list(data["names"].values())}))
        pictures = [name for name in given.namelist() if name.startswith("images/")]
        for name, answer in zip(pictures, ANSWERS, strict=False):
            labels = "/labels/".join(f"/{name}".rsplit("/images/", 1)).rpartition(".")[0] + ".txt"
            made.writestr(labels.lstrip("/"), f"{number[answer]} 0.5 0.5 1 1\n")


def label_fiftyone(file: Path, back: Path) -> None:
    """As `dataset.export(dataset_type=fo.types.FiftyOneDataset)`: other paths, the labels in fields."""
    with zipfile.ZipFile(file) as given, zipfile.ZipFile(back, "w") as made:
        samples = json.loads(given.read("samples.json"))["samples"]
        detections = [one for sample in samples for one in sample.get("mined", {}).get("detections", ())]
        for one, answer in zip(detections or samples, ANSWERS, strict=False):
            if detections:
                one["label"] = answer
            else:
                one |= {"filepath": "data/1.jpg", "ground_truth": {"_cls": "Classification", "label": answer}}
        made.writestr("metadata.json", given.read("metadata.json"))
        made.writestr("samples.json", json.dumps({"samples": samples}))


def label_webdataset(file: Path, back: Path) -> None:
    with tarfile.open(file) as given, tarfile.open(back, "w") as made:
        answers = iter(ANSWERS)
        for member in given:
            data = given.extractfile(member).read()
            made.addfile(member, io.BytesIO(data))
            if member.name.endswith(".json"):
                info = tarfile.TarInfo(member.name.replace(".json", ".cls"))
                text = next(answers).encode()
                info.size = len(text)
                made.addfile(info, io.BytesIO(text))


def label_huggingface(file: Path, back: Path) -> None:
    table = pq.read_table(file)
    numbers = pa.array([CLASSES.index(answer) for answer in ANSWERS[: table.num_rows]])
    place = table.schema.get_field_index("label")
    pq.write_table(table.set_column(place, "label", numbers).replace_schema_metadata(table.schema.metadata), back)


TOOLS: Mapping[str, tuple[str, Callable[[Path, Path], None]]] = {
    "csv": (".csv", label_csv),
    "parquet": (".parquet", label_parquet),
    "label-studio": (".json", edited(label_tasks)),
    "coco": (".json", edited(label_coco)),
    "cvat": (".xml", label_cvat),
    "yolo": (".zip", label_yolo),
    "fiftyone": (".zip", label_fiftyone),
    "webdataset": (".tar", label_webdataset),
    "huggingface": (".parquet", label_huggingface),
}


def round_trip(bench: Workbench, folder: Path, name: str, **how: object) -> dict[str, str]:
    ending, label = TOOLS[name]
    export_list(bench, "mine", folder / f"out{ending}", format_name=name, **how)
    label(folder / f"out{ending}", folder / f"back{ending}")
    taken = import_labels(bench, folder / f"back{ending}")
    return dict(taken.round.labels)


@pytest.mark.parametrize("name", TOOLS)
def test_answers_come_back_to_every_image_that_was_handed_over(photos: Workbench, tmp_path: Path, name: str):
    ids = photos.lake.read("pareto_set", "mine").column("image_id").to_pylist()

    assert round_trip(photos, tmp_path, name) == dict(zip(ids, ANSWERS, strict=True))


@pytest.mark.parametrize(
    ("name", "crops"), [*((name, True) for name in TOOLS), ("coco", False), ("cvat", False), ("fiftyone", False)]
)
def test_answers_come_back_to_every_object(boxed: Workbench, tmp_path: Path, name: str, crops: bool):
    ids = boxed.lake.read("pareto_set", "mine").column("image_id").to_pylist()
    images = tmp_path / "crops" if crops else None

    assert round_trip(boxed, tmp_path, name, are_crops=crops, images=images) == dict(zip(ids, ANSWERS, strict=False))


def test_answers_of_yolo_come_back_to_pictures_that_differ_in_their_ending_alone(tmp_path: Path):
    twins = {"s/same.jpg": jpeg("rocket", 0), "s/same.jpeg": jpeg("coffee", 0), "s/same.png": jpeg("coffee", 1)}
    bench = make_bench(tmp_path, pictures=twins)
    (shard,) = bench.source.shards()
    ids = [f"{shard}/{name}" for name in ("s/same.jpg", "s/same.png")]  # the third is not on the list
    publish_list(bench, ids)

    assert round_trip(bench, tmp_path, "yolo") == dict(zip(ids, ANSWERS, strict=False))
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert {name for name in archive.namelist() if name.startswith("images/")} == {
            f"images/{shard}/s/same.jpg.jpg",
            f"images/{shard}/s/same.png.png",
        }


def test_guesses_of_the_model_are_no_answers(photos: Workbench, tmp_path: Path):
    for name, (ending, _) in TOOLS.items():
        export_list(photos, "mine", tmp_path / f"out{ending}", format_name=name)
        with pytest.raises(Exception, match="no labels in it|expected the columns image_id and label"):
            import_labels(photos, tmp_path / f"out{ending}")


def test_pycocotools_opens_coco(boxed: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from pycocotools.coco import COCO

    export_list(boxed, "mine", tmp_path / "m.json", format_name="coco", images=tmp_path / "out")
    coco = COCO(tmp_path / "m.json")

    (image,) = coco.loadImgs(coco.getImgIds())
    with Image.open(tmp_path / "out" / image["file_name"]) as picture:
        assert picture.size == (image["width"], image["height"])
    found = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
    assert [tuple(one["bbox"]) for one in found] == list(BOXES.values())
    assert [one["attributes"]["novelty_min"] for one in found] == [1, 0.5]
    assert found[0]["attributes"]["prediction"] == "rocket"
    assert found[0]["attributes"]["reason"] == 'rare: "x", y'


def test_datasets_opens_pictures_and_classes(photos: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")

    with plain_temporary_folder() as folder:  # `datasets` reads some characters of a path as patterns
        export_list(photos, "mine", folder / "m.parquet", format_name="huggingface")
        found = datasets.Dataset.from_parquet(
            str(folder / "m.parquet"), cache_dir=str(folder / "cache"), keep_in_memory=True
        )

    assert found.features["label"].names == list(CLASSES)
    assert found["rank"][:] == [1, 2, 3]
    with Image.open(io.BytesIO(PICTURES["images/x.y.jpg"])) as original:
        assert found[0]["image"].size == original.size
    assert found[0]["prediction"] == "rocket"


def test_webdataset_opens_samples(photos: Workbench):
    import webdataset

    with plain_temporary_folder() as folder:  # webdataset reads `?` of a path as the start of a query
        export_list(photos, "mine", folder / "m.tar")
        samples = list(webdataset.WebDataset(str(folder / "m.tar"), shardshuffle=False))

    assert [sample["jpg"] for sample in samples] == list(PICTURES.values())
    records = [json.loads(sample["json"]) for sample in samples]
    assert [record["novelty_min"] for record in records] == [1, 0.5, 1 / 3]
    assert all(record["prediction"] == "rocket" and record["reason"] == 'rare: "x", y' for record in records)


def test_globox_opens_boxes_of_cvat_and_of_yolo(boxed: Workbench):
    from globox import AnnotationSet

    corners = {(x, y, x + width, y + height) for x, y, width, height in BOXES.values()}
    with plain_temporary_folder() as folder:
        export_list(boxed, "mine", folder / "m.xml")
        (image,) = AnnotationSet.from_cvat(folder / "m.xml")
        assert image.image_id == "images/x.y.jpg"
        assert {(box.label, box.ltrb) for box in image.boxes} == {("mined", one) for one in corners}

        export_list(boxed, "mine", folder / "m.zip", format_name="yolo")
        with zipfile.ZipFile(folder / "m.zip") as archive:
            archive.extractall(folder)  # noqa: S202  # we wrote it
            (labels,) = (Path(name) for name in archive.namelist() if name.endswith(".txt"))
        (image,) = AnnotationSet.from_yolo_v5(
            folder / labels.parent, image_folder=folder / labels.parents[1] / "images"
        )
    assert {box.label for box in image.boxes} == {"2"}  # after the two classes: unlabelled
    found = {tuple(round(side, 2) for side in box.ltrb) for box in image.boxes}
    assert found == corners


@pytest.mark.parametrize("form", ["JSON", "JSON_MIN", "CSV", "TSV"])
@pytest.mark.parametrize("unit", ["photos", "boxed"])
def test_answers_come_back_through_label_studios_own_converter(
    request: pytest.FixtureRequest, tmp_path: Path, unit: str, form: str
):
    from label_studio_converter import Converter

    bench: Workbench = request.getfixturevalue(unit)
    choices = "".join(f'<Choice value="{name}"/>' for name in CLASSES)
    config = (
        f'<View><Image name="image" value="$image"/><Choices name="label" toName="image">{choices}</Choices></View>'
    )
    with plain_temporary_folder() as folder:
        export_list(bench, "mine", folder / "tasks.json", images=folder / "pictures")
        tasks = json.loads((folder / "tasks.json").read_text())
        label_tasks(tasks)
        for number, task in enumerate(tasks, start=1):  # what its database adds
            task["id"] = number
            task["annotations"][0] |= {"id": number, "completed_by": 1, "was_cancelled": False, "lead_time": 2.5}
        (folder / "tasks.json").write_text(json.dumps(tasks))
        Converter(config, project_dir=None).convert(str(folder / "tasks.json"), str(folder / "out"), form, is_dir=False)
        (file,) = (folder / "out").iterdir()
        taken = import_labels(bench, file)

    ids = bench.lake.read("pareto_set", "mine").column("image_id").to_pylist()
    assert dict(taken.round.labels) == dict(zip(ids, ANSWERS, strict=False))


def test_objects_come_back_as_datumaro_writes_them(boxed: Workbench, tmp_path: Path):
    ids = boxed.lake.read("pareto_set", "mine").column("image_id").to_pylist()
    marks = [
        {"id": at, "type": "bbox", "label_id": label, "bbox": [0, 0, 9, 9], "attributes": {"object_id": name}}
        for at, (name, label) in enumerate(zip(ids, (1, 2), strict=True))
    ]
    labels = [{"name": name, "parent": ""} for name in ("mined", *CLASSES)]
    item = {"id": "images/x.y", "annotations": marks, "image": {"path": "images/x.y.jpg", "size": [140, 180]}}
    (tmp_path / "default.json").write_text(
        json.dumps({"info": {}, "categories": {"label": {"labels": labels}}, "items": [item]})
    )

    assert dict(import_labels(boxed, tmp_path / "default.json").round.labels) == dict(zip(ids, CLASSES, strict=True))


def test_boxes_of_yolo_are_shares_of_the_picture(boxed: Workbench, tmp_path: Path):
    export_list(boxed, "mine", tmp_path / "m.zip", format_name="yolo")

    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".jpg"))
        with archive.open(name) as stream, Image.open(stream) as picture:
            across, down = picture.size
        (labels,) = (one for one in archive.namelist() if one.endswith(".txt"))
        lines = archive.read(labels).decode().splitlines()
        assert list(csv.DictReader(io.StringIO(archive.read("mined.csv").decode())))[1]["object_id"].endswith("#7")
    for line, (x, y, width, height) in zip(lines, BOXES.values(), strict=True):
        shares = [float(share) for share in line.split()[1:]]
        want = [(x + width / 2) / across, (y + height / 2) / down, width / across, height / down]
        assert shares == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("name", ["coco", "cvat"])
def test_crops_that_are_not_copied_go_by_their_objects(boxed: Workbench, tmp_path: Path, name: str):
    ids = boxed.lake.read("pareto_set", "mine").column("image_id").to_pylist()
    export_list(boxed, "mine", tmp_path / "mined", format_name=name, are_crops=True)

    text = (tmp_path / "mined").read_text()
    names = [one["file_name"] for one in json.loads(text)["images"]] if name == "coco" else None
    found = names or re.findall(r'<image id="\d+" name="([^"]*)"', text)
    assert found == ids  # two crops of one picture are not file of that name
    assert round_trip(boxed, tmp_path, name, are_crops=True) == dict(zip(ids, ANSWERS, strict=False))


def test_crops_are_cut_and_need_objects(boxed: Workbench, photos: Workbench, tmp_path: Path):
    made = make_bench(tmp_path / "other")
    publish_list(made, [f"{made.source.shards()[0]}/images/x.y.jpg"])
    with pytest.raises(ConfigError, match="--crops cuts objects out: it needs `unit: object`"):
        export_list(made, "mine", tmp_path / "m.csv", are_crops=True)


def test_tasks_hold_the_models_class_as_a_prediction(photos: Workbench, tmp_path: Path):
    export_list(photos, "mine", tmp_path / "tasks.json")

    first = json.loads((tmp_path / "tasks.json").read_text())[0]
    assert first["predictions"][0]["result"][0]["value"] == {"choices": ["rocket"]}
