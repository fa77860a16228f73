"""What the labelled seed says about rarity: how likely a class is few-shot, and which images may be of such a class."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.errors import ContractError

LARGEST_CLASS = 20_000
"""Class sizes that are thought possible; larger ones have no weight worth the time."""

RARE_SEED_COUNT = 8
"""Classes with more labels in the seed are not searched for."""

_PRIOR_WEIGHT = 3.0

Floats = npt.NDArray[np.float64]


def few_shot_probability(seed_counts: npt.ArrayLike, *, seed_fraction: float, few_under: int = 20) -> Floats:
    """Return P(class size < few_under | labels in the seed).

    A class of size N has prior weight 1 / N, and m ~ Binomial(N, seed_fraction) of its images are labelled.

    Args:
        seed_counts: Shape (C,), int >= 0, labelled images of each class.
        seed_fraction: Share of all images that is labelled, in (0, 1).
        few_under: A class is few-shot with fewer images than this.

    Returns:
        Shape (C,), float64, in [0, 1]; lower with more labels.

    Raises:
        ContractError: the fraction lies outside (0, 1) or a count is negative.

    Examples:
        >>> few_shot_probability([0, 2, 50], seed_fraction=0.2).round(2)
        array([1.  , 0.92, 0.  ])
    """
    counts = np.asarray(seed_counts, dtype=np.int64)
    if not 0 < seed_fraction < 1 or (counts < 0).any():
        raise ContractError(
            f"few_shot_probability: seed_fraction {seed_fraction:g} must lie in (0, 1) and counts be >= 0."
        )
    from scipy.stats import binom

    sizes = np.arange(1, max(LARGEST_CLASS, int(counts.max(initial=0) / seed_fraction * 4)) + 1)
    distinct, place = np.unique(counts, return_inverse=True)
    weights = binom.pmf(distinct[:, None], sizes[None, :], seed_fraction) / sizes[None, :]
    few = weights[:, sizes < few_under].sum(axis=1) / np.maximum(weights.sum(axis=1), np.finfo(float).tiny)
    return np.asarray(few[place])


def soft_novelty(probabilities: npt.ArrayLike) -> Floats:
    """Score images by how rare what is seen in them is, every tag by its probability.

    With the soft image count c(t) = sum_i p_it, image i scores -sum_t p_it ln c(t).

    Args:
        probabilities: Shape (N, T), of all images of seed and pool.

    Returns:
        Shape (N,), float64, in nats, higher is rarer.

    Examples:
        >>> soft_novelty([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).round(3) + 0
        array([-0.693, -0.693,  0.   ])
    """
    given = np.asarray(probabilities)
    counts = given.sum(axis=0, dtype=np.float64)
    logs = np.log(np.maximum(counts, 1e-12))
    return np.asarray(-(given @ logs.astype(np.float32)), dtype=np.float64)


def expected_rarity(posteriors: Sequence[npt.ArrayLike], few_shot: npt.ArrayLike) -> Floats:
    """Return the probability that an image is of a few-shot class: sum_k mean_m p_m(k | i) P(few | k).

    Args:
        posteriors: M >= 1 arrays of shape (N, C), class probabilities by different models.
        few_shot: Shape (C,), `few_shot_probability` of each class.

    Returns:
        Shape (N,), float64, in [0, 1], higher is rarer.

    Examples:
        >>> expected_rarity([[[0.5, 0.5], [1.0, 0.0]]], [0.0, 0.8])
        array([0.4, 0. ])
    """
    mean = np.mean([np.asarray(one, dtype=np.float64) for one in posteriors], axis=0)
    return np.asarray(mean @ np.asarray(few_shot, dtype=np.float64))


def class_rank_rarity(
    posteriors: Sequence[npt.ArrayLike], few_shot: npt.ArrayLike, seed_counts: npt.ArrayLike, *, seed_fraction: float
) -> Floats:
    """Score images that stand near the top of some rare class's own list.

    For each class k with few labels, x_ik is the image's place (0 the best) by the geometric mean of the posteriors,
    divided by the number of images that the class should have among these, (m_k + 1.5) (1 - f) / f. The score is
    -log prod_k (1 - P(few | k) / (1 + x_ik)^2): a posterior may be small everywhere and still find its class first.

    Args:
        posteriors: M >= 1 arrays of shape (N, C), of the images that could be mined.
        few_shot: Shape (C,), `few_shot_probability` of each class.
        seed_counts: Shape (C,), m_k, labelled images of each class.
        seed_fraction: f, share of all images that is labelled.

    Returns:
        Shape (N,), float64, >= 0, higher is rarer.

    Examples:
        >>> scores = class_rank_rarity([[[0.1, 0.9], [0.6, 0.4]]], [0.5, 0.0], [1, 90], seed_fraction=0.5)
        >>> scores.round(3)
        array([0.295, 0.693])
    """
    few, counts = np.asarray(few_shot, dtype=np.float64), np.asarray(seed_counts, dtype=np.int64)
    logs = np.mean([np.log(np.maximum(np.asarray(one, dtype=np.float64), 1e-300)) for one in posteriors], axis=0)
    score = np.zeros(len(logs))
    for k in np.flatnonzero(counts <= RARE_SEED_COUNT):
        order = np.argsort(-logs[:, k], kind="stable")
        place = np.empty(len(logs))
        place[order] = np.arange(len(logs))
        expected = (counts[k] + 1.5) * (1 - seed_fraction) / seed_fraction
        score -= np.log1p(-np.minimum(few[k] / (1 + place / expected) ** 2, 1 - 1e-12))
    return score


def keyword_value(
    keywords: Sequence[Sequence[str]],
    seed_keywords: Sequence[Sequence[str]],
    seed_few_shot: npt.ArrayLike,
    image_counts: Mapping[str, int],
    *,
    common_count: int = 20,
) -> Floats:
    """Score images by the most telling of their keywords.

    v(w) = (sum over seed images with w of P(few | their class) + 3 v0(w)) / (n_seed(w) + 3), where v0(w) is
    common_count / (common_count + c(w)), scaled so that its mean over the seed's keywords is the seed's mean P(few):
    what the seed shows about a keyword, and where it shows little, how rare the keyword is.

    Args:
        keywords: N lists, of the images to score.
        seed_keywords: S lists, of the labelled seed.
        seed_few_shot: Shape (S,), P(few) of each seed image's class.
        image_counts: Images per keyword over the whole pool.
        common_count: Image count at which rarity alone is worth half.

    Returns:
        Shape (N,), float64, higher is rarer; NaN where an image has no keywords.

    Examples:
        >>> counts = {"road": 80, "comet": 5}
        >>> values = keyword_value([["comet"], ["road"], []], [["road"], ["comet"]], [0.0, 1.0], counts)
        >>> values.round(3)
        array([0.85, 0.15,  nan])
    """
    few = np.asarray(seed_few_shot, dtype=np.float64)
    told: dict[str, float] = {}
    seen: dict[str, int] = {}
    for words, probability in zip(seed_keywords, few.tolist(), strict=True):
        for word in words:
            told[word] = told.get(word, 0.0) + probability
            seen[word] = seen.get(word, 0) + 1
    rarity = {word: common_count / (common_count + count) for word, count in image_counts.items()}
    mentions = sum(seen.values())
    mean = sum(rarity[word] * count for word, count in seen.items()) / mentions if mentions else 1.0
    scale = float(few.mean()) / mean if len(few) and mean > 0 else 1.0
    value = {
        word: (told.get(word, 0.0) + _PRIOR_WEIGHT * scale * rare) / (seen.get(word, 0) + _PRIOR_WEIGHT)
        for word, rare in rarity.items()
    }
    return np.array([max((value[word] for word in words), default=np.nan) for words in keywords], dtype=np.float64)
