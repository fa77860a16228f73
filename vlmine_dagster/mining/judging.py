"""What the verdicts of several reviewers come to: the word that stands, how far they agree, how right a list was."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from vlmine_dagster.domain.verdicts import CONFIRMED, DEFINITE, Verdict
from vlmine_dagster.mining.advice import wilson
from vlmine_dagster.mining.significance import Interval

GivenVerdict = tuple[str, str, Verdict]
"""An item, a reviewer, and the verdict."""


def consensus(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the verdict that most reviewers of an item gave; None where they are even, or none is sure.

    Args:
        verdicts: One of each reviewer; `unsure` counts for nothing.

    Examples:
        >>> consensus([Verdict.RARE, Verdict.RARE, Verdict.JUNK]), consensus([Verdict.RARE, Verdict.JUNK])
        (<Verdict.RARE: 'rare'>, None)
    """
    counted = Counter(verdict for verdict in verdicts if verdict in DEFINITE).most_common(2)
    if not counted or (len(counted) == 2 and counted[0][1] == counted[1][1]):
        return None
    return counted[0][0]


def standing_verdicts(given: Iterable[GivenVerdict]) -> dict[str, Verdict]:
    """Return the consensus about each item, those without one left out.

    Examples:
        >>> standing_verdicts([("a", "ana", Verdict.RARE), ("b", "ana", Verdict.UNSURE), ("a", "ben", Verdict.UNSURE)])
        {'a': <Verdict.RARE: 'rare'>}
    """
    by_item: dict[str, list[Verdict]] = defaultdict(list)
    for item, _, verdict in given:
        by_item[item].append(verdict)
    found = {item: consensus(verdicts) for item, verdicts in by_item.items()}
    return {item: verdict for item, verdict in found.items() if verdict is not None}


def share_interval(hits: int, count: int) -> Interval:
    """Return a share with its 95% interval by Wilson, which stays within [0, 1] and is fair for few and for rare hits.

    Args:
        hits: Items that are.
        count: Items that might be, at least 1.

    Examples:
        >>> found = share_interval(8, 10)
        >>> round(found.mean, 2), round(found.low, 2), round(found.high, 2), found.n
        (0.8, 0.49, 0.94, 10)

    References:
        Wilson 1927.
    """
    low, high = wilson(hits, count)
    return Interval(hits / count, low, high, count)


@dataclass(frozen=True)
class Precision:
    """How many of the first items of a list are rare.

    Attributes:
        first: Items from the top.
        judged: How many of them have a verdict that stands.
        share: Confirmed over judged, with its interval; None where none is judged.
    """

    first: int
    judged: int
    share: Interval | None


def precision_at(ranks: Mapping[str, int], standing: Mapping[str, Verdict], first: int) -> Precision:
    """Return the share of confirmed items among those judged of the first ones of a list.

    Args:
        ranks: Rank by item, 1 is the best.
        standing: The verdicts that stand.
        first: Items from the top.

    Examples:
        >>> found = precision_at({"a": 1, "b": 2, "c": 3}, {"a": Verdict.RARE, "c": Verdict.JUNK}, 3)
        >>> found.judged, found.share.mean, round(found.share.low, 3)
        (2, 0.5, 0.095)
    """
    verdicts = [standing[item] for item, rank in ranks.items() if rank <= first and item in standing]
    hits = sum(verdict in CONFIRMED for verdict in verdicts)
    return Precision(first, len(verdicts), share_interval(hits, len(verdicts)) if verdicts else None)


def cohens_kappa(one: Sequence[str], other: Sequence[str]) -> float:
    """Return how far two reviewers agree beyond chance: 1 always, 0 as by chance, NaN where chance alone agrees.

    Args:
        one: What the first said of N items.
        other: What the second said of the same.

    Examples:
        >>> round(cohens_kappa(["rare", "rare", "junk", "junk"], ["rare", "junk", "junk", "junk"]), 2)
        0.5

    References:
        Cohen 1960.
    """
    count = len(one)
    agreed = sum(a == b for a, b in zip(one, other, strict=True)) / count if count else 0.0
    left, right = Counter(one), Counter(other)
    by_chance = sum(left[name] * right[name] for name in left) / (count * count) if count else 1.0
    return (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree about the items that both judged.

    Attributes:
        reviewers: The two, in alphabetical order.
        count: Items that both judged.
        kappa: Cohen's kappa; NaN where chance alone would agree.
    """

    reviewers: tuple[str, str]
    count: int
    kappa: float


def agreements(given: Iterable[GivenVerdict]) -> list[Agreement]:
    """Return how far each pair of reviewers agrees; pairs without a common item are left out.

    Examples:
        >>> two = [("a", "ana", Verdict.RARE), ("a", "ben", Verdict.RARE), ("b", "ana", Verdict.JUNK)]
        >>> [(found.reviewers, found.count) for found in agreements([*two, ("b", "ben", Verdict.COMMON)])]
        [(('ana', 'ben'), 2)]
    """
    by_reviewer: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for item, reviewer, verdict in given:
        by_reviewer[reviewer][item] = verdict
    found = []
    for one, other in combinations(sorted(by_reviewer), 2):
        common = sorted(by_reviewer[one].keys() & by_reviewer[other].keys())
        if common:
            verdicts = [[by_reviewer[name][item].value for item in common] for name in (one, other)]
            found.append(Agreement((one, other), len(common), cohens_kappa(*verdicts)))
    return found


def disputed(given: Iterable[GivenVerdict]) -> dict[str, dict[str, Verdict]]:
    """Return the items about which reviewers differ, with who said what; `unsure` differs from nothing.

    Examples:
        >>> disputed([("a", "ana", Verdict.RARE), ("a", "ben", Verdict.JUNK), ("b", "ana", Verdict.RARE)])
        {'a': {'ana': <Verdict.RARE: 'rare'>, 'ben': <Verdict.JUNK: 'junk'>}}
    """
    by_item: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for item, reviewer, verdict in given:
        by_item[item][reviewer] = verdict
    return {item: found for item, found in by_item.items() if len(set(found.values()) & DEFINITE) > 1}
