"""What the sensors of the generated world record of a frame, and which boxes annotators would draw."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.geometry.camera import Camera, clipped, projected_boxes
from vlmine_dagster.geometry.poses import Floats
from vlmine_dagster.resources.driving.sweep import Sweep, sweep
from vlmine_dagster.resources.driving.view import pictures
from vlmine_dagster.resources.driving.world import Actor, Drive, Frame


@dataclass(frozen=True)
class View:
    """A camera's picture of a frame.

    Attributes:
        name: The camera's.
        camera: The camera.
        jpeg: Encoded picture.
        rectangles: Shape (objects, 4): left, top, right, bottom of each annotated object; NaN where it is not in view.
    """

    name: str
    camera: Camera
    jpeg: bytes
    rectangles: Floats


@dataclass(frozen=True)
class Sensed:
    """What is recorded of a frame.

    Attributes:
        frame: The frame.
        sweep: The LiDAR's.
        views: The cameras'.
        actors: Those that the LiDAR hit, which are annotated.
        boxes: Shape (objects, 7), theirs, in the vehicle's frame.
        speeds: Shape (objects, 2).
        point_counts: Shape (objects,), points of the sweep on each.
    """

    frame: Frame
    sweep: Sweep
    views: tuple[View, ...]
    actors: tuple[Actor, ...]
    boxes: Floats
    speeds: Floats
    point_counts: npt.NDArray[np.int64]


def sensed(drive: Drive, *, random_seed: int, has_pictures: bool = True) -> Iterator[Sensed]:
    """Yield what is recorded of a drive, frame by frame.

    Args:
        drive: The drive.
        random_seed: Of the LiDAR's noise.
        has_pictures: Whether cameras are drawn; without, a frame takes a tenth of the time.
    """
    for frame in drive.frames():
        scan = sweep(frame, random_seed=random_seed)
        counts = np.bincount(scan.owner[scan.owner >= 0], minlength=len(drive.actors))
        hit = np.flatnonzero(counts)
        boxes = frame.boxes[hit]
        views = tuple(
            View(name, camera, jpeg, clipped(projected_boxes(boxes, camera), camera.size))
            for name, camera, jpeg in (pictures(frame) if has_pictures else ())
        )
        actors = tuple(drive.actors[place] for place in hit)
        yield Sensed(frame, scan, views, actors, boxes, frame.speeds[hit], counts[hit])
