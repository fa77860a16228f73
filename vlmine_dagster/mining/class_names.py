"""Classes that tags or keywords know by name: how much of an image goes by the name of each."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.keywords import tag_keywords

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
    for i, listed in enumerate(keywords or ()):
        for k in {classes[word] for word in listed if word in classes}:
            shares[i, k] = max(shares[i, k], 1 / len(listed))
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


def posterior_with_others(shares: npt.ArrayLike, *, coverage: float) -> Singles:
    """Return posteriors over named classes and, in the last column, all others, where nothing is labelled.

    What does not go by a name is seldom another class where most classes have one, so it counts 1 - coverage.

    Args:
        shares: Shape (N, C), from `name_shares`.
        coverage: Share of the pool's classes that have a name.

    Returns:
        Shape (N, C + 1), float32; rows sum to 1, or to 0 where nothing is named and there are no others.

    Examples:
        >>> posterior_with_others([[0.25, 0.25], [0.0, 0.0]], coverage=0.5)
        array([[0.33333334, 0.33333334, 0.33333334],
               [0.        , 0.        , 1.        ]], dtype=float32)
    """
    named = np.asarray(shares, dtype=np.float32)
    others = np.maximum(1 - named.sum(axis=1, keepdims=True), 0) * np.float32(1 - coverage)
    weighed = np.hstack([named, others])
    return np.asarray(weighed / np.maximum(weighed.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny))


def _name(text: str) -> str:
    return next(iter(tag_keywords([text])), "")
