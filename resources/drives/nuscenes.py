"""nuScenes v1.0: JSON tables that name one another by tokens, pictures and points in files of their own."""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.geometry.camera import Camera
from vlmine_dagster.geometry.poses import (
    Floats,
    heading_of,
    inverted,
    moved,
    moved_boxes,
    pose_of_quaternion,
    rotation_of_quaternion,
)
from vlmine_dagster.resources.boxes.contract import BoxFile
from vlmine_dagster.resources.boxes.json_files import items
from vlmine_dagster.resources.drives.contract import BOX_SIDES, BOXES, FRAMES, Picture, Sweep
from vlmine_dagster.resources.drives.files import file_pictures, object_table, read_points, seen_objects
from vlmine_dagster.resources.sources.tree import FileTree

Row = Mapping[str, Any]
_logger = logging.getLogger(__name__)

_LIDAR = "LIDAR_TOP"
_VISIBLE = {"1": 0.2, "2": 0.5, "3": 0.7, "4": 0.9}
"""Middle of the share of an object that its visibility stands for: up to 40%, 60%, 80%, 100%."""
_TABLES = ("scene", "sample", "sample_data", "sample_annotation", "instance", "category")
_PLACES = ("calibrated_sensor", "ego_pose", "sensor", "log")
_OPTIONAL = {
    "sample_annotation": "there are no objects",
    "instance": "objects have no class",
    "category": "objects have no class",
    "log": "the location of scenes is unknown",
}
"""Tables that a data set may lack, and what becomes of it without them."""
_COLUMNS = 5


@dataclass(frozen=True)
class _Shot:
    """A key frame's picture or sweep.

    Attributes:
        path: Relative path of its file.
        size: Width and height in pixels.
        ego_from_sensor: The sensor's pose on the vehicle.
        world_from_ego: The vehicle's, when it was taken.
        intrinsic: Shape (3, 3), of a camera; empty of a LiDAR.
    """

    path: str
    size: tuple[int, int]
    ego_from_sensor: Floats
    world_from_ego: Floats
    intrinsic: Floats

    def camera(self) -> Camera:
        """Return the camera in the world's frame, in which annotations are upright."""
        matrix = self.intrinsic
        return Camera(
            (matrix[0, 0], matrix[1, 1]),
            (matrix[0, 2], matrix[1, 2]),
            self.size,
            self.world_from_ego @ self.ego_from_sensor,
        )


class NuscenesLayout:
    """The files of nuScenes v1.0; see `DriveLayout`. Key frames are images; a scene is a shard.

    An object is a `sample_annotation` whose box projects into a key frame's picture; its `instance` is the track.

    Args:
        tree: The files: `v1.0-*/`, `samples/`.
        kinds: Finer class by track, where somebody has given some.
        version: Which of several folders of tables.
    """

    def __init__(self, tree: FileTree, kinds: Mapping[str, str] | None = None, *, version: str | None = None):
        self._tree, self._kinds, self._version = tree, kinds or {}, version

    def shards(self) -> list[str]:
        """Return the names of the scenes."""
        return sorted(self._scenes)

    def picture_files(self, shard: str) -> Sequence[str]:
        """Return a scene's pictures that are there."""
        known = self._known_files
        shots = (shot for _, shots in self._moments(shard) for name, shot in shots.items() if name != _LIDAR)
        return [shot.path for shot in shots if shot.path in known]

    def object_files(self, _shard: str) -> Sequence[str]:
        """Return the tables that objects are read from; they are about all scenes."""
        paths = (f"{self._folder}/{name}.json" for name in (*_TABLES, *_PLACES[:2]))
        return [path for path in paths if path in self._table_files]

    def frames(self, shard: str) -> pa.Table:
        """Return the key frames of a scene."""
        scene = self._scenes[shard]
        conditions = self._conditions(scene)
        rows = [
            {
                "key": _key(sample, camera),
                "sequence": shard,
                "frame_index": number,
                "timestamp_us": sample["timestamp"],
                "camera": camera,
                **conditions,
            }
            for number, (sample, shots) in enumerate(self._moments(shard))
            for camera in sorted(shots)
            if camera != _LIDAR
        ]
        return pa.Table.from_pylist(rows, schema=FRAMES)

    def pictures(self, shard: str, keys: Collection[str] | None) -> Iterator[Picture]:
        """Yield the pictures of key frames."""
        paths = [
            (_key(sample, camera), shots[camera].path)
            for sample, shots in self._moments(shard)
            for camera in sorted(shots)
            if camera != _LIDAR
        ]
        return file_pictures(self._tree, paths, keys)

    def objects(self, shard: str) -> pa.Table:
        """Return the annotations of a scene, once for every camera that sees them."""
        found: list[Mapping[str, Any]] = []
        for sample, shots in self._moments(shard):
            rows = self._annotated(sample)
            world = _world_boxes(rows)
            ego = moved_boxes(world, inverted(_ego(shots)))
            known = [self._box(sample, row) | {"visibility": _VISIBLE.get(row["visibility_token"])} for row in rows]
            for name, shot in shots.items():
                if name != _LIDAR:
                    found += seen_objects(known, world, shot.camera(), _key(sample, name), places=ego)
        return object_table(found)

    def boxes(self, shard: str) -> pa.Table:
        """Return the annotations of a scene in the vehicle's frame at the LiDAR's time."""
        found = []
        for sample, shots in self._moments(shard):
            rows = self._annotated(sample)
            ego = moved_boxes(_world_boxes(rows), inverted(_ego(shots)))
            sides = (dict(zip(BOX_SIDES, box, strict=True)) for box in ego.tolist())
            found += [self._box(sample, row) | box for row, box in zip(rows, sides, strict=True)]
        return pa.Table.from_pylist(found, schema=BOXES)

    def sweeps(self, shard: str) -> Iterator[Sweep]:
        """Yield the sweeps of key frames."""
        for sample, shots in self._moments(shard):
            shot = shots.get(_LIDAR)
            if shot is not None and shot.path not in self._known_files:
                _logger.warning("%s is missing: its sweep is left out", self._tree.uri(shot.path))
            elif shot is not None:
                points = read_points(self._tree, shot.path, _COLUMNS)
                placed = moved(points[:, :3], shot.ego_from_sensor)
                yield Sweep(sample["timestamp"], np.concatenate([placed, points[:, 3:4] / 255], 1).astype(np.float32))

    def _box(self, sample: Row, row: Row) -> dict[str, Any]:
        instance = row["instance_token"]
        category = self._categories.get(self._instances.get(instance, ""), "unknown")
        return {
            "timestamp_us": sample["timestamp"],
            "track_id": instance,
            "class_name": self._kinds.get(instance, category),
            "type_name": category,
            "point_count": row.get("num_lidar_pts"),
        }

    def _annotated(self, sample: Row) -> list[Row]:
        return self._annotations.get(sample["token"], [])

    def _moments(self, shard: str) -> list[tuple[Row, Mapping[str, _Shot]]]:
        """Return the samples of a scene by time, each with its shots by sensor."""
        samples = sorted(self._samples[self._scenes[shard]["token"]], key=lambda sample: sample["timestamp"])
        return [(sample, self._shots.get(sample["token"], {})) for sample in samples]

    @cached_property
    def _folder(self) -> str:
        """Return the folder of the tables.

        Raises:
            SourceError: there is none.
            ConfigError: there are several, and none is chosen.
        """
        paths = self._tree.paths(lambda path: path.endswith("/scene.json") and path.startswith("v1.0"))
        found = sorted({path.split("/")[0] for path in paths})
        if not found:
            raise SourceError(
                f"no v1.0-*/scene.json below {self._tree.root}. Give the folder that holds samples/ and v1.0-trainval/."
            )
        if self._version is not None and self._version not in found:
            raise ConfigError(f"dataset.version {self._version}: there are {', '.join(found)}.")
        if self._version is None and len(found) > 1:
            raise ConfigError(f"there are {', '.join(found)} below {self._tree.root}; name one as dataset.version.")
        return self._version or found[0]

    @cached_property
    def _known_files(self) -> frozenset[str]:
        return frozenset(self._tree.paths(lambda path: path.startswith("samples/")))

    @cached_property
    def _table_files(self) -> frozenset[str]:
        return frozenset(self._tree.paths(lambda path: path.startswith(f"{self._folder}/")))

    def _rows(self, name: str) -> Iterator[Row]:
        """Yield the rows of a table as they pass."""
        path = f"{self._folder}/{name}.json"
        if name in _OPTIONAL and path not in self._table_files:
            _logger.warning("%s is missing: %s", self._tree.uri(path), _OPTIONAL[name])
            return iter(())
        opened: Callable[[], Any] = partial(self._tree.open, path)
        file = BoxFile(path, self._tree.uri(path), opened, lambda _name: None)
        return (row for _, row in items(file, ""))

    @cached_property
    def _scenes(self) -> Mapping[str, Row]:
        return {row["name"]: row for row in self._rows("scene")}

    @cached_property
    def _samples(self) -> Mapping[str, list[Row]]:
        return _grouped(self._rows("sample"), "scene_token")

    @cached_property
    def _annotations(self) -> Mapping[str, list[Row]]:
        return _grouped(self._rows("sample_annotation"), "sample_token")

    @cached_property
    def _instances(self) -> Mapping[str, str]:
        return {row["token"]: row["category_token"] for row in self._rows("instance")}

    @cached_property
    def _categories(self) -> Mapping[str, str]:
        return {row["token"]: row["name"] for row in self._rows("category")}

    @cached_property
    def _logs(self) -> Mapping[str, Row]:
        return {row["token"]: row for row in self._rows("log")}

    @cached_property
    def _shots(self) -> Mapping[str, Mapping[str, _Shot]]:
        """Return the key frames' shots of cameras and LiDAR by sample and sensor; sweeps between are passed over."""
        channels = {row["token"]: row["channel"] for row in self._rows("sensor")}
        sensors = {row["token"]: row for row in self._rows("calibrated_sensor")}
        keyed = [row for row in self._rows("sample_data") if row["is_key_frame"]]
        wanted = {row["ego_pose_token"] for row in keyed}
        poses = {row["token"]: row for row in self._rows("ego_pose") if row["token"] in wanted}
        found: dict[str, dict[str, _Shot]] = defaultdict(dict)
        lost = 0
        for row in keyed:
            sensor, pose = sensors.get(row["calibrated_sensor_token"]), poses.get(row["ego_pose_token"])
            channel = "" if sensor is None else channels.get(sensor["sensor_token"], "")
            if sensor is None or pose is None:
                lost += 1
            elif channel == _LIDAR or channel.startswith("CAM_"):
                found[row["sample_token"]][channel] = _shot(row, sensor, pose)
        if lost:
            _logger.warning("%s key frames name no known sensor or pose and are left out", f"{lost:,}")
        return found

    def _conditions(self, scene: Row) -> dict[str, str | None]:
        """Return what is said of a scene; its description names rain and night, where there are some."""
        words = str(scene.get("description", "")).lower()
        log = self._logs.get(scene.get("log_token", ""), {})
        return {
            "weather": "rain" if "rain" in words else None,
            "time_of_day": "night" if "night" in words else None,
            "location": log.get("location"),
        }


def _key(sample: Row, camera: str) -> str:
    return f"{sample['timestamp']}_{camera}"


def _shot(row: Row, sensor: Row, pose: Row) -> _Shot:
    size = (int(row.get("width") or 0), int(row.get("height") or 0))
    intrinsic = np.array(sensor["camera_intrinsic"], np.float64)
    return _Shot(row["filename"], size, _pose(sensor), _pose(pose), intrinsic)


def _pose(row: Row) -> Floats:
    return pose_of_quaternion(row["rotation"], row["translation"])


def _ego(shots: Mapping[str, _Shot]) -> Floats:
    """Return the vehicle's pose at the LiDAR's time, else at that of any camera."""
    shot = shots.get(_LIDAR) or next(iter(shots.values()), None)
    return np.eye(4) if shot is None else shot.world_from_ego


def _world_boxes(rows: Sequence[Row]) -> Floats:
    """Return annotations as boxes; the data set gives width before length."""
    if not rows:
        return np.empty((0, 7))
    centre, size = np.array([row["translation"] for row in rows]), np.array([row["size"] for row in rows])
    heading = heading_of(rotation_of_quaternion([row["rotation"] for row in rows]))
    return np.column_stack([centre, size[:, 1], size[:, 0], size[:, 2], heading])


def _grouped(rows: Iterator[Row], column: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found
