"""Signals to a mining order: fronts or rank sums, a declared tie rule, budgets."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ConfigError, ContractError
from vlmine_dagster.mining.pareto import non_dominated_fronts

FUSIONS = ("pareto", "rank_sum", "reciprocal_rank", "fisher")

RECIPROCAL_OFFSET = 60
"""Cormack et al. 2009 chose it on other data; it keeps the very first ranks from deciding everything."""

_HASH_BYTES = 8

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """A mining order.

    Attributes:
        order: Shape (K,), int64, places of the ranked images, best first; its first n serve a budget of n.
        front: Shape (K,), int64, in that order; 1 is the best.
        rank_sum: Shape (K,), float64, in that order; weighted sum of the mid-ranks over the signals, lower is better.
        signal_ranks: For each signal shape (N,), float64, mid-rank of each image, 1 is the best; NaN if left out.
        excluded_count: Images left out because a signal is missing.
    """

    order: Integers
    front: Integers
    rank_sum: Floats
    signal_ranks: dict[str, Floats]
    excluded_count: int


def rank_images(
    signals: Mapping[str, npt.ArrayLike],
    image_ids: Sequence[str] | Hashes,
    *,
    fusion: str = "pareto",
    weights: Mapping[str, float] | None = None,
) -> Ranking:
    """Put images into mining order.

    `pareto` orders by (front, sum of mid-ranks, hash of image_id); `rank_sum` by (sum of mid-ranks, hash), where images
    of equal sum share a front; `reciprocal_rank` likewise by -sum 1 / (60 + mid-rank) (Cormack et al. 2009, who fuse
    result lists so); `fisher` likewise by -sum log((mid-rank - 1/2) / K) over K ranked images, in which one very good
    rank outweighs many fair ones (Fisher 1925, ranks in place of p-values). In these sums a signal counts as often as
    its weight says (Good 1955); fronts know no weights. The hash decides between images that nothing else tells apart:
    it is stable, and unlike the name itself it does not prefer folders early in the alphabet. The order of the rows
    and strictly increasing maps of a signal change nothing.

    Args:
        signals: S >= 1 arrays of shape (N,), higher is more worth mining. NaN: the image lacks the signal and is left
            out.
        image_ids: N ids without repeats, or their `id_hashes` where ten million ids as text would take too much memory.
        fusion: "pareto", "rank_sum", "reciprocal_rank" or "fisher".
        weights: Above 0, by signal; 1 for those that are left out.

    Raises:
        ConfigError: fusion is unknown, a weight is not above 0, or is of no signal.
        ContractError: lengths differ, a value is infinite, an id repeats, or there is no signal.

    Examples:
        >>> ranking = rank_images({"novelty": [0.1, 1.0, 0.5, np.nan], "entropy": [2.0, 0.5, 1.0, 3.0]}, list("abcd"))
        >>> sorted(ranking.order.tolist()), ranking.front.tolist(), ranking.excluded_count
        ([0, 1, 2], [1, 1, 1], 1)
        >>> {name: ranks.tolist() for name, ranks in ranking.signal_ranks.items()}
        {'novelty': [3.0, 1.0, 2.0, nan], 'entropy': [1.0, 3.0, 2.0, nan]}
        >>> rank_images({"novelty": [0.5, 1.0, 0.2]}, list("abc")).order
        array([1, 0, 2])
        >>> two = {"novelty": [3.0, 2.0, 1.0], "entropy": [1.0, 2.0, 3.0]}
        >>> rank_images(two, list("abc"), fusion="rank_sum", weights={"entropy": 2}).order
        array([2, 1, 0])
    """
    hashes = image_ids if isinstance(image_ids, np.ndarray) else id_hashes(image_ids)
    values = known_values(signals, image_ids)
    _refuse_repeats(hashes)
    factors = weight_factors(signals, fusion=fusion, weights=weights or {})
    ranked = ranked_places(values)
    ranks = {name: mid_ranks(column[ranked]) for name, column in values.items()}
    found = {name: column[ranked] for name, column in values.items()}
    order, fronts, rank_sum = mining_order(found, ranks, hashes[ranked], fusion=fusion, factors=factors)
    return Ranking(
        order=ranked[order],
        front=fronts,
        rank_sum=rank_sum,
        signal_ranks={name: _scattered(ranks[name], ranked, len(column)) for name, column in values.items()},
        excluded_count=len(hashes) - len(ranked),
    )


def mining_order(
    values: Mapping[str, Floats], ranks: Mapping[str, Floats], hashes: Hashes, *, fusion: str, factors: Floats
) -> tuple[Integers, Integers, Floats]:
    """Return the order of images that have all signals, best first, their fronts and their sums of ranks in that order.

    Args:
        values: S signals, each of shape (K,).
        ranks: Their mid-ranks, each of shape (K,): of these images, or of a pool that these are the first ones of.
        hashes: Shape (K,), `id_hashes`.
        fusion: As for `rank_images`.
        factors: Shape (S,), `weight_factors`.
    """
    stacked = np.column_stack(list(ranks.values()))
    rank_sum = stacked @ factors
    if fusion == "pareto":
        fronts = non_dominated_fronts(np.column_stack(list(values.values())))
    else:
        fronts = np.unique(fused_scores(stacked, fusion=fusion, factors=factors), return_inverse=True)[1] + 1
    order = np.lexsort((hashes, rank_sum, fronts))
    return order, fronts[order].astype(np.int64), rank_sum[order]


def fused_scores(ranks: Floats, *, fusion: str, factors: Floats) -> Floats:
    """Return the sums by which images are ordered, lower is better; rounded, for equal sums may differ in a last digit.

    Args:
        ranks: Shape (K, S), mid-ranks.
        fusion: "rank_sum", "reciprocal_rank" or "fisher", here without its constant, log K.
        factors: Shape (S,), `weight_factors`.
    """
    if fusion == "fisher":
        scores = np.log(ranks - 0.5) @ factors
        return np.asarray(scores.round(12), dtype=np.float64)
    if fusion == "reciprocal_rank":
        return np.asarray((-(1 / (RECIPROCAL_OFFSET + ranks)) @ factors).round(15), dtype=np.float64)
    return np.asarray((ranks @ factors).round(9), dtype=np.float64)


def ranked_places(values: Mapping[str, Floats]) -> Integers:
    """Return the places, rising, of the images that have all signals."""
    return np.flatnonzero(~np.logical_or.reduce([np.isnan(column) for column in values.values()]))


def _scattered(ranks: Floats, places: Integers, count: int) -> Floats:
    """Return ranks of some images among those of all, NaN for the others."""
    found = np.full(count, np.nan)
    found[places] = ranks
    return found


def unranked_last(order: npt.ArrayLike, hashes: Hashes) -> Integers:
    """Return a mining order of all images: those that it lacks come last, by the hash that decides between equals.

    Args:
        order: Shape (K,), places of the ranked images, best first.
        hashes: Shape (N,), `id_hashes` of all images, N >= K.

    Returns:
        Shape (N,), int64; its first K are the order.

    Examples:
        >>> unranked_last([2, 0], np.array([5, 9, 7, 1], dtype=np.uint64))
        array([2, 0, 3, 1])
    """
    ranked = np.asarray(order, dtype=np.int64)
    is_left = np.ones(len(hashes), dtype=bool)
    is_left[ranked] = False
    left = np.flatnonzero(is_left)
    return np.concatenate([ranked, left[np.argsort(hashes[left], kind="stable")]])


def mid_ranks(values: npt.ArrayLike) -> Floats:
    """Return the rank of each value, 1 for the highest; equal values share the mean of their ranks.

    Args:
        values: Shape (N,). NaN is not a value: it is not counted.

    Returns:
        Shape (N,), float64, in [1, N], lower is better, NaN where the value is NaN.

    Examples:
        >>> mid_ranks([5.0, 7.0, 5.0])
        array([2.5, 1. , 2.5])
        >>> mid_ranks([np.nan, 1.0, 3.0])
        array([nan,  2.,  1.])
    """
    given = np.asarray(values, dtype=np.float64)
    is_known = ~np.isnan(given)
    ranks = np.full(given.shape, np.nan)
    ranks[is_known] = _ranks_of_known(-given[is_known])
    return ranks


def _ranks_of_known(values: Floats) -> Floats:
    """Return mid-ranks, 1 for the lowest."""
    order = np.argsort(values)
    ordered = values[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else order
    counts = np.diff(ends, prepend=-1)
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(ends + 1 - (counts - 1) / 2, counts)
    return ranks


def id_hashes(image_ids: Iterable[str]) -> Hashes:
    """Return the first 64 bits of blake2b of each id: what decides between images that nothing else tells apart.

    Args:
        image_ids: N ids, read once, so that they need not be a list.

    Returns:
        Shape (N,), uint64, the same on every machine.

    Examples:
        >>> [hex(number) for number in id_hashes(["pool/a/17"]).tolist()]
        ['0xcadd7ce17548ff0a']
    """
    blank = hashlib.blake2b(digest_size=_HASH_BYTES)
    digests = bytearray()
    for name in image_ids:
        hashed = blank.copy()  # half the time of a new one
        hashed.update(_bytes(name))
        digests += hashed.digest()
    return np.frombuffer(digests, dtype=f">u{_HASH_BYTES}").astype(np.uint64)


def random_signal(image_ids: Iterable[str], *, random_seed: int = 0) -> Floats:
    """Draw a number for each image from its id alone, whatever the order and whoever else is there.

    Args:
        image_ids: N ids, read once.
        random_seed: Another seed draws other numbers.

    Returns:
        Shape (N,), float64, uniform in [0, 1): the first 53 bits of blake2b of "seed:id".

    Examples:
        >>> random_signal(["a", "b"])[1] == random_signal(["b"])[0]
        np.True_
    """
    hashes = id_hashes(f"{random_seed}:{name}" for name in image_ids)
    return np.asarray((hashes >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def budget_count(budget: float, pool_size: int) -> int:
    """Return the number of images that a budget means.

    Args:
        budget: Up to 1 a share of the pool, of which at least one image; half an image counts as one, by the digits
            that were written and not by their binary rounding. Above 1 a whole number of images.
        pool_size: Images that could be mined; never more are.

    Returns:
        Images to mine, from 0 (only in an empty pool) to pool_size.

    Raises:
        ConfigError: the budget is not positive, or above 1 and not whole.

    Examples:
        >>> budget_count(0.1, 1234), budget_count(50, 1234), budget_count(1, 1234), budget_count(50, 20)
        (123, 50, 1234, 20)
    """
    if not 0 < budget < float("inf") or (budget > 1 and budget != int(budget)):
        raise ConfigError(
            f"budget {budget:g}: expected a share of the pool (above 0, up to 1) or a whole number of images above 1."
        )
    if budget > 1:
        return min(int(budget), pool_size)
    share = Decimal(repr(float(budget))) * pool_size
    return min(max(1, int(share.to_integral_value(ROUND_HALF_UP))), pool_size)


def known_values(signals: Mapping[str, npt.ArrayLike], image_ids: Sequence[str] | range | Hashes) -> dict[str, Floats]:
    """Return signals as arrays of shape (N,), NaN where an image lacks one.

    Raises:
        ContractError: lengths differ, a value is infinite, or there is no signal.
    """
    if not signals:
        raise ContractError("rank_images: no signals. Pass at least one.")
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in signals.items()}
    for name, values in arrays.items():
        if values.shape != (len(image_ids),):
            raise ContractError(f"rank_images: signal {name!r} has shape {values.shape}, expected ({len(image_ids)},).")
        if np.isinf(values).any():
            place = int(np.isinf(values).argmax())
            raise ContractError(
                f"rank_images: signal {name!r} is infinite for {image_ids[place]!r}. Use NaN for unknown."
            )
    return arrays


def weight_factors(
    signals: Mapping[str, npt.ArrayLike], *, fusion: str, weights: Mapping[str, float]
) -> npt.NDArray[np.float64]:
    """Return how often each signal counts in a sum, shape (S,).

    Raises:
        ConfigError: fusion is unknown, a weight is not above 0, or is of no signal.
    """
    if fusion not in FUSIONS:
        raise ConfigError(
            f"rank_images: unknown fusion {fusion!r}, expected {', '.join(FUSIONS[:-1])} or {FUSIONS[-1]}."
        )
    for name, weight in weights.items():
        if name not in signals or not 0 < weight < float("inf"):
            raise ConfigError(
                f"rank_images: weight {weight:g} of {name!r}, expected above 0, for {', '.join(signals)}."
            )
    return np.array([weights.get(name, 1.0) for name in signals], dtype=np.float64)


def _refuse_repeats(hashes: Hashes) -> None:
    in_order = np.sort(hashes)  # np.unique takes a hash table, a hundred times as long
    repeats = int((in_order[1:] == in_order[:-1]).sum())  # one chance in 400,000 of a mistake among ten million ids
    if repeats:
        raise ContractError(f"rank_images: {repeats} of {len(hashes)} image ids repeat.")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
