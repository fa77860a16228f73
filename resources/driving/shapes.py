"""The parts of everything in a frame, as boxes in the vehicle's frame."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.geometry.poses import Floats, inverted, moved_boxes
from vlmine_dagster.resources.driving.kinds import Part
from vlmine_dagster.resources.driving.world import Frame

_WALLS = (Part("box", (0, 0, 0.5), (1, 1, 1), None, "windows"),)
_TREE = (Part("box", (0, 0, 0.25), (0.12, 0.12, 0.5), (90, 65, 40)), Part("ball", (0, 0, 0.68), (1, 1, 0.64)))
_STONE, _LEAVES = 0.4, 0.3


@dataclass(frozen=True)
class Solids:
    """The parts of all actors, houses and trees of a frame.

    Attributes:
        boxes: Shape (P, 7), ego frame.
        parts: What each is.
        colours: Shape (P, 3).
        owner: Shape (P,): the actor, or minus one and below for houses and trees.
        reflectivity: Shape (P,).
    """

    boxes: Floats
    parts: list[Part]
    colours: npt.NDArray[np.uint8]
    owner: npt.NDArray[np.int64]
    reflectivity: Floats


def solids(frame: Frame) -> Solids:
    """Return the parts of everything in a frame."""
    drive = frame.drive
    blocks = moved_boxes(drive.block_boxes, inverted(frame.world_from_ego))
    boxes, parts, colours, owner, light = [], [], [], [], []
    actors = [
        (number, frame.boxes[number], actor.kind.parts, actor.colour, actor.kind.reflectivity)
        for number, actor in enumerate(drive.actors)
    ]
    still = [
        (-1 - number, blocks[number], *((_TREE, one.colour, _LEAVES) if one.is_tree else (_WALLS, one.colour, _STONE)))
        for number, one in enumerate(drive.blocks)
    ]
    for number, box, own_parts, colour, reflectivity in [*actors, *still]:
        boxes.append(_part_boxes(box, own_parts))
        parts += own_parts
        colours += [part.colour or colour for part in own_parts]
        owner += [number] * len(own_parts)
        light += [reflectivity] * len(own_parts)
    return Solids(
        np.concatenate(boxes) if boxes else np.empty((0, 7)),
        parts,
        np.array(colours, np.uint8).reshape(-1, 3),
        np.array(owner, np.int64),
        np.array(light, np.float64),
    )


def _part_boxes(box: Floats, parts: tuple[Part, ...]) -> Floats:
    """Return the parts of a thing as boxes; a part never reaches out of the thing's own box."""
    centre = np.array([part.centre for part in parts])
    size = np.array([part.size for part in parts])
    low = np.maximum(centre - size / 2, [-0.5, -0.5, 0])
    high = np.minimum(centre + size / 2, [0.5, 0.5, 1])
    middle, sides = (low + high) / 2 * box[3:6], (high - low) * box[3:6]
    cosine, sine = np.cos(box[6]), np.sin(box[6])
    found = np.empty((len(parts), 7))
    found[:, 0] = box[0] + middle[:, 0] * cosine - middle[:, 1] * sine
    found[:, 1] = box[1] + middle[:, 0] * sine + middle[:, 1] * cosine
    found[:, 2] = box[2] - box[5] / 2 + middle[:, 2]
    found[:, 3:6], found[:, 6] = sides, box[6]
    return found
