"""How large classes are, by what chance put of them into the labelled seed."""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError

_SIZE_ERROR = 0.3
"""Standard deviation of the logarithm of a predicted class size: 0.35 and 0.31 on two draws of caltech101-lt."""

_FARTHEST_SIZE = 8

_NAMED_SIZE_ERROR = 0.5
"""The same of a size by names alone. 0.3 to 1.2 find as much (docs/log.md)."""

Floats = npt.NDArray[np.float64]


def few_shot_probability(
    seed_counts: npt.ArrayLike,
    *,
    seed_fraction: float,
    few_under: int = 20,
    known_counts: npt.ArrayLike | None = None,
    predicted_sizes: npt.ArrayLike | None = None,
) -> Floats:
    """Return P(class size < few_under | labels in the seed, and what models predict).

    A class of size N has prior weight 1 / N, and m ~ Binomial(N, seed_fraction) of its images are labelled. Images that
    were labelled because they were mined are not a random draw; they only say that N is at least what is known. A
    predicted size n has ln(n + 1) ~ Normal(ln(N + 1), 0.3).

    Args:
        seed_counts: Shape (C,), int >= 0, images of each class that chance put into the seed.
        seed_fraction: Share of all images that chance put into the seed, in (0, 1).
        few_under: A class is few-shot with fewer images than this.
        known_counts: Shape (C,), int, labelled images of each class, the mined ones too; None: the seed's.
        predicted_sizes: Shape (C,), images of each class by the posteriors of models, summed over the pool, and its
            labels; NaN where nothing is predicted. None: for no class.

    Returns:
        Shape (C,), float64, in [0, 1]; lower with more labels.

    Raises:
        ContractError: the fraction is outside (0, 1) or a count is negative.

    Examples:
        >>> few_shot_probability([0, 2, 50], seed_fraction=0.2).round(2)
        array([1.  , 0.92, 0.  ])
        >>> few_shot_probability([2, 2], seed_fraction=0.2, known_counts=[15, 20]).round(2)
        array([0.58, 0.  ])
        >>> few_shot_probability([4, 4], seed_fraction=0.2, predicted_sizes=[12, 30]).round(2)
        array([0.9 , 0.14])
    """
    counts = np.asarray(seed_counts, dtype=np.int64)
    known = counts if known_counts is None else np.maximum(counts, np.asarray(known_counts, dtype=np.int64))
    if not 0 < seed_fraction < 1 or (counts < 0).any():
        raise ContractError(
            f"few_shot_probability: seed_fraction {seed_fraction:g} must lie in (0, 1) and counts be >= 0."
        )
    least = np.maximum(known, 1)
    beyond = _weight_from(few_under, counts, seed_fraction) / _weight_from(least, counts, seed_fraction)
    by_labels = np.asarray(np.where(least < few_under, 1 - beyond, 0.0))
    if predicted_sizes is None:
        return by_labels
    predicted = np.asarray(predicted_sizes, dtype=np.float64)
    by_both = [
        _few_by_both(m, n, size, seed_fraction, few_under) if np.isfinite(size) else few
        for m, n, size, few in zip(counts.tolist(), least.tolist(), predicted.tolist(), by_labels.tolist(), strict=True)
    ]
    return np.asarray(by_both, dtype=np.float64)


def few_shot_by_size(predicted_sizes: npt.ArrayLike, *, few_under: int = 20) -> Floats:
    """Return P(class size < few_under | what tags predict), where nothing is labelled.

    The logarithm of a class's size N has ln N ~ Normal(ln(n + 1), 0.5) for the predicted size n.

    Args:
        predicted_sizes: Shape (C,), images of each class by posteriors summed over the pool, >= 0.
        few_under: A class is few-shot with fewer images than this.

    Returns:
        Shape (C,), float64, in (0, 1).

    Examples:
        >>> few_shot_by_size([5.0, 19.0, 99.0]).round(3)
        array([0.992, 0.5  , 0.001])
    """
    from scipy.stats import norm

    predicted = np.asarray(predicted_sizes, dtype=np.float64)
    return np.asarray(norm.cdf(np.log(few_under / (predicted + 1)) / _NAMED_SIZE_ERROR))


def _few_by_both(drawn: int, least: int, predicted: float, fraction: float, few_under: int) -> float:
    """Return P(N < few_under) of a class of at least `least` images; sizes beyond 8 times few_under do not count."""
    from scipy.stats import binom

    most = _FARTHEST_SIZE * few_under
    if least >= few_under or predicted > most / 2:
        return 0.0
    sizes = np.arange(least, most + 1)
    distance = np.log((predicted + 1) / (sizes + 1)) / _SIZE_ERROR
    logs = binom.logpmf(drawn, sizes, fraction) - np.log(sizes) - distance**2 / 2
    chances = np.exp(logs - logs.max())
    return float(chances[sizes < few_under].sum() / chances.sum())


def _weight_from(size: npt.ArrayLike, counts: npt.NDArray[np.int64], fraction: float) -> Floats:
    """Return the sum over N >= size of P(m | N) / N: P(the m-th label comes at the size-th image or later) / m."""
    from scipy.special import hyp2f1
    from scipy.stats import binom

    sizes = np.broadcast_to(np.asarray(size, dtype=np.float64), counts.shape)
    rest = 1 - fraction
    of_none = rest**sizes / sizes * hyp2f1(1, sizes, sizes + 1, rest)
    of_some = binom.cdf(counts - 1, sizes - 1, fraction) / np.maximum(counts, 1)
    return np.maximum(np.where(counts > 0, of_some, of_none), np.finfo(float).tiny)


def shifted_shares(posteriors: npt.ArrayLike, prior: npt.ArrayLike, *, rounds: int = 5) -> Floats:
    """Return the classes' shares of images that a model judged which learned from other shares.

    Expectation maximization: with pi the shares so far, an image's posterior is q_ik pi_k / prior_k, made to sum to 1,
    and the next shares are the mean over the images.

    Args:
        posteriors: Shape (N, C), q, N >= 1, of images of the pool; rows sum to 1.
        prior: Shape (C,), the shares that the model has learned from, above 0.
        rounds: Steps. Few: posteriors are not calibrated, and more steps follow their errors. With 10 labels per class
            of tiny-imagenet-lt the distance to the true shares is 0.49 before, 0.19 after 5 and 0.22 after 50.

    Returns:
        Shape (C,), float64, > 0, sums to 1.

    Examples:
        >>> shifted_shares([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.5, 0.5]).round(2)
        array([0.75, 0.25])

    References:
        Saerens, Latinne and Decaestecker 2002.
    """
    given, before = np.asarray(posteriors, dtype=np.float64), np.asarray(prior, dtype=np.float64)
    shares = before / before.sum()
    for _ in range(rounds):
        weighed = given * (shares / before)
        weighed /= np.maximum(weighed.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        shares = np.maximum(weighed.mean(axis=0), 1e-9)
        shares /= shares.sum()
    return np.asarray(shares, dtype=np.float64)


def draw_p_value(counts: npt.ArrayLike, shares: npt.ArrayLike) -> float:
    """Return the probability that a random draw would fit the shares of its pool as badly as counts do.

    Pearson's chi-squared test. Classes of which a draw should hold less than one count as one, so that rare ones do not
    decide: the test is rather too patient.

    Args:
        counts: Shape (C,), C >= 2, labels by class.
        shares: Shape (C,), of the classes in the pool; any positive sum.

    Returns:
        From 0 to 1; near 0 for labels that were balanced or picked.

    Examples:
        >>> round(draw_p_value([19, 11], [2, 1]), 2), draw_p_value([15, 15], [9, 1]) < 1e-12
        (0.7, True)
    """
    from scipy.stats import chi2

    drawn, there = (np.asarray(given, dtype=np.float64) for given in (counts, shares))
    expected = drawn.sum() * there / there.sum()
    statistic = ((drawn - expected) ** 2 / np.maximum(expected, 1.0)).sum()
    return float(chi2.sf(statistic, len(drawn) - 1))


def share_distance(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return the total variation distance of two distributions over classes: half the sum of absolute differences.

    Args:
        first: Shape (C,), >= 0, any positive sum.
        second: Likewise.

    Returns:
        From 0 (equal shares) to 1 (no class in common).

    Examples:
        >>> share_distance([10, 10], [3, 1])
        0.25
    """
    one, other = (np.asarray(given, dtype=np.float64) for given in (first, second))
    return float(np.abs(one / one.sum() - other / other.sum()).sum() / 2)


def expected_counts(
    seed_counts: npt.ArrayLike, *, seed_fraction: float, known_counts: npt.ArrayLike | None = None
) -> Floats:
    """Return how many images each class should have left in the pool: (m + 1.5) (1 - f) / f less the mined, >= 1.

    With prior weight 1 / N the mean of N - m is m (1 - f) / f; 1.5 more keeps the lists of the rarest from being too
    short to hold their images.

    Args:
        seed_counts: Shape (C,), m, labels by chance.
        seed_fraction: f, in (0, 1).
        known_counts: Shape (C,), all labels; None: the seed's.

    Examples:
        >>> expected_counts([0, 2], seed_fraction=0.2, known_counts=[0, 9])
        array([6., 7.])
    """
    counts = np.asarray(seed_counts, dtype=np.float64)
    mined = 0.0 if known_counts is None else np.asarray(known_counts, dtype=np.float64) - counts
    return np.maximum((counts + 1.5) * (1 - seed_fraction) / seed_fraction - mined, 1.0)


def unseen_class_count(seed_counts: npt.ArrayLike, *, seed_fraction: float) -> float:
    """Return how many classes of the pool should have no label in the seed.

    With as many classes of size N as is proportional to 1 / N, c of them have one label in a seed of the share f, and
    -c ln f have none. Real pools have no end of smaller and smaller classes, so it is rather too many.

    Args:
        seed_counts: Shape (C,), int, labels in the seed of the classes that have some.
        seed_fraction: f, in (0, 1).

    Returns:
        Above 0: at least one class counts as seen once, so that hope never dies.

    Examples:
        >>> round(unseen_class_count([1, 1, 40], seed_fraction=0.2), 2)
        3.22
    """
    once = max(int((np.asarray(seed_counts) == 1).sum()), 1)
    return float(-np.log(seed_fraction) * once)


def unseen_share(seed_counts: npt.ArrayLike, unseen_count: int, *, seed_fraction: float) -> float:
    """Return the share of announced classes without a label that the pool may be expected to hold.

    Args:
        seed_counts: Shape (C,), int, labels in the seed of the classes that have some.
        unseen_count: Classes that are announced and have no label.
        seed_fraction: f, in (0, 1).

    Returns:
        In [0, 1]: `unseen_class_count` of them.

    Examples:
        >>> round(unseen_share([1, 1, 40], 100, seed_fraction=0.2), 4)
        0.0322
    """
    return (
        min(1.0, unseen_class_count(seed_counts, seed_fraction=seed_fraction) / unseen_count) if unseen_count else 0.0
    )
