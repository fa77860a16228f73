"""Waymo's layout: what its files say comes back as frames, objects and points; what is broken is told."""

import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from driving_world import SIZE, open_waymo, world, write_world

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.geometry.lidar import points_in_boxes
from vlmine_dagster.resources.datasets import waymo
from vlmine_dagster.resources.drives.contract import box_array
from vlmine_dagster.resources.drives.own_boxes import KnowsObjects, OwnBoxes
from vlmine_dagster.resources.driving.waymo_files import write_kinds
from vlmine_dagster.resources.intake import inspect_shard
from vlmine_dagster.resources.objects import object_rows
from vlmine_dagster.resources.sources.contract import LOST_KEY


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world") / "waymo")


@pytest.fixture
def folder(written, tmp_path):
    """A copy that a test may break."""
    return shutil.copytree(written, tmp_path / "waymo")


def shard_file(folder, component, shard):
    return folder / component / f"{shard}.parquet"


def rewrite(file, change):
    pq.write_table(change(pq.read_table(file)), file, row_group_size=4)


def test_pictures_of_all_cameras_come_with_their_moment_and_weather(written):
    source = open_waymo(written)
    drive = sorted(world(), key=lambda drive: drive.name)[0]
    assert source.shards() == sorted(one.name for one in world())
    rows = inspect_shard(source, drive.name, labels=None, max_pixels=10**8).to_pylist()
    assert len(rows) == SIZE.frames * 5
    assert Counter(row["outcome"] for row in rows) == {"ok": 15}
    first = rows[0]
    assert first["image_id"] == f"{drive.name}/{drive.start_us}_FRONT"
    assert (first["width"], first["height"]) == (160, 107)
    assert (first["sequence_id"], first["frame_index"]) == (drive.name, 0)
    assert first["timestamp_s"] == pytest.approx(drive.start_us / 1e6)
    assert f'"weather": "{drive.weather}"' in first["attributes"] and '"camera": "FRONT"' in first["attributes"]


def test_only_pictures_that_are_asked_for_are_read(written):
    source = open_waymo(written)
    shard = source.shards()[0]
    keys = [raw.key for raw in source.read(shard)]
    assert [raw.key for raw in source.read(shard, keys={keys[11], keys[3], "no such"})] == [keys[3], keys[11]]


def test_an_object_in_a_picture_is_tied_to_its_box_in_space(written):
    source = open_waymo(written)
    shard = source.shards()[0]
    objects, boxes = source.layout.objects(shard), source.boxes(shard)
    truth = next(drive for drive in world() if drive.name == shard)
    assert objects.num_rows > 10
    frame, rows = truth.frame(0), boxes.filter(pc.equal(boxes["timestamp_us"], truth.start_us)).to_pylist()
    names = [actor.name for actor in truth.actors]
    for row in rows:
        assert [row[name] for name in ("center_x", "center_y", "length", "heading")] == pytest.approx(
            frame.boxes[names.index(row["track_id"])][[0, 1, 3, 6]]
        )
    tied = objects.filter(pc.equal(objects["timestamp_us"], truth.start_us)).to_pylist()
    by_track = {row["track_id"]: row for row in rows}
    assert all(row["center_x"] == by_track[row["track_id"]]["center_x"] for row in tied)
    assert all(row["key"].startswith(f"{truth.start_us}_") for row in tied)


def test_camera_boxes_are_known_for_pedestrians_alone(written):
    source = open_waymo(written)
    rows = [row for shard in source.shards() for row in source.layout.objects(shard).to_pylist()]
    known = Counter(row["class_name"] for row in rows if row["camera_object_id"])
    assert set(known) == {"pedestrian"}
    assert known["pedestrian"] == sum(row["class_name"] == "pedestrian" for row in rows)


def test_points_of_range_images_lie_in_the_boxes_that_count_them(written):
    source = open_waymo(written)
    shard = source.shards()[1]
    boxes = source.boxes(shard)
    sweeps = list(source.sweeps(shard))
    assert [sweep.timestamp_us for sweep in sweeps] == sorted(set(boxes["timestamp_us"].to_pylist()))
    for sweep in sweeps:
        rows = boxes.filter(pc.equal(boxes["timestamp_us"], sweep.timestamp_us))
        grown = box_array(rows) + np.array([0, 0, 0, 0.2, 0.2, 0.2, 0])
        counted = rows["point_count"].to_numpy()
        assert (points_in_boxes(sweep.points, grown) >= counted).all() and counted.sum() > 20


def test_kinds_that_somebody_gave_to_tracks_are_classes(written, tmp_path):
    write_kinds(tmp_path / "kinds.parquet", world())
    plain, finer = open_waymo(written), open_waymo(written, kinds=str(tmp_path / "kinds.parquet"))
    shard = plain.shards()[0]
    assert set(plain.objects(shard)["label"].to_pylist()) <= {"vehicle", "pedestrian", "sign", "cyclist"}
    assert {"car", "bicycle"} <= set(finer.objects(shard)["label"].to_pylist())
    assert plain.object_fingerprint(shard) != finer.object_fingerprint(shard)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "wrong.parquet")
    with pytest.raises(ConfigError, match="expected track_id and kind"):
        open_waymo(written, kinds=str(tmp_path / "wrong.parquet"))


def test_objects_of_the_data_set_become_rows_of_objects(written):
    source = open_waymo(written)
    assert isinstance(source, KnowsObjects)
    own, shard = OwnBoxes(source), source.shards()[0]
    images = inspect_shard(source, shard, labels=None, max_pixels=10**8)
    boxes = own.of_images(shard, images["image_id"].to_pylist())
    rows = object_rows(images, boxes.rows, min_size=8).rows
    assert set(rows["outcome"].to_pylist()) == {"ok", "too_small"}
    one = rows.to_pylist()[0]
    assert one["object_id"] == f"{one['image_id']}#{one['track_id']}"
    assert own.unmatched({shard: images["image_id"].to_pylist()}).num_rows == 0
    assert sum(own.class_counts().values()) == sum(source.objects(name).num_rows for name in source.shards())


def test_a_folder_of_components_is_recognized(written, tmp_path):
    assert waymo.detect(str(written)) == {}
    assert waymo.detect(str(tmp_path)) is None
    with pytest.raises(SourceError, match="no file camera_image/SEGMENT.parquet"):
        open_waymo(tmp_path).shards()


def test_files_that_change_change_the_fingerprints_of_what_depends_on_them(folder):
    source = open_waymo(folder)
    first, second = source.shards()
    before = [source.fingerprint(shard) for shard in (first, second)], source.object_fingerprint(first)
    rewrite(shard_file(folder, "lidar_box", first), lambda table: table.slice(1))
    source = open_waymo(folder)
    assert [source.fingerprint(shard) for shard in (first, second)] == before[0]
    assert source.object_fingerprint(first) != before[1]


@pytest.mark.parametrize("component", ["lidar_box", "stats", "camera_to_lidar_box_association", "lidar_pose"])
def test_a_segment_that_lacks_a_component_does_without(folder, component):
    shard = open_waymo(folder).shards()[0]
    shard_file(folder, component, shard).unlink()
    source = open_waymo(folder)
    assert len(list(source.read(shard))) == 15
    objects = source.layout.objects(shard)
    assert objects.num_rows > 10
    assert objects["center_x"].null_count == (objects.num_rows if component == "lidar_box" else 0)
    assert len(list(source.sweeps(shard))) == SIZE.frames


def test_a_segment_without_pictures_is_one_unreadable_image_and_without_boxes_has_no_objects(folder):
    first, second = open_waymo(folder).shards()
    shard_file(folder, "camera_image", first).unlink()
    shard_file(folder, "projected_lidar_box", second).unlink()
    source = open_waymo(folder)
    assert source.shards() == [first, second]
    lost = list(source.read(first))
    assert [raw.key for raw in lost] == [LOST_KEY] and lost[0].failure == "the file is missing"
    assert OwnBoxes(source).unmatched({first: []}).num_rows > 0
    assert source.objects(second).num_rows == 0 and len(list(source.read(second))) == 15


def test_a_missing_camera_and_times_out_of_order_leave_frames_in_order(folder):
    source = open_waymo(folder)
    shard = source.shards()[0]

    def mixed(table):
        kept = table.filter(pc.not_equal(table["key.camera_name"], 4))
        return kept.take(np.random.default_rng(0).permutation(kept.num_rows))

    rewrite(shard_file(folder, "camera_image", shard), mixed)
    source = open_waymo(folder)
    rows = inspect_shard(source, shard, labels=None, max_pixels=10**8).to_pylist()
    assert len(rows) == 12 and not any("SIDE_LEFT" in row["image_id"] for row in rows)
    times = {row["frame_index"]: row["timestamp_s"] for row in rows}
    assert [times[number] for number in range(3)] == sorted(times.values())
    lost = OwnBoxes(source).unmatched({shard: [row["image_id"] for row in rows]})
    assert all("SIDE_LEFT" in name for name in lost["name"].to_pylist())


def test_a_picture_that_is_null_is_empty_and_the_others_are_read(folder):
    source = open_waymo(folder)
    shard = source.shards()[0]

    def without_first(table):
        place = table.schema.get_field_index("[CameraImageComponent].image")
        values = [None, *table.column(place).to_pylist()[1:]]
        return table.set_column(place, table.schema.field(place), pa.array(values, pa.binary()))

    rewrite(shard_file(folder, "camera_image", shard), without_first)
    rows = inspect_shard(open_waymo(folder), shard, labels=None, max_pixels=10**8)
    assert Counter(rows["outcome"].to_pylist()) == {"ok": 14, "empty": 1}


def test_a_range_image_without_returns_is_a_sweep_without_points(folder):
    source = open_waymo(folder)
    shard = source.shards()[0]

    def silent(table):
        place = table.schema.get_field_index("[LiDARComponent].range_image_return1.values")
        values = [
            [-1.0] * len(row) if number == 1 else row for number, row in enumerate(table.column(place).to_pylist())
        ]
        return table.set_column(place, table.schema.field(place), pa.array(values, pa.list_(pa.float32())))

    rewrite(shard_file(folder, "lidar", shard), silent)
    counts = [len(sweep.points) for sweep in open_waymo(folder).sweeps(shard)]
    assert counts[1] == 0 and counts[0] > 100 and counts[2] > 100


def test_files_that_are_no_components_are_refused_by_name(folder):
    source = open_waymo(folder)
    shard = source.shards()[0]
    pq.write_table(pa.table({"a": [1]}), shard_file(folder, "lidar_box", shard))
    with pytest.raises(SourceError, match=r"lidar_box/.+ has no column key.frame_timestamp_micros"):
        open_waymo(folder).boxes(shard)
    shard_file(folder, "lidar_calibration", shard).unlink()
    with pytest.raises(SourceError, match="no lidar_calibration of its top LiDAR"):
        next(open_waymo(folder).sweeps(shard))
    shard_file(folder, "camera_image", shard).write_bytes(b"no parquet")
    with pytest.raises(SourceError, match="is not a readable Parquet"):
        list(open_waymo(folder).read(shard))
    assert len(list(open_waymo(folder).read(source.shards()[1]))) == 15
