"""Argoverse 2, the sensor data set: a folder per log, tables as feather files, pictures and sweeps by their times."""

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.geometry.camera import Camera
from vlmine_dagster.geometry.poses import (
    Floats,
    heading_of,
    inverted,
    moved_boxes,
    pose_of_quaternion,
    rotation_of_quaternion,
)
from vlmine_dagster.resources.drives.contract import BOX_SIDES, BOXES, FRAMES, Picture, Sweep
from vlmine_dagster.resources.drives.files import file_pictures, object_table, read_feather, seen_objects
from vlmine_dagster.resources.sources.tree import FileTree

_QUATERNION, _PLACE = ("qw", "qx", "qy", "qz"), ("tx_m", "ty_m", "tz_m")
_INTRINSIC = ("fx_px", "fy_px", "cx_px", "cy_px", "width_px", "height_px")
_SIZE = ("length_m", "width_m", "height_m")
_POSES = "city_SE3_egovehicle.feather"
_MOST_APART_NS = 50_000_000
"""Pictures farther in time from any annotated sweep are not frames: their objects are unknown."""


class ArgoverseLayout:
    """The files of Argoverse 2; see `DriveLayout`. A log is a shard.

    Objects are annotated at the LiDAR's times, ten a second. The picture of each camera that is nearest in time to a
    sweep, and no more than 50 ms apart, is an image; boxes are moved to the vehicle's pose at the picture's time.

    Args:
        tree: The files.
        kinds: Finer class by track, where somebody has given some.
    """

    def __init__(self, tree: FileTree, kinds: Mapping[str, str] | None = None):
        self._tree, self._kinds = tree, kinds or {}
        self._read = lru_cache(maxsize=16)(self._uncached)

    def shards(self) -> list[str]:
        """Return the names of the logs."""
        if not self._logs:
            raise SourceError(
                f"no LOG/sensors/cameras below {self._tree.root}. Give the folder of the logs, such as sensor/val."
            )
        return sorted(self._logs)

    def picture_files(self, shard: str) -> Sequence[str]:
        """Return the pictures that are images."""
        return [path for _, _, _, path in self._shots(shard)]

    def object_files(self, shard: str) -> Sequence[str]:
        """Return annotations, poses and calibration of a log."""
        log = self._logs[shard]
        names = ("annotations", "city_SE3_egovehicle", "calibration/intrinsics", "calibration/egovehicle_SE3_sensor")
        return [path for name in names if (path := f"{log}/{name}.feather") in self._paths]

    def frames(self, shard: str) -> pa.Table:
        """Return the images of a log."""
        times = {time: number for number, time in enumerate(sorted({time for time, _, _, _ in self._shots(shard)}))}
        rows = [
            {
                "key": f"{time}_{camera}",
                "sequence": shard,
                "frame_index": times[time],
                "timestamp_us": time // 1000,
                "camera": camera,
            }
            for time, camera, _, _ in self._shots(shard)
        ]
        return pa.Table.from_pylist(rows, schema=FRAMES)

    def pictures(self, shard: str, keys: Collection[str] | None) -> Iterator[Picture]:
        """Yield the images of a log."""
        paths = [(f"{time}_{camera}", path) for time, camera, _, path in self._shots(shard)]
        return file_pictures(self._tree, paths, keys)

    def objects(self, shard: str) -> pa.Table:
        """Return the annotations of a log, once for every camera that sees them."""
        by_time = self._annotated(shard)
        poses, cameras = self._poses(shard), self._cameras(shard)
        found: list[Mapping[str, Any]] = []
        for time, name, taken, _ in self._shots(shard):
            rows, boxes = by_time.get(time, ([], np.empty((0, 7))))
            if name in cameras and rows:
                at_picture, at_sweep = _nearest(poses, taken), _nearest(poses, time)
                now = moved_boxes(boxes, inverted(at_picture) @ at_sweep)
                found += seen_objects(rows, now, cameras[name], f"{time}_{name}", places=boxes)
        return object_table(found)

    def boxes(self, shard: str) -> pa.Table:
        """Return the annotations of a log."""
        found = [
            row | dict(zip(BOX_SIDES, box, strict=True))
            for rows, boxes in self._annotated(shard).values()
            for row, box in zip(rows, boxes.tolist(), strict=True)
        ]
        return pa.Table.from_pylist(found, schema=BOXES)

    def sweeps(self, shard: str) -> Iterator[Sweep]:
        """Yield the sweeps of a log; points are in the vehicle's frame already."""
        for time in self._sweep_times(shard):
            table = self._uncached(f"{self._logs[shard]}/sensors/lidar/{time}.feather", ("x", "y", "z", "intensity"))
            columns = [table.column(name).to_numpy().astype(np.float32) for name in table.column_names]
            columns[3] = columns[3] / 255
            yield Sweep(time // 1000, np.stack(columns, axis=1))

    @cached_property
    def _paths(self) -> frozenset[str]:
        return frozenset(self._tree.paths(lambda path: path.endswith((".feather", ".jpg", ".png"))))

    @cached_property
    def _logs(self) -> dict[str, str]:
        """Return the folder of each log by its name."""
        found = {path.partition("/sensors/")[0] for path in self._paths if "/sensors/cameras/" in path}
        return {posixpath.basename(log): log for log in found}

    @cached_property
    def _by_folder(self) -> Mapping[str, list[tuple[int, str]]]:
        """Return time and path of the files of each folder whose name is a time."""
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for path in sorted(self._paths):
            folder, name = posixpath.split(path)
            stem = posixpath.splitext(name)[0]
            if stem.isdecimal():
                found[folder].append((int(stem), path))
        return found

    def _sweep_times(self, shard: str) -> list[int]:
        return [time for time, _ in self._by_folder.get(f"{self._logs[shard]}/sensors/lidar", [])]

    def _shots(self, shard: str) -> list[tuple[int, str, int, str]]:
        """Return time of the sweep, camera, time of the picture and its path, in order; without sweeps all pictures."""
        folder = f"{self._logs[shard]}/sensors/cameras/"
        times = np.array(self._sweep_times(shard), np.int64)
        found = []
        for name, shots in self._by_folder.items():
            if name.startswith(folder):
                taken = np.array([time for time, _ in shots], np.int64)
                for sweep in times if len(times) else taken:
                    place = int(np.abs(taken - sweep).argmin())
                    if abs(int(taken[place]) - int(sweep)) <= _MOST_APART_NS:
                        found.append((int(sweep), name.removeprefix(folder), int(taken[place]), shots[place][1]))
        return sorted(found)

    def _uncached(self, path: str, columns: tuple[str, ...]) -> pa.Table:
        return read_feather(self._tree, path, columns)

    def _annotated(self, shard: str) -> dict[int, tuple[list[dict[str, Any]], Floats]]:
        """Return rows and boxes (N, 7) by the time of their sweep; of a log without annotations, none."""
        path = f"{self._logs[shard]}/annotations.feather"
        if path not in self._paths:
            return {}
        names = ("timestamp_ns", "track_uuid", "category", *_SIZE, *_QUATERNION, *_PLACE, "num_interior_pts")
        table = self._read(path, names)
        heading = heading_of(rotation_of_quaternion(_numbers(table, _QUATERNION)))
        boxes = np.column_stack([_numbers(table, _PLACE), _numbers(table, _SIZE), heading])
        by_time: dict[int, list[int]] = defaultdict(list)
        for place, time in enumerate(table.column("timestamp_ns").to_pylist()):
            by_time[time].append(place)
        rows = table.select(["timestamp_ns", "track_uuid", "category", "num_interior_pts"]).to_pylist()
        return {time: ([self._row(rows[place]) for place in places], boxes[places]) for time, places in by_time.items()}

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        track, category = row["track_uuid"], str(row["category"]).lower().replace("_", " ")
        return {
            "timestamp_us": row["timestamp_ns"] // 1000,
            "track_id": track,
            "class_name": self._kinds.get(track, category),
            "type_name": category,
            "point_count": row["num_interior_pts"],
        }

    def _poses(self, shard: str) -> tuple[Floats, Floats]:
        """Return times and poses of the vehicle."""
        table = self._read(f"{self._logs[shard]}/{_POSES}", ("timestamp_ns", *_QUATERNION, *_PLACE))
        times = table.column("timestamp_ns").to_numpy()
        order = np.argsort(times)
        return times[order], pose_of_quaternion(_numbers(table, _QUATERNION), _numbers(table, _PLACE))[order]

    def _cameras(self, shard: str) -> dict[str, Camera]:
        folder = f"{self._logs[shard]}/calibration"
        inner = self._read(f"{folder}/intrinsics.feather", ("sensor_name", *_INTRINSIC))
        outer = self._read(f"{folder}/egovehicle_SE3_sensor.feather", ("sensor_name", *_QUATERNION, *_PLACE))
        poses = pose_of_quaternion(_numbers(outer, _QUATERNION), _numbers(outer, _PLACE))
        by_name = dict(zip(outer.column("sensor_name").to_pylist(), poses, strict=True))
        found = {}
        for name, row in zip(inner.column("sensor_name").to_pylist(), _numbers(inner, _INTRINSIC), strict=True):
            if name in by_name:
                size = (int(row[4]), int(row[5]))
                found[name] = Camera((row[0], row[1]), (row[2], row[3]), size, by_name[name])
        return found


def _numbers(table: pa.Table, names: Sequence[str]) -> Floats:
    return np.stack([table.column(name).to_numpy().astype(np.float64) for name in names], axis=1)


def _nearest(poses: tuple[Floats, Floats], time: int) -> Floats:
    """Return the vehicle's pose at the nearest time."""
    return np.asarray(poses[1][int(np.abs(poses[0] - time).argmin())])
