"""Drives through the generated world: a curved road, a vehicle that follows it, and everybody beside and before it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vlmine_dagster.geometry.poses import Floats, inverted, moved_boxes, pose_of_heading, wrapped
from vlmine_dagster.resources.driving.kinds import Kind, Row, kinds_of

_ROWS: dict[Row, float] = {"lane": 1.75, "edge": 3.9, "parked": 5.6, "kerb": 7.2, "pavement": 8.4}
"""How far from the middle of the road each row is, in metres."""

_COUNTS = {1: 13, 2: 7, 3: 4, 4: 3}
"""Mean number of objects of each class along one drive."""

_WEATHERS, _TIMES = (("sunny", 0.8), ("rain", 0.2)), (("Day", 0.7), ("Dawn/Dusk", 0.15), ("Night", 0.15))
_LOCATIONS = ("location_sf", "location_phx", "location_other")
_BEHIND, _AHEAD = 35.0, 75.0
_FIRST_US = 1_550_083_467_000_000


@dataclass(frozen=True)
class WorldSize:
    """How large a generated world is.

    Attributes:
        segments: Number of drives.
        frames: Frames of each.
        frame_gap_s: Seconds between frames.
        picture_width: Width of pictures in pixels; heights follow from Waymo's.
        beams: Rows of a range image.
        columns: Columns of a range image.
    """

    segments: int = 4
    frames: int = 10
    frame_gap_s: float = 0.1
    picture_width: int = 480
    beams: int = 32
    columns: int = 600


@dataclass(frozen=True)
class Actor:
    """Something on the road, with a place on it that changes evenly.

    Attributes:
        name: Unique in the world: the track.
        kind: What it is.
        size: Length, width, height in metres.
        colour: Its own colour.
        start: Metres along the road at the first frame.
        beside: Metres to the left of the middle of the road.
        speed: Metres per second along the road; negative against its direction.
        is_turned: Whether it looks against the road's direction.
    """

    name: str
    kind: Kind
    size: tuple[float, float, float]
    colour: tuple[int, int, int]
    start: float
    beside: float
    speed: float
    is_turned: bool


@dataclass(frozen=True)
class Block:
    """A house or a tree: along, beside, length, width and height in metres, and a colour."""

    place: tuple[float, float]
    size: tuple[float, float, float]
    colour: tuple[int, int, int]
    is_tree: bool


@dataclass(frozen=True)
class Road:
    """A road of one curvature. Places on it are metres along and metres to the left.

    Attributes:
        curvature: 1 / radius, positive to the left.
    """

    curvature: float

    def at(self, along: float, beside: float) -> tuple[float, float, float]:
        """Return x, y and the road's heading at a place."""
        heading = self.curvature * along
        if abs(self.curvature) < 1e-9:
            x, y = along, 0.0
        else:
            x, y = np.sin(heading) / self.curvature, (1 - np.cos(heading)) / self.curvature
        return float(x - beside * np.sin(heading)), float(y + beside * np.cos(heading)), float(heading)


@dataclass(frozen=True)
class Frame:
    """One moment of a drive, in the vehicle's frame.

    Attributes:
        drive: The drive.
        number: Its place in the drive, from 0.
        time_us: Microseconds since 1970.
        world_from_ego: The vehicle's pose.
        boxes: Shape (actors, 7), in the ego frame.
        speeds: Shape (actors, 2), metres per second over ground, in the ego frame's axes.
    """

    drive: "Drive"
    number: int
    time_us: int
    world_from_ego: Floats
    boxes: Floats
    speeds: Floats


@dataclass(frozen=True)
class Drive:
    """A drive along a road.

    Attributes:
        name: Unique name, as Waymo writes them.
        road: The road.
        speed: The vehicle's speed in metres per second.
        actors: Everybody else.
        blocks: Houses and trees.
        weather: sunny or rain.
        time_of_day: Day, Dawn/Dusk or Night.
        location: Name of a place.
        size: The world's.
        start_us: Time of the first frame.
    """

    name: str
    road: Road
    speed: float
    actors: tuple[Actor, ...]
    blocks: tuple[Block, ...]
    weather: str
    time_of_day: str
    location: str
    size: WorldSize
    start_us: int

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in the order of time."""
        for number in range(self.size.frames):
            yield self.frame(number)

    def frame(self, number: int) -> Frame:
        """Return a frame by its place in the drive."""
        time = number * self.size.frame_gap_s
        x, y, heading = self.road.at(self.speed * time, -_ROWS["lane"])
        world_from_ego = pose_of_heading(heading, [x, y, 0])
        boxes = np.array([self._box(actor, time) for actor in self.actors]).reshape(-1, 7)
        seen = moved_boxes(boxes, inverted(world_from_ego))
        pace = np.array([abs(actor.speed) for actor in self.actors])
        speeds = pace[:, None] * np.stack([np.cos(seen[:, 6]), np.sin(seen[:, 6])], axis=1)
        time_us = self.start_us + round(time * 1e6)
        return Frame(self, number, time_us, world_from_ego, seen, speeds)

    def _box(self, actor: Actor, time: float) -> list[float]:
        x, y, heading = self.road.at(actor.start + actor.speed * time, actor.beside)
        turned = float(wrapped(heading + np.pi * actor.is_turned))
        return [x, y, actor.size[2] / 2, *actor.size, turned]

    @cached_property
    def block_boxes(self) -> Floats:
        """Houses and trees as boxes in the world, shape (blocks, 7)."""
        found = []
        for block in self.blocks:
            x, y, heading = self.road.at(*block.place)
            found.append([x, y, block.size[2] / 2, *block.size, heading])
        return np.array(found).reshape(-1, 7)


def drives(size: WorldSize, *, random_seed: int) -> Iterator[Drive]:
    """Yield the drives of a world; the same for the same random seed, however many there are.

    Args:
        size: How many, and how long.
        random_seed: Another one, another world.
    """
    for number in range(size.segments):
        yield drive(number, size, random_seed=random_seed)


def drive(number: int, size: WorldSize, *, random_seed: int) -> Drive:
    """Return one drive of a world by its number."""
    draw = np.random.default_rng([random_seed, number])
    seconds = size.frames * size.frame_gap_s
    speed = float(draw.uniform(3, 10))
    start_us = _FIRST_US + number * 60_000_000
    name = f"{10_000_000_000_000_000 + int(draw.integers(9 * 10**15)):020d}_{number * 20}_000_{number * 20 + 20}_000"
    reach = (-_BEHIND, _AHEAD + speed * seconds)
    return Drive(
        name=name,
        road=Road(float(draw.uniform(-0.006, 0.006))),
        speed=speed,
        actors=tuple(_actors(name, speed, reach, draw)),
        blocks=tuple(_blocks(reach, draw)),
        weather=_drawn(_WEATHERS, draw),
        time_of_day=_drawn(_TIMES, draw),
        location=_LOCATIONS[int(draw.integers(len(_LOCATIONS)))],
        size=size,
        start_us=start_us,
    )


def _drawn(choices: tuple[tuple[str, float], ...], draw: np.random.Generator) -> str:
    return choices[int(draw.choice(len(choices), p=[share for _, share in choices]))][0]


def _actors(
    drive_name: str, ego_speed: float, reach: tuple[float, float], draw: np.random.Generator
) -> Iterator[Actor]:
    """Yield everybody on the road: whoever shares a row moves at one speed, so that nobody runs into anybody."""
    taken: dict[float, list[tuple[float, float]]] = {-_ROWS["lane"]: [(-8.0, 8.0)]}
    oncoming = float(draw.uniform(4, 10))
    kinds = [kind for type_number, mean in _COUNTS.items() for kind in _drawn_kinds(type_number, mean, draw)]
    for number, kind in enumerate(kinds, start=1):
        row = kind.row[int(draw.integers(len(kind.row)))]
        length, width, height = (np.array(kind.size) * draw.uniform(0.92, 1.08, 3)).tolist()
        beside = _ROWS[row] * (1 if draw.random() < 0.5 else -1)
        start = float(draw.uniform(*reach))
        colour = kind.colours[int(draw.integers(len(kind.colours)))]
        if _is_free(taken.setdefault(beside, []), start, length):
            # Traffic keeps to the right; signs face those who come.
            is_turned = beside > 0 if row != "kerb" else beside < 0
            speeds = {"lane": oncoming if is_turned else ego_speed, "edge": 3.5, "pavement": 1.3}
            pace = speeds.get(row, 0.0) * (-1 if is_turned else 1)
            size = (length, width, height)
            yield Actor(f"{drive_name[6:14]}-{number:03d}", kind, size, colour, start, beside, pace, is_turned)


def _drawn_kinds(type_number: int, mean: float, draw: np.random.Generator) -> list[Kind]:
    """Return kinds of a class for a drive, as many as a Poisson draw says."""
    kinds = kinds_of(type_number)
    shares = np.array([kind.share for kind in kinds])
    return [kinds[place] for place in draw.choice(len(kinds), int(draw.poisson(mean)), p=shares / shares.sum())]


def _is_free(taken: list[tuple[float, float]], start: float, length: float) -> bool:
    """Whether nobody is there yet; if so, it is taken from now on."""
    low, high = start - length / 2 - 0.8, start + length / 2 + 0.8
    if any(low < other_high and other_low < high for other_low, other_high in taken):
        return False
    taken.append((low, high))
    return True


def _blocks(reach: tuple[float, float], draw: np.random.Generator) -> Iterator[Block]:
    for side in (1, -1):
        along = reach[0]
        while along < reach[1]:
            length = float(draw.uniform(8, 20))
            if draw.random() < 0.55:
                tone = int(draw.integers(90, 190))
                colour = (tone, int(tone * draw.uniform(0.75, 1)), int(tone * draw.uniform(0.6, 1)))
                height = float(draw.uniform(5, 14))
                yield Block((along + length / 2, side * 16.0), (length, 9.0, height), colour, is_tree=False)
            elif draw.random() < 0.8:
                green = int(draw.integers(70, 120))
                yield Block((along + length / 2, side * 11.5), (3.0, 3.0, 5.5), (40, green, 40), is_tree=True)
            along += length + 2
