"""Near-duplicates: candidates by the encoder's features, confirmed by their pixels, grouped around one that is kept."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.main_axes import main_axes
from vlmine_dagster.mining.neighbours import WHOLE_UP_TO, Blocks, nearest_neighbours
from vlmine_dagster.mining.verdict_rule import unit_rows

LEAST_COSINE = 0.6
"""Cosine of standardized features from which two images are compared by their pixels."""
LEAST_CORRELATION = 0.95
"""Correlation of reduced pixels from which they are one picture."""
LEAST_OF_PARTS = 0.88
"""Mean correlation of their parts, likewise: of changed copies of photos and cells 99 of 100 are above 0.92."""
SIDE = 48
"""Side of the reduced grey picture, in pixels."""

_NEIGHBOURS = 8
_AXES = 256
_SAMPLE = 20_000
_PROBED_LISTS = 64  # a third of what loneliness needs: duplicates are in the same lists, or the next
_TRIMS = (0, 1, 2, 3)  # pixels of 48 on each side: crops of up to an eighth
_KEPT = 24  # side on which the correlation is taken
_FLAT = 2.0  # standard deviation of 256 grey values: below it noise is all that could agree

_WAYS = [(0, k) for k in range(2 * len(_TRIMS))] + [(k, j) for k in range(1, len(_TRIMS)) for j in (0, len(_TRIMS))]
_PART = 4  # pixels of 24
_LEAST_VARIANCE = 0.05  # of the mean over the parts
_PAIRS_AT_ONCE = 2048

Floats = npt.NDArray[np.float32]
Greys = npt.NDArray[Any]
"""Reduced grey pictures, shape (N, 48, 48)."""


def candidate_pairs(
    vectors: Blocks, *, least: float = LEAST_COSINE, search: str = "auto"
) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs of images whose features are near, each once, the smaller place first.

    Features are standardized by the mean and the spread of the pool, so that what all images of a pool share counts
    for nothing, and compared by cosine; each image with its 8 nearest.

    Args:
        vectors: Shape (N, D), read block by block, three times or more.
        least: Smallest cosine.
        search: As of `nearest_neighbours`; the index misses some.
    """
    standard, count = standard_blocks(vectors, is_indexed=search != "exact"), 0
    seen: set[tuple[int, int]] = set()
    for places, cosines in nearest_neighbours(standard, count=_NEIGHBOURS, search=search, probed=_PROBED_LISTS):
        for row, column in zip(*np.nonzero(cosines >= least), strict=True):
            pair = sorted((count + int(row), int(places[row, column])))
            if (key := (pair[0], pair[1])) not in seen:
                seen.add(key)
                yield *key, float(cosines[row, column])
        count += len(places)


def standard_blocks(vectors: Blocks, *, is_indexed: bool = False) -> Callable[[], Iterator[Floats]]:
    """Return a reader of the same vectors, standardized by the mean and the spread of the pool, of length 1.

    Args:
        vectors: The vectors.
        is_indexed: Whether an index may look among them. It keeps more than 3 million on their 256 main axes alone, on
            which vectors of length 1 on all axes would be shorter, and cosines smaller than they are.
    """
    centre, scale, count = _moments(vectors)

    def standard() -> Iterator[Floats]:
        for block in vectors():
            yield unit_rows((np.asarray(block, dtype=np.float32) - centre) / scale)

    if not is_indexed or count <= WHOLE_UP_TO:
        return standard
    step = max(1, count // _SAMPLE)
    columns = main_axes(np.concatenate([block[::step] for block in standard()]))[1]
    axes = columns[:, :_AXES].astype(np.float32)

    def projected() -> Iterator[Floats]:
        for block in standard():
            yield unit_rows(block @ axes)

    return projected


def pixel_pairs(greys: Greys, *, least: float = LEAST_CORRELATION - 0.05) -> Iterator[tuple[int, int]]:
    """Yield the pairs of pictures whose reduced pixels agree, each once, the smaller place first.

    A second source of candidates, for pools so uniform that a brighter copy is farther from its original by features
    than another picture is: brightness and contrast change no correlation. Each picture with its 8 nearest, as it is,
    mirrored, and without a margin of a twenty-fourth on each side; all pairs are compared.

    Args:
        greys: Shape (N, 48, 48), grey values.
        least: Smallest correlation; below that of one picture, since trims may raise it.
    """
    if len(greys) < 2:
        return
    whole = _reduced(greys, 0)
    seen: set[tuple[int, int]] = set()
    for asked in (whole, _reduced(greys[:, :, ::-1], 0), _reduced(greys, 2)):
        start = 0
        found = nearest_neighbours(
            lambda: [whole], queries=partial(_blocks, asked), count=_NEIGHBOURS + 1, search="exact"
        )
        for places, correlations in found:
            for row, column in zip(*np.nonzero(correlations >= least), strict=True):
                one, other = sorted((start + int(row), int(places[row, column])))
                if one != other and (one, other) not in seen:
                    seen.add((one, other))
                    yield one, other
            start += len(places)


def same_pictures(greys: Greys, pairs: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return how well pairs of reduced pictures agree, and whether they are one picture.

    They are compared upright or mirrored, whole or trimmed by up to a sixteenth on each side, by the Pearson
    correlation of their pixels: brightness and contrast change nothing. One picture correlates by at least 0.95 as a
    whole and, where it does so best, by at least 0.88 in the mean of its 36 parts: a wide frame alone makes two
    pictures correlate. Parts in which nothing is to be seen do not count.

    Args:
        greys: Shape (N, 48, 48), grey values from 0 to 255.
        pairs: Shape (P, 2), places.

    Returns:
        The largest correlation, shape (P,), from -1 to 1, 0 where a picture is flat; and whether they are one.

    Examples:
        >>> wave = 99 + 99 * np.sin(np.add.outer(np.arange(48.0) ** 2, np.arange(48.0)) / 9)
        >>> found, is_one = same_pictures(np.stack([wave, wave[:, ::-1] / 2]), [(0, 1)])  # mirrored and darker
        >>> found.round(2), is_one
        (array([1.], dtype=float32), array([ True]))
    """
    chosen = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    blocks = [chosen[start : start + _PAIRS_AT_ONCE] for start in range(0, len(chosen), _PAIRS_AT_ONCE)]
    found = [_compared(greys, block) for block in blocks]
    whole = np.concatenate([np.empty(0, np.float32), *(whole for whole, _ in found)])
    parts = np.concatenate([np.empty(0, np.float32), *(parts for _, parts in found)])
    return whole, (whole >= LEAST_CORRELATION) & (parts >= LEAST_OF_PARTS)


def _compared(greys: Greys, pairs: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the largest correlation of pairs over all ways to lay them on each other, and that of their parts then."""
    places, at = np.unique(pairs, return_inverse=True)
    pictures = np.asarray(greys[places], dtype=np.float32)
    is_flat = pictures.std(axis=(1, 2)) < _FLAT
    upright = np.stack([_reduced(pictures, trim) for trim in _TRIMS], axis=1)
    mirrored = np.stack([_reduced(pictures[:, :, ::-1], trim) for trim in _TRIMS], axis=1)
    one, other = at.reshape(pairs.shape).T
    mine, theirs = upright[one], np.concatenate([upright[other], mirrored[other]], axis=1)
    ways = np.stack([np.einsum("pk,pk->p", mine[:, a], theirs[:, b]) for a, b in _WAYS], axis=1)
    best = np.array(_WAYS)[ways.argmax(axis=1)]
    rows = np.arange(len(pairs))
    parts = _of_parts(mine[rows, best[:, 0]], theirs[rows, best[:, 1]])
    return np.where(is_flat[one] | is_flat[other], 0.0, ways.max(axis=1)).astype(np.float32), parts


def _of_parts(one: Floats, other: Floats) -> Floats:
    """Return the mean correlation of the parts of reduced pictures, shape (P, 576), in which one of them varies."""
    first, second = _parts(one), _parts(other)
    variances = (first**2).sum(axis=2), (second**2).sum(axis=2)
    correlations = (first * second).sum(axis=2) / np.maximum(np.sqrt(variances[0] * variances[1]), 1e-12)
    most = np.maximum(*variances)
    varies = most > _LEAST_VARIANCE * most.mean(axis=1, keepdims=True)
    means: Floats = (correlations * varies).sum(axis=1) / np.maximum(varies.sum(axis=1), 1)
    return means.astype(np.float32)


def _parts(rows: Floats) -> Floats:
    """Cut reduced pictures into 36 parts, shape (P, 36, 16), each with mean 0."""
    side = _KEPT // _PART
    cut = rows.reshape(-1, side, _PART, side, _PART).transpose(0, 1, 3, 2, 4).reshape(len(rows), side**2, _PART**2)
    centred: Floats = cut - cut.mean(axis=2, keepdims=True)
    return centred


def kept_of(pairs: Iterable[tuple[int, int]], order: Sequence[int]) -> dict[int, int]:
    """Return for each image that another one stands for which one that is.

    In a given order each image is kept, unless an image that is kept already is a duplicate of it: so no chain of small
    changes joins images that have nothing in common.

    Args:
        pairs: Places of images that are duplicates of each other.
        order: All places, those to be kept rather first.

    Examples:
        >>> kept_of([(0, 1), (1, 2), (3, 4)], order=[0, 1, 2, 4, 3])
        {1: 0, 3: 4}
    """
    likes: dict[int, list[int]] = {}
    for one, other in pairs:
        likes.setdefault(one, []).append(other)
        likes.setdefault(other, []).append(one)
    rank = {place: number for number, place in enumerate(order) if place in likes}
    kept: dict[int, int] = {}
    for place, number in rank.items():
        before = [one for one in likes[place] if rank[one] < number and one not in kept]
        if before:
            kept[place] = min(before, key=rank.__getitem__)
    return kept


def _reduced(greys: Greys, trim: int) -> npt.NDArray[np.float32]:
    """Return pictures without their margin, reduced to 24 x 24, with mean 0 and length 1, as shape (N, 576)."""
    inner = np.asarray(greys[:, trim : SIDE - trim, trim : SIDE - trim], dtype=np.float32)
    size = inner.shape[1]
    at = (np.arange(_KEPT + 1) * size / _KEPT).round().astype(int)
    sums = np.add.reduceat(np.add.reduceat(inner, at[:-1], axis=1), at[:-1], axis=2)
    means = (sums / np.outer(np.diff(at), np.diff(at))).reshape(len(inner), -1)
    centred = means - means.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    found: npt.NDArray[np.float32] = (centred / np.maximum(lengths, 1e-6)).astype(np.float32)
    return found


def _blocks(rows: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    return [rows]


def _moments(vectors: Blocks) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], int]:
    """Return mean and spread of each column, and the number of rows."""
    total, squares, count = 0.0, 0.0, 0
    for block in vectors():
        wide = np.asarray(block, dtype=np.float64)
        total, squares, count = total + wide.sum(axis=0), squares + (wide**2).sum(axis=0), count + len(wide)
    centre = np.asarray(total) / max(count, 1)
    spread = np.sqrt(np.maximum(np.asarray(squares) / max(count, 1) - centre**2, 0)) + 1e-6
    return centre.astype(np.float32), spread.astype(np.float32), count
