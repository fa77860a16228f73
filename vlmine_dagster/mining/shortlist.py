"""The first images of a mining order, found without ordering the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.pareto import non_dominated_fronts
from vlmine_dagster.mining.selection import (
    Hashes,
    Ranking,
    fused_scores,
    known_values,
    mid_ranks,
    mining_order,
    ranked_places,
    weight_factors,
)

_SAMPLE = 1_000_000
_CHUNK = 1_000_000
_SPARE = 2
"""Times the images asked for that are kept by the sample's fronts: fewer would often have to be asked for again."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Images of a pool among which its first ones are, with what `rank_images` needs to put them into their order.

    Attributes:
        places: Shape (K,), int64, rising. They are all images of the first fronts.
        signal_ranks: For each signal shape (K,), float64, mid-rank of each within the whole pool.
        ranked_count: Images of the pool that have all signals.
    """

    places: Integers
    signal_ranks: Mapping[str, Floats]
    ranked_count: int

    def ranking(
        self,
        signals: Mapping[str, Floats],
        hashes: Hashes,
        *,
        fusion: str = "pareto",
        weights: Mapping[str, float] | None = None,
    ) -> Ranking:
        """Return the beginning of the pool's mining order; its places are those of the shortlist, 0 to K - 1.

        Args:
            signals: S signals of the images of the shortlist, each of shape (K,).
            hashes: Shape (K,), their `id_hashes`.
            fusion: As for `shortlist`.
            weights: As for `shortlist`.
        """
        factors = weight_factors(signals, fusion=fusion, weights=weights or {})
        order, front, rank_sum = mining_order(signals, self.signal_ranks, hashes, fusion=fusion, factors=factors)
        return Ranking(order, front, rank_sum, dict(self.signal_ranks), excluded_count=0)


def shortlist(
    signals: Mapping[str, npt.ArrayLike],
    count: int,
    *,
    fusion: str = "pareto",
    weights: Mapping[str, float] | None = None,
    sample: int = _SAMPLE,
) -> Shortlist:
    """Find the images of the first fronts that hold at least `count` images, exactly.

    `Shortlist.ranking` of them is the beginning of `rank_images` of the whole pool. Beside the signals themselves,
    fronts of two signals take 8 bytes per image, and sums of ranks 8 per image and signal.

    Fronts of two signals. Let C be the images that no sampled image of the sample's front t dominates. Whoever
    dominates an image of C is in C, so that fronts within C are fronts within the pool. Let f be the first of them up
    to which C has `count` images. An image outside of C that belongs to a front up to f is dominated by no image of
    front f; those that are not are added, after which fronts are counted once more. Three signals or more are ranked
    whole.

    Args:
        signals: S >= 1 arrays of shape (N,), higher is more worth mining. NaN: the image lacks the signal.
        count: Images to find, at least 1. Fewer are found where fewer have all signals.
        fusion: As for `rank_images`.
        weights: As for `rank_images`.
        sample: Images that are looked at first.

    Raises:
        ConfigError: fusion is unknown, a weight is not above 0, or is of no signal.
        ContractError: lengths differ, a value is infinite, or there is no signal.

    Examples:
        >>> first = shortlist({"novelty": [0.1, 1.0, 0.5, 0.2, np.nan], "entropy": [2.0, 0.5, 1.0, 0.3, 3.0]}, 2)
        >>> first.places, first.signal_ranks["novelty"], first.ranked_count
        (array([0, 1, 2]), array([4., 1., 2.]), 4)
        >>> shortlist({"novelty": [0.5, 1.0, 0.2]}, 1).places
        array([1])
    """
    count_of_all = max((len(np.asarray(column)) for column in signals.values()), default=0)
    values = known_values(signals, range(count_of_all))
    factors = weight_factors(signals, fusion=fusion, weights=weights or {})
    ranked = ranked_places(values)
    columns = [column if len(ranked) == len(column) else column[ranked] for column in values.values()]
    if len(columns) == 1:
        places = _last_tied(-columns[0], count)
    elif fusion != "pareto":
        places = _last_tied(fused_scores(_all_ranks(columns), fusion=fusion, factors=factors), count)
    elif len(columns) == 2:
        places = _first_fronts(columns[0], columns[1], count, sample=sample)
    else:
        places = _last_tied(non_dominated_fronts(np.column_stack(columns)), count)
    ranks = {name: _ranks_of(column, places) for name, column in zip(values, columns, strict=True)}
    return Shortlist(ranked[places], ranks, len(ranked))


def _last_tied(scores: npt.NDArray[np.generic], count: int) -> Integers:
    """Return the places of the `count` lowest scores, and of those equal to the last of them."""
    return np.arange(len(scores)) if count >= len(scores) else np.flatnonzero(scores <= _lowest(scores, count))


def _lowest(scores: npt.NDArray[Any], count: int) -> Any:
    """Return the last of the `count` lowest scores."""
    return np.partition(scores, count - 1)[count - 1]


def _all_ranks(columns: list[Floats]) -> Floats:
    """Return mid-ranks, shape (N, S), in memory one column after the other."""
    ranks = np.empty((len(columns[0]), len(columns)), order="F")
    for number, column in enumerate(columns):
        ranks[:, number] = mid_ranks(column)
    return ranks


def _ranks_of(column: Floats, places: Integers) -> Floats:
    """Return the mid-ranks of some images within the whole column."""
    ordered = np.sort(column)
    wanted = column[places]
    lower = np.searchsorted(ordered, wanted, "left")
    upper = np.searchsorted(ordered, wanted, "right")
    return len(ordered) - (lower + upper - 1) / 2


def _first_fronts(first: Floats, second: Floats, count: int, *, sample: int) -> Integers:
    """Return the places, rising, of all images of the first fronts that hold `count` images."""
    if _SPARE * count >= len(first):
        return _last_tied(_fronts(first, second, np.arange(len(first))), count)
    step = max(1, len(first) // sample)
    looked_at = np.random.default_rng(0).permutation(len(first) // step) * step if step > 1 else np.arange(len(first))
    sampled = _fronts(first, second, looked_at)
    limit = int(_lowest(sampled, -(-_SPARE * count * len(looked_at) // len(first))))
    while True:
        last = looked_at[sampled == limit]
        kept = _not_dominated(first, second, by=last) if len(last) else np.arange(len(first))
        if len(kept) >= count:
            break
        limit *= 2
    fronts = _fronts(first, second, kept)
    both = np.union1d(kept, _not_dominated(first, second, by=kept[fronts == _lowest(fronts, count)]))
    if len(both) > len(kept):
        kept, fronts = both, _fronts(first, second, both)
    return kept[_last_tied(fronts, count)]


def _fronts(first: Floats, second: Floats, places: Integers) -> Integers:
    return non_dominated_fronts(np.column_stack([first[places], second[places]]))


def _not_dominated(first: Floats, second: Floats, *, by: Integers) -> Integers:
    """Return the places of all images that none of one front dominates.

    Sorted by the first signal a front falls in the second, so that of those at least as high in the first, the lowest
    in the first is the highest in the second: it dominates if any does.
    """
    x, at = np.unique(first[by], return_index=True)  # images of a front with the same first signal are equal
    y = np.append(second[by][at], -np.inf)
    x = np.append(x, np.inf)
    found = []
    for start in range(0, len(first), _CHUNK):
        a, b = first[start : start + _CHUNK], second[start : start + _CHUNK]
        place = np.searchsorted(x, a)
        is_dominated = (y[place] > b) | ((y[place] == b) & (x[place] > a))
        found.append(start + np.flatnonzero(~is_dominated))
    return np.concatenate(found)
