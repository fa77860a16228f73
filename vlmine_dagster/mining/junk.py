"""Junk: pictures that no label is worth, by a few measures of their pixels and by what their pool is like.

Each measure is small for junk. A picture is junk if a measure is beyond a bound that hardly any photo crosses, and far
from what is usual in its pool too: where everything is dark, as at night or under a fluorescence microscope, nothing is
too dark. What people label is not junk either: a kind that is as common among labelled images as in the pool counts for
nothing there. Which pictures are out of domain no measure knows; people say it by keywords.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.junk import Junk

SIDE = 128
"""Longest side of the reduced picture that is measured."""

_CELLS = 16
_STEP = 8  # pixels over which a sharp edge and a smooth ramp differ
_TAIL = 0.995  # of all differences: the edges of a picture, but not its single dead pixel
_JPEG_NOISE = 2.0  # grey values by which a flat ground differs from pixel to pixel
_STRUCTURE = 6.0  # standard deviation of grey values in a cell that holds something, in a picture that reaches white
_LEAST_LIGHT = 0.25  # share of white to which that is scaled down in dark pictures; below it noise would count
_GROUND = 20  # grey values by which the ground of a page may differ from its commonest one
_BLANK_ROW = 0.95  # share of ground in a row between lines
_LEAST_GROUND, _LEAST_BLANK, _TALLEST_LINE, _INK = 0.7, 0.4, 0.1, (0.1, 0.7)  # of a page of text

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


FAR = 0.25
"""What is far from usual: a value of at most this share of the pool's median."""
AS_COMMON = 0.5
"""A kind is not junk where its share of the labelled images is at least this part of its share of the pool."""


@dataclass(frozen=True)
class Measures:
    """What is measured of a picture; shares are from 0 to 1.

    Attributes:
        darkest: Grey value that a hundredth of the pixels do not exceed, as a share of white.
        brightest: Grey value that all but a hundredth of the pixels do not exceed, as a share of white.
        contrast: Largest range of a colour channel without a thousandth of the pixels at either end.
        sharpness: How much of the difference across an edge lies between two neighbouring pixels: about 1 where edges
            are sharp, 1/8 where all changes are ramps.
        filled: Share of the cells of a grid of 16 x 16 that hold anything.
        text_lines: Lines of a page of text; 0 where it is none.
    """

    darkest: float
    brightest: float
    contrast: float
    sharpness: float
    filled: float
    text_lines: int


def measures_of(pixels: Pixels) -> Measures:
    """Measure a picture.

    Args:
        pixels: Shape (H, W, 3), RGB, whose longer side has at most 128 pixels.

    Examples:
        >>> edge = np.zeros((90, 120, 3), np.uint8)
        >>> edge[:, 62:] = 200
        >>> found = measures_of(edge)
        >>> found.darkest, round(found.brightest, 2), found.filled, round(found.sharpness, 2), found.text_lines
        (0.0, 0.78, 0.0625, 0.99, 0)
        >>> ramp = np.repeat(np.arange(120, dtype=np.uint8)[None, :, None], 90, axis=0).repeat(3, axis=2)
        >>> round(measures_of(ramp).sharpness, 1)
        0.1
    """
    grey = (pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).round()
    whole = grey.astype(np.uint8)
    dark, bright = _ends(whole, share=0.01)
    ranges = [high - low for low, high in (_ends(plane, share=0.001) for plane in np.moveaxis(pixels, 2, 0))]
    return Measures(
        darkest=dark / 255,
        brightest=bright / 255,
        contrast=max(ranges) / 255,
        sharpness=_sharpness(grey),
        filled=_filled(grey, structure=_STRUCTURE * max(bright / 255, _LEAST_LIGHT)),
        text_lines=_text_lines(whole),
    )


def _ends(plane: Pixels, *, share: float) -> tuple[int, int]:
    """Return the values that this share of the pixels does not exceed, and that all but this share do not."""
    counts = np.cumsum(np.bincount(plane.ravel(), minlength=256))
    low, high = np.searchsorted(counts, [share * counts[-1], (1 - share) * counts[-1]])
    return int(low), int(high)


def _sharpness(grey: npt.NDArray[np.float32]) -> float:
    """Return the better of both directions, so that a picture blurred by motion is not blurred yet."""
    found = []
    for plane in (grey, grey.T):
        if len(plane) > _STEP:
            near, far = np.abs(plane[1:] - plane[:-1]), np.abs(plane[_STEP:] - plane[:-_STEP])
            found.append(_high(near) / (_high(far) + _JPEG_NOISE))
    return min(1.0, max(found, default=1.0))


def _high(values: npt.NDArray[np.float32]) -> float:
    place = min(int(values.size * _TAIL), values.size - 1)
    return float(np.partition(values, place, axis=None)[place])


def _filled(grey: npt.NDArray[np.float32], *, structure: float) -> float:
    means, squares = _cell_means(grey), _cell_means(grey**2)
    return float((np.sqrt(np.maximum(squares - means**2, 0)) > structure).mean())


def _cell_means(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    high, wide = plane.shape
    rows, columns = (np.arange(min(_CELLS, side)) * side // min(_CELLS, side) for side in (high, wide))
    sums = np.add.reduceat(np.add.reduceat(plane, rows, axis=0), columns, axis=1)
    means: npt.NDArray[np.float32] = sums / np.outer(np.diff([*rows, high]), np.diff([*columns, wide]))
    return means


def _text_lines(grey: Pixels) -> int:
    """Return the bands of rows that hold something on a plain ground, if all are as low as lines of text."""
    counts = np.bincount(grey.ravel() >> 3, minlength=32)
    ground = 8 * int((counts[:-1] + counts[1:]).argmax()) + 8
    shares = (np.abs(grey.astype(np.int16) - ground) <= _GROUND).mean(axis=1)
    is_blank = shares >= _BLANK_ROW
    turns = np.diff(np.concatenate([[1], is_blank, [1]]).astype(np.int8))
    heights = np.flatnonzero(turns == 1) - np.flatnonzero(turns == -1)
    is_page = (
        len(heights)
        and shares.mean() >= _LEAST_GROUND
        and is_blank.mean() >= _LEAST_BLANK
        and heights.max() <= _TALLEST_LINE * len(shares)
        and _INK[0] <= (1 - shares[~is_blank]).mean() <= _INK[1]
    )
    return len(heights) if is_page else 0


@dataclass(frozen=True, eq=False)
class JunkFound:
    """Which of N images are junk.

    Attributes:
        kinds: Shape (N,), the kind of each by its place in `Junk`, -1 where it is none.
        values: Shape (N,), its measure; NaN where it is none.
        limits: The measure from which on an image is junk, by kind; NaN where the kind counts for nothing in this pool.
        typical: The median of the measure in the pool, by kind.
        labelled: Kinds that are as common among labelled images, and so count for nothing.
    """

    kinds: npt.NDArray[np.int64]
    values: Floats
    limits: Mapping[Junk, float]
    typical: Mapping[Junk, float]
    labelled: tuple[Junk, ...]


@dataclass(frozen=True)
class _Rule:
    """When an image is junk of a kind: its measure is at most `bound`, and far from the pool's median towards `end`.

    Both hold in terms of the distance from `end`, the value that a picture without any content has.
    """

    values: Callable[[Mapping[str, Floats]], Floats]
    bound: float
    end: float = 0.0

    def limit(self, typical: float) -> float:
        """Return the value from which on an image is junk, given the pool's median; NaN where that is junk itself."""
        least, usual = abs(self.bound - self.end), abs(typical - self.end)
        if usual <= least:
            return float("nan")
        return self.end + (1 if self.bound >= self.end else -1) * min(least, FAR * usual)

    def is_met(self, values: Floats, limit: float) -> Mask:
        """Return which values are as far out as the limit."""
        met: Mask = values <= limit if self.bound >= self.end else values >= limit
        return met


@dataclass(frozen=True)
class _Count:
    """When an image is junk of a kind: it has at least so many of something, and at most a share of the pool has."""

    name: str
    least: int
    most: float


_COUNTS: Mapping[Junk, _Count] = {
    Junk.TEXT: _Count("text_lines", least=6, most=0.25),  # else it is a pool of documents
    Junk.FOREIGN: _Count("foreign_keywords", least=1, most=0.5),  # else they are what the pool is about
}
_RULES: Mapping[Junk, _Rule] = {
    # Bounds were set between planted junk and photos of caltech101-lt, tiny-imagenet-lt, rsscn7-lt and blood-cells: of
    # 11,615 photos 1 crosses one. See docs/junk.md.
    Junk.DARK: _Rule(lambda of: of["brightest"], 0.125),
    Junk.BRIGHT: _Rule(lambda of: of["darkest"], 0.85, end=1.0),
    Junk.FLAT: _Rule(lambda of: of["contrast"], 0.05),
    Junk.SHAPE: _Rule(lambda of: of["shape"], 0.2),
    Junk.EMPTY: _Rule(lambda of: of["filled"], 0.03),
    Junk.BLURRED: _Rule(lambda of: of["sharpness"], 0.22, end=1 / _STEP),
}


def find_junk(measures: Mapping[str, Floats], *, is_labelled: Mask, is_mined: Mask) -> JunkFound:
    """Find the junk of a pool; where all of it would be junk, none is.

    Args:
        measures: By name, shape (N,): the fields of `Measures`, `shape`, the shorter side over the longer one, and
            `foreign_keywords`, how many keywords say that an image is out of domain; NaN where nothing was measured.
        is_labelled: Shape (N,), the images that somebody gave a class.
        is_mined: Shape (N,), the images that can be mined: these alone say what is usual, and are junk.

    Examples:
        >>> usual = {"contrast": 0.9, "brightest": 0.9, "darkest": 0.1, "shape": 0.7, "filled": 0.8, "sharpness": 0.6}
        >>> pool = {name: np.full(4, value) for name, value in usual.items()} | {"text_lines": np.zeros(4)}
        >>> pool["foreign_keywords"] = np.zeros(4)
        >>> pool["brightest"][0] = 0.03  # black
        >>> pool["sharpness"][1] = 0.15  # blurred
        >>> none, every = np.zeros(4, dtype=bool), np.ones(4, dtype=bool)
        >>> [list(Junk)[kind].value for kind in find_junk(pool, is_labelled=none, is_mined=every).kinds if kind >= 0]
        ['too dark', 'blurred']
        >>> pool["brightest"][:] = 0.03  # all of them are: a pool of the night
        >>> find_junk(pool, is_labelled=none, is_mined=every).kinds.tolist()
        [-1, 6, -1, -1]
    """
    count = len(is_mined)
    kinds, junk_values = np.full(count, -1, dtype=np.int64), np.full(count, np.nan)
    limits: dict[Junk, float] = {}
    typical: dict[Junk, float] = {}
    labelled: list[Junk] = []
    for number, kind in enumerate(Junk):
        values, is_met, limits[kind], typical[kind] = _met(kind, measures, is_mined)
        if _is_labelled_too(is_met, is_labelled, is_mined):
            labelled.append(kind)
            limits[kind] = np.nan
            continue
        new = is_met & is_mined & (kinds < 0)
        kinds[new], junk_values[new] = number, values[new]
    if (kinds[is_mined] >= 0).all():  # nothing would be left to mine
        kinds, junk_values = np.full(count, -1, dtype=np.int64), np.full(count, np.nan)
    return JunkFound(kinds, junk_values, limits, typical, tuple(labelled))


def _met(kind: Junk, measures: Mapping[str, Floats], is_mined: Mask) -> tuple[Floats, Mask, float, float]:
    """Return the values of a kind's measure, which are those of junk, the limit and the pool's median."""
    if kind in _COUNTS:
        counted = _COUNTS[kind]
        counts = measures[counted.name]
        is_so: Mask = counts >= counted.least
        is_odd = bool(is_mined.any()) and float(is_so[is_mined].mean()) <= counted.most
        return counts, is_so & is_odd, counted.least if is_odd else np.nan, _median(counts[is_mined])
    rule = _RULES[kind]
    values = rule.values(measures)
    usual = _median(values[is_mined])
    limit = rule.limit(usual)
    return values, rule.is_met(values, limit), limit, usual


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _is_labelled_too(is_met: Mask, is_labelled: Mask, is_mined: Mask) -> bool:
    """Return whether a kind is about as common among labelled images as in the pool."""
    if not (is_met & is_labelled).any():
        return False
    share = float(is_met[is_mined].mean()) if is_mined.any() else 0.0
    return float(is_met[is_labelled].mean()) >= AS_COMMON * share
