"""The Waymo Open Dataset v2: one Parquet file per component and segment, read by pyarrow alone."""

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.geometry.lidar import points_of_range_image, uniform_inclinations
from vlmine_dagster.geometry.poses import Floats
from vlmine_dagster.resources.drives.contract import BOXES, FRAMES, OBJECTS, Picture, Sweep
from vlmine_dagster.resources.sources.contract import LOST_KEY
from vlmine_dagster.resources.sources.parquet import DAMAGE, open_parquet
from vlmine_dagster.resources.sources.tree import FileTree

SEGMENT, TIME = "key.segment_context_name", "key.frame_timestamp_micros"
CAMERA, LASER, OBJECT = "key.camera_name", "key.laser_name", "key.laser_object_id"
CAMERA_OBJECT = "key.camera_object_id"
CAMERAS = ("UNKNOWN", "FRONT", "FRONT_LEFT", "FRONT_RIGHT", "SIDE_LEFT", "SIDE_RIGHT")
TYPES = ("unknown", "vehicle", "pedestrian", "sign", "cyclist")
TOP = 1

IMAGE = "[CameraImageComponent].image"
_PROJECTED = "[ProjectedLiDARBoxComponent]"
_BOX = "[LiDARBoxComponent]"
_SIDES = {
    "center_x": f"{_BOX}.box.center.x",
    "center_y": f"{_BOX}.box.center.y",
    "center_z": f"{_BOX}.box.center.z",
    "length": f"{_BOX}.box.size.x",
    "width_m": f"{_BOX}.box.size.y",
    "height_m": f"{_BOX}.box.size.z",
    "heading": f"{_BOX}.box.heading",
    "point_count": f"{_BOX}.num_lidar_points_in_box",
}
_SPEED = (f"{_BOX}.speed.x", f"{_BOX}.speed.y")
_STATS = {name: f"[StatsComponent].{name}" for name in ("weather", "time_of_day", "location")}
_ROWS_AT_ONCE = 16
_OBJECT_PARTS = ("projected_lidar_box", "lidar_box", "camera_to_lidar_box_association")


class WaymoLayout:
    """The files of the Waymo Open Dataset v2; see `DriveLayout`.

    A picture's key is its time in microseconds and its camera: `1550083467346370_FRONT`. An object is a row of
    `projected_lidar_box`; `laser_object_id` ties it to its `lidar_box`. A `camera_box` is another person's drawing and
    is known only where the association table says so, which it does for pedestrians.

    Args:
        tree: The files.
        kinds: Finer class by `laser_object_id`, where somebody has given some.
    """

    def __init__(self, tree: FileTree, kinds: Mapping[str, str] | None = None):
        self._tree, self._kinds = tree, kinds or {}

    def shards(self) -> list[str]:
        """Return the segments of which there are pictures or boxes."""
        found = {segment for component, segment in self._paths if component in ("camera_image", *_OBJECT_PARTS)}
        if not found:
            raise SourceError(
                f"no file camera_image/SEGMENT.parquet below {self._tree.root}. Give the folder that holds the folders "
                f"of the components (camera_image, lidar_box, projected_lidar_box)."
            )
        return sorted(found)

    def picture_files(self, shard: str) -> Sequence[str]:
        """Return the segment's pictures and statistics."""
        return self._files(shard, ("camera_image", "stats"))

    def object_files(self, shard: str) -> Sequence[str]:
        """Return the segment's boxes and statistics."""
        return self._files(shard, (*_OBJECT_PARTS, "stats"))

    def frames(self, shard: str) -> pa.Table:
        """Return the pictures of a segment; of a segment without any, none."""
        keys = self._table("camera_image", shard, [TIME, CAMERA])
        if keys is None:
            return FRAMES.empty_table()
        times, cameras = keys.column(TIME).to_pylist(), keys.column(CAMERA).to_pylist()
        place = {time: number for number, time in enumerate(sorted(set(times)))}
        conditions = self._conditions(shard)
        rows = [
            {
                "key": picture_key(time, camera),
                "sequence": shard,
                "frame_index": place[time],
                "timestamp_us": time,
                "camera": camera_name(camera),
                **conditions.get(time, {}),
            }
            for time, camera in sorted(set(zip(times, cameras, strict=True)))
        ]
        return pa.Table.from_pylist(rows, schema=FRAMES)

    def pictures(self, shard: str, keys: Collection[str] | None) -> Iterator[Picture]:
        """Yield pictures row group by row group; of a segment without any, one that says so."""
        path = self._paths.get(("camera_image", shard))
        if path is None:
            if keys is None or LOST_KEY in keys:
                yield Picture(LOST_KEY, f"{self._tree.root}/camera_image/{shard}.parquet", b"", "the file is missing")
            return
        uri = self._tree.uri(path)
        read = 0
        with self._tree.open(path) as raw:
            file = open_parquet(raw, uri)
            _require(file.schema_arrow.names, [TIME, CAMERA, IMAGE], uri)
            try:
                for key, row, value in _rows(file, keys):
                    yield Picture(key, f"{uri}#{row}", value or b"")
                    read += 1
            except DAMAGE as error:
                if keys is None or LOST_KEY in keys:
                    reason = (
                        f"the file is damaged: {error}. Read before it: {counted(read, 'picture')}. Fetch it again."
                    )
                    yield Picture(LOST_KEY, uri, b"", reason)

    def objects(self, shard: str) -> pa.Table:
        """Return the projected boxes of a segment, each with its box in space where there is one."""
        sides = {name: f"{_PROJECTED}.box.{part}" for name, part in _RECTANGLE.items()}
        wanted = [TIME, CAMERA, OBJECT, f"{_PROJECTED}.type", *sides.values()]
        rows = self._table("projected_lidar_box", shard, wanted)
        if rows is None:
            return OBJECTS.empty_table()
        middle_x, middle_y, width, height = (rows.column(sides[name]) for name in _RECTANGLE)
        keys = [picture_key(*pair) for pair in _pairs(rows, TIME, CAMERA)]
        found = pa.table(
            {
                "key": pa.array(keys, pa.string()),
                "x": pc.subtract(middle_x, pc.divide(width, 2)),
                "y": pc.subtract(middle_y, pc.divide(height, 2)),
                "width": width,
                "height": height,
                "timestamp_us": rows.column(TIME),
                "track_id": rows.column(OBJECT),
                "class_name": self._classes(rows, f"{_PROJECTED}.type"),
                "type_name": [type_name(number) for number in rows.column(f"{_PROJECTED}.type").to_pylist()],
                "camera_object_id": self._camera_objects(shard, rows),
            }
        )
        boxes = self.boxes(shard).drop_columns(["class_name", "type_name"])
        joined = found.join(boxes, ["timestamp_us", "track_id"]).append_column(
            "visibility", pa.nulls(found.num_rows, pa.float64())
        )
        order = [(name, "ascending") for name in ("key", "track_id")]
        return joined.select(OBJECTS.names).cast(OBJECTS).sort_by(order)

    def boxes(self, shard: str) -> pa.Table:
        """Return the boxes that the LiDAR's annotators drew."""
        wanted = [TIME, OBJECT, f"{_BOX}.type", *_SIDES.values()]
        rows = self._table("lidar_box", shard, wanted, also=_SPEED)
        if rows is None:
            return BOXES.empty_table()
        speed: Any = pa.nulls(rows.num_rows, pa.float64())
        if set(_SPEED) <= set(rows.column_names):
            east, north = (rows.column(name) for name in _SPEED)
            speed = pc.sqrt(pc.add(pc.multiply(east, east), pc.multiply(north, north)))
        columns = {
            "timestamp_us": rows.column(TIME),
            "track_id": rows.column(OBJECT),
            "class_name": self._classes(rows, f"{_BOX}.type"),
            "type_name": [type_name(number) for number in rows.column(f"{_BOX}.type").to_pylist()],
            **{name: rows.column(column) for name, column in _SIDES.items()},
            "speed": speed,
        }
        return pa.table(columns).select(BOXES.names).cast(BOXES)

    def sweeps(self, shard: str) -> Iterator[Sweep]:
        """Yield the points of the LiDAR on the roof, first returns, row group by row group."""
        path = self._paths.get(("lidar", shard))
        if path is None:
            return
        calibration = self._calibration(shard)
        motion = _Motion(self._pixel_poses(shard), self._vehicle_poses(shard))
        with self._tree.open(path) as raw:
            file = open_parquet(raw, self._tree.uri(path))
            values, shape = (f"[LiDARComponent].range_image_return1.{part}" for part in ("values", "shape"))
            for batch in file.iter_batches(1, columns=[TIME, LASER, values, shape]):
                row = {name: batch.column(name)[0] for name in batch.schema.names}
                if row[LASER].as_py() == TOP and row[values].is_valid:
                    image = row[values].values.to_numpy().reshape(row[shape].as_py())
                    yield _sweep(row[TIME].as_py(), image, calibration, motion)

    @cached_property
    def _paths(self) -> dict[tuple[str, str], str]:
        """Return the relative path of each file by component and segment."""
        found = {}
        for path in self._tree.paths(lambda path: path.endswith(".parquet") and "/" in path):
            folder, name = posixpath.split(path)
            found[posixpath.basename(folder), name.removesuffix(".parquet")] = path
        return found

    def _files(self, shard: str, components: Sequence[str]) -> list[str]:
        return [self._paths[component, shard] for component in components if (component, shard) in self._paths]

    def _table(
        self, component: str, shard: str, columns: Sequence[str], *, also: Sequence[str] = ()
    ) -> pa.Table | None:
        """Return columns of a component, None where the segment lacks it.

        Args:
            component: Its name.
            shard: The segment.
            columns: These must be there.
            also: These are read where they are.

        Raises:
            SourceError: it cannot be read, or lacks a column.
        """
        path = self._paths.get((component, shard))
        if path is None:
            return None
        with self._tree.open(path) as raw:
            file = open_parquet(raw, self._tree.uri(path))
            names = file.schema_arrow.names
            _require(names, columns, self._tree.uri(path))
            try:
                return file.read(columns=[*columns, *(name for name in also if name in names)])
            except DAMAGE as error:
                raise SourceError(f"{self._tree.uri(path)} is damaged: {error}. Fetch it again.") from error

    def _conditions(self, shard: str) -> dict[int, dict[str, str]]:
        rows = self._table("stats", shard, [TIME], also=tuple(_STATS.values()))
        if rows is None:
            return {}
        return {row[TIME]: {name: row.get(column) for name, column in _STATS.items()} for row in rows.to_pylist()}

    def _classes(self, rows: pa.Table, column: str) -> list[str]:
        types, tracks = rows.column(column).to_pylist(), rows.column(OBJECT).to_pylist()
        return [self._kinds.get(track) or type_name(number) for track, number in zip(tracks, types, strict=True)]

    def _camera_objects(self, shard: str, rows: pa.Table) -> pa.Array:
        """Return the camera box of each object, where the association table names one."""
        wanted = [TIME, CAMERA, OBJECT, CAMERA_OBJECT]
        known = self._table("camera_to_lidar_box_association", shard, wanted)
        if known is None:
            return pa.nulls(rows.num_rows, pa.string())
        columns = [known.column(name).to_pylist() for name in wanted]
        by_object = {tuple(row[:3]): row[3] for row in zip(*columns, strict=True)}
        asked = zip(*(rows.column(name).to_pylist() for name in wanted[:3]), strict=True)
        return pa.array([by_object.get(one) for one in asked], pa.string())

    def _calibration(self, shard: str) -> "tuple[Floats, Floats | None, tuple[float, float]]":
        """Return pose, beams if they are listed, and lowest and highest edge of the beams of the LiDAR on the roof."""
        part = "[LiDARCalibrationComponent]"
        names = [f"{part}.extrinsic.transform", f"{part}.beam_inclination.min", f"{part}.beam_inclination.max"]
        values = f"{part}.beam_inclination.values"
        rows = self._table("lidar_calibration", shard, [LASER, *names], also=[values])
        found = [] if rows is None else [row for row in rows.to_pylist() if row[LASER] == TOP]
        if not found:
            raise SourceError(
                f"segment {shard} has range images and no lidar_calibration of its top LiDAR: fetch that component."
            )
        row = found[0]
        beams = None if row.get(values) is None else np.array(row[values], np.float64)
        return np.array(row[names[0]], np.float64).reshape(4, 4), beams, (row[names[1]], row[names[2]])

    def _vehicle_poses(self, shard: str) -> dict[int, Floats]:
        column = "[VehiclePoseComponent].world_from_vehicle.transform"
        rows = self._table("vehicle_pose", shard, [TIME, column])
        found = {} if rows is None else {row[TIME]: row[column] for row in rows.to_pylist()}
        return {time: np.array(pose, np.float64).reshape(4, 4) for time, pose in found.items()}

    def _pixel_poses(self, shard: str) -> Iterator[tuple[int, Floats]]:
        """Yield time and poses of the pixels, shape (H, W, 6), of each sweep; nothing where the segment lacks them."""
        path = self._paths.get(("lidar_pose", shard))
        if path is None:
            return
        values, shape = (f"[LiDARPoseComponent].range_image_return1.{part}" for part in ("values", "shape"))
        with self._tree.open(path) as raw:
            file = open_parquet(raw, self._tree.uri(path))
            for batch in file.iter_batches(1, columns=[TIME, LASER, values, shape]):
                row = {name: batch.column(name)[0] for name in batch.schema.names}
                if row[LASER].as_py() == TOP and row[values].is_valid:
                    yield row[TIME].as_py(), row[values].values.to_numpy().reshape(row[shape].as_py())


class _Motion:
    """How the vehicle moved while a sweep was taken.

    Args:
        pixels: Poses of the pixels of each sweep, read as far as the sweep that is asked for.
        vehicle: The vehicle's pose by time.
    """

    def __init__(self, pixels: Iterator[tuple[int, Floats]], vehicle: Mapping[int, Floats]):
        self._pixels, self._vehicle = pixels, vehicle
        self._waiting: dict[int, Floats] = {}

    def at(self, time: int) -> dict[str, Floats]:
        """Return the arguments of `points_of_range_image`; none where the data do not say."""
        while time not in self._waiting:
            found = next(self._pixels, None)
            if found is None:
                return {}
            self._waiting[found[0]] = found[1]
        pixels, vehicle = self._waiting.pop(time), self._vehicle.get(time)
        return {} if vehicle is None else {"pixel_poses": pixels, "world_from_ego": vehicle}


_RECTANGLE = {"middle_x": "center.x", "middle_y": "center.y", "width": "size.x", "height": "size.y"}


def picture_key(time: int, camera: int) -> str:
    """Return the key of a picture.

    Examples:
        >>> picture_key(1550083467346370, 1)
        '1550083467346370_FRONT'
    """
    return f"{time}_{camera_name(camera)}"


def camera_name(number: int) -> str:
    """Return the name of a camera by its number."""
    return CAMERAS[number] if 0 <= number < len(CAMERAS) else f"CAMERA_{number}"


def type_name(number: int) -> str:
    """Return the name of an object's type by its number."""
    return TYPES[number] if 0 <= number < len(TYPES) else f"type {number}"


@lru_cache(maxsize=64)
def _beams(lowest: float, highest: float, count: int) -> Floats:
    return uniform_inclinations(lowest, highest, count)


def _sweep(time: int, image: Any, calibration: Any, motion: _Motion) -> Sweep:
    ego_from_sensor, beams, limits = calibration
    ranges = image[..., 0]
    beams = _beams(*limits, ranges.shape[0]) if beams is None else beams
    points = points_of_range_image(ranges, beams, ego_from_sensor, **motion.at(time))
    intensity = image[..., 1][ranges > 0]
    return Sweep(time, np.concatenate([points, intensity[:, None]], axis=1).astype(np.float32))


def _pairs(rows: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows.column(name).to_pylist() for name in names), strict=True)


def _rows(file: Any, keys: Collection[str] | None) -> Iterator[tuple[str, int, bytes | None]]:
    """Yield key, row and bytes of wanted rows; of a row group without any, only keys are read."""
    first = 0
    for group in range(file.num_row_groups):
        names = file.read_row_group(group, columns=[TIME, CAMERA])
        found = [picture_key(*pair) for pair in _pairs(names, TIME, CAMERA)]
        if keys is None or any(key in keys for key in found):
            row = 0
            for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=[IMAGE]):
                for value in batch.column(0):
                    if keys is None or found[row] in keys:
                        yield found[row], first + row, value.as_py()
                    row += 1
        first += len(found)


def _require(names: Collection[str], wanted: Sequence[str], uri: str) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise SourceError(
            f"{uri} has no column {', '.join(missing)}: it is not a file of Waymo Open Dataset v2. Fetch it again."
        )
