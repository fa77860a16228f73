"""Writes the generated world as the sensor data set of Argoverse 2 lays out its files."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather

from vlmine_dagster.geometry.lidar import points_of_range_image
from vlmine_dagster.geometry.poses import Floats, pose_of_heading, quaternion_of_rotation
from vlmine_dagster.resources.driving.sensed import Sensed, sensed
from vlmine_dagster.resources.driving.sweep import EGO_FROM_LIDAR, inclinations
from vlmine_dagster.resources.driving.view import cameras
from vlmine_dagster.resources.driving.world import Drive

_NAMES = {
    "FRONT": "ring_front_center",
    "FRONT_LEFT": "ring_front_left",
    "FRONT_RIGHT": "ring_front_right",
    "SIDE_LEFT": "ring_side_left",
    "SIDE_RIGHT": "ring_side_right",
}
_CATEGORIES = {1: "REGULAR_VEHICLE", 2: "PEDESTRIAN", 3: "SIGN", 4: "BICYCLE"}


def write_argoverse2(folder: Path, drives: Iterable[Drive], *, random_seed: int) -> None:
    """Write drives, a log each.

    Args:
        folder: The data set's root.
        drives: The drives.
        random_seed: Of the LiDAR's noise.
    """
    for drive in drives:
        log = folder / str(uuid.uuid5(uuid.NAMESPACE_URL, drive.name))
        annotations: list[dict[str, Any]] = []
        poses: list[dict[str, Any]] = []
        _write_calibration(log, drive)
        for record in sensed(drive, random_seed=random_seed):
            time = record.frame.time_us * 1000
            poses.append({"timestamp_ns": time, **_placed(record.frame.world_from_ego)})
            annotations += _annotations(record, time)
            _write_sensors(log, record, time)
        _write(log / "annotations.feather", annotations)
        _write(log / "city_SE3_egovehicle.feather", poses)


def _write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.feather.write_feather(pa.Table.from_pylist([dict(row) for row in rows]), file)


def _annotations(record: Sensed, time: int) -> list[dict[str, Any]]:
    return [
        {
            "timestamp_ns": time,
            "track_uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, actor.name)),
            "category": _CATEGORIES[actor.kind.type],
            "length_m": box[3],
            "width_m": box[4],
            "height_m": box[5],
            **_placed(pose_of_heading(box[6], box[:3])),
            "num_interior_pts": count,
        }
        for actor, box, count in zip(record.actors, record.boxes, record.point_counts.tolist(), strict=True)
    ]


def _write_sensors(log: Path, record: Sensed, time: int) -> None:
    for view in record.views:
        file = log / "sensors/cameras" / _NAMES[view.name] / f"{time}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(view.jpeg)
    scan = record.sweep
    points = points_of_range_image(scan.ranges, inclinations(record.frame.drive.size), EGO_FROM_LIDAR)
    columns = {name: pa.array(points[:, place].astype(np.float16)) for place, name in enumerate("xyz")}
    light = pa.array((scan.intensities[scan.ranges > 0] * 255).astype(np.uint8))
    zeros = pa.array(np.zeros(len(points), np.int32))
    file = log / "sensors/lidar" / f"{time}.feather"
    file.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.feather.write_feather(pa.table({**columns, "intensity": light, "offset_ns": zeros}), file)


def _write_calibration(log: Path, drive: Drive) -> None:
    known = {_NAMES[name]: camera for name, camera in cameras(drive.size.picture_width).items()}
    inner = [
        {
            "sensor_name": name,
            **dict(zip(("fx_px", "fy_px", "cx_px", "cy_px"), (*one.focal, *one.centre), strict=True)),
            **{"k1": 0.0, "k2": 0.0, "k3": 0.0, "height_px": one.size[1], "width_px": one.size[0]},
        }
        for name, one in known.items()
    ]
    _write(log / "calibration/intrinsics.feather", inner)
    outer = [{"sensor_name": name, **_placed(one.ego_from_optical)} for name, one in known.items()]
    _write(log / "calibration/egovehicle_SE3_sensor.feather", outer)


def _placed(pose: Floats) -> dict[str, float]:
    quaternion = zip(("qw", "qx", "qy", "qz"), quaternion_of_rotation(pose[:3, :3]).tolist(), strict=True)
    return {**dict(quaternion), **dict(zip(("tx_m", "ty_m", "tz_m"), pose[:3, 3].tolist(), strict=True))}
