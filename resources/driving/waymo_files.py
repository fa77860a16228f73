"""Writes the generated world as the Waymo Open Dataset v2 lays out its files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlmine_dagster.geometry.camera import Camera
from vlmine_dagster.geometry.poses import OPTICAL_FROM_FORWARD
from vlmine_dagster.resources.driving.sensed import Sensed, View, sensed
from vlmine_dagster.resources.driving.sweep import EGO_FROM_LIDAR, INCLINATIONS, inclinations
from vlmine_dagster.resources.driving.world import Drive, WorldSize

_KEYS = {
    "segment": ("key.segment_context_name", pa.string()),
    "time": ("key.frame_timestamp_micros", pa.int64()),
    "camera": ("key.camera_name", pa.int8()),
    "laser": ("key.laser_name", pa.int8()),
    "object": ("key.laser_object_id", pa.string()),
    "camera_object": ("key.camera_object_id", pa.string()),
}
_TRANSFORM = pa.list_(pa.float64(), 16)
_RANGE_IMAGE = {"values": pa.list_(pa.float32()), "shape": pa.list_(pa.int32(), 3)}
_D, _I8 = pa.float64(), pa.int8()
_INTRINSICS = ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")
_SHUTTER = ("shutter", "camera_trigger_time", "camera_readout_done_time")

_BOX_2D = {"box.center.x": _D, "box.center.y": _D, "box.size.x": _D, "box.size.y": _D, "type": _I8}
_LEVELS = {"difficulty_level.detection": _I8, "difficulty_level.tracking": _I8}
_AXES = ("x", "y", "z")
_COMPONENTS: Mapping[str, tuple[tuple[str, ...], str, Mapping[str, pa.DataType]]] = {
    "camera_image": (
        ("segment", "time", "camera"),
        "CameraImageComponent",
        {
            "image": pa.binary(),
            "pose.transform": _TRANSFORM,
            **{f"velocity.{kind}_velocity.{axis}": _D for kind in ("linear", "angular") for axis in _AXES},
            "pose_timestamp": _D,
            **{f"rolling_shutter_params.{name}": _D for name in _SHUTTER},
        },
    ),
    "camera_calibration": (
        ("segment", "camera"),
        "CameraCalibrationComponent",
        {
            **{f"intrinsic.{name}": _D for name in _INTRINSICS},
            "extrinsic.transform": _TRANSFORM,
            "width": pa.int32(),
            "height": pa.int32(),
            "rolling_shutter_direction": _I8,
        },
    ),
    "camera_box": (("segment", "time", "camera", "camera_object"), "CameraBoxComponent", {**_BOX_2D, **_LEVELS}),
    "camera_to_lidar_box_association": (
        ("segment", "time", "camera", "camera_object", "object"),
        "CameraToLiDARBoxAssociationComponent",
        {},
    ),
    "projected_lidar_box": (("segment", "time", "camera", "object"), "ProjectedLiDARBoxComponent", _BOX_2D),
    "lidar_box": (
        ("segment", "time", "object"),
        "LiDARBoxComponent",
        {
            **{f"box.{part}.{axis}": _D for part in ("center", "size") for axis in _AXES},
            "box.heading": _D,
            "type": _I8,
            "num_lidar_points_in_box": pa.int64(),
            "num_top_lidar_points_in_box": pa.int64(),
            **{f"{part}.{axis}": _D for part in ("speed", "acceleration") for axis in _AXES},
            **_LEVELS,
        },
    ),
    "lidar": (
        ("segment", "time", "laser"),
        "LiDARComponent",
        {f"range_image_return{n}.{part}": kind for n in (1, 2) for part, kind in _RANGE_IMAGE.items()},
    ),
    "lidar_calibration": (
        ("segment", "laser"),
        "LiDARCalibrationComponent",
        {
            "extrinsic.transform": _TRANSFORM,
            "beam_inclination.min": _D,
            "beam_inclination.max": _D,
            "beam_inclination.values": pa.list_(_D),
        },
    ),
    "lidar_pose": (
        ("segment", "time", "laser"),
        "LiDARPoseComponent",
        {f"range_image_return1.{part}": kind for part, kind in _RANGE_IMAGE.items()},
    ),
    "vehicle_pose": (("segment", "time"), "VehiclePoseComponent", {"world_from_vehicle.transform": _TRANSFORM}),
    "stats": (
        ("segment", "time"),
        "StatsComponent",
        {
            "time_of_day": pa.string(),
            "location": pa.string(),
            "weather": pa.string(),
            "lidar_object_counts.types": pa.list_(_I8),
            "lidar_object_counts.counts": pa.list_(pa.int32()),
        },
    ),
}  # fmt: skip
"""Keys, name in brackets and columns of each component."""

_ROW_GROUP = {"camera_image": 10, "lidar": 1, "lidar_pose": 1}
_PEDESTRIAN = 2


def write_waymo(folder: Path, drives: Iterable[Drive], *, random_seed: int, has_pictures: bool = True) -> None:
    """Write drives, a segment each.

    Args:
        folder: The data set's root.
        drives: The drives.
        random_seed: Of the LiDAR's noise.
        has_pictures: Whether there are cameras.
    """
    for drive in drives:
        with _Segment(folder, drive.name) as segment:
            _write_calibration(segment, drive.size)
            for record in sensed(drive, random_seed=random_seed, has_pictures=has_pictures):
                _write_frame(segment, record)


def write_kinds(file: Path, drives: Iterable[Drive]) -> None:
    """Write the kind of every track, which no data set of this layout has."""
    pairs = [(actor.name, actor.kind.name) for drive in drives for actor in drive.actors]
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"track_id": [name for name, _ in pairs], "kind": [kind for _, kind in pairs]}), file)


class _Segment:
    """The files of a segment, written row group by row group."""

    def __init__(self, folder: Path, name: str):
        self._folder, self._name = folder, name
        self._rows: dict[str, list[dict[str, Any]]] = {component: [] for component in _COMPONENTS}
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> "_Segment":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        for component in _COMPONENTS:
            if kind is None:
                self._flush(component)
            self._writers[component].close()

    def add(self, component: str, keys: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Add a row."""
        _, bracket, _ = _COMPONENTS[component]
        named = {_KEYS[name][0]: value for name, value in {"segment": self._name, **keys}.items()}
        named |= {f"[{bracket}].{name}": value for name, value in values.items()}
        named["index"] = ";".join(str(value) for value in named.values() if isinstance(value, str | int))[:200]
        self._rows[component].append(named)
        if len(self._rows[component]) >= _ROW_GROUP.get(component, 2000):
            self._flush(component)

    def _flush(self, component: str) -> None:
        keys, bracket, columns = _COMPONENTS[component]
        schema = pa.schema(
            [
                ("index", pa.string()),
                *(_KEYS[name] for name in keys),
                *((f"[{bracket}].{name}", kind) for name, kind in columns.items()),
            ]
        )
        if component not in self._writers:
            file = self._folder / component / f"{self._name}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            self._writers[component] = pq.ParquetWriter(file, schema)
        if self._rows[component]:
            self._writers[component].write_table(pa.Table.from_pylist(self._rows[component], schema))
        self._rows[component] = []


def _write_calibration(segment: _Segment, size: WorldSize) -> None:
    values = {
        "extrinsic.transform": EGO_FROM_LIDAR.ravel().tolist(),
        "beam_inclination.min": INCLINATIONS[0],
        "beam_inclination.max": INCLINATIONS[1],
        "beam_inclination.values": inclinations(size).tolist(),
    }
    segment.add("lidar_calibration", {"laser": 1}, values)


def _write_frame(segment: _Segment, record: Sensed) -> None:
    frame = record.frame
    keys = {"time": frame.time_us}
    pose = frame.world_from_ego.ravel().tolist()
    segment.add("vehicle_pose", keys, {"world_from_vehicle.transform": pose})
    _write_stats(segment, record)
    _write_sweep(segment, record)
    for place, actor in enumerate(record.actors):
        segment.add("lidar_box", {**keys, "object": actor.name}, _box_3d(record, place))
    for number, view in enumerate(record.views, start=1):
        at = {**keys, "camera": number}
        if frame.number == 0:
            segment.add("camera_calibration", {"camera": number}, _calibration(view.camera))
        segment.add("camera_image", at, _image(record, view))
        for place, actor in enumerate(record.actors):
            rectangle = view.rectangles[place]
            if np.isfinite(rectangle).all():
                box = _box_2d(rectangle, actor.kind.type)
                segment.add("projected_lidar_box", {**at, "object": actor.name}, box)
                _write_camera_box(segment, {**at, "camera_object": f"{actor.name}-{number}"}, actor, box)


def _write_camera_box(segment: _Segment, at: Mapping[str, Any], actor: Any, box: Mapping[str, Any]) -> None:
    """Write what another annotator drew: tighter, and associated with the LiDAR's box for pedestrians alone."""
    tighter = {**box, "box.size.x": box["box.size.x"] * 0.95, "box.size.y": box["box.size.y"] * 0.95}
    segment.add("camera_box", at, {**tighter, "difficulty_level.detection": 1, "difficulty_level.tracking": 1})
    if actor.kind.type == _PEDESTRIAN:
        segment.add("camera_to_lidar_box_association", {**at, "object": actor.name}, {})


def _write_stats(segment: _Segment, record: Sensed) -> None:
    drive = record.frame.drive
    types = sorted({actor.kind.type for actor in record.actors})
    counts = [sum(actor.kind.type == number for actor in record.actors) for number in types]
    conditions = {"time_of_day": drive.time_of_day, "location": drive.location, "weather": drive.weather}
    counted = {"lidar_object_counts.types": types, "lidar_object_counts.counts": counts}
    segment.add("stats", {"time": record.frame.time_us}, {**conditions, **counted})


def _write_sweep(segment: _Segment, record: Sensed) -> None:
    scan, pose = record.sweep, record.frame.world_from_ego
    height, width = scan.ranges.shape
    image = np.stack([scan.ranges, scan.intensities, np.zeros_like(scan.ranges), -np.ones_like(scan.ranges)], axis=-1)
    at = {"time": record.frame.time_us, "laser": 1}
    values = {"range_image_return1.values": image.ravel(), "range_image_return1.shape": [height, width, 4]}
    second = {"range_image_return2.values": [], "range_image_return2.shape": [0, 0, 4]}  # pulses return once here
    segment.add("lidar", at, {**values, **second})
    heading = np.arctan2(pose[1, 0], pose[0, 0])
    pixels = np.broadcast_to(np.array([0, 0, heading, *pose[:3, 3]], np.float32), (height, width, 6))
    poses = {"range_image_return1.values": pixels.ravel(), "range_image_return1.shape": [height, width, 6]}
    segment.add("lidar_pose", at, poses)


def _image(record: Sensed, view: View) -> dict[str, Any]:
    seconds, speed = record.frame.time_us / 1e6, record.frame.drive.speed
    return {
        "image": view.jpeg,
        "pose.transform": record.frame.world_from_ego.ravel().tolist(),
        **{f"velocity.linear_velocity.{axis}": value for axis, value in zip(_AXES, (speed, 0.0, 0.0), strict=True)},
        **{f"velocity.angular_velocity.{axis}": 0.0 for axis in _AXES},
        "pose_timestamp": seconds,
        "rolling_shutter_params.shutter": 0.0,
        "rolling_shutter_params.camera_trigger_time": seconds,
        "rolling_shutter_params.camera_readout_done_time": seconds,
    }


def _calibration(camera: Camera) -> dict[str, Any]:
    numbers = (*camera.focal, *camera.centre, *[0.0] * 5)
    return {
        **{f"intrinsic.{name}": value for name, value in zip(_INTRINSICS, numbers, strict=True)},
        "extrinsic.transform": (camera.ego_from_optical @ OPTICAL_FROM_FORWARD).ravel().tolist(),
        "width": camera.size[0],
        "height": camera.size[1],
        "rolling_shutter_direction": 5,
    }


def _box_2d(rectangle: Any, type_number: int) -> dict[str, Any]:
    left, top, right, bottom = rectangle.tolist()
    centre = {"box.center.x": (left + right) / 2, "box.center.y": (top + bottom) / 2}
    return {**centre, "box.size.x": right - left, "box.size.y": bottom - top, "type": type_number}


def _box_3d(record: Sensed, place: int) -> dict[str, Any]:
    box, count = record.boxes[place].tolist(), int(record.point_counts[place])
    level = 1 if count > 5 else 2
    return {
        **{f"box.center.{axis}": value for axis, value in zip(_AXES, box[:3], strict=True)},
        **{f"box.size.{axis}": value for axis, value in zip(_AXES, box[3:6], strict=True)},
        "box.heading": box[6],
        "type": record.actors[place].kind.type,
        "num_lidar_points_in_box": count,
        "num_top_lidar_points_in_box": count,
        **{f"speed.{axis}": value for axis, value in zip(_AXES, (*record.speeds[place].tolist(), 0.0), strict=True)},
        **{f"acceleration.{axis}": 0.0 for axis in _AXES},
        "difficulty_level.detection": level,
        "difficulty_level.tracking": level,
    }
