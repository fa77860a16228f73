"""Four layouts of one world give the same frames and objects, and points that lie in the boxes."""

import json
import shutil
from collections import Counter
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from argoverse2_files import write_argoverse2
from driving_world import SIZE, open_waymo, world, write_world
from kitti_files import write_kitti
from nuscenes_files import write_nuscenes

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.geometry.lidar import points_in_boxes
from vlmine_dagster.geometry.overlap import box_iou
from vlmine_dagster.resources.datasets import argoverse2, kitti, nuscenes
from vlmine_dagster.resources.drives.contract import BOX_SIDES, box_array
from vlmine_dagster.resources.driving.waymo_files import write_waymo
from vlmine_dagster.resources.intake import inspect_shard
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.objects import object_rows
from vlmine_dagster.resources.sources import survey
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.place import Place
from vlmine_dagster.scoring.detections_3d import object_scores
from vlmine_dagster.settings.project import parse_settings
from vlmine_dagster.settings.starter import settings_for, starter_yaml

PLUGINS = {"nuscenes": nuscenes.PLUGIN, "argoverse2": argoverse2.PLUGIN, "kitti": kitti.PLUGIN}
WRITERS = {"nuscenes": write_nuscenes, "argoverse2": write_argoverse2, "kitti": write_kitti}


def open_layout(kind, folder, **settings):
    plugin = PLUGINS[kind]
    chosen = plugin.settings(kind=kind, root=str(folder), **settings)
    return plugin.make(Place(chosen, FingerprintCache()), chosen)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    top = tmp_path_factory.mktemp("layouts")

    @cache
    def written(kind):
        if kind == "waymo":
            return write_world(top / kind)
        WRITERS[kind](top / kind, world(), random_seed=0)
        return top / kind

    return written


def all_of(source, part):
    return [row for shard in source.shards() for row in getattr(source.layout, part)(shard).to_pylist()]


def by_moment(rows):
    """Objects by time and size, which all layouts have in common; tracks and keys have names of their own."""
    return sorted(rows, key=lambda row: (row["timestamp_us"], round(row["length"], 3), row["x"]))


def boxes_of(rows):
    return np.array([[row[name] for name in BOX_SIDES] for row in rows])


@pytest.mark.parametrize("kind", ["nuscenes", "argoverse2"])
def test_the_same_world_gives_the_same_objects_in_every_layout(folders, kind):
    source, known = open_layout(kind, folders(kind)), open_waymo(folders("waymo"))
    assert len(source.shards()) == 2
    rows, expected = by_moment(all_of(source, "objects")), by_moment(all_of(known, "objects"))
    assert len(rows) == len(expected) > 30
    for row, truth in zip(rows, expected, strict=True):
        for side in ("x", "y", "width", "height"):
            assert row[side] == pytest.approx(truth[side], abs=0.01)
        assert row["point_count"] == truth["point_count"]
        assert row["heading"] == pytest.approx(truth["heading"], abs=1e-6)
    assert len({row["track_id"] for row in rows}) == len({row["track_id"] for row in expected})


@pytest.mark.parametrize("kind", ["nuscenes", "argoverse2", "kitti"])
def test_pictures_are_read_and_points_lie_in_the_boxes(folders, kind):
    source = open_layout(kind, folders(kind))
    cameras = 1 if kind == "kitti" else 5
    frames = 0
    for shard in source.shards():
        rows = inspect_shard(source, shard, labels=None, max_pixels=10**8)
        assert Counter(rows["outcome"].to_pylist()).keys() == {"ok"}
        frames += rows.num_rows
        boxes, counted = source.boxes(shard), 0
        for sweep in source.sweeps(shard):
            here = boxes.filter(pc.equal(boxes["timestamp_us"], sweep.timestamp_us))
            inside = points_in_boxes(sweep.points, box_array(here) + np.array([0, 0, 0, 0.3, 0.3, 0.3, 0]))
            assert (inside >= here["point_count"].to_numpy()).all()
            counted += inside.sum()
        assert counted > 50
        key = rows["image_id"].to_pylist()[-1][len(shard) + 1 :]
        assert [raw.key for raw in source.read(shard, keys={key})] == [key]
        assert source.fingerprint(shard) != source.object_fingerprint(shard)
    assert frames == SIZE.segments * SIZE.frames * cameras


def test_kitti_puts_the_boxes_of_its_camera_where_the_lidar_sees_them(folders):
    rows = all_of(open_layout("kitti", folders("kitti")), "objects")
    known = [row for row in all_of(open_waymo(folders("waymo")), "objects") if row["key"].endswith("_FRONT")]
    assert len(rows) == len(known) > 10
    found, expected = boxes_of(rows), boxes_of(known)
    found[:, :3] += [1.4, 0, 2.0]  # where the LiDAR stands on the vehicle
    for box in found:
        assert box_iou(np.repeat(box[None], len(known), axis=0), expected).max() > 0.97


def test_scenes_say_where_when_and_in_which_weather(folders):
    source = open_layout("nuscenes", folders("nuscenes"))
    by_name = {drive.name: drive for drive in world()}
    for shard in source.shards():
        frame = source.layout.frames(shard).to_pylist()[0]
        assert frame["location"] == by_name[shard].location
        assert (frame["weather"] == "rain") == (by_name[shard].weather == "rain")


@pytest.mark.parametrize("kind", ["nuscenes", "argoverse2", "kitti", "waymo"])
def test_init_recognizes_the_layout(folders, kind):
    found = survey(str(folders(kind))).settings
    assert found.kind == kind
    written = yaml.safe_load(starter_yaml(settings_for(found, name="drives")))
    assert (written["unit"], written["objects"], written["count_by"]) == ("object", {"from_dataset": True}, "track")
    parse_settings(written)
    with pytest.raises(ConfigError, match="kind folder has no objects of its own"):
        parse_settings({**written, "dataset": {"kind": "folder", "root": "."}})


def test_init_finds_the_splits_of_waymo_below_a_folder(tmp_path):
    write_waymo(tmp_path / "all/training", world(), random_seed=0)

    found = survey(str(tmp_path / "all"))

    assert (found.settings.kind, found.contents) == ("waymo", "2 files")


@pytest.mark.parametrize("kind", ["nuscenes", "argoverse2", "kitti"])
def test_a_folder_of_something_else_is_refused(tmp_path, kind):
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(SourceError, match="Give the folder"):
        open_layout(kind, tmp_path).shards()


def test_what_is_missing_or_broken_is_told_and_the_rest_is_read(folders, tmp_path):
    folder = shutil.copytree(folders("kitti"), tmp_path / "kitti") / "training"
    (folder / "image_2/000001.png").write_bytes(b"no picture")
    (folder / "velodyne/000002.bin").write_bytes(b"12345")
    (folder / "label_2/000003.txt").unlink()
    source = open_layout("kitti", tmp_path / "kitti")
    (shard,) = source.shards()
    rows = inspect_shard(source, shard, labels=None, max_pixels=10**8).to_pylist()
    outcomes = {row["image_id"][-6:]: row["outcome"] for row in rows}
    assert outcomes.pop("000001") == "corrupt" and set(outcomes.values()) == {"ok"}
    assert not any(row["key"] == "000003" for row in source.layout.objects(shard).to_pylist())
    with pytest.raises(SourceError, match="5 bytes, not a whole number of points of 4 numbers"):
        list(source.sweeps(shard))


def test_a_line_that_is_no_label_is_a_broken_box_and_a_picture_without_calibration_keeps_its_rectangles(
    folders, tmp_path, caplog
):
    folder = shutil.copytree(folders("kitti"), tmp_path / "kitti") / "training"
    known = open_layout("kitti", tmp_path / "kitti")
    (shard,) = known.shards()
    before = known.objects(shard).num_rows
    with (folder / "label_2/000003.txt").open("a") as file:
        file.write("Car 0 0\nVan 0 0 0 1 2 30 40 -1 -1 -1 -1000 -1000 -1000 -10\n")
    (folder / "calib/000004.txt").write_text("P2: 1\n")
    tracking = (folder / "calib/000005.txt").read_text()
    (folder / "calib/000005.txt").write_text(
        tracking.replace("R0_rect:", "R_rect").replace("Tr_velo_to_cam:", "Tr_velo_cam")
    )
    source = open_layout("kitti", tmp_path / "kitti")

    images = inspect_shard(source, shard, labels=None, max_pixels=10**8)
    rows = object_rows(images, source.objects(shard), min_size=1).rows.to_pylist()

    assert len(rows) == before + 2
    assert [row["failure"] for row in rows if row["outcome"] == "bad_box"] == [
        "a side is not a number: x nan, y nan, width nan, height nan in a picture of 160 x 107"
    ]
    assert "label_2 of training/000003: line" in caplog.text and "is not a label of 15 fields: 'Car 0 0'" in caplog.text
    flat = {row["image_id"][-6:] for row in rows if "length" not in row["attributes"] and row["outcome"] == "ok"}
    assert flat == {"000003", "000004"} and "labels have no box in space" in caplog.text
    assert {row["timestamp_us"] for row in source.boxes(shard).to_pylist()} >= {3, 5}
    assert 4 not in {row["timestamp_us"] for row in source.boxes(shard).to_pylist()}


def test_nuscenes_does_without_tables_that_only_add_something_and_without_rows_that_lead_nowhere(
    folders, tmp_path, caplog
):
    folder = shutil.copytree(folders("nuscenes"), tmp_path / "nu")
    tables = folder / "v1.0-mini"
    for name in ("log", "sample_annotation", "instance", "category"):
        (tables / f"{name}.json").unlink()
    rows = json.loads((tables / "sample_data.json").read_text())
    rows[0]["calibrated_sensor_token"], rows[1]["ego_pose_token"] = "gone", "gone"
    (tables / "sample_data.json").write_text(json.dumps(rows))
    lost = next((folder / "samples/LIDAR_TOP").iterdir())
    lost.unlink()

    source = open_layout("nuscenes", folder)
    pictures = [raw for shard in source.shards() for raw in source.read(shard)]
    sweeps = sum(1 for shard in source.shards() for _ in source.sweeps(shard))

    assert survey(str(folder)).settings.kind == "nuscenes"
    assert len(pictures) + sweeps == len(rows) - 2 - 1 and not any(raw.failure for raw in pictures)
    assert {source.objects(shard).num_rows for shard in source.shards()} == {0}
    assert source.object_fingerprint(source.shards()[0])
    for said in ("log.json is missing: the location", "2 key frames name no known", f"{lost.name} is missing"):
        assert said in caplog.text


def test_a_log_without_annotations_has_pictures_and_no_objects(folders, tmp_path):
    folder = shutil.copytree(folders("argoverse2"), tmp_path / "av2")
    shard = open_layout("argoverse2", folder).shards()[0]
    (folder / shard / "annotations.feather").unlink()
    source = open_layout("argoverse2", folder)
    assert source.objects(shard).num_rows == 0 and len(list(source.read(shard))) == 15
    (folder / shard / "city_SE3_egovehicle.feather").write_bytes(b"no feather")
    (folder / shard / "annotations.feather").write_bytes(b"nor this")
    with pytest.raises(SourceError, match="is not a readable feather file"):
        open_layout("argoverse2", folder).objects(shard)


def test_of_several_versions_one_is_named(folders, tmp_path):
    folder = shutil.copytree(folders("nuscenes"), tmp_path / "nu")
    shutil.copytree(folder / "v1.0-mini", folder / "v1.0-test")
    with pytest.raises(ConfigError, match=r"v1.0-mini, v1.0-test .* name one as dataset.version"):
        open_layout("nuscenes", folder).shards()
    assert len(open_layout("nuscenes", folder, version="v1.0-test").shards()) == 2
    with pytest.raises(ConfigError, match="there are v1.0-mini, v1.0-test"):
        open_layout("nuscenes", folder, version="v9").shards()


def test_objects_of_single_pictures_get_the_scores_of_their_own_boxes(folders, tmp_path):
    source, lake = open_layout("kitti", folders("kitti")), Lake(str(tmp_path))
    (shard,) = source.shards()
    images = inspect_shard(source, shard, labels=None, max_pixels=10**8)
    lake.publish("objects", shard, object_rows(images, source.objects(shard), min_size=1).rows, inputs="x")
    boxes = source.boxes(shard).to_pylist()
    claims = pa.Table.from_pylist([{"segment": shard, **row, "score": row["timestamp_us"] / 10} for row in boxes])

    scores = object_scores(source, lake, claims)

    assert len(scores) > 10
    assert all(score == int(name.split("#")[0][-6:]) / 10 for name, score in scores.items())
