"""Writes the generated world as KITTI lays out its files: the front camera's pictures, numbered through all drives."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from vlmine_dagster.geometry.lidar import points_of_range_image
from vlmine_dagster.geometry.poses import Floats, inverted, moved, wrapped
from vlmine_dagster.resources.driving.sensed import Sensed, View, sensed
from vlmine_dagster.resources.driving.sweep import EGO_FROM_LIDAR, inclinations
from vlmine_dagster.resources.driving.world import Drive

_TYPES = {1: "Car", 2: "Pedestrian", 3: "Misc", 4: "Cyclist"}


def write_kitti(folder: Path, drives: Iterable[Drive], *, random_seed: int) -> None:
    """Write drives.

    Args:
        folder: The data set's root, above `training`.
        drives: The drives.
        random_seed: Of the LiDAR's noise.
    """
    records = (record for drive in drives for record in sensed(drive, random_seed=random_seed))
    for number, record in enumerate(records):
        for part, ending, data in _files(record):
            file = folder / "training" / part / f"{number:06d}{ending}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)


def _files(record: Sensed) -> Iterator[tuple[str, str, bytes]]:
    view = record.views[0]
    optical_from_lidar = inverted(view.camera.ego_from_optical) @ EGO_FROM_LIDAR
    stream = io.BytesIO()
    Image.open(io.BytesIO(view.jpeg)).save(stream, "PNG")
    yield "image_2", ".png", stream.getvalue()
    yield "calib", ".txt", _calibration(view, optical_from_lidar).encode()
    yield "label_2", ".txt", "".join(_labels(record, view)).encode()
    scan = record.sweep
    points = points_of_range_image(scan.ranges, inclinations(record.frame.drive.size), np.eye(4))
    light = scan.intensities[scan.ranges > 0]
    yield "velodyne", ".bin", np.column_stack([points, light]).astype("<f4").tobytes()


def _calibration(view: View, optical_from_lidar: Floats) -> str:
    (fx, fy), (cx, cy) = view.camera.focal, view.camera.centre
    projection = [fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0]
    lines = {f"P{number}": projection for number in range(4)}
    lines |= {"R0_rect": np.eye(3).ravel().tolist(), "Tr_velo_to_cam": optical_from_lidar[:3].ravel().tolist()}
    return "".join(f"{name}: {' '.join(f'{value:.9e}' for value in values)}\n" for name, values in lines.items())


def _labels(record: Sensed, view: View) -> Iterator[str]:
    optical_from_ego = inverted(view.camera.ego_from_optical)
    for actor, box, rectangle in zip(record.actors, record.boxes, view.rectangles, strict=True):
        if np.isfinite(rectangle).all():
            x, y, z = moved([box[:3]], optical_from_ego)[0]
            turn = float(wrapped(-box[6] - np.pi / 2))
            numbers = [0.0, 0, 0.0, *rectangle, box[5], box[4], box[3], x, y + box[5] / 2, z, turn]
            yield f"{_TYPES[actor.kind.type]} {' '.join(f'{number:.6g}' for number in numbers)}\n"
    yield "DontCare -1 -1 -10 0 0 5 5 -1 -1 -1 -1000 -1000 -1000 -10\n"
