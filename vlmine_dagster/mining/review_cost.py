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
    times, rare = np.asarray(seconds, dtype=np.float64), np.asarray(is_rare, dtype=np.bool_)
    if not len(times):
        return None
    draw = np.random.default_rng(random_seed).integers(0, len(times), (_DRAWS, len(times)))
    spent = prices.fixed_usd + prices.hourly_usd * np.append(times[draw].sum(axis=1), times.sum()) / 3600
    hits = np.append(rare[draw].sum(axis=1), rare.sum())
    costs = np.where(hits > 0, spent / np.maximum(hits, 1), math.inf) + prices.usd_per_label
    low, high = np.quantile(costs[:-1], [0.025, 0.975], method="inverted_cdf")
    return Interval(float(costs[-1]), float(low), float(high), len(times))


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
