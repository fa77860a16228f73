"""What the labelled seed and the names of classes say about rarity: which classes are few-shot, and who is of them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.keywords import tag_keywords
from vlmine_dagster.mining.neighbours import Blocks
from vlmine_dagster.mining.selection import mid_ranks

_PRIOR_WEIGHT = 3.0
_LEAST = np.float32(1e-7)

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


def name_shares(
    class_names: Sequence[str],
    tag_names: Sequence[str],
    tag_probabilities: npt.ArrayLike,
    keywords: Sequence[Sequence[str]] | None = None,
) -> tuple[Singles, npt.NDArray[np.bool_]]:
    """Return how much of what is seen in an image goes by a class's own name.

    Names agree when they are the same keyword (`mining.keywords.tag_keywords`: lower case, single spaces). A class that
    the tags know has their probability (the sum, where tags share a name); an image whose K keywords hold the name of a
    class has at least 1 / K of it.

    Args:
        class_names: C names.
        tag_names: T names.
        tag_probabilities: Shape (N, T).
        keywords: N lists by another describer than the tags' own; None where keywords are the tags.

    Returns:
        Shares, shape (N, C), float32, in [0, 1]; and whether a class is known by its name at all, shape (C,).

    Examples:
        >>> said = [["yak", "snow"]]
        >>> shares, is_named = name_shares(["Tabby", "yak", "x-17"], ["tabby", "fox"], [[0.75, 0.25]], said)
        >>> shares, is_named
        (array([[0.75, 0.5 , 0.  ]], dtype=float32), array([ True,  True, False]))
    """
    tags = np.asarray(tag_probabilities)
    places: dict[str, list[int]] = {}
    for place, word in enumerate(_name(tag) for tag in tag_names):
        places.setdefault(word, []).append(place)
    words = [_name(name) for name in class_names]
    shares = np.zeros((len(tags), len(words)), dtype=np.float32)
    for k, word in enumerate(words):
        if word in places:
            shares[:, k] = tags[:, places[word]].sum(axis=1, dtype=np.float32)
    is_named = np.array([word in places for word in words], dtype=bool)
    classes = {word: k for k, word in enumerate(words)}
    for i, said in enumerate(keywords or ()):
        for k in {classes[word] for word in said if word in classes}:
            shares[i, k] = max(shares[i, k], 1 / len(said))
            is_named[k] = True
    return shares, is_named


def named_posterior(shares: npt.ArrayLike, weights: npt.ArrayLike) -> Singles:
    """Return class posteriors by names: shares times class sizes, made to sum to 1.

    Args:
        shares: Shape (N, C), from `name_shares`.
        weights: Shape (C,), >= 0, proportional to the size that each class is thought to have; 0 leaves it out.

    Returns:
        Shape (N, C), float32; rows sum to 1, or to 0 where no class is named in an image.

    Examples:
        >>> named_posterior([[0.5, 0.5], [0.0, 0.0]], [3, 1])
        array([[0.75, 0.25],
               [0.  , 0.  ]], dtype=float32)
    """
    weighed = np.asarray(shares, dtype=np.float32) * np.asarray(weights, dtype=np.float32)
    return np.asarray(weighed / np.maximum(weighed.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny))


def class_scores(
    posteriors: Sequence[npt.ArrayLike],
    seed_counts: npt.ArrayLike,
    name_posterior: npt.ArrayLike,
    is_named: npt.NDArray[np.bool_],
) -> Singles:
    """Score images against classes by what was learned from labels and by the classes' names.

    With q the geometric mean of the posteriors of models and z the posterior by names, class k with m labels scores
    log z + m / (m + 3) log q where it has a name, and log q where it has none: three labels weigh as much as a name.

    Args:
        posteriors: M >= 1 arrays of shape (N, C), class probabilities by models.
        seed_counts: Shape (C,), m, labels that the models have learned from; 0 for classes that they do not know.
        name_posterior: Shape (N, C).
        is_named: Shape (C,).

    Returns:
        Shape (N, C), float32, in nats, higher is nearer to the class; comparable within a class only.

    Examples:
        >>> scores = class_scores([[[0.5, 0.5]]], [3, 3], [[0.1, 0.0]], np.array([True, False]))
        >>> np.exp(scores * 2).round(3)
        array([[0.005, 0.25 ]], dtype=float32)
    """
    learned = np.mean([np.log(np.maximum(np.asarray(one, dtype=np.float32), _LEAST)) for one in posteriors], axis=0)
    counts = np.asarray(seed_counts, dtype=np.float32)
    named = np.log(np.maximum(np.asarray(name_posterior, dtype=np.float32), _LEAST))
    return np.asarray(np.where(is_named, named + counts / (counts + _PRIOR_WEIGHT) * learned, learned), np.float32)


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


def strangeness(signals: Sequence[npt.ArrayLike]) -> Floats:
    """Score images by how likely they are of a class that has neither a label nor a name.

    -sum over signals of ln((r - 1/2) / n), r the mid-rank of the image among the n whose signal is known: Fisher's
    rule. A signal that is unknown for an image adds 1, which is what a rank drawn at random adds on average.

    Args:
        signals: S >= 1 arrays of shape (N,), higher is stranger; NaN: unknown.

    Returns:
        Shape (N,), float64, > 0, higher is stranger.

    Examples:
        >>> strangeness([[0.1, 0.9], [2.0, 5.0]]).round(3)
        array([0.575, 2.773])
        >>> strangeness([[0.1, 0.9], [np.nan, 5.0]]).round(3)
        array([1.288, 2.079])
    """
    ranks = [mid_ranks(values) for values in signals]
    terms = [-np.log((one - 0.5) / max(np.isfinite(one).sum(), 1)) for one in ranks]
    return np.asarray(np.sum([np.where(np.isnan(term), 1.0, term) for term in terms], axis=0))


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
    return {
        word: (told.get(word, 0.0) + _PRIOR_WEIGHT * scale * rare) / (seen.get(word, 0) + _PRIOR_WEIGHT)
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


def _name(text: str) -> str:
    return next(iter(tag_keywords([text])), "")
