"""`vlmine detections` on a small world: perfect boxes, boxes that miss the long vehicles, and a second detector."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from conftest import plain_rows

from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.tables import KEYWORDS, OBJECTS
from vlmine_dagster.learning.user_model import prediction_classes
from vlmine_dagster.resources.drives.contract import BOX_SIDES
from vlmine_dagster.resources.drives.detections import DETECTIONS, read_detections
from vlmine_dagster.resources.driving.waymo_files import write_waymo
from vlmine_dagster.resources.driving.world import WorldSize, drives
from vlmine_dagster.resources.workbench import Workbench


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drives")
    world = drives(WorldSize(segments=6, frames=1, beams=16, columns=180), random_seed=8)
    write_waymo(folder / "world", world, random_seed=0, has_pictures=False)
    content = {
        "name": "drives",
        "dataset": {"kind": "waymo", "root": "world"},
        "unit": "object",
        "objects": {"from_dataset": True},
    }
    (folder / "vlmine.yaml").write_text(yaml.safe_dump(content))
    bench = Workbench(settings_file=str(folder / "vlmine.yaml"))
    boxes = {shard: bench.source.boxes(shard).to_pylist() for shard in bench.source.shards()}
    rows = [{"segment": shard, **row, "score": 0.9} for shard, known in boxes.items() for row in known]
    perfect = pa.Table.from_pylist(rows).select(DETECTIONS.names).cast(DETECTIONS)
    pq.write_table(perfect, folder / "perfect.parquet")
    short = [row | {"score": 0.4} for row in perfect.to_pylist() if row["length"] < 7]
    pq.write_table(pa.Table.from_pylist(short, DETECTIONS), folder / "short.parquet")
    for shard in bench.source.shards():
        known = [row for row in rows if row["segment"] == shard]
        objects = plain_rows(
            OBJECTS,
            object_id=[f"{shard}/{row['timestamp_us']}_FRONT#{row['track_id']}" for row in known],
            track_id=[row["track_id"] for row in known],
            timestamp_s=[row["timestamp_us"] / 1e6 for row in known],
            attributes=[json.dumps({name: row[name] for name in BOX_SIDES}) for row in known],
        )
        bench.lake.publish("objects", shard, objects, inputs="x")
        long = [name for name, row in zip(objects["object_id"].to_pylist(), known, strict=True) if row["length"] > 7]
        words = plain_rows(KEYWORDS, image_id=long, keyword=["trailer"] * len(long))
        bench.lake.publish("keywords", shard, words, inputs="x")
    return folder, rows


def judged(folder, *arguments):
    outcome = CliRunner().invoke(main, ["--project", str(folder / "vlmine.yaml"), "detections", *arguments, "--json"])
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


def precision(found):
    return {(row["class"], row["of"].split(" (")[0]): row["ap"] for row in found["precision"]}


def test_perfect_boxes_are_perfect_and_missing_long_ones_cost_the_rare(project):
    folder, rows = project
    found = judged(folder, str(folder / "perfect.parquet"))
    assert found["rare"] == "longer than 7 m"
    assert set(precision(found).values()) == {1.0}
    assert sum(row["count"] for row in found["precision"] if row["of"] == "all") == len(rows)
    missed = precision(judged(folder, str(folder / "short.parquet")))
    assert missed["vehicle", "rare"] == 0 and missed["vehicle", "common"] == 1
    command = ["--project", str(folder / "vlmine.yaml"), "detections", str(folder / "short.parquet")]
    text = CliRunner().invoke(main, command)
    assert "rare (longer than 7 m)" in text.output


def test_a_keyword_that_a_person_chose_says_which_objects_are_rare(project):
    folder, rows = project
    found = judged(folder, str(folder / "short.parquet"), "--keyword", "trailer")
    assert found["rare"] == 'keyword "trailer"'
    rare = [row for row in found["precision"] if row["of"].startswith("rare")]
    assert sum(row["count"] for row in rare) == sum(row["length"] > 7 for row in rows)
    assert {row["ap"] for row in rare} == {0.0}
    assert not [row for row in judged(folder, str(folder / "short.parquet"), "--keyword", "horse")["precision"]
                if row["of"].startswith("rare")]  # fmt: skip


def test_two_detectors_disagree_on_what_one_misses_and_predictions_are_written(project, tmp_path):
    folder, rows = project
    file = tmp_path / "predictions.parquet"
    arguments = [str(folder / "perfect.parquet"), "--other", str(folder / "short.parquet"), "--write", str(file)]
    found = judged(folder, *arguments, "--type", "vehicle", "--longer-than", "7")
    assert found["rare"] == "vehicle, longer than 7 m"
    first = found["disagreements"][0]
    assert (first["score"], first["other"]) == (0.9, 0.0)
    written = pq.read_table(file).to_pydict()
    assert len(written["image_id"]) == len(rows) == found["objects"]
    assert set(prediction_classes(str(file))) == {"found", "missed"}
    by_object = dict(zip(written["image_id"], written["found"], strict=True))
    assert by_object[first["object_id"]] == pytest.approx(0.45)


def test_files_that_are_no_detections_are_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match="has no column segment"):
        read_detections(str(tmp_path / "a.parquet"))
    (tmp_path / "b.parquet").write_bytes(b"x")
    with pytest.raises(ConfigError, match="cannot be read as detections"):
        read_detections(str(tmp_path / "b.parquet"))
    row = {name: "a" if DETECTIONS.field(name).type == pa.string() else 1 for name in DETECTIONS.names}
    pq.write_table(pa.Table.from_pylist([row | {"score": 7.0}]), tmp_path / "c.parquet")
    with pytest.raises(ConfigError, match="scores lie from 7 to 7"):
        read_detections(str(tmp_path / "c.parquet"))


def test_waymos_own_columns_are_read(project, tmp_path):
    folder, _ = project
    part = next((folder / "world/lidar_box").glob("*.parquet"))
    table = pq.read_table(part)
    pq.write_table(table.append_column("score", pa.array([0.5] * table.num_rows)), tmp_path / "waymo.parquet")
    found = read_detections(str(tmp_path / "waymo.parquet"))
    assert found.schema == DETECTIONS and found.num_rows == table.num_rows
    assert set(found["type_name"].to_pylist()) <= {"vehicle", "pedestrian", "sign", "cyclist"}
