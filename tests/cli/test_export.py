"""Mined lists as files for labelling tools, and the pictures with them."""

import csv
import json
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import Made, jpeg, plain_rows, write_tar

from vlmine_dagster.cli.export import export_list
from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import ConfigError, MissingInputError
from vlmine_dagster.domain.tables import PARETO_SET
from vlmine_dagster.resources.intake import inspect_shard
from vlmine_dagster.resources.rounds import load_rounds, read_annotations
from vlmine_dagster.resources.workbench import Workbench

PICTURES = {"a b&c": jpeg("rocket", 0), "x": jpeg("coffee", 0), "y": jpeg("coffee", 1)}


def vlmine(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def write_dataset(root: Path, kind: str) -> None:
    root.mkdir()
    if kind == "folder":
        for name, data in PICTURES.items():
            (root / f"{name}.jpg").write_bytes(data)
    elif kind == "webdataset":
        write_tar(root / "s/t.tar", {f"{name}.JPEG": data for name, data in PICTURES.items()})
    else:
        pq.write_table(pa.table({"id": list(PICTURES), "image": list(PICTURES.values())}), root / "t.parquet")


@pytest.fixture(params=["folder", "webdataset", "parquet"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Workbench:
    """Three pictures and a list in which the first two are selected, without a run."""
    kind = request.param
    write_dataset(tmp_path / "data", kind)
    dataset = {"kind": kind, "root": "data", **({"key_column": "id"} if kind == "parquet" else {})}
    signals = {"mine": {"signals": ["novelty_min"]}}
    (tmp_path / "vlmine.yaml").write_text(yaml.safe_dump({"name": "p", "dataset": dataset, "experiments": signals}))
    bench = Workbench(settings_file=str(tmp_path / "vlmine.yaml"))
    ids = []
    for shard in bench.source.shards():
        rows = inspect_shard(bench.source, shard, labels=None, max_pixels=10**6)
        bench.lake.publish("images", shard, rows, inputs="x")
        ids += rows.column("image_id").to_pylist()
    ranked = plain_rows(PARETO_SET, image_id=ids, rank=[1, 2, 3], selected=[True, True, False], reason=["r,1"] * 3)
    scores = pa.array([0.5, 0.25, 0.125])
    bench.lake.publish("pareto_set", "mine", ranked.append_column("novelty_min", scores), inputs="x")
    return bench


def test_csv_and_parquet_hold_the_same_rows_and_what_the_budget_selects(bench: Workbench, tmp_path: Path):
    export_list(bench, "mine", tmp_path / "m.csv")
    export_list(bench, "mine", tmp_path / "m.parquet")

    with (tmp_path / "m.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["rank", "image_id", "shard", "path", "reason", "novelty_min"]
    assert [(row["rank"], row["reason"], row["novelty_min"]) for row in rows] == [
        ("1", "r,1", "0.5"),
        ("2", "r,1", "0.25"),
    ]
    assert all(row["image_id"].startswith(f"{row['shard']}/") for row in rows)
    assert all(row["path"].startswith(f"{tmp_path}/data/") for row in rows)
    assert pq.read_table(tmp_path / "m.parquet").to_pylist() == [
        {**row, "rank": int(row["rank"]), "novelty_min": float(row["novelty_min"])} for row in rows
    ]


@pytest.mark.parametrize(("how_many", "count"), [({"count": 1}, 1), ({"count": 9}, 3), ({"budget": 0.5}, 2)])
def test_a_number_or_a_share_takes_the_place_of_the_experiments_budget(
    bench: Workbench, tmp_path: Path, how_many: dict[str, int], count: int
):
    made = export_list(bench, "mine", tmp_path / "list", format_name="csv", **how_many)

    assert made.row_count == count == len((tmp_path / "list").read_text().splitlines()) - 1


def test_copies_are_the_bytes_of_the_pictures_and_the_tasks_point_to_them(bench: Workbench, tmp_path: Path):
    made = export_list(bench, "mine", tmp_path / "tasks.json", count=3, images=tmp_path / "out/to label")

    tasks = [task["data"] for task in json.loads((tmp_path / "tasks.json").read_text())]
    assert made.served == tmp_path / "out"
    assert [task["rank"] for task in tasks] == [1, 2, 3]
    found = {}
    for task in tasks:
        address = urlparse(task["image"])
        assert address.path == "/data/local-files/"
        file = made.served / parse_qs(address.query)["d"][0]
        assert file.suffix == ".jpg"
        assert task["image_id"] in (str(file.relative_to(tmp_path / "out/to label")), f"{task['shard']}/{file.stem}")
        found[file.stem] = file.read_bytes()
    assert found == PICTURES


def test_tasks_without_copies_point_to_the_files_of_a_folder_and_to_nothing_inside_of_others(
    bench: Workbench, tmp_path: Path
):
    if bench.project.settings.dataset.kind != "folder":
        with pytest.raises(ConfigError, match="Pass --images FOLDER: they are copied there"):
            export_list(bench, "mine", tmp_path / "tasks.json")
        return
    made = export_list(bench, "mine", tmp_path / "tasks.json")

    first = json.loads((tmp_path / "tasks.json").read_text())[0]["data"]
    assert made.served == tmp_path
    assert (tmp_path / parse_qs(urlparse(first["image"]).query)["d"][0]).read_bytes() in PICTURES.values()


def test_what_cannot_be_written_says_why_and_leaves_what_was_there(bench: Workbench, tmp_path: Path):
    (tmp_path / "m.csv").write_text("mine")
    with pytest.raises(ConfigError, match="its ending does not name a format"):
        export_list(bench, "mine", tmp_path / "m.txt")
    with pytest.raises(ConfigError, match="m.csv/x.csv cannot be written"):
        export_list(bench, "mine", tmp_path / "m.csv/x.csv")
    with pytest.raises(ConfigError, match="is inside the dataset"):
        export_list(bench, "mine", tmp_path / "m.csv", images=tmp_path / "data/copies")
    with pytest.raises(ConfigError, match="m.csv cannot be written"):
        export_list(bench, "mine", tmp_path / "n.csv", images=tmp_path / "m.csv")

    assert (tmp_path / "m.csv").read_text() == "mine"
    assert not list(tmp_path.glob("*.tmp"))


def test_an_image_that_is_gone_is_named(bench: Workbench, tmp_path: Path):
    lake = bench.lake
    rows = lake.read("pareto_set", "mine").to_pylist()
    shard = lake.partitions("images")[0]
    rows[0]["image_id"] = f"{shard}/gone"
    images = lake.read("images", shard).to_pylist()
    lake.publish("pareto_set", "mine", pa.Table.from_pylist(rows), inputs="y")
    lake.publish(
        "images", shard, pa.Table.from_pylist([*images, {**images[0], "image_id": f"{shard}/gone"}]), inputs="y"
    )

    with pytest.raises(MissingInputError, match=f"1 image is no longer in the dataset, such as {shard}/gone"):
        export_list(bench, "mine", tmp_path / "m.csv", images=tmp_path / "copies")


def test_tasks_come_back_as_labels_when_label_studio_has_filled_them(finished: Made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.folder)

    told = vlmine("export", "--experiment", "fused", "-n", 3, "--to", "tasks.json", "--images", "to_label")
    tasks = json.loads(Path("tasks.json").read_text())
    for task, label in zip(tasks, ("coffee", "rocket", "coffee"), strict=True):
        result = [{"type": "choices", "value": {"choices": [label]}, "from_name": "label", "to_name": "image"}]
        task["annotations"] = [{"result": result, "was_cancelled": False}]
    Path("labelled.json").write_text(json.dumps(tasks))
    back = vlmine("labels", "import", "labelled.json")

    assert told.output.startswith(
        "tasks.json: 3 images of fused, their pictures in to_label.\nLabel Studio must serve "
    )
    assert back.output.startswith("Round 1: 3 labels of 2 classes.")
    top = json.loads(vlmine("top", "--experiment", "fused", "-n", 3, "--json").output)
    assert list(load_rounds(finished.project)[0].labels) == sorted(row["image_id"] for row in top)


def test_a_list_to_which_labels_were_added_comes_back(finished: Made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.folder)
    assert vlmine("export", "--budget", 0.1, "--to", "mined.csv").exit_code == 0
    head, first, *rest = Path("mined.csv").read_text().splitlines()
    Path("mined.csv").write_text("\n".join([f"{head},label", f"{first},rocket", *(f"{row}," for row in rest)]))

    assert len(rest) == 2
    back = read_annotations(Path("mined.csv"))
    assert (back.labels, back.blank_count) == ({first.split(",")[1]: "rocket"}, 2)


def test_where_nothing_is_handed_on_no_labels_are_waited_for(finished: Made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.folder)
    told = vlmine("export", "--experiment", "fused", "--verdict", "rare", "--to", "rare.csv")

    assert told.output.splitlines() == ["rare.csv: 0 images of fused."]


def test_a_number_and_a_budget_at_once_are_refused(tmp_path: Path):
    assert "give -n or --budget, not both" in vlmine("export", "-n", 3, "--budget", 0.1, "--to", "x.csv").output
