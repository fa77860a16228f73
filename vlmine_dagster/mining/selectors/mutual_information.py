"""Submodular mutual information with a few examples of what is sought: SIMILAR and TALISMAN."""

import heapq

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.selectors.state import Places, PoolState, Singles, highest

_MOST_EXAMPLES = 500
_RARE_SHARE = 0.25


def flqmi_picks(similarities: npt.ArrayLike, *, count: int, eta: float = 1.0) -> Places:
    """Pick images that are like the examples, and cover all of them, by lazy greedy.

    Facility-location query mutual information of the picks A with the examples Q:
    I(A; Q) = sum_{q in Q} max_{i in A} s_iq + eta sum_{i in A} max_{q in Q} s_iq. It grows with A and is submodular, so
    the greedy choice reaches at least 63% of the best (Nemhauser et al. 1978).

    Args:
        similarities: Shape (N, Q), in [0, 1], of images and examples; Q >= 1.
        count: Images to pick, all where there are fewer.
        eta: How much being like any example counts beside covering all.

    Returns:
        Places in the order in which they were picked; of equal gains the lower place first.

    Examples:
        >>> flqmi_picks([[0.9, 0.0], [0.8, 0.1], [0.0, 0.5]], count=2)  # gains 1.8, 1.7, 1.0; then 0.9, 1.0
        array([0, 2])
        >>> flqmi_picks([[0.9, 0.0], [0.8, 0.1], [0.0, 0.2]], count=2)  # then 0.9 for the second, 0.4 for the third
        array([0, 1])

    References:
        Kothawade et al. 2021, arXiv 2107.00717 (SIMILAR); 2022, arXiv 2112.00166 (TALISMAN).
    """
    given = np.asarray(similarities, dtype=np.float32)
    relevance = eta * given.max(axis=1)
    covered = np.zeros(given.shape[1], dtype=np.float32)
    heap = [(-float(gain), place) for place, gain in enumerate((given.sum(axis=1) + relevance).tolist())]
    heapq.heapify(heap)
    picks: list[int] = []
    while heap and len(picks) < count:
        _, place = heap[0]
        now = (-float(np.maximum(given[place] - covered, 0).sum() + relevance[place]), place)
        if now > (heap[0][0] + 1e-6, place):  # gains only fall, so an image that stays first is the best
            heapq.heapreplace(heap, now)
            continue
        heapq.heappop(heap)
        picks.append(place)
        covered = np.maximum(covered, given[place])
    return np.array(picks, dtype=np.int64)


def gcmi_scores(similarities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Score images by graph-cut mutual information with the examples: 2 sum_{q in Q} s_iq, a plain ranking.

    Args:
        similarities: Shape (N, Q).

    Returns:
        Shape (N,), higher is more like all the examples together.

    Examples:
        >>> gcmi_scores([[0.5, 0.0], [0.25, 0.5]])
        array([1. , 1.5])

    References:
        Kothawade et al. 2021, arXiv 2107.00717.
    """
    return np.asarray(2 * np.asarray(similarities, dtype=np.float64).sum(axis=1))


def similar(state: PoolState, count: int) -> Places:
    """Pick images like the labelled ones of rare classes, covering all of them: `flqmi_picks`.

    The examples are the labelled images of the quarter of the classes with the fewest labels (at least one label each),
    at most 500; similarities are cosines of the features, those below 0 count as 0.

    Args:
        state: The pool; the model's answers are not used.
        count: Images to pick; all that are unlabelled where there are fewer.

    Returns:
        Places in the order in which they were picked.

    References:
        Kothawade et al. 2021, arXiv 2107.00717: the variant for rare classes. They compare gradients, here features.
    """
    return state.unlabelled[flqmi_picks(_similarities(state), count=count)]


def graph_cut(state: PoolState, count: int) -> Places:
    """Pick the images that are most like all labelled ones of rare classes: `gcmi_scores`, examples as in `similar`."""
    return highest(gcmi_scores(_similarities(state)), state.unlabelled, count)


def _similarities(state: PoolState) -> Singles:
    """Return how alike the unlabelled images and the examples are, shape (U, Q)."""
    units = state.features / np.maximum(np.linalg.norm(state.features, axis=1, keepdims=True), 1e-12)
    return np.asarray(np.maximum(units[state.unlabelled] @ units[rare_examples(state)].T, 0), dtype=np.float32)


def rare_examples(state: PoolState) -> Places:
    """Return the labelled images of the quarter of the labelled classes with the fewest labels, at most 500.

    Examples:
        >>> labels = np.array([0, 0, 1, 1, 2, 3, 3, -1])
        >>> rare_examples(PoolState(np.zeros((8, 1), np.float32), labels, np.full((8, 4), 0.25)))
        array([4])
    """
    counts = state.label_counts
    there = np.flatnonzero(counts)
    rare = there[np.argsort(counts[there], kind="stable")][: max(1, round(_RARE_SHARE * len(there)))]
    return np.flatnonzero(np.isin(state.labels, rare))[:_MOST_EXAMPLES]
