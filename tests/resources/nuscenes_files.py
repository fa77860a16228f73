"""Writes the generated world as nuScenes lays out its files."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vlmine_dagster.geometry.camera import Camera
from vlmine_dagster.geometry.lidar import points_of_range_image
from vlmine_dagster.geometry.poses import Floats, moved_boxes, pose_of_heading, quaternion_of_rotation
from vlmine_dagster.resources.driving.sensed import Sensed, sensed
from vlmine_dagster.resources.driving.sweep import EGO_FROM_LIDAR, inclinations
from vlmine_dagster.resources.driving.view import cameras
from vlmine_dagster.resources.driving.world import Drive

VERSION = "v1.0-mini"
_LIDAR = "LIDAR_TOP"
_CHANNELS = {
    "FRONT": "CAM_FRONT",
    "FRONT_LEFT": "CAM_FRONT_LEFT",
    "FRONT_RIGHT": "CAM_FRONT_RIGHT",
    "SIDE_LEFT": "CAM_BACK_LEFT",
    "SIDE_RIGHT": "CAM_BACK_RIGHT",
}
_CATEGORIES = {1: "vehicle.car", 2: "human.pedestrian.adult", 3: "static_object.sign", 4: "vehicle.bicycle"}

Row = dict[str, Any]
Tables = Mapping[str, list[Row]]


def write_nuscenes(folder: Path, drives: Iterable[Drive], *, random_seed: int) -> None:
    """Write drives, a scene each; every frame is a key frame.

    Args:
        folder: The data set's root.
        drives: The drives.
        random_seed: Of the LiDAR's noise.
    """
    tables: Tables = defaultdict(list)
    tables["category"] += [{"token": token("category", name), "name": name} for name in _CATEGORIES.values()]
    tables["visibility"] += [{"token": str(level), "level": f"v{20 * level}"} for level in (1, 2, 3, 4)]
    for name in ("attribute", "map"):
        tables[name].extend([])
    for drive in drives:
        _write_scene(folder, tables, drive, random_seed)
    target = folder / VERSION
    target.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        (target / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")


def token(*parts: object) -> str:
    """Return a token of 32 hexadecimal digits."""
    return hashlib.md5(" ".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def _write_scene(folder: Path, tables: Tables, drive: Drive, random_seed: int) -> None:
    scene = token("scene", drive.name)
    log = {"token": token("log", drive.name), "logfile": drive.name, "location": drive.location}
    tables["log"].append(log)
    words = f"{drive.time_of_day}, {drive.weather}"
    tables["scene"].append({"token": scene, "name": drive.name, "log_token": log["token"], "description": words})
    _add_sensors(tables, drive)
    for actor in drive.actors:
        category = token("category", _CATEGORIES[actor.kind.type])
        tables["instance"].append({"token": token("instance", actor.name), "category_token": category})
    for record in sensed(drive, random_seed=random_seed):
        sample: Row = {"token": token("sample", scene, record.frame.number), "timestamp": record.frame.time_us}
        tables["sample"].append({**sample, "scene_token": scene})
        _add_shots(folder, tables, record, sample["token"])
        _add_annotations(tables, record, sample["token"])


def _add_sensors(tables: Tables, drive: Drive) -> None:
    known: dict[str, Camera | None] = {_CHANNELS[name]: one for name, one in cameras(drive.size.picture_width).items()}
    for channel, camera in {**known, _LIDAR: None}.items():
        pose = EGO_FROM_LIDAR if camera is None else camera.ego_from_optical
        inner: list[list[float]] = []
        if camera is not None:
            (fx, fy), (cx, cy) = camera.focal, camera.centre
            inner = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
        if not any(row["channel"] == channel for row in tables["sensor"]):
            kind = "lidar" if camera is None else "camera"
            tables["sensor"].append({"token": token("sensor", channel), "channel": channel, "modality": kind})
        one = {"token": token(drive.name, channel), "sensor_token": token("sensor", channel)}
        tables["calibrated_sensor"].append({**one, **_placed(pose), "camera_intrinsic": inner})


def _add_shots(folder: Path, tables: Tables, record: Sensed, sample: str) -> None:
    frame = record.frame
    pose = token("pose", sample)
    tables["ego_pose"].append({"token": pose, "timestamp": frame.time_us, **_placed(frame.world_from_ego)})

    def add(channel: str, ending: str, data: bytes, size: tuple[int, int]) -> None:
        name = f"samples/{channel}/{frame.drive.name}__{channel}__{frame.time_us}{ending}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        row: Row = {"token": token("shot", sample, channel), "sample_token": sample, "ego_pose_token": pose}
        row |= {"calibrated_sensor_token": token(frame.drive.name, channel), "filename": name, "is_key_frame": True}
        tables["sample_data"].append({**row, "timestamp": frame.time_us, "width": size[0], "height": size[1]})

    for view in record.views:
        add(_CHANNELS[view.name], ".jpg", view.jpeg, view.camera.size)
    points = points_of_range_image(record.sweep.ranges, inclinations(frame.drive.size), np.eye(4))
    light = record.sweep.intensities[record.sweep.ranges > 0] * 255
    cloud = np.column_stack([points, light, np.zeros(len(points))]).astype("<f4")
    add(_LIDAR, ".pcd.bin", cloud.tobytes(), (0, 0))


def _add_annotations(tables: Tables, record: Sensed, sample: str) -> None:
    world = moved_boxes(record.boxes, record.frame.world_from_ego)
    for actor, box, count in zip(record.actors, world, record.point_counts.tolist(), strict=True):
        tables["sample_annotation"].append(
            {
                "token": token("annotation", sample, actor.name),
                "sample_token": sample,
                "instance_token": token("instance", actor.name),
                "visibility_token": "4" if count > 50 else "2",
                "size": [box[4], box[3], box[5]],
                **_placed(pose_of_heading(box[6], box[:3])),
                "num_lidar_pts": count,
            }
        )


def _placed(pose: Floats) -> Row:
    return {"translation": pose[:3, 3].tolist(), "rotation": quaternion_of_rotation(pose[:3, :3]).tolist()}
