"""Non-dominated fronts."""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError

_SMALL = 10_000
"""Points that moocore ranks in less time than the tree takes to compile, whatever the fronts."""
_SAMPLE = 2_000
_MANY_FRONTS = 230
"""Fronts of 100,000 points under three signals at which moocore and the tree take the same time."""


def non_dominated_fronts(signals: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the front of each point when the best ones are peeled off again and again.

    Point a dominates b if it is at least as high in every signal and higher in one. Front 1 is dominated by nobody,
    front 2 only by front 1, and so on. Equal points share a front. A strictly increasing map of a signal changes
    nothing.

    Two signals take O(N log N); more take little more than that, however many fronts there are: a million images under
    three signals 2 to 7 s, under six 17 s, and above 10,000 images 2 s of compiling, once per process.

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
        Goldberg 1989; by moocore's `pareto_rank`, after Jensen 2003, under two signals and where fronts are few, else
        by `tree_fronts`.
    """
    points = np.asarray(signals, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] == 0:
        raise ContractError(f"non_dominated_fronts: got shape {points.shape}, expected (images, signals).")
    if not np.isfinite(points).all():
        raise ContractError(
            f"non_dominated_fronts: {(~np.isfinite(points)).any(axis=1).sum()} of {len(points)} rows contain NaN or "
            f"infinity. Leave them out before."
        )
    if len(points) == 0:
        return np.empty(0, np.int64)
    if points.shape[1] == 1:
        return np.unique(-points[:, 0], return_inverse=True)[1].astype(np.int64) + 1
    if _has_few_fronts(points):
        return _peeled(points)
    from vlmine_dagster.mining.front_tree import tree_fronts

    return tree_fronts(-points)


def _peeled(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    import moocore

    return np.asarray(moocore.pareto_rank(points, maximise=True), dtype=np.int64) + 1


def _has_few_fronts(points: npt.NDArray[np.float64]) -> bool:
    """Return whether peeling fronts off one by one is quicker than the tree, whose time does not grow with them.

    Under three signals, N points of a kind have about N^0.4 times a constant of fronts, within a third on all kinds
    measured (`python -m benchmarks.ranking`), so that a few points tell it. The more points, the fewer fronts pay.
    """
    count, width = points.shape
    if width == 2 or count <= _SMALL:
        return True
    if width > 3:
        return False
    sample = np.random.default_rng(0).choice(count, _SAMPLE, replace=False)
    expected = _peeled(points[sample]).max() * (count / _SAMPLE) ** 0.4
    return bool(expected < _MANY_FRONTS * (100_000 / count) ** 0.4)
