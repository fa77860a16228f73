"""Range images of a spinning LiDAR: the points of their pixels, and the points inside of boxes."""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.geometry.poses import Floats, inverted, pose, rotation_of_euler


def uniform_inclinations(lowest: float, highest: float, beam_count: int) -> Floats:
    """Return the inclination of each beam in radians, lowest first, at the middle of equal steps."""
    steps = (np.arange(beam_count) + 0.5) / beam_count
    return np.asarray(lowest + steps * (highest - lowest))


def ray_directions(inclinations: npt.ArrayLike, column_count: int, *, azimuth_offset: float = 0.0) -> Floats:
    """Return the direction of each pixel of a range image in the sensor's frame, shape (H, W, 3), of length 1.

    Row 0 is the highest beam. Columns go clockwise from straight behind: the middle of the picture is ahead.

    Args:
        inclinations: Shape (H,), radians above the horizon, lowest first.
        column_count: W.
        azimuth_offset: Subtracted from the azimuths: the sensor's own heading on the vehicle, where its columns are
            numbered by the vehicle's directions.

    Examples:
        >>> ray_directions([0.0], 4).round(3)[0]
        array([[-0.707,  0.707,  0.   ],
               [ 0.707,  0.707,  0.   ],
               [ 0.707, -0.707,  0.   ],
               [-0.707, -0.707,  0.   ]])
    """
    up = np.asarray(inclinations, np.float64)[::-1, None]
    ratio = (column_count - np.arange(column_count) - 0.5) / column_count
    azimuth = ((2 * ratio - 1) * np.pi - azimuth_offset)[None]
    flat = np.cos(up)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(up) + 0 * azimuth], axis=-1)


def points_of_range_image(
    ranges: npt.ArrayLike,
    inclinations: npt.ArrayLike,
    ego_from_sensor: npt.ArrayLike,
    *,
    pixel_poses: npt.ArrayLike | None = None,
    world_from_ego: npt.ArrayLike | None = None,
) -> Floats:
    """Return the points of a range image in the ego frame, row by row; pixels without a return have none.

    Args:
        ranges: Shape (H, W), metres; 0 and below is not a return.
        inclinations: Shape (H,), radians, lowest first.
        ego_from_sensor: Shape (4, 4).
        pixel_poses: Shape (H, W, 6): roll, pitch, yaw, x, y, z of the ego frame in the world when the pixel was taken;
            None for a vehicle that stands still during a turn.
        world_from_ego: Pose of the ego frame that points are wanted in; needed with `pixel_poses`.

    Returns:
        Shape (N, 3).
    """
    far, matrix = np.asarray(ranges, np.float64), np.asarray(ego_from_sensor, np.float64)
    heading = float(np.arctan2(matrix[1, 0], matrix[0, 0]))
    is_hit = far > 0
    rays = ray_directions(inclinations, far.shape[1], azimuth_offset=heading)[is_hit]
    points = (rays * far[is_hit][:, None]) @ matrix[:3, :3].T + matrix[:3, 3]
    if pixel_poses is None or world_from_ego is None:
        return np.asarray(points)
    angles = np.asarray(pixel_poses, np.float64)[is_hit]
    at_pixel = pose(rotation_of_euler(angles[:, 0], angles[:, 1], angles[:, 2]), angles[:, 3:])
    back = inverted(world_from_ego) @ at_pixel
    return np.asarray((back[:, :3, :3] @ points[:, :, None])[..., 0] + back[:, :3, 3])


def points_in_boxes(points: npt.ArrayLike, boxes: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return how many points lie in each box, shape (boxes,); those on a face count.

    Examples:
        >>> points_in_boxes([[0, 0, 0], [0, 1.5, 0]], [[0, 0, 0, 4, 2, 1, 0], [0, 0, 0, 4, 2, 1, np.pi / 2]])
        array([1, 2])
    """
    cloud = np.asarray(points, np.float64)[:, :3]
    return np.asarray([in_box(cloud, box).sum() for box in np.asarray(boxes, np.float64).reshape(-1, 7)], np.int64)


def in_box(points: Floats, box: Floats) -> npt.NDArray[np.bool_]:
    """Return which points (N, 3) lie in a box (7,)."""
    x, y, z, length, width, height, heading = box
    cosine, sine = np.cos(heading), np.sin(heading)
    dx, dy = points[:, 0] - x, points[:, 1] - y
    along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
    return np.asarray(
        (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2) & (np.abs(points[:, 2] - z) <= height / 2)
    )
