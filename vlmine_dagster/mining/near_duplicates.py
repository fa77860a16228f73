"""Near-duplicates: candidates by the encoder's features, confirmed by their pixels, grouped around one that is kept."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.neighbours import Blocks, nearest_neighbours
from vlmine_dagster.mining.verdict_rule import unit_rows

LEAST_COSINE = 0.6
"""Cosine of standardised features from which two images are compared by their pixels."""
LEAST_CORRELATION = 0.95
"""Correlation of reduced pixels from which they are one picture."""
SIDE = 48
"""Side of the reduced grey picture, in pixels."""

_NEIGHBOURS = 8
_TRIMS = (0, 1, 2, 3)  # pixels of 48 on each side: crops of up to an eighth
_KEPT = 24  # side on which the correlation is taken
_FLAT = 2.0  # standard deviation of 256 grey values: below it noise is all that could agree

Grey = npt.NDArray[np.float32]


def candidate_pairs(
    vectors: Blocks, *, least: float = LEAST_COSINE, search: str = "auto"
) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs of images whose features are near, each once, the smaller place first.

    Features are standardised by the mean and the spread of the pool, so that what all images of a pool share counts
    for nothing, and compared by cosine; each image with its 8 nearest.

    Args:
        vectors: Shape (N, D), read block by block, three times or more.
        least: Smallest cosine.
        search: As of `nearest_neighbours`; the index misses some.
    """
    centre, scale = _moments(vectors)
    count = 0

    def standard() -> Iterable[npt.NDArray[Any]]:
        for block in vectors():
            yield unit_rows((np.asarray(block, dtype=np.float32) - centre) / scale)

    seen: set[tuple[int, int]] = set()
    for places, cosines in nearest_neighbours(standard, count=_NEIGHBOURS, search=search):
        for row, column in zip(*np.nonzero(cosines >= least), strict=True):
            pair = sorted((count + int(row), int(places[row, column])))
            if (key := (pair[0], pair[1])) not in seen:
                seen.add(key)
                yield *key, float(cosines[row, column])
        count += len(places)


def same_picture(one: Grey, other: Grey) -> float:
    """Return how well two reduced pictures agree as one: upright or mirrored, whole or trimmed by up to a sixteenth.

    Args:
        one: Shape (48, 48), grey values from 0 to 255.
        other: Likewise.

    Returns:
        The largest Pearson correlation over these ways, from -1 to 1: brightness and contrast change nothing. 0 where a
        picture is flat.

    Examples:
        >>> ramp = np.add.outer(np.arange(48.0), 2 * np.arange(48.0)).astype(np.float32)
        >>> round(same_picture(ramp, ramp[:, ::-1] / 2), 2)  # mirrored and darker
        1.0
    """
    if one.std() < _FLAT or other.std() < _FLAT:
        return 0.0
    mine = np.stack([_trimmed(one, trim) for trim in _TRIMS])
    theirs = np.stack([_trimmed(way, trim) for way in (other, other[:, ::-1]) for trim in _TRIMS])
    whole = np.concatenate([mine[:1] @ theirs.T, (mine @ theirs[[0, len(_TRIMS)]].T).T], axis=None)
    return float(whole.max())


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


def _trimmed(grey: Grey, trim: int) -> Grey:
    """Return a picture without its margin, reduced to 24 x 24, with mean 0 and length 1, as shape (576,)."""
    inner = grey[trim : SIDE - trim, trim : SIDE - trim]
    at = (np.arange(_KEPT + 1) * len(inner) / _KEPT).round().astype(int)
    sums = np.add.reduceat(np.add.reduceat(inner, at[:-1], axis=0), at[:-1], axis=1)
    means = sums / np.outer(np.diff(at), np.diff(at))
    centred = (means - means.mean()).ravel()
    found: Grey = (centred / max(float(np.linalg.norm(centred)), 1e-6)).astype(np.float32)
    return found


def _moments(vectors: Blocks) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    total, squares, count = 0.0, 0.0, 0
    for block in vectors():
        wide = np.asarray(block, dtype=np.float64)
        total, squares, count = total + wide.sum(axis=0), squares + (wide**2).sum(axis=0), count + len(wide)
    centre = np.asarray(total) / max(count, 1)
    spread = np.sqrt(np.maximum(np.asarray(squares) / max(count, 1) - centre**2, 0)) + 1e-6
    return centre.astype(np.float32), spread.astype(np.float32)
