"""What verdicts do to the next list: rare lifts what resembles it, junk and common sink what resembles them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SHARPNESS = 10.0
"""Exponent of a cosine in the vote of a judged item. Of 5, 10, 20 and 40 on tiny-imagenet-lt 10 found most on lists by
novelty and by entropy, and cost nothing on `fused`."""
RIDGE = 1.0
"""Pull of the weights towards 0, in judged items."""
FEWEST = 3
"""Verdicts of either kind below which nothing is learned of resemblance."""

_STEPS = 50
_PRIOR_VERDICTS = 0.25

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Vectors = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled items that vote beside the judged ones, by how probably their class is a rare one.

    Attributes:
        is_rare: Shape (L,), `rare_class_probability` of the class of each.
        views: By view, shape (L, D): its vector, of length 1.
    """

    is_rare: Floats
    views: tuple[Vectors, ...]


@dataclass(frozen=True, eq=False)
class Judged:
    """Judged items that say something about what resembles them.

    Attributes:
        ranks: Shape (M,), the rank of each on the list on which it was judged, 1 is the best.
        is_rare: Shape (M,), whether it was confirmed; the others were rejected.
        views: By view, shape (M, D): its vector, of length 1.
        others: By view, shape (B, D): the same of some items without a verdict.
        labelled: Labelled items that vote too, where verdicts tell which classes are rare.
    """

    ranks: npt.NDArray[np.int64]
    is_rare: Mask
    views: tuple[Vectors, ...]
    others: tuple[Vectors, ...]
    labelled: Labelled | None = None

    @property
    def is_enough(self) -> bool:
        """Whether there are enough of both kinds to learn how much resemblance counts."""
        return bool(min(self.is_rare.sum(), (~self.is_rare).sum()) >= FEWEST)

    @property
    def says_something(self) -> bool:
        """Whether there are enough of one kind to compare with."""
        return bool(max(self.is_rare.sum(), (~self.is_rare).sum()) >= FEWEST)

    def resemblance_of(self, vectors: Vectors, view: int) -> Floats:
        """Return `resemblance` of items by a view; a kind of which there are too few is replaced by the others."""
        known, others = self.views[view], self.others[view]
        if self.labelled is not None and self.is_enough:
            votes = np.concatenate([self.is_rare, self.labelled.is_rare])
            similar = vectors @ np.concatenate([known, self.labelled.views[view]]).T
            return _vote(similar, votes) - _vote(similar, 1 - votes)
        rare, rejected = known[self.is_rare], known[~self.is_rare]
        return resemblance(
            vectors, rare if len(rare) >= FEWEST else others, rejected if len(rejected) >= FEWEST else others
        )


@dataclass(frozen=True)
class LearnedRule:
    """How much rank and resemblance count, as the judged items themselves say.

    Attributes:
        rank_weight: Of minus the logarithm of the rank; at least 1.
        view_weights: Of the evidence by each view of the items; at least 0.
    """

    rank_weight: float
    view_weights: tuple[float, ...]


def resemblance(vectors: Vectors, rare: Vectors, rejected: Vectors) -> Floats:
    r"""Return how much more an item resembles what was confirmed than what was rejected.

    With R the confirmed and J the rejected items, and all vectors of length 1,
    `log mean(exp(10 cos(x, r)) for r in R) - log mean(exp(10 cos(x, j)) for j in J)`: a logarithm of a ratio of two
    kernel densities (von Mises-Fisher), which by Bayes' rule is what resemblance adds to the log-odds of being rare.

    Args:
        vectors: Shape (N, D).
        rare: Shape (R, D), R >= 1.
        rejected: Shape (J, D), J >= 1.

    Returns:
        Shape (N,), float64, no unit, higher resembles the confirmed ones more.

    Examples:
        >>> one, other = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
        >>> resemblance(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), one, other).round(1)
        array([ 10., -10.,  -2.])
    """
    return _vote(vectors @ rare.T) - _vote(vectors @ rejected.T)


def rare_class_probability(prior: npt.ArrayLike, rare: npt.ArrayLike, common: npt.ArrayLike) -> Floats:
    """Return how probably each class is a rare one, by what reviewers called images of it.

    `(prior / 4 + rare) / (1 / 4 + rare + common)`: what its labels say of its size counts as a quarter of a verdict.

    Args:
        prior: Shape (C,), `few_shot_probability` of each class by its labels.
        rare: Shape (C,), images of it that were confirmed.
        common: Shape (C,), images of it that were called common.

    Examples:
        >>> rare_class_probability([0.5, 0.5, 0.5], [0, 1, 0], [0, 0, 4]).round(2)
        array([0.5 , 0.9 , 0.03])
    """
    found = np.asarray(rare, dtype=np.float64)
    judged = found + np.asarray(common, dtype=np.float64)
    share: Floats = (_PRIOR_VERDICTS * np.asarray(prior, dtype=np.float64) + found) / (_PRIOR_VERDICTS + judged)
    return share


def resemblance_of_judged(judged: Vectors, is_rare: Mask) -> Floats:
    """Return `resemblance` of each judged item to the other judged ones, itself left out.

    Args:
        judged: Shape (M, D), of length 1.
        is_rare: Shape (M,); at least two are, and at least two are not.
    """
    similar = judged @ judged.T
    np.fill_diagonal(similar, -np.inf)
    return _vote(similar[:, is_rare]) - _vote(similar[:, ~is_rare])


def learn_rule(judged: Judged) -> LearnedRule:
    """Learn from judged items how much their rank and what they resemble tell of whether they are rare.

    A logistic regression with a ridge on the weights. Whoever judges the top of a list sees few ranks, from which the
    weight of the rank comes out too small to sort the rest by: it is 1 at least, as if twice the rank were half the
    odds.

    Args:
        judged: At least two are confirmed, and at least two are rejected.
    """
    views = [resemblance_of_judged(vectors, judged.is_rare) for vectors in judged.views]
    columns = np.column_stack([-np.log(judged.ranks.astype(np.float64)), *views])
    weights = _logistic(columns, judged.is_rare.astype(np.float64))
    return LearnedRule(max(1.0, float(weights[0])), tuple(max(0.0, float(weight)) for weight in weights[1:]))


def next_order(
    order: Places, judged: Judged, evidence: Sequence[Floats], *, first: Places, last: Places
) -> tuple[Places, Floats]:
    """Put a list into the order that its verdicts ask for: confirmed items, those without a verdict, then the rest.

    An item without a verdict scores `-rank_weight log(rank) + sum of view_weight x resemblance` (see `LearnedRule`).
    With fewer than 3 confirmed items resemblance to the rejected ones is compared with that to items without a verdict,
    with fewer than 3 rejected ones the other way round, and it weighs 1/2 by each view; with fewer than 3 of both it
    counts for nothing, and their order stays.

    Args:
        order: Shape (K,), places of the listed items, best first.
        judged: The judged items that say something about what resembles them; they may have left the list.
        evidence: By view: shape (K,), `judged.resemblance_of` each listed item, in the order of the list.
        first: Places of confirmed items of the list.
        last: Places of items of the list that are not wanted.

    Returns:
        The new order, shape (K,), and what resemblance added to the score of each item in it, NaN for those that come
        first or last.

    Examples:
        >>> rows = np.eye(4)[[0, 0, 0, 1, 1, 1, 0, 1, 0]]
        >>> judged = Judged(np.arange(1, 7), np.array([True] * 3 + [False] * 3), (rows[:6],), (rows[6:],))
        >>> alike = [judged.resemblance_of(rows, 0)]
        >>> found, lift = next_order(np.arange(9), judged, alike, first=np.arange(3), last=np.arange(3, 6))
        >>> found.tolist(), (lift[3:6] > 0).tolist()
        ([0, 1, 2, 6, 8, 7, 3, 4, 5], [True, True, False])
    """
    rule = learn_rule(judged) if judged.is_enough else LearnedRule(1.0, (0.5,) * len(evidence))
    lift = np.zeros(len(order))
    if judged.says_something:
        for found, weight in zip(evidence, rule.view_weights, strict=True):
            lift += weight * found
    score = lift - rule.rank_weight * np.log(np.arange(1, len(order) + 1))
    part = np.ones(len(order), dtype=np.int64)
    part[np.isin(order, first)], part[np.isin(order, last)] = 0, 2
    score[part != 1], lift[part != 1] = 0.0, np.nan
    chosen = np.lexsort((-score, part))  # stable: equal ones, and those first and last, keep the order of the list
    return order[chosen], lift[chosen]


def unit_rows(vectors: Vectors) -> npt.NDArray[np.float32]:
    """Return vectors of length 1 in the same directions; one of length 0 stays.

    Examples:
        >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).round(1).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    floats = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(floats, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = np.divide(floats, lengths, out=floats.copy(), where=lengths > 0)
    return unit


def _vote(similar: Vectors, weights: Floats | None = None) -> Floats:
    """Return the logarithm of the mean of exp(10 s) over each row; s of minus infinity is not a vote.

    Args:
        similar: Shape (N, V).
        weights: Shape (V,), how much each vote counts; None: all the same.
    """
    most = similar.max(axis=1, keepdims=True).astype(np.float64)
    alike = np.exp(SHARPNESS * (similar - most))
    counted = np.isfinite(similar).sum(axis=1) if weights is None else weights.sum()
    sums = alike.sum(axis=1) if weights is None else np.maximum(alike @ weights, np.finfo(np.float64).tiny)
    votes: Floats = SHARPNESS * most[:, 0] + np.log(sums / counted)
    return votes


def _logistic(columns: Floats, wanted: Floats) -> Floats:
    """Return the weights of a logistic regression by Newton's method; the constant is not pulled towards 0."""
    design = np.column_stack([columns - columns.mean(axis=0), np.ones(len(columns))])
    pull = RIDGE * np.diag([*np.ones(columns.shape[1]), 1e-6])
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        share = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (wanted - share) - pull @ weights
        bend = (design * (share * (1 - share))[:, None]).T @ design + pull
        step = np.linalg.solve(bend, slope)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return weights[:-1]
