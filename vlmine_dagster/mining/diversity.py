"""Picking images that differ, from the top of a ranking."""

import dataclasses
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.selection import Ranking

MOST_CANDIDATES = 50_000
"""Images among which a greedy choice is made; 1,280 floats of each are 256 MB."""

_BLOCK = 256

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


def candidate_count(ranked_count: int, budget: int, pool_factor: float) -> int:
    """Return how many images from the top of a ranking are candidates: pool_factor x budget, as far as there are any.

    Examples:
        >>> candidate_count(1000, 50, 3), candidate_count(100, 50, 3), candidate_count(10**6, 10**5, 3)
        (150, 100, 50000)
    """
    return min(ranked_count, math.ceil(pool_factor * budget), MOST_CANDIDATES)


def k_center_picks(vectors: npt.ArrayLike, *, count: int, covered: Iterable[npt.ArrayLike] = ()) -> Integers:
    """Pick, again and again, the vector that is farthest from all that are covered or picked.

    Distances are Euclidean. The largest distance of any vector to its nearest pick is at most twice that of the best
    choice of as many picks, for each number of picks (Gonzalez 1985): a longer list begins with the shorter one.

    Args:
        vectors: Shape (M, D), of the candidates, best ranked first. Without anything covered the best ranked is
            picked first, and of equally far ones the better ranked.
        count: Picks; all candidates where there are fewer.
        covered: Blocks of shape (B, D), of the labelled seed.

    Returns:
        Shape (min(count, M),), int64, places of the picks in order. O(count M D) time, M distances of memory.

    Raises:
        ContractError: the shape is wrong or a number is not finite.

    Examples:
        >>> k_center_picks([[0.0], [0.1], [5.0], [9.0]], count=3)
        array([0, 3, 2])
        >>> k_center_picks([[0.0], [0.1], [5.0], [9.0]], count=2, covered=[[[9.0]]])
        array([0, 2])

    References:
        Sener and Savarese 2018, arXiv 1708.00489 (their greedy one, without the mixed integer program).
    """
    points = np.asarray(vectors, dtype=np.float32)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ContractError(f"k_center_picks: got shape {points.shape}, expected (images, dimensions), finite.")
    norms = np.einsum("ij,ij->i", points, points)
    nearest = np.full(len(points), np.inf, dtype=np.float32)
    for block in covered:
        known = np.asarray(block, dtype=np.float32)
        for start in range(0, len(known), _BLOCK):
            nearest = np.minimum(nearest, _squared(points, norms, known[start : start + _BLOCK]).min(axis=1))
    picks = np.empty(min(count, len(points)), dtype=np.int64)
    for turn in range(len(picks)):
        picks[turn] = nearest.argmax()
        nearest = np.minimum(nearest, _squared(points, norms, points[picks[turn]][None])[:, 0])
        nearest[picks[turn]] = -1.0  # and stays so: a copy of a pick is not a pick: copies come last, by rank
    return picks


def _squared(points: Floats, norms: Floats, others: Floats) -> Floats:
    distances = norms[:, None] - 2 * points @ others.T + np.einsum("ij,ij->i", others, others)[None]
    return np.asarray(np.maximum(distances, 0.0), dtype=np.float32)


def coverage_picks(keywords: Sequence[Sequence[str]], image_counts: Mapping[str, int], *, count: int) -> Integers:
    """Pick, again and again, the image that adds most to what the picks cover of the rare keywords.

    With n_w(S) the picks that have keyword w and c(w) its image count, the picks S cover
    f(S) = sum_w sqrt(n_w(S)) / c(w): rare keywords count most, and each more often seen one for less. f grows and is
    submodular, so the greedy choice reaches at least 1 - 1/e = 63% of the best f of any choice of as many candidates,
    for each number of picks (Nemhauser et al. 1978): a longer list begins with the shorter one.

    Args:
        keywords: M lists, of the candidates, best ranked first; of equal ones the better ranked is picked. An image
            without keywords adds nothing.
        image_counts: c(w), images per keyword over the whole pool.
        count: Picks; all candidates where there are fewer.

    Returns:
        Shape (min(count, M),), int64, places of the picks in order. Lazy evaluation (Minoux 1978) asks few again.

    Raises:
        ContractError: a keyword has no count.

    Examples:
        >>> counts = {"road": 4, "comet": 1, "owl": 1}
        >>> coverage_picks([["comet"], ["comet", "road"], ["owl"], []], counts, count=4)
        array([1, 2, 0, 3])

    References:
        Wei, Iyer and Bilmes 2015 (feature-based functions for data selection).
    """
    seen: dict[str, int] = {}

    def gain(place: int) -> float:
        try:
            return sum(
                (math.sqrt(seen.get(word, 0) + 1) - math.sqrt(seen.get(word, 0))) / image_counts[word]
                for word in keywords[place]
            )
        except KeyError as error:
            raise ContractError(
                f"coverage_picks: keyword {error.args[0]!r} has no count. The counts come from another pool: "
                f"materialize vocab_counts again."
            ) from error

    heap = [(-gain(place), place) for place in range(len(keywords))]
    heapq.heapify(heap)
    picks: list[int] = []
    while heap and len(picks) < count:
        _, place = heap[0]
        now = (-gain(place), place)  # gains only fall, so an image that stays first is the best
        if now > heap[0]:
            heapq.heapreplace(heap, now)
            continue
        heapq.heappop(heap)
        picks.append(place)
        for word in keywords[place]:
            seen[word] = seen.get(word, 0) + 1
    return np.array(picks, dtype=np.int64)


def picked_first(ranking: Ranking, picks: npt.ArrayLike) -> Ranking:
    """Return a ranking with some of its images first, in the order of the picks; the others follow as they stood.

    Args:
        ranking: A mining order.
        picks: Places in it, without repeats.

    Examples:
        >>> from vlmine_dagster.mining.selection import rank_images
        >>> ranking = rank_images({"novelty": [4.0, 3.0, 2.0, 1.0]}, list("abcd"))
        >>> picked_first(ranking, [0, 2]).order
        array([0, 2, 1, 3])
    """
    first = np.asarray(picks, dtype=np.int64)
    left = np.ones(len(ranking.order), dtype=bool)
    left[first] = False
    places = np.concatenate([first, np.flatnonzero(left)])
    return dataclasses.replace(
        ranking, order=ranking.order[places], front=ranking.front[places], rank_sum=ranking.rank_sum[places]
    )
