"""The kinds of road users and signs in the generated world: how common, how large, and of which parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Shape = Literal["box", "ball", "wheel"]
Row = Literal["lane", "parked", "edge", "pavement", "kerb"]

CLASSES = ("unknown", "vehicle", "pedestrian", "sign", "cyclist")
"""Waymo's object types by number."""

RARE_KINDS = ("articulated lorry", "excavator", "pushchair", "wheelchair", "horse")
"""The tail of the generated world."""


@dataclass(frozen=True)
class Part:
    """A part of an object, in shares of the object's length, width and height.

    Attributes:
        shape: A box, a ball that fills the same box, or a wheel whose axle points sideways.
        centre: Forward and left of the middle, and up from the ground.
        size: Along, across and up.
        colour: Red, green and blue; None takes the object's own colour.
        marks: Windows or stripes on its sides.
    """

    shape: Shape
    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    colour: tuple[int, int, int] | None = None
    marks: Literal["", "windows", "stripes"] = ""


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes:
        name: Its name.
        type: Its class, as `CLASSES` numbers them.
        share: How common it is among its class, relative to the others.
        size: Length, width, height in metres.
        row: Where on the road it is.
        colours: Colours of which one is drawn.
        parts: What it is made of.
        reflectivity: Share of light that comes back to the LiDAR, 0 to 1.
    """

    name: str
    type: int
    share: float
    size: tuple[float, float, float]
    row: tuple[Row, ...]
    colours: Sequence[tuple[int, int, int]]
    parts: tuple[Part, ...]
    reflectivity: float = 0.5


_BLACK, _GREY, _GLASS = (25, 25, 28), (110, 112, 118), (60, 80, 98)
_SKIN, _WOOD, _WHITE, _RED = (205, 160, 130), (120, 75, 40), (235, 235, 235), (200, 30, 35)
_PAINTS = ((180, 30, 30), (30, 60, 140), (225, 225, 228), (40, 42, 46), (150, 152, 156), (70, 110, 60), (190, 160, 120))
_CLOTHES = ((150, 40, 50), (40, 60, 110), (60, 110, 70), (90, 80, 100), (200, 170, 60), (30, 30, 34))


def _wheels(*places: float, high: float, wide: float = 0.16) -> tuple[Part, ...]:
    """Return pairs of wheels at shares of the length; `high` and `wide` are shares of height and length."""
    return tuple(
        Part("wheel", (place, side, high / 2), (wide, 0.14, high), _BLACK) for place in places for side in (0.43, -0.43)
    )


def _person(x: float = 0.0, *, low: float = 0.0, wide: float = 1.0, deep: float = 1.0) -> tuple[Part, ...]:
    """Return legs, body and head of somebody who stands at a share of the length, from a share of the height up."""
    up = 1 - low
    return (
        Part("box", (x, 0.0, low + 0.22 * up), (0.35 * deep, 0.45 * wide, 0.44 * up), (45, 45, 60)),
        Part("ball", (x, 0.0, low + 0.62 * up), (0.6 * deep, 0.95 * wide, 0.48 * up)),
        Part("ball", (x, 0.0, low + 0.92 * up), (0.35 * deep, 0.4 * wide, 0.16 * up), _SKIN),
    )


_CAR = (
    Part("box", (0, 0, 0.37), (1.0, 1.0, 0.42)),
    Part("box", (-0.05, 0, 0.78), (0.52, 0.86, 0.42), _GLASS),
    Part("box", (-0.05, 0, 0.97), (0.46, 0.8, 0.05)),
    *_wheels(0.31, -0.31, high=0.4),
)
_VAN = (
    Part("box", (-0.06, 0, 0.58), (0.88, 1.0, 0.84)),
    Part("box", (0.44, 0, 0.42), (0.12, 0.96, 0.5), _GLASS),
    *_wheels(0.32, -0.3, high=0.28, wide=0.13),
)
_BUS = (
    Part("box", (0, 0, 0.56), (1.0, 1.0, 0.86), None, "windows"),
    *_wheels(0.34, -0.32, high=0.3, wide=0.09),
)
_LORRY = (
    Part("box", (-0.14, 0, 0.6), (0.72, 1.0, 0.8), _WHITE),
    Part("box", (0.38, 0, 0.48), (0.24, 0.94, 0.66)),
    *_wheels(0.37, -0.3, high=0.27, wide=0.12),
)
_ARTICULATED = (
    Part("box", (-0.14, 0, 0.62), (0.72, 1.0, 0.74), None, "stripes"),
    Part("box", (0.4, 0, 0.5), (0.17, 0.96, 0.76), (200, 60, 30)),
    Part("box", (0.49, 0, 0.6), (0.02, 0.8, 0.25), _GLASS),
    *_wheels(0.4, 0.27, -0.28, -0.36, -0.44, high=0.25, wide=0.065),
)
_EXCAVATOR = (
    Part("box", (-0.22, 0.36, 0.14), (0.5, 0.26, 0.28), _BLACK),
    Part("box", (-0.22, -0.36, 0.14), (0.5, 0.26, 0.28), _BLACK),
    Part("box", (-0.26, 0, 0.48), (0.46, 0.9, 0.38)),
    Part("box", (-0.1, 0.22, 0.68), (0.18, 0.4, 0.5), _GLASS),
    Part("box", (0.1, -0.1, 0.82), (0.36, 0.14, 0.16)),
    Part("box", (0.33, -0.1, 0.72), (0.14, 0.12, 0.4)),
    Part("box", (0.43, -0.1, 0.3), (0.12, 0.4, 0.3), _GREY, "stripes"),
)
_PUSHCHAIR = (
    *_person(-0.32, deep=0.42, wide=0.8),
    Part("ball", (0.2, 0, 0.4), (0.52, 0.9, 0.34), (190, 40, 120)),
    Part("box", (0.22, 0, 0.24), (0.5, 0.7, 0.06), _GREY),
    Part("box", (-0.1, 0, 0.52), (0.14, 0.7, 0.05), _BLACK),
    *_wheels(0.06, 0.42, high=0.16, wide=0.2),
)
_WHEELCHAIR = (
    Part("box", (0, 0, 0.4), (0.5, 0.7, 0.1), _BLACK),
    Part("box", (-0.25, 0, 0.58), (0.08, 0.7, 0.4), (40, 70, 150)),
    Part("ball", (-0.08, 0, 0.62), (0.4, 0.6, 0.42)),
    Part("ball", (-0.06, 0, 0.92), (0.24, 0.32, 0.16), _SKIN),
    Part("box", (0.3, 0, 0.2), (0.34, 0.5, 0.3), (45, 45, 60)),
    *_wheels(-0.1, high=0.48, wide=0.6),
)
_BICYCLE = (
    Part("box", (0, 0, 0.38), (0.5, 0.1, 0.06), _RED),
    Part("box", (0.3, 0, 0.48), (0.08, 0.5, 0.06), _GREY),
    *_person(-0.05, low=0.34, wide=0.75, deep=0.5),
    Part("wheel", (0.31, 0, 0.19), (0.38, 0.08, 0.38), _BLACK),
    Part("wheel", (-0.31, 0, 0.19), (0.38, 0.08, 0.38), _BLACK),
)
_HORSE = (
    Part("ball", (-0.08, 0, 0.48), (0.72, 0.8, 0.3), _WOOD),
    Part("box", (0.27, 0, 0.62), (0.16, 0.34, 0.34), _WOOD),
    Part("ball", (0.4, 0, 0.76), (0.24, 0.34, 0.13), _WOOD),
    *(Part("box", (x, y, 0.19), (0.07, 0.2, 0.38), _WOOD) for x in (-0.34, 0.18) for y in (0.24, -0.24)),
    Part("box", (-0.46, 0, 0.42), (0.06, 0.14, 0.3), (40, 25, 15)),
    *_person(-0.06, low=0.58, wide=0.7, deep=0.36),
)
_POST = Part("box", (0, 0, 0.4), (0.3, 0.1, 0.8), _GREY)
_ROUND = (_POST, Part("ball", (0, 0, 0.86), (0.6, 1, 0.28)))
_SQUARE = (_POST, Part("box", (0, 0, 0.87), (0.6, 1, 0.26), None, "stripes"))
_LIVERIES = (_WHITE, (90, 130, 180))
_BUS_PAINTS = ((190, 40, 40), (220, 180, 40), (50, 120, 90))

KINDS = (
    Kind("car", 1, 0.70, (4.5, 1.9, 1.6), ("lane", "parked"), _PAINTS, _CAR, 0.5),
    Kind("van", 1, 0.17, (5.6, 2.1, 2.4), ("lane", "parked"), _PAINTS, _VAN, 0.6),
    Kind("lorry", 1, 0.04, (8.2, 2.5, 3.4), ("lane", "parked"), _PAINTS, _LORRY, 0.7),
    Kind("bus", 1, 0.03, (11.5, 2.55, 3.2), ("lane",), _BUS_PAINTS, _BUS, 0.6),
    Kind("articulated lorry", 1, 0.03, (15.5, 2.55, 3.9), ("lane",), _LIVERIES, _ARTICULATED, 0.7),
    Kind("excavator", 1, 0.03, (8.5, 2.6, 3.0), ("parked",), ((235, 170, 20),), _EXCAVATOR, 0.6),
    Kind("walker", 2, 0.90, (0.6, 0.7, 1.75), ("pavement",), _CLOTHES, _person(), 0.45),
    Kind("pushchair", 2, 0.05, (1.5, 0.7, 1.7), ("pavement",), _CLOTHES, _PUSHCHAIR, 0.45),
    Kind("wheelchair", 2, 0.05, (1.1, 0.75, 1.35), ("pavement",), _CLOTHES, _WHEELCHAIR, 0.45),
    Kind("stop sign", 3, 0.4, (0.15, 0.8, 2.7), ("kerb",), ((200, 30, 35),), _ROUND, 0.95),
    Kind("speed sign", 3, 0.6, (0.15, 0.7, 2.5), ("kerb",), (_WHITE,), _SQUARE, 0.95),
    Kind("bicycle", 4, 0.88, (1.8, 0.65, 1.75), ("edge",), _CLOTHES, _BICYCLE, 0.4),
    Kind("horse", 4, 0.12, (2.5, 0.8, 2.5), ("edge",), _CLOTHES, _HORSE, 0.35),
)  # fmt: skip
"""All kinds; shares are within their class."""


def kinds_of(type_number: int) -> list[Kind]:
    """Return the kinds of a class."""
    return [kind for kind in KINDS if kind.type == type_number]
