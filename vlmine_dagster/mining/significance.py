"""Intervals, tests and comparisons over paired draws, and how alike two signals are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ContractError

_RESAMPLES = 10_000
_OVERLAP_RESAMPLES = 400
_ALPHA = 0.025


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: The mean.
        low: Lower end.
        high: Upper end.
        n: Values that it comes from.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class SignalOverlap:
    """How alike two signals are: Spearman's rank correlation, and Jaccard of their top lists at a budget."""

    spearman: float
    jaccard: float


def mean_interval(values: npt.ArrayLike, *, level: float = 0.95, random_seed: int = 0) -> Interval:
    """Return the mean with its percentile-bootstrap interval; of a single value, the value alone.

    Args:
        values: Shape (N,), one per draw, N >= 1.
        level: Nominal coverage.
        random_seed: Random seed of the 10,000 resamples.

    Examples:
        >>> mean_interval([2.0, 2.0, 2.0])
        Interval(mean=2.0, low=2.0, high=2.0, n=3)

    References:
        Efron 1979.
    """
    from scipy.stats import bootstrap

    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
        raise ContractError(f"mean_interval: expected a list of finite numbers, got shape {given.shape}.")
    mean = float(given.mean())
    if len(given) == 1:
        return Interval(mean, mean, mean, 1)
    rng = np.random.default_rng(random_seed)
    found = bootstrap(
        (given,), np.mean, n_resamples=_RESAMPLES, confidence_level=level, method="percentile", rng=rng
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), len(given))


def paired_bootstrap(a: npt.ArrayLike, b: npt.ArrayLike, *, level: float = 0.95, random_seed: int = 0) -> Interval:
    """Return the mean of a - b over paired draws with its interval.

    Examples:
        >>> paired_bootstrap([0.5, 0.75], [0.25, 0.5]).mean
        0.25
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ContractError(f"paired_bootstrap: shapes {first.shape} and {second.shape} cannot be paired.")
    return mean_interval(first - second, level=level, random_seed=random_seed)


def wilcoxon_holm(values: Mapping[str, Sequence[float]], *, reference: str) -> dict[str, float]:
    """Compare each arm with a reference by the paired two-sided Wilcoxon signed-rank test, adjusted after Holm.

    Args:
        values: Paired draws by arm; the same draw stands at the same place in each.
        reference: Name of the arm to compare with.

    Returns:
        Adjusted p-value by arm, without the reference; 1 where all differences are zero.

    Raises:
        ContractError: the reference is unknown, an arm has another number of draws, or a value is not finite.

    Examples:
        >>> wilcoxon_holm({"random": [0.1] * 6, "entropy": [0.2, 0.3, 0.25, 0.22, 0.4, 0.5]}, reference="random")
        {'entropy': 0.03125}

    References:
        Wilcoxon 1945; Holm 1979.
    """
    from scipy.stats import wilcoxon

    if reference not in values:
        raise ContractError(f"wilcoxon_holm: no arm {reference!r}. There are {', '.join(values)}.")
    base = np.asarray(values[reference], dtype=np.float64)
    raw: dict[str, float] = {}
    for name, arm in values.items():
        if len(arm) != len(base):
            raise ContractError(
                f"wilcoxon_holm: {name!r} has {counted(len(arm), 'draw')}, {reference!r} has {len(base)}."
            )
        if not np.isfinite(arm).all():
            raise ContractError(f"wilcoxon_holm: {name!r} has a draw without a finite value; leave it out of all arms.")
        if name != reference:
            differences = np.asarray(arm, dtype=np.float64) - base
            raw[name] = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    adjusted: dict[str, float] = {}
    highest = 0.0
    for place, name in enumerate(sorted(raw, key=lambda arm: raw[arm])):
        highest = max(highest, min(1.0, raw[name] * (len(raw) - place)))
        adjusted[name] = highest
    return {name: adjusted[name] for name in raw}


@dataclass(frozen=True)
class Comparison:
    """An arm against a reference over the same draws.

    Attributes:
        arm: Name of the arm.
        reference: Name of the arm that it is compared with.
        difference: Mean of arm minus reference with its paired bootstrap interval.
        p_value: Of the paired Wilcoxon signed-rank test, after Holm over all arms compared.
        fewest: Draws below which nothing counts as shown.
    """

    arm: str
    reference: str
    difference: Interval
    p_value: float
    fewest: int

    @property
    def is_shown(self) -> bool:
        """Whether a difference is shown: draws enough, p below 0.025, and an interval on one side of zero."""
        return self.difference.n >= self.fewest and self.p_value < _ALPHA and self.difference.excludes_zero


def compare_arms(values: Mapping[str, Sequence[float]], *, reference: str, fewest: int) -> list[Comparison]:
    """Compare every arm with a reference, draw by draw.

    A difference counts as shown if the test, adjusted for the number of arms, is below 0.025 and the interval excludes
    zero. At the usual 0.05 a hundred comparisons of a strategy with itself show more than seven differences in one case
    of eight; at 0.025 in one of three hundred, and 10 draws of 8 arms can still reach it.

    Args:
        values: Shape (D,) by arm; the same draw stands at the same place in each.
        reference: Name of the arm to compare with.
        fewest: Draws that a claim needs.

    Raises:
        ContractError: as for `wilcoxon_holm`.

    Examples:
        >>> arms = {"old": [0.1, 0.2, 0.15, 0.1, 0.2, 0.1, 0.12], "new": [0.3, 0.5, 0.31, 0.35, 0.38, 0.4, 0.33]}
        >>> [one] = compare_arms(arms, reference="old", fewest=7)
        >>> one.arm, round(one.difference.mean, 3), one.p_value, one.is_shown
        ('new', 0.229, 0.015625, True)
    """
    p_values = wilcoxon_holm(values, reference=reference)
    return [
        Comparison(name, reference, paired_bootstrap(values[name], values[reference]), p_value, fewest)
        for name, p_value in p_values.items()
    ]


def signal_overlap(a: npt.ArrayLike, b: npt.ArrayLike, *, budget_count: int) -> SignalOverlap:
    """Tell how alike two signals are.

    Args:
        a: Shape (N,), higher is mined first.
        b: Shape (N,), likewise.
        budget_count: Length of the top lists; equal values at the edge are cut in the order of the rows.

    Examples:
        >>> signal_overlap([1, 2, 3, 4], [4, 3, 2, 1], budget_count=2)
        SignalOverlap(spearman=-1.0, jaccard=0.0)
    """
    from scipy.stats import rankdata

    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ContractError(f"signal_overlap: shapes {first.shape} and {second.shape} do not fit together.")
    ranks = np.corrcoef(rankdata(first), rankdata(second)) if first.std() and second.std() else np.full((2, 2), np.nan)
    tops = [set(np.argsort(-values, kind="stable")[:budget_count].tolist()) for values in (first, second)]
    union = tops[0] | tops[1]
    return SignalOverlap(round(float(ranks[0, 1]), 12), len(tops[0] & tops[1]) / len(union) if union else float("nan"))


def overlap_intervals(
    a: npt.ArrayLike, b: npt.ArrayLike, *, budget_count: int, level: float = 0.95, random_seed: int = 0
) -> tuple[Interval, Interval]:
    """Return `signal_overlap` with intervals over images: Spearman's correlation, and Jaccard of the top lists.

    Images are drawn with replacement 400 times. Ranks are taken anew in each resample; the top lists are those of the
    whole pool, and an image that is drawn twice counts twice in them.

    Args:
        a: Shape (N,), higher is mined first.
        b: Shape (N,), likewise.
        budget_count: Length of the top lists.
        level: Coverage that is aimed at.
        random_seed: Of the resamples.

    Examples:
        >>> [round(one.mean, 3) for one in overlap_intervals([1, 2, 3, 4], [1, 2, 4, 3], budget_count=2)]
        [0.8, 1.0]
    """
    from scipy.stats import rankdata

    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    whole = signal_overlap(first, second, budget_count=budget_count)
    in_first, in_second = (
        np.isin(np.arange(len(first)), np.argsort(-values, kind="stable")[:budget_count]) for values in (first, second)
    )
    rng = np.random.default_rng(random_seed)
    spearmans, jaccards = [], []
    for _ in range(_OVERLAP_RESAMPLES):
        drawn = rng.integers(0, len(first), len(first))
        ranks = rankdata(first[drawn]), rankdata(second[drawn])
        if ranks[0].std() and ranks[1].std():
            spearmans.append(float(np.corrcoef(*ranks)[0, 1]))
        union = (in_first | in_second)[drawn].sum()
        jaccards.append(float((in_first & in_second)[drawn].sum() / union) if union else whole.jaccard)
    ends = [(1 - level) / 2, (1 + level) / 2]
    intervals = []
    for mean, values in ((whole.spearman, spearmans), (whole.jaccard, jaccards)):
        low, high = np.quantile(values, ends) if values else (mean, mean)
        intervals.append(Interval(mean, float(low), float(high), len(first)))
    return intervals[0], intervals[1]


def alike_order(similarity: npt.ArrayLike) -> list[int]:
    """Return an order in which alike signals stand side by side.

    Average linkage on the distance 1 - s; of the orders that fit the tree, one in which neighbours are most alike.

    Args:
        similarity: Shape (S, S), symmetric, up to 1, such as correlations; NaN counts as 0.

    Returns:
        The places 0 to S - 1, each once.

    Examples:
        >>> order = alike_order([[1.0, 0.1, 0.9], [0.1, 1.0, 0.0], [0.9, 0.0, 1.0]])
        >>> min(order, order[::-1])
        [1, 0, 2]

    References:
        Bar-Joseph et al. 2001, fast optimal leaf ordering for hierarchical clustering.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    known = np.nan_to_num(np.asarray(similarity, dtype=np.float64))
    if len(known) < 2:
        return list(range(len(known)))
    distances = np.clip(1.0 - known[np.triu_indices(len(known), 1)], 0.0, None)  # rounding alone makes them negative
    tree = linkage(distances, method="average", optimal_ordering=True)
    return [int(place) for place in leaves_list(tree)]


def area_under_budget_curve(budgets: Sequence[float], values: Sequence[float]) -> float:
    """Return the trapezoid area under values over budgets, divided by the budgets' span: the mean value.

    Examples:
        >>> area_under_budget_curve([0.0, 0.1, 0.2], [0.0, 0.5, 1.0])
        0.5

    References:
        AUBC of Zhan et al. 2021.
    """
    span = budgets[-1] - budgets[0]
    if len(budgets) != len(values) or len(budgets) < 2 or span <= 0:
        raise ContractError(f"area_under_budget_curve: {len(budgets)} rising budgets and {len(values)} values needed.")
    return round(float(np.trapezoid(values, budgets) / span), 12)
