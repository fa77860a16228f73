"""The benchmark of driving data compares the same crops."""

import numpy as np

from benchmarks.drives import bare_crops, make_project, make_world, publish_objects
from benchmarks.study_world import make_study_world
from vlmine_dagster.resources.driving.world import WorldSize
from vlmine_dagster.resources.encoder import prepare_pixels
from vlmine_dagster.resources.intake import read_bytes
from vlmine_dagster.resources.workbench import Workbench


def test_the_bare_work_makes_the_same_inputs_of_the_same_objects(tmp_path):
    bench = make_project(tmp_path, make_world(tmp_path / "waymo", 1, 1))
    shard = bench.source.shards()[0]
    rows = publish_objects(bench, shard)
    names = [row["object_id"] for row in rows if row["outcome"] == "ok"]
    bare = bare_crops(tmp_path / "waymo/camera_image" / f"{shard}.parquet", rows, 10**8)
    ours = [prepare_pixels(data, max_pixels=10**8) for _, data in read_bytes(bench.pictures, shard, names)]
    assert len(bare) == len(ours) == len(names) > 1
    assert all(np.array_equal(one, other) for one, other in zip(bare, ours, strict=True))


def test_the_world_of_the_study_is_a_project_with_the_kinds_of_its_tracks(tmp_path):
    make_study_world(tmp_path / "world", WorldSize(segments=1, frames=1, beams=8, columns=90, picture_width=160))
    bench = Workbench(settings_file=str(tmp_path / "world/vlmine.yaml"))
    (shard,) = bench.source.shards()
    rows = bench.source.objects(shard).to_pylist()
    assert rows and {row["label"] for row in rows} - {"vehicle", "pedestrian", "cyclist", "sign"}
