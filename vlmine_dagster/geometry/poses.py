"""Quaternions, headings and rigid transforms."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

OPTICAL_FROM_FORWARD: Floats = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)
"""From a camera frame with x forward, y left, z up (Waymo's) to the optical frame."""


def wrapped(angles: npt.ArrayLike) -> Floats:
    """Return angles in [-pi, pi).

    Examples:
        >>> wrapped([np.pi, 3 * np.pi / 2, -7.0]).round(4)
        array([-3.1416, -1.5708, -0.7168])
    """
    return np.asarray((np.asarray(angles, np.float64) + np.pi) % (2 * np.pi) - np.pi)


def rotation_of_quaternion(quaternions: npt.ArrayLike) -> Floats:
    """Return the rotation matrices of quaternions.

    Args:
        quaternions: Shape (..., 4): w, x, y, z, of any length but zero; q and -q are one rotation.

    Returns:
        Shape (..., 3, 3).

    Examples:
        A quarter turn around z moves x to y.

        >>> rotation_of_quaternion([1, 0, 0, 1]).round(9) @ [1, 0, 0]
        array([0., 1., 0.])
    """
    given = np.asarray(quaternions, np.float64)
    w, x, y, z = np.moveaxis(given / np.linalg.norm(given, axis=-1, keepdims=True), -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quaternion_of_rotation(rotation: npt.ArrayLike) -> Floats:
    """Return the quaternion w, x, y, z of a rotation matrix, of length 1 with w >= 0.

    Examples:
        >>> quaternion_of_rotation([[0, -1, 0], [1, 0, 0], [0, 0, 1]]).round(4)
        array([0.7071, 0.    , 0.    , 0.7071])
    """
    m = np.asarray(rotation, np.float64)
    # Of the four formulas the one with the largest component divides by the largest number.
    squares = np.array([1 + m[0, 0] + m[1, 1] + m[2, 2], 1 + m[0, 0] - m[1, 1] - m[2, 2], 0, 0])
    squares[2] = 1 - m[0, 0] + m[1, 1] - m[2, 2]
    squares[3] = 1 - m[0, 0] - m[1, 1] + m[2, 2]
    largest = int(squares.argmax())
    double = 2 * np.sqrt(squares[largest])
    wx, wy, wz = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    xy, xz, yz = m[1, 0] + m[0, 1], m[0, 2] + m[2, 0], m[2, 1] + m[1, 2]
    products = ((double**2 / 4, wx, wy, wz), (wx, double**2 / 4, xy, xz), (wy, xy, double**2 / 4, yz))
    found = np.array((*products, (wz, xz, yz, double**2 / 4))[largest]) / double
    return np.asarray(found if found[0] >= 0 else -found)


def pose(rotation: npt.ArrayLike, translation: npt.ArrayLike) -> Floats:
    """Return the transform that first rotates and then moves.

    Args:
        rotation: Shape (..., 3, 3).
        translation: Shape (..., 3).

    Returns:
        Shape (..., 4, 4).
    """
    turned, moved = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
    found = np.zeros((*turned.shape[:-2], 4, 4))
    found[..., :3, :3], found[..., :3, 3], found[..., 3, 3] = turned, moved, 1
    return found


def pose_of_quaternion(quaternion: npt.ArrayLike, translation: npt.ArrayLike) -> Floats:
    """Return the transform of a quaternion (w, x, y, z) and a translation."""
    return pose(rotation_of_quaternion(quaternion), translation)


def pose_of_heading(heading: float, translation: npt.ArrayLike) -> Floats:
    """Return the transform of a turn around z and a translation."""
    cosine, sine = np.cos(heading), np.sin(heading)
    return pose([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], translation)


def rotation_of_euler(roll: npt.ArrayLike, pitch: npt.ArrayLike, yaw: npt.ArrayLike) -> Floats:
    """Return the rotation that rolls around x, then pitches around y, then yaws around z; shape (..., 3, 3)."""
    (cr, sr), (cp, sp), (cy, sy) = ((np.cos(angle), np.sin(angle)) for angle in map(np.asarray, (roll, pitch, yaw)))
    rows = (
        (cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        (sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        (-sp, cp * sr, cp * cr),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def inverted(transform: npt.ArrayLike) -> Floats:
    """Return the inverse of rigid transforms, shape (..., 4, 4)."""
    given = np.asarray(transform, np.float64)
    back = np.swapaxes(given[..., :3, :3], -1, -2)
    return pose(back, -(back @ given[..., :3, 3, None])[..., 0])


def moved(points: npt.ArrayLike, transform: npt.ArrayLike) -> Floats:
    """Return points in another frame.

    Args:
        points: Shape (N, 3).
        transform: to_from_here, shape (4, 4).
    """
    matrix = np.asarray(transform, np.float64)
    return np.asarray(np.asarray(points, np.float64) @ matrix[:3, :3].T + matrix[:3, 3])


def heading_of(rotation: npt.ArrayLike) -> Floats:
    """Return the direction into which x points after a rotation, seen from above; shape (...)."""
    given = np.asarray(rotation, np.float64)
    return np.arctan2(given[..., 1, 0], given[..., 0, 0])


def moved_boxes(boxes: npt.ArrayLike, transform: npt.ArrayLike) -> Floats:
    """Return boxes in another frame whose z axis points the same way; headings stay in [-pi, pi).

    Args:
        boxes: Shape (N, 7).
        transform: to_from_here, shape (4, 4).
    """
    found = np.array(boxes, np.float64).reshape(-1, 7)
    matrix = np.asarray(transform, np.float64)
    found[:, :3] = moved(found[:, :3], matrix)
    found[:, 6] = wrapped(found[:, 6] + heading_of(matrix[:3, :3]))
    return found
