"""KITTI's object detection data: numbered pictures, text lines of labels and calibration, raw points."""

import logging
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.geometry.lidar import points_in_boxes
from vlmine_dagster.geometry.poses import Floats, inverted, moved, wrapped
from vlmine_dagster.resources.drives.contract import BOX_SIDES, BOXES, FRAMES, Picture, Sweep
from vlmine_dagster.resources.drives.files import file_pictures, object_table, read_points
from vlmine_dagster.resources.sources.tree import FileTree

FRAMES_PER_SHARD = 500
_FIELDS = 15
_CAMERA = "image_2"
_NOBODY = "DontCare"
_TURNS, _MOVES = ("R0_rect", "R_rect"), ("Tr_velo_to_cam", "Tr_velo_cam")
"""Names in the calibration of objects, and in that of tracking."""
_logger = logging.getLogger(__name__)


class KittiLayout:
    """The files of KITTI; see `DriveLayout`.

    Frames are single pictures of no recording: 500 of them, by number, are a shard. Every object is a track.
    The vehicle's frame is that of the LiDAR.

    Args:
        tree: The files: `training/{image_2,label_2,calib,velodyne}`.
        kinds: Finer class by track, where somebody has given some.
    """

    def __init__(self, tree: FileTree, kinds: Mapping[str, str] | None = None):
        self._tree, self._kinds = tree, kinds or {}

    def shards(self) -> list[str]:
        """Return names such as training-000."""
        if not self._numbers:
            raise SourceError(
                f"no image_2/000000.png below {self._tree.root}. Give the folder that contains training/, or training/ "
                f"itself."
            )
        return sorted(self._numbers)

    def picture_files(self, shard: str) -> Sequence[str]:
        """Return the pictures of a shard."""
        return [self._pictures[one] for one in self._numbers[shard]]

    def object_files(self, shard: str) -> Sequence[str]:
        """Return the labels and calibrations of a shard."""
        return [
            path for part in ("label_2", "calib") for one in self._numbers[shard] if (path := self._file(one, part))
        ]

    def frames(self, shard: str) -> pa.Table:
        """Return the pictures of a shard; they have numbers for times."""
        rows = [
            {"key": _name(one), "sequence": None, "frame_index": None, "timestamp_us": _time(one), "camera": _CAMERA}
            for one in self._numbers[shard]
        ]
        return pa.Table.from_pylist(rows, schema=FRAMES)

    def pictures(self, shard: str, keys: Collection[str] | None) -> Iterator[Picture]:
        """Yield the pictures of a shard."""
        return file_pictures(self._tree, [(_name(one), self._pictures[one]) for one in self._numbers[shard]], keys)

    def objects(self, shard: str) -> pa.Table:
        """Return the labels of a shard, with their own rectangles."""
        rows = [row for one in self._numbers[shard] for row in self._labels(one)]
        flat = [row["track_id"] for row in rows if not _is_in_space(row)]
        if flat:
            _logger.warning(
                "%s: %s labels have no box in space, because a calibration or a size is missing: %s, ...",
                shard,
                f"{len(flat):,}",
                flat[0],
            )
        return object_table(rows)

    def boxes(self, shard: str) -> pa.Table:
        """Return the boxes in space of a shard, with the points in each."""
        found = []
        for one in self._numbers[shard]:
            rows = [row for row in self._labels(one) if _is_in_space(row)]
            points = self._points(one)
            if rows and points is not None:
                counts = points_in_boxes(points[:, :3], [[row[name] for name in BOX_SIDES] for row in rows])
                rows = [row | {"point_count": count} for row, count in zip(rows, counts.tolist(), strict=True)]
            found += [{name: row.get(name) for name in BOXES.names} for row in rows]
        return pa.Table.from_pylist(found, schema=BOXES)

    def sweeps(self, shard: str) -> Iterator[Sweep]:
        """Yield the sweeps of a shard."""
        for one in self._numbers[shard]:
            points = self._points(one)
            if points is not None:
                yield Sweep(_time(one), points)

    @cached_property
    def _paths(self) -> frozenset[str]:
        return frozenset(self._tree.paths(lambda path: path.count("/") in (1, 2)))

    @cached_property
    def _pictures(self) -> dict[str, str]:
        """Return the path of each picture by its path without folder of the part and ending."""
        found = {}
        for path in sorted(self._paths):
            folder, name = posixpath.split(path)
            above, part = posixpath.split(folder)
            stem, ending = posixpath.splitext(name)
            if part == _CAMERA and ending in (".png", ".jpg") and stem.isdecimal():
                found[f"{above}/{stem}".lstrip("/")] = path
        return found

    @cached_property
    def _numbers(self) -> dict[str, list[str]]:
        """Return the pictures of each shard."""
        found: dict[str, list[str]] = {}
        for one in self._pictures:
            folder = posixpath.dirname(one).replace("/", "-") or "frames"
            found.setdefault(f"{folder}-{_time(one) // FRAMES_PER_SHARD:03d}", []).append(one)
        return found

    def _file(self, one: str, part: str, ending: str = ".txt") -> str | None:
        folder, stem = posixpath.split(one)
        path = posixpath.join(folder, part, stem + ending)
        return path if path in self._paths else None

    def _lines(self, one: str, part: str) -> list[str]:
        path = self._file(one, part)
        if path is None:
            return []
        with self._tree.open(path) as raw:
            text: str = raw.read(-1).decode("utf-8", "replace")
        return [line for line in text.splitlines() if line.strip()]

    def _points(self, one: str) -> Any:
        path = self._file(one, "velodyne", ".bin")
        return None if path is None else read_points(self._tree, path, 4)

    def _labels(self, one: str) -> list[dict[str, Any]]:
        """Return the labels of a picture; `DontCare` is a region, and no object.

        A line that is not a label is an object without rectangle; without a calibration, objects have no box in space.
        """
        lines, found = self._lines(one, "label_2"), []
        lidar_from_camera = self._lidar_from_camera(one) if lines else None
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            if fields[0] == _NOBODY:
                continue
            track, category = f"{_name(one)}-{number}", fields[0].lower().replace("_", " ")
            row = {
                "key": _name(one),
                "timestamp_us": _time(one),
                "track_id": track,
                "class_name": self._kinds.get(track, category),
                "type_name": category,
            }
            try:
                found.append(row | _sides(fields, lidar_from_camera))
            except ValueError:
                _logger.warning("label_2 of %s: line %s is not a label of 15 fields: %r", one, number, line[:60])
                found.append(row | dict.fromkeys(("x", "y", "width", "height"), np.nan))
        return found

    def _lidar_from_camera(self, one: str) -> Floats | None:
        """Return the pose of the rectified camera in the LiDAR's frame; None where nothing says it."""
        pairs = (line.replace(":", " ", 1).partition(" ") for line in self._lines(one, "calib"))
        calibration = {name: rest.split() for name, _, rest in pairs}
        try:
            turn = np.array(_first(calibration, _TURNS), np.float64).reshape(3, 3)
            move = np.array(_first(calibration, _MOVES), np.float64).reshape(3, 4)
        except ValueError:
            return None
        return inverted(np.vstack([turn @ move, [0, 0, 0, 1]]))


def _first(calibration: Mapping[str, list[str]], names: Sequence[str]) -> list[str]:
    return next((calibration[name] for name in names if name in calibration), [])


def _is_in_space(row: Mapping[str, Any]) -> bool:
    return BOX_SIDES[0] in row


def _sides(fields: Sequence[str], lidar_from_camera: Floats | None) -> dict[str, float]:
    """Return the rectangle, the visibility and, where it can be known, the box in space of a label.

    Raises:
        ValueError: the fields are not a label.
    """
    values = [float(field) for field in fields[1:_FIELDS]]
    left, top, right, bottom, height, width, length, x, y, z, turn = values[3:14]
    found = {
        **{"x": left, "y": top, "width": right - left, "height": bottom - top},
        "visibility": 1 - 0.3 * min(max(values[1], 0), 2),
    }
    if lidar_from_camera is None or min(height, width, length) <= 0:  # labels of pictures alone have -1
        return found
    centre = moved([[x, y - height / 2, z]], lidar_from_camera)[0].tolist()
    box = [*centre, length, width, height, float(wrapped(-turn - np.pi / 2))]
    return {**found, **dict(zip(BOX_SIDES, box, strict=True))}


def _name(one: str) -> str:
    return posixpath.basename(one)


def _time(one: str) -> int:
    return int(_name(one))
