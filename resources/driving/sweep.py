"""The LiDAR of the generated world: rays cast against boxes and the ground, the nearest hit wins, light falls off."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.geometry.lidar import ray_directions, uniform_inclinations
from vlmine_dagster.geometry.poses import Floats, pose
from vlmine_dagster.resources.driving.shapes import Solids, solids
from vlmine_dagster.resources.driving.world import Frame, WorldSize

EGO_FROM_LIDAR = pose(np.eye(3), [1.4, 0.0, 2.0])
INCLINATIONS = (-0.31, 0.05)
"""Lowest and highest edge of the beams, in radians."""

_REACH_M = 75.0
_NOISE_M = 0.02
_HALF_LIGHT_M = 30.0
"""At this distance one pulse in two comes back from a surface of reflectivity 0.5 that is hit head on."""
_ROAD = 0.2
_GROUND, _NOTHING = -(10**6), -(10**6) - 1


@dataclass(frozen=True)
class Sweep:
    """One turn of the LiDAR.

    Attributes:
        ranges: Shape (H, W), metres; -1 where nothing came back.
        intensities: Shape (H, W), 0 to 1.
        owner: Shape (H, W): the actor that was hit; below 0 what is none.
    """

    ranges: npt.NDArray[np.float32]
    intensities: npt.NDArray[np.float32]
    owner: npt.NDArray[np.int64]


def inclinations(size: WorldSize) -> Floats:
    """Return the inclination of each beam, lowest first."""
    return uniform_inclinations(*INCLINATIONS, size.beams)


def sweep(frame: Frame, *, random_seed: int) -> Sweep:
    """Scan a frame.

    A pulse returns with a probability that falls with distance, with the angle of the surface and with its
    reflectivity, as light does; ranges have a noise of 2 cm.

    Args:
        frame: What is around.
        random_seed: Of noise and lost pulses; the same frame and seed give the same sweep.
    """
    size = frame.drive.size
    draw = np.random.default_rng([random_seed, frame.time_us % (1 << 32)])
    rays = ray_directions(inclinations(size), size.columns)
    found, owner, light = _cast(rays, solids(frame))
    fall_off = np.minimum(light * 2 * (_HALF_LIGHT_M / np.maximum(found, 1)) ** 2, 1e3)
    is_back = (owner != _NOTHING) & (draw.random(found.shape) < fall_off / (1 + fall_off))
    noisy = found + draw.normal(0, _NOISE_M, found.shape)
    intensity = np.clip(light * np.minimum(1, (15 / np.maximum(found, 1)) ** 0.5), 0, 1)
    return Sweep(
        np.where(is_back, np.maximum(noisy, 0.01), -1).astype(np.float32),
        np.where(is_back, intensity, -1).astype(np.float32),
        np.where(is_back, owner, _NOTHING),
    )


def _cast(rays: Floats, things: Solids) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Return distance, owner and returned light of the nearest hit of each ray."""
    height = EGO_FROM_LIDAR[2, 3]
    down = rays[..., 2] < -1e-6
    found = np.where(down, height / np.where(down, -rays[..., 2], 1), np.inf)
    owner = np.where(down & (found < _REACH_M), _GROUND, _NOTHING)
    light = np.where(down, _ROAD * np.abs(rays[..., 2]), 0.0)
    found[owner == _NOTHING] = np.inf
    for place, box in enumerate(things.boxes - np.array([*EGO_FROM_LIDAR[:3, 3], 0, 0, 0, 0])):
        window = _columns(box, rays.shape[1])
        for columns in window:
            distance, cosine = _hits(rays[:, columns], box)
            nearer = distance < found[:, columns]
            found[:, columns][nearer] = distance[nearer]
            owner[:, columns][nearer] = things.owner[place]
            light[:, columns][nearer] = (things.reflectivity[place] * cosine)[nearer]
    return found, owner, light


def _columns(box: Floats, count: int) -> list[slice]:
    """Return the columns of a range image in which a box may be, as up to two slices; none beyond reach."""
    far = float(np.hypot(box[0], box[1]))
    radius = float(np.hypot(box[3], box[4]) / 2)
    if far - radius > _REACH_M:
        return []
    if far <= radius + 0.1:
        return [slice(0, count)]
    azimuth, half = float(np.arctan2(box[1], box[0])), float(np.arcsin(min(1, radius / far)))
    # Column c looks to pi - 2 pi (c + 0.5) / count.
    first = int(np.floor((np.pi - azimuth - half) / (2 * np.pi) * count - 0.5))
    last = int(np.ceil((np.pi - azimuth + half) / (2 * np.pi) * count - 0.5)) + 1
    if last - first >= count:
        return [slice(0, count)]
    low, high = first % count, (last - 1) % count + 1
    return [slice(low, high)] if low < high else [slice(low, count), slice(0, high)]


def _hits(rays: Floats, box: Floats) -> tuple[Floats, Floats]:
    """Return the distance at which rays from the origin enter a box, infinite where they miss, and the cosine there."""
    cosine, sine = np.cos(box[6]), np.sin(box[6])
    step = np.stack(
        [rays[..., 0] * cosine + rays[..., 1] * sine, rays[..., 1] * cosine - rays[..., 0] * sine, rays[..., 2]]
    )
    start = -np.array([box[0] * cosine + box[1] * sine, box[1] * cosine - box[0] * sine, box[2]])[:, None, None]
    inverse = 1 / np.where(step == 0, 1e-300, step)
    reach = np.abs(inverse) * (box[3:6, None, None] / 2)
    enters = -start * inverse - reach
    enter, leave = enters.max(axis=0), (-start * inverse + reach).min(axis=0)
    is_hit = (enter <= leave) & (enter > 0)
    face = np.take_along_axis(np.abs(step), enters.argmax(axis=0)[None], axis=0)[0]
    return np.where(is_hit, enter, np.inf), face
