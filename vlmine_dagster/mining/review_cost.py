"""What a confirmed rare image costs: the time of all verdicts and what describing took, over what was confirmed."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.significance import Interval

_DRAWS = 2000


@dataclass(frozen=True)
class Prices:
    """What review and labels cost.

    Attributes:
        hourly_usd: An hour of a reviewer.
        usd_per_label: A label of a confirmed item.
        fixed_usd: What was paid before anybody looked, such as for descriptions.
    """

    hourly_usd: float = 0.0
    usd_per_label: float = 0.0
    fixed_usd: float = 0.0

    @property
    def are_set(self) -> bool:
        """Whether people's time or labels have a price; without one, what they cost is unknown and not nothing."""
        return bool(self.hourly_usd or self.usd_per_label)


@dataclass(frozen=True)
class Judged:
    """The judged items of a list.

    Attributes:
        seconds: Shape (M,), time of each verdict.
        is_rare: Shape (M,), whether it confirmed the item.
        prices: What time and labels cost.
    """

    seconds: npt.ArrayLike
    is_rare: npt.ArrayLike
    prices: Prices

    @property
    def count(self) -> int:
        """Number of items."""
        return len(np.asarray(self.seconds))


def cost_per_rare(
    seconds: npt.ArrayLike, is_rare: npt.ArrayLike, prices: Prices, *, random_seed: int = 0
) -> Interval | None:
    """Return dollars per confirmed rare item with a 95% interval.

    `(fixed + hourly x sum of seconds / 3600) / confirmed + label`, and the interval of its percentiles over 2,000
    bootstrap samples of the judged items: both how long they took and how many were rare vary. Its upper end is
    infinite where more than 2.5% of the samples hold no rare one.

    Args:
        seconds: Shape (M,), time of each verdict.
        is_rare: Shape (M,), whether it confirmed the item.
        prices: What time and labels cost.
        random_seed: Of the samples.

    Returns:
        None where nothing was judged; infinite where nothing was confirmed.

    Examples:
        >>> found = cost_per_rare([3.6] * 100, [True] * 20 + [False] * 80, Prices(hourly_usd=40, usd_per_label=0.1))
        >>> round(found.mean, 3), round(found.low, 2), round(found.high, 2), found.n
        (0.3, 0.24, 0.43, 100)
        >>> cost_per_rare([3.6], [False], Prices(hourly_usd=40)).mean
        inf
    """
    judged = Judged(seconds, is_rare, prices)
    return _interval(_costs(judged, random_seed), judged.count) if judged.count else None


def times_as_dear(judged: Judged, other: Judged, *, random_seed: int = 0) -> Interval | None:
    """Return how many times as much a confirmed rare item of another list costs as one of this list, with its interval.

    Both lists are drawn anew, each by itself, in 2,000 bootstrap samples. The upper end is infinite where the other
    list may confirm none, the lower end 0 where this one may. A sample in which neither does counts as 1.

    Args:
        judged: This list.
        other: What it is compared with, such as a random list.
        random_seed: Of the samples.

    Returns:
        None where one of them was not judged, costs nothing, or where neither confirmed any.

    Examples:
        >>> prices = Prices(hourly_usd=40)
        >>> found = times_as_dear(
        ...     Judged([3.6] * 100, [True] * 20 + [False] * 80, prices),
        ...     Judged([3.6] * 100, [True] * 5 + [False] * 95, prices),
        ... )
        >>> round(found.mean, 3), round(found.low, 1), round(found.high, 1), found.n
        (4.0, 1.8, 19.0, 200)
    """
    if not judged.count or not other.count:
        return None
    ours, theirs = (_costs(one, random_seed + k) for k, one in enumerate((judged, other)))
    if not min(ours[-1], theirs[-1]) or math.isinf(min(ours[-1], theirs[-1])):
        return None
    is_neither = np.isinf(ours) & np.isinf(theirs)
    ratios = np.divide(theirs, ours, out=np.ones_like(ours), where=~is_neither & (ours > 0))
    return _interval(ratios, judged.count + other.count)


def _costs(judged: Judged, random_seed: int) -> npt.NDArray[np.float64]:
    """Return dollars per confirmed item in each bootstrap sample, then those of all items; infinite without any."""
    times, rare = np.asarray(judged.seconds, dtype=np.float64), np.asarray(judged.is_rare, dtype=np.bool_)
    prices = judged.prices
    draw = np.random.default_rng(random_seed).integers(0, len(times), (_DRAWS, len(times)))
    spent = prices.fixed_usd + prices.hourly_usd * np.append(times[draw].sum(axis=1), times.sum()) / 3600
    hits = np.append(rare[draw].sum(axis=1), rare.sum())
    return np.where(hits > 0, spent / np.maximum(hits, 1), math.inf) + prices.usd_per_label


def _interval(values: npt.NDArray[np.float64], count: int) -> Interval:
    low, high = np.quantile(values[:-1], [0.025, 0.975], method="inverted_cdf")
    return Interval(float(values[-1]), float(low), float(high), count)


def expected_cost(precision: Interval, *, seconds: float, prices: Prices, count: int) -> Interval:
    """Return dollars per confirmed rare item that a list may be expected to take, before anybody looks.

    Args:
        precision: Share of rare items among those listed, with its interval.
        seconds: Time of a verdict.
        prices: What time and labels cost.
        count: Items to be judged, at least 1.

    Examples:
        >>> found = expected_cost(Interval(0.2, 0.1, 0.4, 50), seconds=3.6, prices=Prices(hourly_usd=40), count=100)
        >>> round(found.mean, 2), round(found.low, 2), round(found.high, 2)
        (0.2, 0.1, 0.4)
    """
    each = prices.fixed_usd / count + prices.hourly_usd * seconds / 3600

    def at(share: float) -> float:
        return prices.usd_per_label + (each / share if share > 0 else math.inf)

    return Interval(at(precision.mean), at(precision.high), at(precision.low), precision.n)
