"""Pinhole cameras: the pixels of points, and the smallest upright rectangles around boxes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.geometry.poses import Floats, inverted, moved

_ROWS_AT_ONCE = 4096  # so that the arrays of a block stay in the processor's cache
_SIGNS = [(along, across, up) for along in (1, -1) for across in (1, -1) for up in (1, -1)]
_EDGES = [
    (a, b) for a in range(8) for b in range(a) if sum(x != y for x, y in zip(_SIGNS[a], _SIGNS[b], strict=True)) == 1
]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on a vehicle.

    Attributes:
        focal: Focal lengths across and down, in pixels.
        centre: Where the optical axis meets the picture, in pixels from its upper left corner.
        size: Width and height of the picture in pixels.
        ego_from_optical: Pose of the optical frame in the ego frame, shape (4, 4).
    """

    focal: tuple[float, float]
    centre: tuple[float, float]
    size: tuple[int, int]
    ego_from_optical: Floats


def projected_points(points: npt.ArrayLike, camera: Camera, *, near: float = 0.1) -> Floats:
    """Return the pixels of points.

    Args:
        points: Shape (N, 3), ego frame, metres.
        camera: The camera.
        near: Points less than this far in front of the camera, or behind it, have no pixel.

    Returns:
        Shape (N, 3): pixel across, pixel down, depth along the optical axis; the pixel is NaN where there is none.
        Pixels outside of the picture are returned as they are.

    Examples:
        The point 10 m ahead, 1 m to the left and 2 m down, for a camera that looks ahead with a focal length of 100:

        >>> from vlmine_dagster.geometry.poses import OPTICAL_FROM_FORWARD, inverted
        >>> ahead = Camera((100, 100), (50, 40), (100, 80), inverted(OPTICAL_FROM_FORWARD))
        >>> projected_points([[10, 1, -2], [-10, 1, -2]], ahead)
        array([[ 40.,  60.,  10.],
               [ nan,  nan, -10.]])
    """
    x, y, depth = moved(points, inverted(camera.ego_from_optical)).T
    safe = np.where(depth >= near, depth, np.nan)
    across = camera.centre[0] + camera.focal[0] * x / safe
    return np.stack([across, camera.centre[1] + camera.focal[1] * y / safe, depth], axis=1)


def projected_boxes(boxes: npt.ArrayLike, camera: Camera, *, near: float = 0.1) -> Floats:
    """Return the smallest upright rectangle around the visible part of each box.

    Of a box that reaches behind the camera, the part beyond the near plane counts, not its corners alone.

    Args:
        boxes: Shape (N, 7), ego frame.
        camera: The camera.
        near: Distance of the near plane in metres.

    Returns:
        Shape (N, 4): left, top, right, bottom in pixels, also beyond the picture; NaN where the whole box is behind the
        near plane. A million boxes take less than a second on one core.
    """
    given = np.asarray(boxes, np.float64).reshape(-1, 7)
    optical_from_ego = inverted(camera.ego_from_optical)
    found = np.empty((len(given), 4))
    for start in range(0, len(given), _ROWS_AT_ONCE):
        rows = given[start : start + _ROWS_AT_ONCE]
        found[start : start + len(rows)] = _block(rows.T, optical_from_ego, camera, near)
    return found


def clipped(rectangles: Floats, size: tuple[int, int]) -> Floats:
    """Return the part of rectangles (left, top, right, bottom) that is in a picture; NaN where there is none."""
    limits = np.array([*size, *size], np.float64)
    found = np.clip(rectangles, 0, limits)
    is_outside = ~((found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1]))
    found[is_outside] = np.nan
    return found


def _block(columns: Floats, matrix: Floats, camera: Camera, near: float) -> Floats:
    corners = _corners(columns, matrix)
    nearest = corners[2].min(axis=0)
    depth = np.maximum(corners[2], near)
    across, down = corners[0] / depth, corners[1] / depth
    edges = np.stack([across.min(axis=0), down.min(axis=0), across.max(axis=0), down.max(axis=0)], axis=1)
    cut = np.flatnonzero(nearest < near)
    if len(cut):
        edges[cut] = _cut_edges(corners[:, :, cut], near)
    focal, centre = np.tile(camera.focal, 2), np.tile(camera.centre, 2)
    return np.asarray(edges * focal + centre)


def _corners(columns: Floats, matrix: Floats) -> Floats:
    """Return the corners of boxes in the optical frame, shape (3, 8, N): the centre plus or minus three half axes."""
    x, y, z, length, width, height, heading = columns
    cosine, sine = np.cos(heading), np.sin(heading)
    found = np.empty((3, 8, len(x)))
    for row in range(3):
        a, b, c, moved_by = matrix[row]
        centre = a * x + b * y + c * z + moved_by
        along = (a * cosine + b * sine) * length * 0.5
        across = (b * cosine - a * sine) * width * 0.5
        up = c * height * 0.5
        ahead, behind = centre + along, centre - along
        for place, side in enumerate((ahead + across, ahead - across, behind + across, behind - across)):
            found[row, 2 * place] = side + up
            found[row, 2 * place + 1] = side - up
    return found


def _cut_edges(corners: Floats, near: float) -> Floats:
    """Return the edges of boxes that the near plane cuts, at a focal length of 1; NaN of those behind it."""
    first, second = (corners[:, [edge[end] for edge in _EDGES]] for end in (0, 1))
    step = second[2] - first[2]
    crosses = (first[2] < near) != (second[2] < near)
    share = np.where(crosses, (near - first[2]) / np.where(crosses, step, 1), np.nan)
    points = np.concatenate([corners, first + share * (second - first)], axis=1)
    depth = np.where(points[2] >= near * (1 - 1e-9), points[2], np.nan)
    plane = np.stack([points[0] / depth, points[1] / depth])
    lowest, highest = (
        fold(plane, axis=1, initial=start, where=np.isfinite(plane))
        for fold, start in ((np.min, np.inf), (np.max, -np.inf))
    )
    found = np.stack([lowest[0], lowest[1], highest[0], highest[1]], axis=1)
    found[~np.isfinite(found).all(axis=1)] = np.nan
    return found
