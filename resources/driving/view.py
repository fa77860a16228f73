"""The cameras of the generated world: a simple renderer that draws shaded faces from far to near."""

import io
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from vlmine_dagster.geometry.camera import Camera
from vlmine_dagster.geometry.poses import OPTICAL_FROM_FORWARD, Floats, inverted, moved, pose_of_heading
from vlmine_dagster.resources.driving.shapes import Solids, solids
from vlmine_dagster.resources.driving.world import Frame, Road

CAMERAS = {"FRONT": 0.0, "FRONT_LEFT": 45.0, "FRONT_RIGHT": -45.0, "SIDE_LEFT": 90.0, "SIDE_RIGHT": -90.0}
"""Waymo's cameras in the order of their numbers, and the direction of each in degrees to the left."""

Colour = tuple[int, int, int]
Pixels = npt.NDArray[np.float64]

_NEAR, _FAR = 0.3, 120.0
_QUALITY = 85
_LIGHT = np.array([0.35, 0.5, 0.79])
_FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
"""Corners of the faces +x, -x, +y, -y, +z, -z; a corner's bits say which half axes are subtracted: 4 x, 2 y, 1 z."""
_STRIPS = (((-10, -6.9), (150, 148, 142)), ((6.9, 10), (150, 148, 142)), ((-6.9, 6.9), (84, 84, 88)))
_DAYLIGHT = {"Day": 1.0, "Dawn/Dusk": 0.75, "Night": 0.4}


def cameras(width: int) -> dict[str, Camera]:
    """Return the five cameras by name; the two at the sides are flatter, as Waymo's are.

    Args:
        width: Pixels across; focal lengths and heights are Waymo's at this width.
    """
    found = {}
    for name, degrees in CAMERAS.items():
        height = round(width * (886 if name.startswith("SIDE") else 1280) / 1920)
        focal = width * 1.07
        ego_from_camera = pose_of_heading(np.radians(degrees), [1.5, 0.0, 1.8])
        optical = ego_from_camera @ inverted(OPTICAL_FROM_FORWARD)
        found[name] = Camera((focal, focal), (width / 2, height / 2), (width, height), optical)
    return found


def pictures(frame: Frame) -> Iterator[tuple[str, Camera, bytes]]:
    """Yield name, camera and JPEG of each camera's picture of a frame."""
    things = solids(frame)
    for name, camera in cameras(frame.drive.size.picture_width).items():
        yield name, camera, jpeg(picture(frame, camera, things))


def jpeg(image: Image.Image) -> bytes:
    """Return a picture as JPEG."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def picture(frame: Frame, camera: Camera, things: Solids) -> Image.Image:
    """Draw what a camera sees."""
    daylight = _DAYLIGHT[frame.drive.time_of_day] * (0.8 if frame.drive.weather == "rain" else 1.0)
    image = Image.fromarray(_sky(camera.size, daylight, is_rain=frame.drive.weather == "rain"))
    canvas = _Canvas(ImageDraw.Draw(image), camera, daylight)
    for polygon, colour in _ground(frame.drive.road, frame, camera):
        canvas.draw(polygon, colour)
    canvas.draw_solids(things)
    grain = _grain(camera.size, is_rain=frame.drive.weather == "rain")
    return Image.fromarray(np.clip(np.asarray(image, np.int16) + grain, 0, 255).astype(np.uint8))


@lru_cache(maxsize=8)
def _grain(size: tuple[int, int], *, is_rain: bool) -> npt.NDArray[np.int16]:
    """Return noise that the sensor adds, and streaks of rain."""
    draw = np.random.default_rng(size[0])
    noise = draw.normal(0, 5, (size[1], size[0], 1))
    if is_rain:
        for x, y in draw.integers(0, size, (60, 2)).tolist():
            noise[y : y + 12, x] += 45
    return np.asarray(noise, np.int16)


@lru_cache(maxsize=32)
def _sky(size: tuple[int, int], daylight: float, *, is_rain: bool) -> npt.NDArray[np.uint8]:
    width, height = size
    top, low = (
        (np.array([120, 125, 130]), np.array([165, 168, 170]))
        if is_rain
        else (np.array([90, 140, 210]), np.array([200, 215, 230]))
    )
    share = np.clip(np.arange(height) / (height / 2), 0, 1)[:, None]
    rows = top * (1 - share) + low * share
    rows[height // 2 :] = (96, 112, 70)
    return np.broadcast_to((rows * daylight)[:, None], (height, width, 3)).astype(np.uint8)


def _ground(road: Road, frame: Frame, camera: Camera) -> Iterator[tuple[Floats, Colour]]:
    """Yield the road, its pavements and its dashes as polygons in the optical frame."""
    along = frame.drive.speed * frame.number * frame.drive.size.frame_gap_s
    steps = np.arange(along - 40, along + 100, 5.0)
    optical_from_world = inverted(camera.ego_from_optical) @ inverted(frame.world_from_ego)

    def quads(starts: Floats, length: float, sides: tuple[float, float]) -> Floats:
        places = [
            (start + ahead, side)
            for start in starts
            for ahead, side in ((0, sides[0]), (length, sides[0]), (length, sides[1]), (0, sides[1]))
        ]
        world = np.array([(*road.at(*place)[:2], 0.0) for place in places])
        return moved(world, optical_from_world).reshape(-1, 4, 3)

    for sides, colour in _STRIPS:
        for quad in quads(steps, 5.0, sides):
            yield quad, colour
    for sides in ((-0.08, 0.08), (-3.58, -3.42), (3.42, 3.58)):
        for quad in quads(steps[::2], 2.5, sides):
            yield quad, (215, 215, 210)


class _Canvas:
    """Draws polygons of the optical frame, cut at the near plane."""

    def __init__(self, draw: ImageDraw.ImageDraw, camera: Camera, daylight: float):
        self._draw, self._camera, self._daylight = draw, camera, daylight

    def draw(self, polygon: Floats, colour: Colour | npt.NDArray[np.float64], *, light: float = 1.0) -> None:
        """Fill a polygon of shape (N, 3)."""
        if polygon[:, 2].min() < _NEAR:
            polygon = _cut(polygon)
            if len(polygon) < 3:
                return
        across = self._camera.centre[0] + self._camera.focal[0] * polygon[:, 0] / polygon[:, 2]
        down = self._camera.centre[1] + self._camera.focal[1] * polygon[:, 1] / polygon[:, 2]
        if (
            across.max() < 0
            or across.min() > self._camera.size[0]
            or down.max() < 0
            or down.min() > self._camera.size[1]
        ):
            return
        shade = tuple(int(min(255.0, part * light * self._daylight)) for part in colour)
        points = np.clip(np.stack([across, down], axis=1), -4000, 4000)
        self._draw.polygon(points.ravel().tolist(), fill=shade)

    def draw_solids(self, things: Solids) -> None:
        """Draw parts: things from far to near, and the parts of each from far to near."""
        optical_from_ego = inverted(self._camera.ego_from_optical)
        centres = moved(things.boxes[:, :3], optical_from_ego)
        far = np.linalg.norm(centres, axis=1)
        reach = np.linalg.norm(things.boxes[:, 3:6], axis=1) / 2
        half_view = np.arctan(self._camera.size[0] / 2 / self._camera.focal[0]) + np.arcsin(
            np.minimum(1, reach / np.maximum(far, 1e-6))
        )
        is_seen = (np.abs(np.arctan2(centres[:, 0], centres[:, 2])) < half_view) & (far < _FAR)
        nearest = {owner: far[things.owner == owner].mean() for owner in np.unique(things.owner[is_seen]).tolist()}
        order = sorted(np.flatnonzero(is_seen).tolist(), key=lambda part: (-nearest[things.owner[part]], -far[part]))
        corners = _corners(things.boxes, optical_from_ego)
        for part in order:
            self._part(things, part, corners[part], centres[part])

    def _part(self, things: Solids, place: int, corners: Floats, centre: Floats) -> None:
        part, colour = things.parts[place], things.colours[place].astype(np.float64)
        if part.shape == "ball":
            self._ball(corners, colour)
            return
        if part.shape == "wheel":
            self._wheel(corners, centre, colour)
            return
        turn = things.boxes[place, 6]
        along, across = np.array([np.cos(turn), np.sin(turn), 0]), np.array([-np.sin(turn), np.cos(turn), 0])
        up = np.array([0, 0, 1.0])
        for face, normal in zip(_FACES, (along, -along, across, -across, up, -up), strict=True):
            polygon = corners[list(face)]
            middle = polygon.mean(axis=0)
            if middle @ (middle - centre) < 0:
                self.draw(polygon, colour, light=0.55 + 0.45 * max(0.0, float(normal @ _LIGHT)))
                if part.marks and abs(normal[2]) < 0.5 and middle[2] > _NEAR:
                    self._marks(polygon, part.marks)

    def _marks(self, polygon: Floats, marks: str) -> None:
        """Draw windows or stripes on a face that stands upright; a face begins at its top."""
        near = max(float(polygon[:, 2].min()), _NEAR)
        if np.ptp(polygon[:, 0]) / near * self._camera.focal[0] < 12:
            return
        count = 8 if marks == "stripes" else max(2, min(8, round(float(np.linalg.norm(polygon[1] - polygon[2])) / 1.8)))
        heights = (0.08, 0.92) if marks == "stripes" else (0.14, 0.45)
        for number in range(0, count, 2 if marks == "stripes" else 1):
            left, right = (number + 0.12) / count, (number + (0.99 if marks == "stripes" else 0.82)) / count
            quad = np.array(
                [
                    _within(polygon, u, v)
                    for u, v in ((left, heights[0]), (right, heights[0]), (right, heights[1]), (left, heights[1]))
                ]
            )
            self.draw(quad, (190, 45, 40) if marks == "stripes" else (48, 62, 80))

    def _ball(self, corners: Floats, colour: npt.NDArray[np.float64]) -> None:
        if corners[:, 2].min() < _NEAR:
            return
        across = self._camera.centre[0] + self._camera.focal[0] * corners[:, 0] / corners[:, 2]
        down = self._camera.centre[1] + self._camera.focal[1] * corners[:, 1] / corners[:, 2]
        for share, light in ((1.0, 0.62), (0.72, 0.85), (0.4, 1.0)):
            shade = tuple(int(min(255.0, part * light * self._daylight)) for part in colour)
            x, y = (across.min() + across.max()) / 2, (down.min() + down.max()) / 2 - (1 - share) * np.ptp(down) * 0.15
            wide, high = np.ptp(across) * 0.46 * share, np.ptp(down) * 0.48 * share
            self._draw.ellipse([x - wide, y - high, x + wide, y + high], fill=shade)

    def _wheel(self, corners: Floats, centre: Floats, colour: npt.NDArray[np.float64]) -> None:
        along, up = (corners[0] - corners[4]) / 2, (corners[0] - corners[1]) / 2
        angles = np.linspace(0, 2 * np.pi, 13)[:-1]
        side = (corners[0] - corners[2]) / 2
        outside = centre + (side if centre @ side < 0 else -side)
        ring = np.cos(angles)[:, None] * along + np.sin(angles)[:, None] * up
        self.draw(outside + ring, colour)
        self.draw(outside + ring * 0.45, (150, 150, 152))


def _within(polygon: Floats, u: float, v: float) -> Floats:
    """Return a point of a face: u across from its first edge, v down from its top."""
    # Corners run top, bottom, bottom, top around the face, or the other way; the top two are the ones of smaller y.
    top = sorted(range(4), key=lambda place: polygon[place, 1])[:2]
    bottom = [(place + 1) % 4 if (place + 1) % 4 not in top else (place - 1) % 4 for place in top]
    upper = polygon[top[0]] * (1 - u) + polygon[top[1]] * u
    lower = polygon[bottom[0]] * (1 - u) + polygon[bottom[1]] * u
    return np.asarray(upper * (1 - v) + lower * v)


def _cut(polygon: Floats) -> Floats:
    """Return the part of a polygon beyond the near plane."""
    kept = []
    for here, there in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if here[2] >= _NEAR:
            kept.append(here)
        if (here[2] >= _NEAR) != (there[2] >= _NEAR):
            kept.append(here + (_NEAR - here[2]) / (there[2] - here[2]) * (there - here))
    return np.array(kept).reshape(-1, 3)


def _corners(boxes: Floats, matrix: Floats) -> Floats:
    """Return corners in the optical frame, shape (P, 8, 3); bits 4, 2, 1 of a corner subtract half axes x, y, z."""
    cosine, sine, zero = np.cos(boxes[:, 6]), np.sin(boxes[:, 6]), np.zeros(len(boxes))
    axes = np.stack(
        [np.stack([cosine, sine, zero], 1), np.stack([-sine, cosine, zero], 1), np.tile([0, 0, 1.0], (len(boxes), 1))],
        1,
    )
    half = axes * boxes[:, 3:6, None] / 2
    signs = np.array([[1 - 2 * (bits >> 2 & 1), 1 - 2 * (bits >> 1 & 1), 1 - 2 * (bits & 1)] for bits in range(8)])
    points = boxes[:, None, :3] + np.einsum("sa,pac->psc", signs, half)
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])
