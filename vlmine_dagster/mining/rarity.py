"""What the labelled seed and the names of classes say about rarity: which classes are few-shot, and who is of them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.neighbours import Blocks
from vlmine_dagster.mining.selection import mid_ranks

_HEIGHT_BY_CHANCE = 0.5
_PRIOR_WEIGHT = 3.0
_LEAST = np.float32(1e-7)

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


def class_scores(
    posteriors: Sequence[npt.ArrayLike],
    seed_counts: npt.ArrayLike,
    name_posterior: npt.ArrayLike,
    is_named: npt.NDArray[np.bool_],
    *,
    model_count: int | None = None,
) -> Singles:
    """Score images against classes by what was learned from labels and by the classes' names.

    With q the geometric mean of the posteriors of models and z the posterior by names, class k with m labels scores
    log z + m / (m + 3) log q where it has a name, and log q where it has none: three labels weigh as much as a name.

    Args:
        posteriors: M >= 1 arrays of shape (N, C), class probabilities by models.
        seed_counts: Shape (C,), m, labels that the models have learned from; 0 for classes that they do not know.
        name_posterior: Shape (N, C).
        is_named: Shape (C,).
        model_count: Models over which the mean is taken; M if left out. A model that is not here adds its
            `learned_weights` / model_count times the logarithm of its posterior later.

    Returns:
        Shape (N, C), float32, in nats, higher is nearer to the class; comparable within a class only.

    Examples:
        >>> scores = class_scores([[[0.5, 0.5]]], [3, 3], [[0.1, 0.0]], np.array([True, False]))
        >>> np.exp(scores * 2).round(3)
        array([[0.005, 0.25 ]], dtype=float32)
    """
    logs = [np.log(np.maximum(np.asarray(one, dtype=np.float32), _LEAST)) for one in posteriors]
    learned = np.sum(logs, axis=0) / np.float32(model_count or len(logs))
    named = np.log(np.maximum(np.asarray(name_posterior, dtype=np.float32), _LEAST))
    weights = learned_weights(seed_counts, is_named)
    return np.asarray(np.where(is_named, named, 0) + weights * learned, np.float32)


def learned_weights(seed_counts: npt.ArrayLike, is_named: npt.NDArray[np.bool_]) -> Singles:
    """Return how much what was learned counts in `class_scores`, shape (C,): m / (m + 3) with a name, else 1.

    Examples:
        >>> learned_weights([3, 3], np.array([True, False]))
        array([0.5, 1. ], dtype=float32)
    """
    counts = np.asarray(seed_counts, dtype=np.float32)
    return np.where(is_named, counts / (counts + np.float32(_PRIOR_WEIGHT)), np.float32(1))


def soft_novelty(probabilities: npt.ArrayLike | Blocks) -> Floats:
    """Score images by how rare what is seen in them is, every tag by its probability.

    With the soft image count c(t) = sum_i p_it, image i scores -sum_t p_it ln c(t).

    Args:
        probabilities: Shape (N, T), of all images of seed and pool. Or a function that reads such rows block by block.

    Returns:
        Shape (N,), float64, in nats, higher is rarer.

    Examples:
        >>> soft_novelty([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).round(3) + 0
        array([-0.693, -0.693,  0.   ])
    """
    given: Blocks = probabilities if callable(probabilities) else lambda: [np.asarray(probabilities)]
    counts = np.sum([block.sum(axis=0, dtype=np.float64) for block in given()], axis=0)
    logs = np.log(np.maximum(counts, 1e-12)).astype(np.float32)
    return np.concatenate([np.empty(0), *(-(block @ logs).astype(np.float64) for block in given())])


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


def strangeness(signals: Sequence[npt.ArrayLike], weights: Sequence[float] | None = None) -> Floats:
    """Score images by how strange they are to several signals at once.

    -sum over signals of w ln((r - 1/2) / n), r the mid-rank of the image among the n whose signal is known: Fisher's
    rule. A signal that is unknown for an image adds w, which is what a rank drawn at random adds on average.

    Args:
        signals: S >= 1 arrays of shape (N,), higher is stranger; NaN: unknown.
        weights: S numbers w >= 0, how much each signal counts; 1 each if left out.

    Returns:
        Shape (N,), float64, > 0, higher is stranger.

    Examples:
        >>> strangeness([[0.1, 0.9], [2.0, 5.0]]).round(3)
        array([0.575, 2.773])
        >>> strangeness([[0.1, 0.9], [np.nan, 5.0]]).round(3)
        array([1.288, 2.079])
        >>> strangeness([[0.1, 0.9], [2.0, 5.0]], [1.0, 0.0]).round(3)
        array([0.288, 1.386])
    """
    ranks = [mid_ranks(values) for values in signals]
    terms = [-np.log((one - 0.5) / max(np.isfinite(one).sum(), 1)) for one in ranks]
    factors = [1.0] * len(terms) if weights is None else weights
    known = [np.where(np.isnan(term), 1.0, term) for term in terms]
    return np.asarray(np.sum([factor * term for factor, term in zip(factors, known, strict=True)], axis=0))


def height_of_rare(values: npt.ArrayLike, places: npt.ArrayLike, few_shot: npt.ArrayLike) -> float:
    """Return how high a signal that knows no label ranks the labelled images of rare classes.

    The mean of 1 - (r - 1/2) / n over labelled images, weighted by P(few-shot) of their classes, r the mid-rank of the
    image among all n whose signal is known.

    Args:
        values: Shape (N,), of all images, higher is rarer; NaN: unknown.
        places: Shape (M,), int, which of them are labelled.
        few_shot: Shape (M,), P(few-shot) of the class of each.

    Returns:
        In (0, 1): 1 where rare ones are on top, 0.5 by chance; 0.5 where nothing is known.

    Examples:
        >>> height_of_rare([4.0, 3.0, 2.0, 1.0], [0, 3], [0.75, 0.25])
        0.6875
    """
    ranks = mid_ranks(values)
    heights = 1 - (ranks - 0.5) / max(np.isfinite(ranks).sum(), 1)
    of_labelled, weights = heights[np.asarray(places)], np.asarray(few_shot, dtype=np.float64)
    is_known = np.isfinite(of_labelled)
    total = weights[is_known].sum()
    return float((weights[is_known] * of_labelled[is_known]).sum() / total) if total > 0 else 0.5


def chosen_signal(
    signals: Mapping[str, npt.ArrayLike],
    places: npt.ArrayLike,
    few_shot: npt.ArrayLike,
    *,
    trust: Mapping[str, float] | None = None,
) -> str | None:
    """Return which of some signals that know no label ranks the labelled images of rare classes highest.

    Since none of them has seen a label, nothing has to be held out to judge them by the labels.

    Args:
        signals: Shape (N,) each, of all images, higher is rarer.
        places: Shape (M,), int, which images are labelled.
        few_shot: Shape (M,), P(few-shot) of the class of each.
        trust: From 0 to 1 by signal, 1 if left out: how far its `height_of_rare` is believed to differ from 0.5.

    Returns:
        Its name, the first of equal ones; None where even the best ranks them lower than chance would (height below
        0.5).

    Examples:
        >>> signals = {"sparsity": [4.0, 3.0, 2.0], "local_isolation": [1.0, 2.0, 3.0]}
        >>> chosen_signal(signals, [0, 2], [0.1, 0.9])
        'local_isolation'
        >>> chosen_signal({"sparsity": [4.0, 3.0, 2.0]}, [0, 2], [0.1, 0.9]) is None
        True
        >>> chosen_signal({"a": [3.0, 2.0, 1.0], "b": [2.0, 3.0, 1.0]}, [0], [1.0], trust={"a": 0.0})
        'a'
    """
    trusted = dict.fromkeys(signals, _HEIGHT_BY_CHANCE)
    for name, values in signals.items():
        above = height_of_rare(values, places, few_shot) - _HEIGHT_BY_CHANCE
        trusted[name] += above * (trust or {}).get(name, 1.0)
    best = max(trusted, key=trusted.__getitem__)
    return best if trusted[best] >= _HEIGHT_BY_CHANCE else None


def expected_precision(chances: npt.ArrayLike) -> float:
    """Return how sure models are of which images are of few-shot classes.

    The mean chance of the n likeliest images, n the images that are expected to be of few-shot classes (the sum of the
    chances, rounded, at least 1): the share of few-shot images among the first n, as the models see it.

    Args:
        chances: Shape (N,), N >= 1, `expected_rarity`.

    Returns:
        From 0 to 1.

    Examples:
        >>> expected_precision([1.0, 1.0, 0.0, 0.0]), expected_precision([0.5, 0.5, 0.5, 0.5])
        (1.0, 0.5)
    """
    given = np.sort(np.asarray(chances, dtype=np.float64))[::-1]
    return float(given[: max(round(float(given.sum())), 1)].mean())


def unlabelled_rarity(
    isolation: npt.ArrayLike,
    by_tags: Sequence[npt.ArrayLike],
    *,
    weight: float,
    by_names: Sequence[npt.ArrayLike] = (),
    coverage: float = 0.0,
) -> Floats:
    """Score images by how rare they are to features and to tags, where nothing is labelled.

    `strangeness` of local isolation with weight 1 - w, and of what counts as far as tags do with w, of which names of
    classes take the share c^2 and the tags alone the rest; either shares its part equally. Where tags tell images apart
    (w near 1), they tell how large the groups are, and a small group among small groups is not an outlier. Where they
    do not, a rare kind is what stands apart from the crowd. Where most classes are known by name (c near 1), what the
    tags say of other things is noise.

    Args:
        isolation: Shape (N,), local isolation by features.
        by_tags: S arrays of shape (N,), higher is rarer: sparsity and soft novelty by tags, and the distance of
            neighbours over half-whitened features.
        weight: w, how much tags count (`mining.isolation.tag_weight`).
        by_names: Arrays of shape (N,), higher is rarer, by posteriors over named classes; none without names.
        coverage: c, share of the classes that the tags know by name.

    Returns:
        Shape (N,), float64, higher is rarer.

    Examples:
        >>> unlabelled_rarity([1.0, 2.0], [[5.0, 3.0]], weight=1.0).round(3)
        array([1.386, 0.288])
        >>> unlabelled_rarity([1.0, 2.0], [[5.0, 3.0]], weight=0.0).round(3)
        array([0.288, 1.386])
        >>> unlabelled_rarity([1.0, 2.0], [[5.0, 3.0]], weight=1.0, by_names=[[1.0, 2.0]], coverage=0.5).round(3)
        array([1.112, 0.562])
    """
    of_names = coverage**2 if by_names else 0.0
    parts = [(by_tags, weight * (1 - of_names)), (by_names, weight * of_names)]
    shares = [part / len(signals) for signals, part in parts for _ in signals]
    return strangeness([isolation, *by_tags, *by_names], [1 - weight, *shares])


def class_rank_rarity(
    scores: npt.ArrayLike | Iterator[Singles],
    few_shot: npt.ArrayLike,
    expected_counts: npt.ArrayLike,
    *,
    count: int | None = None,
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Score images that stand near the top of some rare class's own list.

    x_ik is image i's place (0 the best, equal scores share one) by its score for class k, divided by the number of
    images that the class should have among these. The score is -log prod_k (1 - P(few | k) / (1 + x_ik)^2): a
    posterior may be small everywhere and still find its class first.

    Args:
        scores: Shape (N, K), of the images that could be mined, higher is nearer to the class; only the order within
            a column matters. Or an iterator over its columns, of which one at a time is in memory.
        few_shot: Shape (K,), how likely each class is there and few-shot.
        expected_counts: Shape (K,), images that each class should have among these, above 0.
        count: N, needed where scores come by columns.

    Returns:
        The score, shape (N,), float64, >= 0, higher is rarer; and the class that adds most to it, shape (N,), int64,
        the first of equal ones, -1 where none adds anything.

    Examples:
        >>> score, likeliest = class_rank_rarity([[0.1, 0.3], [0.6, 0.1]], [0.5, 0.25], [2.5, 1.0])
        >>> score.round(3), likeliest
        (array([0.582, 0.758]), array([0, 0]))
    """
    columns = scores if isinstance(scores, Iterator) else iter(np.asarray(scores).T)
    size = len(np.asarray(scores)) if count is None else count
    score, most = np.zeros(size), np.zeros(size)
    likeliest = np.full(size, -1)
    lists = zip(columns, np.asarray(few_shot), np.asarray(expected_counts), strict=True)
    for k, (column, few, expected) in enumerate(lists):
        place = mid_ranks(column) - 1
        chance = np.minimum(few / (1 + place / expected) ** 2, 1 - 1e-12)
        score -= np.log1p(-chance)
        likeliest[chance > most] = k
        most = np.maximum(most, chance)
    return score, likeliest


def keyword_worth(
    seed_keywords: Sequence[Sequence[str]],
    seed_few_shot: npt.ArrayLike,
    image_counts: Mapping[str, int],
    *,
    common_count: int = 20,
) -> dict[str, float]:
    """Return what each keyword tells of rarity.

    v(w) = (sum over seed images with w of P(few | their class) + 3 v0(w)) / (n_seed(w) + 3), where v0(w) is
    common_count / (common_count + c(w)), scaled so that its mean over the seed's keywords is the seed's mean P(few):
    what the seed shows about a keyword, and where it shows little, how rare the keyword is.

    Args:
        seed_keywords: S lists, of the labelled seed.
        seed_few_shot: Shape (S,), P(few) of each seed image's class.
        image_counts: Images per keyword over the whole pool.
        common_count: Image count at which rarity alone is worth half.

    Examples:
        >>> worth = keyword_worth([["road"], ["comet"]], [0.0, 1.0], {"road": 80, "comet": 5})
        >>> {word: round(value, 2) for word, value in worth.items()}
        {'road': 0.15, 'comet': 0.85}
    """
    few = np.asarray(seed_few_shot, dtype=np.float64)
    few_shot_sum: dict[str, float] = {}
    seen: dict[str, int] = {}
    for words, probability in zip(seed_keywords, few.tolist(), strict=True):
        for word in words:
            few_shot_sum[word] = few_shot_sum.get(word, 0.0) + probability
            seen[word] = seen.get(word, 0) + 1
    rarity = {word: common_count / (common_count + count) for word, count in image_counts.items()}
    mentions = sum(seen.values())
    mean = sum(rarity[word] * count for word, count in seen.items()) / mentions if mentions else 1.0
    scale = float(few.mean()) / mean if len(few) and mean > 0 else 1.0
    return {
        word: (few_shot_sum.get(word, 0.0) + _PRIOR_WEIGHT * scale * rare) / (seen.get(word, 0) + _PRIOR_WEIGHT)
        for word, rare in rarity.items()
    }


def keyword_value(keywords: Sequence[Sequence[str]], worth: Mapping[str, float]) -> Floats:
    """Score images by the most telling of their keywords.

    Args:
        keywords: N lists.
        worth: `keyword_worth` of each keyword.

    Returns:
        Shape (N,), float64, higher is rarer; NaN where an image has no keywords.

    Examples:
        >>> keyword_value([["comet", "road"], ["road"], []], {"comet": 0.85, "road": 0.15})
        array([0.85, 0.15,  nan])
    """
    return np.array([max((worth[word] for word in words), default=np.nan) for words in keywords], dtype=np.float64)
