"""How crowded an image's neighbourhood is, by what a model sees in it."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from vlmine_dagster.errors import ContractError
from vlmine_dagster.mining.neighbours import Blocks, nearest_neighbours

Floats = npt.NDArray[np.float64]


def semantic_density(probabilities: npt.ArrayLike | Blocks, *, neighbours: int = 100, search: str = "auto") -> Floats:
    """Sum an image's similarities to its nearest neighbours over tag probabilities.

    The similarity of images i and j is the Bhattacharyya coefficient sum_t sqrt(p_it p_jt), 1 for equal distributions
    and 0 for disjoint ones. The image itself is no neighbour.

    Args:
        probabilities: Shape (N, T), rows sum to 1 or less; float16 is enough. Or a function that reads such rows block
            by block, where they need not fit in memory.
        neighbours: Nearest images that count; all others where there are fewer.
        search: "exact" compares all pairs, "index" finds most of the nearest, "auto" is exact up to 50,000 images; see
            `mining.neighbours`.

    Returns:
        Shape (N,), float64, from 0 (nobody like it) to `neighbours`; higher is more crowded, so negate it to mine.

    Raises:
        ConfigError: search is unknown.
        ContractError: the shape is wrong, a value is negative or not finite.

    Examples:
        >>> semantic_density([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], neighbours=1)
        array([1., 1., 0.])

    References:
        Bhattacharyya 1943.
    """
    given: Blocks = probabilities if callable(probabilities) else lambda: [np.asarray(probabilities)]

    def roots() -> Iterator[npt.NDArray[np.float32]]:
        for block in given():
            if block.ndim != 2 or not np.isfinite(block).all() or (block < 0).any():
                raise ContractError(
                    f"semantic_density: got shape {block.shape}, expected (images, tags) of finite numbers >= 0."
                )
            yield np.sqrt(block, dtype=np.float32)

    found = nearest_neighbours(roots, count=neighbours, search=search)
    sums = [similarities.sum(axis=1, dtype=np.float64) for _, similarities in found]
    return np.concatenate(sums) if sums else np.empty(0)
