"""Drawings: axes, paths and labels as numbers and words, for a page to render as SVG.

A drawing holds no colours. The page's style sheet colours each mark by its role, so that one drawing serves light, dark
and print, and the same data always gives the same bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WIDTH, HEIGHT = 560, 350
TOP, BOTTOM = 44, 48
MOST_SINGLE_DOTS = 4000  # more dominated images than this are drawn as hexagons: a smear of dots hides its density
MOST_FINE_DOTS = 20_000  # more selected images than this are drawn on whole units, which bounds the path's length
HEXAGON_RADIUS = 5.0
HEXAGON_SHADES = 6
LABEL_GAP = 15.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, in drawing units, and what it says."""

    position: float
    text: str


@dataclass(frozen=True)
class Mark:
    """An SVG path and the role that colours it."""

    role: str
    path: str


@dataclass(frozen=True)
class Label:
    """Words in the drawing. `anchor` is SVG's: start, middle or end."""

    x: float
    y: float
    text: str
    role: str
    anchor: str = "start"


@dataclass(frozen=True)
class Drawing:
    """A chart, laid out on `WIDTH` by `HEIGHT` units.

    Attributes:
        summary: What it shows, for those who cannot see it.
        x_name: Name of the horizontal axis.
        y_name: Name of the vertical axis.
        x_ticks: Ticks from left to right.
        y_ticks: Ticks from bottom to top.
        left: Left edge of the plot area.
        right: Right edge of the plot area.
        marks: Paths, later ones above earlier ones.
        labels: Words, above all marks.
    """

    summary: str
    x_name: str
    y_name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    left: float
    right: float
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True)
class Scale:
    """A map from values to drawing units, linear or logarithmic; values outside [low, high] are clipped to its ends."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, values: npt.ArrayLike) -> Floats:
        """Return the positions of values."""
        clipped = np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)
        low, high = self._warp(self.low), self._warp(self.high)
        return np.asarray(self.start + (self.end - self.start) * (self._warp(clipped) - low) / (high - low))

    def ticks(self, text: Callable[[float], str]) -> tuple[Tick, ...]:
        """Return ticks at round values within the scale."""
        values = _decades(self.low, self.high) if self.is_log else _round_steps(self.low, self.high)
        return tuple(Tick(round(float(self(value)), 1), text(value)) for value in values)

    def _warp(self, values: npt.ArrayLike) -> Floats:
        return np.asarray(np.log10(values) if self.is_log else values, dtype=np.float64)


def scale_for(values: Floats, start: float, end: float) -> Scale:
    """Return a scale that shows all values, with a little room at its ends.

    It is logarithmic where all values are positive and at least half of them would otherwise sit in its lowest tenth.
    """
    if not values.size:
        return Scale(0, 1, start, end)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return Scale(low - 0.5, high + 0.5, start, end)
    if low > 0 and float(np.median(values)) < low + (high - low) / 10:
        return Scale(low * (low / high) ** 0.03, high * (high / low) ** 0.03, start, end, is_log=True)
    pad = (high - low) * 0.03
    return Scale(low - pad, high + pad, start, end)


def crowd(places: Floats) -> list[Mark]:
    """Draw places, shape (N, 2), that are background: as dots where they are few, else as shaded hexagons."""
    if len(places) <= MOST_SINGLE_DOTS:
        return [Mark("crowd dots", dots(places))] if len(places) else []
    centres, counts = hexagons(places)
    shades = np.ceil(np.log1p(counts) / np.log1p(counts.max()) * HEXAGON_SHADES).astype(int)
    return [Mark(f"crowd shade-{s}", "".join(map(_hexagon, centres[shades == s]))) for s in np.unique(shades)]


def hexagons(places: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the centres of the hexagons that hold places, and how many each holds.

    The centres of a hexagonal tiling are two shifted rectangular lattices; each place belongs to the nearer of the
    two lattice points next to it.
    """
    size = np.array([np.sqrt(3) * HEXAGON_RADIUS, 3 * HEXAGON_RADIUS])
    straight = np.round(places / size) * size
    shifted = (np.floor(places / size) + 0.5) * size
    is_straight = ((places - straight) ** 2).sum(axis=1) <= ((places - shifted) ** 2).sum(axis=1)
    centres = np.where(is_straight[:, None], straight, shifted).round(1)
    found, counts = np.unique(centres, axis=0, return_counts=True)
    return found, counts


def _hexagon(centre: Floats) -> str:
    half, quarter = HEXAGON_RADIUS * np.sqrt(3) / 2, HEXAGON_RADIUS / 2
    right, left = f"l{half:.1f} {quarter:g}v{HEXAGON_RADIUS:g}", f"l-{half:.1f} {quarter:g}"
    back = f"l-{half:.1f}-{quarter:g}v-{HEXAGON_RADIUS:g}z"
    return f"M{centre[0]:g} {centre[1] - HEXAGON_RADIUS:.1f}{right}{left}{back}"


def dots(places: Floats) -> str:
    """Return a path with a dot at each distinct place, rounded to half a unit, or to a unit where there are many."""
    # A path of zero length with round caps is a dot: a tenth of the bytes of a circle element.
    step = 0.5 if len(places) <= MOST_FINE_DOTS else 1.0
    distinct = np.unique((places / step).round(), axis=0) * step
    return "".join(f"M{x:g} {y:g}h0" for x, y in distinct)


def polyline(places: Floats) -> str:
    """Return a path through places in their order; empty for none."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) if len(places) else ""


def staircase(places: Floats) -> str:
    """Return the edge of what a front of non-dominated places dominates; smaller y is higher in a drawing."""
    x, y = places[np.lexsort((places[:, 1], -places[:, 0]))].T
    steps = "".join(f"V{b:.1f}H{a:.1f}" for a, b in zip(x[1:], y[1:], strict=True))
    return f"M{x[0]:.1f} {y[0]:.1f}{steps}"


def whiskers(line: Floats, x: Scale, y: Scale) -> str:
    """Return upright strokes at column 0 of `line`, from column 1 minus column 2 to column 1 plus column 2."""
    ends = zip(x(line[:, 0]), y(line[:, 1] - line[:, 2]), y(line[:, 1] + line[:, 2]), strict=True)
    return "".join(f"M{a:.1f} {low:.1f}V{high:.1f}" for a, low, high in ends if np.isfinite(low + high))


def spread(ends: Sequence[tuple[float, float, str, str]], *, floor: float = HEIGHT - BOTTOM) -> list[Label]:
    """Return labels beside line ends, each given as (y, x, name, role), moved apart where they would touch.

    Labels move down, and back up where they would pass `floor`.
    """
    ordered = sorted(ends)
    heights: list[float] = []
    for y, *_ in ordered:
        heights.append(max(y, heights[-1] + LABEL_GAP) if heights else y)
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], floor - LABEL_GAP * (len(heights) - 1 - i))
    labels = zip(heights, ordered, strict=True)
    return [Label(round(x + 9, 1), round(height + 4, 1), name, role) for height, (_, x, name, role) in labels]


def count_text(value: float) -> str:
    """Write a count briefly: 950, 1.2k, 30k, 4M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"


def number_text(value: float) -> str:
    """Write a number with three significant digits."""
    return f"{value:.3g}"


def share_text(value: float) -> str:
    """Write a share as a percentage: with a decimal where it has one, and with two digits below one percent."""
    percent = value * 100
    return f"{percent:.2g}%" if 0 < abs(percent) < 1 else f"{percent:.1f}".removesuffix(".0") + "%"


def _decades(low: float, high: float) -> list[float]:
    first, last = int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9))
    if last - first < 1:
        every = [m * 10.0**e for e in range(first - 1, last + 1) for m in (1, 2, 5)]
        return [value for value in every if low <= value <= high]
    return [10.0**e for e in range(first, last + 1, 1 + (last - first) // 6)]


def _round_steps(low: float, high: float) -> list[float]:
    rough = (high - low) / 4
    size = 10.0 ** np.floor(np.log10(rough))
    step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= rough * 0.999)
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [float(i * step) for i in range(first, last + 1)]
