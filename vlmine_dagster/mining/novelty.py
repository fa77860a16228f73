"""Novelty: how rare an image's keywords are over the whole pool."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ConfigError, ContractError

POOLINGS = ("min", "mean")

Floats = npt.NDArray[np.float64]


def pooled_counts(
    keywords: Sequence[Sequence[str]], image_counts: Mapping[str, int], *, pooling: str = "min"
) -> Floats:
    """Pool the image counts of each image's keywords: k_i = min or mean of c(w) over its keywords w.

    Args:
        keywords: N lists, normalized, no repeats within an image.
        image_counts: Images per keyword over the same pool, each >= 1.
        pooling: "min" or "mean".

    Returns:
        Shape (N,), float64, in images, lower is rarer. NaN where an image has no keywords.

    Raises:
        ConfigError: pooling is unknown.
        ContractError: a keyword is missing from image_counts.

    Examples:
        >>> pooled_counts([["car", "unicycle"], []], {"car": 4, "unicycle": 1}, pooling="mean")
        array([2.5, nan])
    """
    if pooling not in POOLINGS:
        raise ConfigError(f"pooled_counts: unknown pooling {pooling!r}, expected {' or '.join(POOLINGS)}.")
    pooled = np.full(len(keywords), np.nan)
    for place, words in enumerate(keywords):
        if words:
            counts = _counts_of(words, image_counts, place)
            pooled[place] = min(counts) if pooling == "min" else sum(counts) / len(counts)
    return pooled


def novelty_scores(
    keywords: Sequence[Sequence[str]], image_counts: Mapping[str, int], *, pooling: str = "min"
) -> Floats:
    """Score each image by the rarity of its keywords.

    With c(w) the number of images that yield keyword w, image i scores 1 / pool(c(w) for w in keywords[i]).

    Args:
        keywords: N lists, normalized, no repeats within an image. An empty list means that nothing was named.
        image_counts: Images per keyword over the same pool, each >= 1.
        pooling: "min" lets one rare keyword decide; "mean" wants rarity overall.

    Returns:
        Shape (N,), float64, in (0, 1], no unit, higher is rarer. NaN where an image has no keywords: unknown, neither
        common nor rare.

    Raises:
        ConfigError: pooling is unknown.
        ContractError: a keyword is missing from image_counts.

    Examples:
        >>> novelty_scores([["car", "unicycle"], ["car", "road"], []], {"car": 4, "road": 2, "unicycle": 1})
        array([1. , 0.5, nan])

    References:
        Ye et al. 2024, arXiv 2409.15486.
    """
    return novelty_from_count(pooled_counts(keywords, image_counts, pooling=pooling))


def novelty_from_count(counts: npt.ArrayLike) -> Floats:
    """Turn pooled counts into scores by 1 / k; any decreasing map gives the same order.

    Args:
        counts: Shape (N,), in images, >= 1 or NaN.

    Returns:
        Shape (N,), float64, in (0, 1], higher is rarer; NaN stays NaN.

    Raises:
        ContractError: a count is below 1 or infinite.

    Examples:
        >>> novelty_from_count([1, 4])
        array([1.  , 0.25])
    """
    given = np.asarray(counts, dtype=np.float64)
    wrong = (given < 1) | np.isinf(given)
    if wrong.any():
        place = int(wrong.argmax())
        raise ContractError(
            f"novelty_from_count: image {place} has a count of {given[place]:g}, expected at least 1 "
            f"({wrong.sum()} of {len(given)} are wrong). Every keyword occurs in the image that yields it: count over "
            f"the pool that is scored."
        )
    return np.asarray(1.0 / given)


def _counts_of(words: Sequence[str], image_counts: Mapping[str, int], place: int) -> list[int]:
    try:
        return [image_counts[word] for word in words]
    except KeyError as error:
        raise ContractError(
            f"novelty_scores: keyword {error.args[0]!r} (image {place}) has no count. The counts come from another "
            f"pool: materialize vocab_counts again."
        ) from error
