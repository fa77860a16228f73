"""How isolated images are among their nearest neighbours, at several scales, where no label says what is rare."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.main_axes import main_axes
from vlmine_dagster.mining.neighbours import Blocks, nearest_neighbours

FEWEST_KINDS, MOST_KINDS = 2, 20
"""Kinds of images that tags tell apart: up to the first they do not count, from the second on fully."""

_SAMPLE_ROWS = 65_536
_AXES = 256
_ROWS_AT_ONCE = 65_536
_LEAST_REACH = 0.1

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class NeighbourLists:
    """The nearest neighbours of N vectors by their cosine, nearest first: 8 bytes per neighbour.

    Attributes:
        places: Shape (N, K), int32; a vector is not a neighbour of itself.
        cosines: Shape (N, K), float32, in [-1, 1].
    """

    places: npt.NDArray[np.int32]
    cosines: Singles

    def __len__(self) -> int:
        """Return N."""
        return len(self.places)

    @property
    def distances(self) -> Singles:
        """Euclidean distances of the vectors at length 1, shape (N, K): sqrt(2 - 2 cos)."""
        return np.sqrt(np.maximum(2 - 2 * self.cosines, 0), dtype=np.float32)


def neighbour_lists(vectors: Blocks, *, count: int, search: str = "auto") -> NeighbourLists:
    """Find the nearest neighbours of N vectors by their cosine, reading block by block.

    Args:
        vectors: Shape (N, D) in blocks, any scale; a vector of zeros is like nothing.
        count: Neighbours, K; N - 1 where there are no more.
        search: As in `mining.neighbours.nearest_neighbours`.
    """

    def directions() -> Iterator[Singles]:
        for block in vectors():
            floats = np.asarray(block, dtype=np.float32)
            yield floats / np.maximum(np.linalg.norm(floats, axis=1, keepdims=True), 1e-12)

    parts = [
        (places.astype(np.int32), np.clip(cosines, -1, 1))
        for places, cosines in nearest_neighbours(directions, count=count, search=search)
    ]
    if not parts:
        return NeighbourLists(np.empty((0, 0), np.int32), np.empty((0, 0), np.float32))
    return NeighbourLists(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def half_whitened(vectors: Blocks) -> Blocks:
    """Return a reader of vectors whose main axes count more alike: few large axes no longer decide who is near.

    With mu the mean and l_1 >= l_2 ... the variances on the main axes of a sample of at most 65,536 rows, evenly over
    all, a vector x becomes ((x - mu) . v_a) / l_a^(1/4) for the first 256 axes v_a; axes without variance are left out.
    Whitening would divide by l_a^(1/2), and give noise the weight of what images differ by.

    Args:
        vectors: Shape (N, D) in blocks, N >= 2.

    Examples:
        >>> points = np.array([[16.0, 1.0], [-16.0, 1.0], [16.0, -1.0], [-16.0, -1.0]])
        >>> [abs(block).round(3).tolist()[0] for block in half_whitened(lambda: [points])()]
        [[4.0, 1.0]]
    """
    sample = _sample(vectors)
    mean = sample.mean(axis=0)
    variances, axes = main_axes(sample - mean)
    kept = np.flatnonzero(variances > 1e-6 * max(float(variances[0]), 1e-30))[:_AXES]
    scaled = np.asarray(axes[:, kept] * variances[kept] ** -0.25, dtype=np.float32)

    def read() -> Iterator[Singles]:
        for block in vectors():
            yield (np.asarray(block, dtype=np.float32) - mean) @ scaled

    return read


def isolation(lists: NeighbourLists, *, neighbours: int = 20) -> Floats:
    """Return how far an image is from its nearest neighbours: minus the mean of their cosines.

    Args:
        lists: Of N images.
        neighbours: Nearest ones that count; all where there are fewer.

    Returns:
        Shape (N,), float64, from -1 (copies of it) to 1; higher is more isolated. NaN where there is no other image.

    Raises:
        ContractError: neighbours is below 1.

    Examples:
        >>> lists = neighbour_lists(lambda: [np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])], count=1)
        >>> isolation(lists, neighbours=1)
        array([-1., -1., -0.])
    """
    _check(neighbours, "isolation")
    if not lists.cosines.shape[1]:
        return np.full(len(lists), np.nan)
    return np.asarray(-lists.cosines[:, :neighbours].mean(axis=1, dtype=np.float64))


def local_outlier_factor(lists: NeighbourLists, *, neighbours: int = 20) -> Floats:
    """Return how much sparser it is around an image than around its neighbours.

    With d the Euclidean distance of vectors at length 1, k(j) the distance of j to its last neighbour, and
    reach(i, j) = max(d(i, j), k(j)), the density of i is 1 / mean_j reach(i, j) over its neighbours j, and the factor
    is the mean density of the neighbours over that of i. A group of fewer images than `neighbours` is noticed as well:
    its neighbours are in the crowd nearby, which is denser.

    Args:
        lists: Of N images.
        neighbours: Nearest ones that count; all where there are fewer.

    Returns:
        Shape (N,), float64, > 0; about 1 within a crowd, higher is more isolated. NaN where there is no other image.

    Raises:
        ContractError: neighbours is below 1.

    Examples:
        >>> angles = np.radians([0.0, 1.0, 2.0, 10.0])
        >>> lists = neighbour_lists(lambda: [np.column_stack([np.cos(angles), np.sin(angles)])], count=2)
        >>> local_outlier_factor(lists, neighbours=2).round(2)
        array([0.88, 1.33, 0.88, 4.95])

    References:
        Breunig et al. 2000, LOF: identifying density-based local outliers. Copies of one image have no distance, so
        that all that is near them would look lonely: a mean reach counts for a tenth of the median at least.
    """
    _check(neighbours, "local_outlier_factor")
    if not lists.cosines.shape[1]:
        return np.full(len(lists), np.nan)
    places, distances = lists.places[:, :neighbours], lists.distances[:, :neighbours]
    last = distances[:, -1]
    spans = [slice(start, start + _ROWS_AT_ONCE) for start in range(0, len(lists), _ROWS_AT_ONCE)]
    reach = [np.maximum(distances[span], last[places[span]]).mean(axis=1, dtype=np.float64) for span in spans]
    means = np.concatenate(reach)
    density = 1 / np.maximum(means, max(_LEAST_REACH * float(np.median(means)), 1e-6))
    around = np.concatenate([density[places[span]].mean(axis=1) for span in spans])
    return np.asarray(around / density)


def tag_information(probabilities: Blocks) -> float:
    """Return how much tags tell the images of a pool apart: H(mean_i p_i) - mean_i H(p_i), in nats.

    It is the mutual information of image and tag: exp of it is the number of kinds of images that tags could tell apart
    for certain. 0 where all images have the same probabilities, however sure these are.

    Args:
        probabilities: Shape (N, T) in blocks, rows sum to 1.

    Returns:
        At least 0, at most ln N and ln T; 0 where there is no image.

    Examples:
        >>> float(np.exp(tag_information(lambda: [np.array([[1.0, 0.0], [0.0, 1.0]])])).round(3))
        2.0
        >>> round(tag_information(lambda: [np.array([[0.9, 0.1], [0.9, 0.1]])]), 3) + 0
        0.0
    """
    total, own, count = np.zeros(1), 0.0, 0
    for block in probabilities():
        rows = np.asarray(block, dtype=np.float32)
        total = total + rows.sum(axis=0, dtype=np.float64)
        own += float(-(rows * np.log(np.maximum(rows, 1e-12))).sum(dtype=np.float64))
        count += len(rows)
    if not count:
        return 0.0
    mean = total / count
    return max(float(-(mean * np.log(np.maximum(mean, 1e-12))).sum()) - own / count, 0.0)


def tag_weight(information: float) -> float:
    """Return how much tags count in a pool: 0 where they tell up to 2 kinds of images apart, 1 from 20 kinds on.

    Args:
        information: `tag_information`, in nats; the weight is linear in it between ln 2 and ln 20.

    Examples:
        >>> tag_weight(0.285), round(tag_weight(1.645), 2), tag_weight(3.171)
        (0.0, 0.41, 1.0)
    """
    fewest, most = np.log(FEWEST_KINDS), np.log(MOST_KINDS)
    return float(np.clip((information - fewest) / (most - fewest), 0, 1))


def _check(neighbours: int, where: str) -> None:
    if neighbours < 1:
        raise ContractError(f"{where}: neighbours {neighbours}, expected at least 1.")


def _sample(vectors: Blocks) -> Singles:
    """Return every 1st, 2nd, 4th ... row, at most `_SAMPLE_ROWS` of them."""
    total = sum(len(block) for block in vectors())
    step = 1
    while total > step * _SAMPLE_ROWS:
        step *= 2
    kept, start = [], 0
    for block in vectors():
        kept.append(np.asarray(block[-start % step :: step], dtype=np.float32))
        start += len(block)
    return np.concatenate(kept)
