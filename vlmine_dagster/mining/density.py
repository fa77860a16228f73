"""How crowded an image's neighbourhood is, by what a model sees in it."""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.errors import ContractError

Floats = npt.NDArray[np.float64]


def semantic_density(probabilities: npt.ArrayLike, *, neighbours: int = 100, block: int = 1024) -> Floats:
    """Sum an image's similarities to its nearest neighbours over tag probabilities.

    The similarity of images i and j is the Bhattacharyya coefficient sum_t sqrt(p_it p_jt), 1 for equal distributions
    and 0 for disjoint ones. The image itself is no neighbour.

    Args:
        probabilities: Shape (N, T), rows sum to 1 or less; float16 is enough.
        neighbours: Nearest images that count; all others where there are fewer.
        block: Images compared at once; memory is block x N floats beside the input.

    Returns:
        Shape (N,), float64, from 0 (nobody like it) to `neighbours`; higher is more crowded, so negate it to mine.

    Raises:
        ContractError: the shape is wrong, a value is negative or not finite.

    Examples:
        >>> semantic_density([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], neighbours=1)
        array([1., 1., 0.])

    References:
        Bhattacharyya 1943. Exact, O(N^2 T).
    """
    given = np.asarray(probabilities)
    if given.ndim != 2 or not np.isfinite(given).all() or (given < 0).any():
        raise ContractError(
            f"semantic_density: got shape {given.shape}, expected (images, tags) of finite numbers >= 0."
        )
    roots = np.sqrt(given.astype(np.float32))
    count = min(neighbours, len(roots) - 1)
    density = np.zeros(len(roots))
    if count < 1:
        return density
    for start in range(0, len(roots), block):
        rows = np.arange(start, min(start + block, len(roots)))
        similar = roots[rows] @ roots.T
        similar[rows - start, rows] = -1.0
        nearest = np.partition(similar, len(roots) - count, axis=1)[:, -count:]
        density[rows] = nearest.sum(axis=1, dtype=np.float64)
    return density
