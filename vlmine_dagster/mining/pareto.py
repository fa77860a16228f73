"""Non-dominated fronts."""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError


def non_dominated_fronts(signals: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the front of each point when the best ones are peeled off again and again.

    Point a dominates b if it is at least as high in every signal and higher in one. Front 1 is dominated by nobody,
    front 2 only by front 1, and so on. Equal points share a front. A strictly increasing map of a signal changes
    nothing.

    Two signals take O(N log N); more take little more than that, however many fronts there are: a million images under
    three signals 4 s, under six 17 s, and 2 s of compiling, once per process.

    Args:
        signals: Shape (N, M), finite, higher is more worth mining in every column.

    Returns:
        Shape (N,), int64, 1 is the best.

    Raises:
        ContractError: the shape is wrong, or a value is NaN or infinite.

    Examples:
        >>> non_dominated_fronts([[3, 1], [1, 3], [2, 1], [0, 0]])
        array([1, 1, 2, 3])

    References:
        Goldberg 1989; two signals by moocore's `pareto_rank`, after Jensen 2003; more by `tree_fronts`.
    """
    points = np.asarray(signals, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] == 0:
        raise ContractError(f"non_dominated_fronts: got shape {points.shape}, expected (images, signals).")
    if not np.isfinite(points).all():
        raise ContractError(
            f"non_dominated_fronts: {(~np.isfinite(points)).any(axis=1).sum()} of {len(points)} rows hold NaN or "
            f"infinity. Leave them out before."
        )
    if len(points) == 0:
        return np.empty(0, np.int64)
    if points.shape[1] == 1:
        return np.unique(-points[:, 0], return_inverse=True)[1].astype(np.int64) + 1
    if points.shape[1] > 2:
        from vlmine_dagster.mining.front_tree import tree_fronts

        return tree_fronts(-points)
    import moocore

    return np.asarray(moocore.pareto_rank(points, maximise=True), dtype=np.int64) + 1
