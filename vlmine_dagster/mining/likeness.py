"""More like these: images near some examples, and away from the classes that are known already."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.verdict_rule import unit_rows

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[Any]

_LEAST_MEANT = 0.4
_MOST_MEANT = 5


@dataclass(frozen=True, eq=False)
class Target:
    """What a list shall resemble, by one view of the images, and what not.

    Attributes:
        prototype: Shape (D,), direction of the mean of the examples, of length 1.
        known: Shape (C, D), the same of known classes; C may be 0.
    """

    prototype: Vectors
    known: Vectors

    def nearness(self, vectors: Vectors) -> Floats:
        """Return the cosine to the prototype, shape (N,)."""
        near: Floats = (vectors @ self.prototype).astype(np.float64)
        return near

    def lead(self, vectors: Vectors) -> Floats:
        """Return by how much the prototype is nearer than the nearest known class: positive where it wins.

        Args:
            vectors: Shape (N, D), of length 1.

        Returns:
            Shape (N,), float64, from -2 to 2; the nearness itself where no class is known.

        Examples:
            >>> target = Target(np.array([1.0, 0.0]), np.array([[0.0, 1.0]]))
            >>> target.lead(np.array([[1.0, 0.0], [0.6, 0.8]])).round(1)
            array([ 1. , -0.2])
        """
        near = self.nearness(vectors)
        return near - (vectors @ self.known.T).max(axis=1) if len(self.known) else near


def target_of(examples: Vectors, known: Mapping[str, Vectors]) -> Target:
    """Return the prototype of some examples, and those of the known classes that they are not of.

    Of the known classes that which the examples resemble most is left out: it may be their own.

    Args:
        examples: Shape (M, D), M >= 1, vectors of length 1.
        known: Sum or mean of the vectors of each known class, shape (D,).

    Examples:
        >>> kept = target_of(np.array([[1.0, 0.0]]), {"own": np.array([0.9, 0.1]), "other": np.array([0.0, 2.0])}).known
        >>> kept.tolist()
        [[0.0, 1.0]]
    """
    prototype = unit_rows(examples.mean(axis=0, keepdims=True))[0]
    if not known:
        return Target(prototype, np.empty((0, len(prototype)), np.float32))
    classes = unit_rows(np.stack(list(known.values())))
    return Target(prototype, np.delete(classes, int((classes @ prototype).argmax()), axis=0))


def likeness(parts: Sequence[Floats]) -> Floats:
    """Return the sum of some scores, each with mean 0 and variance 1 over the pool.

    Args:
        parts: Arrays of shape (N,), higher is more alike; NaN: unknown.

    Returns:
        Shape (N,), float64, no unit, higher is more alike; NaN where a part is. A part that is the same for all adds 0.

    Examples:
        >>> likeness([np.array([1.0, 3.0, np.nan]), np.array([0.0, 0.0, 0.0])])
        array([-1.,  1., nan])
    """
    total = np.zeros(len(parts[0]))
    for part in parts:
        centred = part - np.nanmean(part)
        spread = float(np.nanstd(part))
        total += centred / spread if spread > 0 else centred
    return total


def meant_keywords(
    cosines: npt.NDArray[np.floating[Any]], image_counts: Mapping[str, int], *, image_count: int
) -> dict[str, float]:
    """Return the keywords that mean much the same as a text, with how much an image that has one tells of it.

    With m the mean cosine of all keywords, a keyword k means the text by s(k) = (cos(k) - m) / (1 - m): 1 for the text
    itself, 0 for a keyword like all others. Of those of at least .4 the 5 nearest weigh s(k) log(N / c(k)).

    Args:
        cosines: Shape (K,), of the text's vector and those of the keywords, in their order.
        image_counts: Images per keyword, each >= 1.
        image_count: N, at least the largest of them.

    Returns:
        Weight by keyword, above 0.

    Examples:
        >>> counts = {"truck": 4, "road": 8, "lake": 1}
        >>> found = meant_keywords(np.array([0.9, 0.4, 0.2]), counts, image_count=8)
        >>> {word: round(weight, 2) for word, weight in found.items()}
        {'truck': 0.55}
    """
    mean = float(np.mean(cosines)) if len(cosines) else 0.0
    share = (np.asarray(cosines, dtype=np.float64) - mean) / max(1 - mean, 1e-6)
    words = list(image_counts)
    nearest = np.argsort(-share, kind="stable")[:_MOST_MEANT].tolist()
    meant = {words[place]: float(share[place]) for place in nearest if share[place] >= _LEAST_MEANT}
    weights = {word: near * float(np.log(image_count / image_counts[word])) for word, near in meant.items()}
    return {word: weight for word, weight in weights.items() if weight > 0}


def text_matches(words: Iterable[str], image_counts: Mapping[str, int], *, image_count: int) -> dict[str, float]:
    """Return the keywords that some words name, with how much an image that has one tells of the words.

    A keyword k of n(k) words, m of which are asked for, weighs m / n(k) log(N / c(k)), with c(k) the images that have
    it: what few images have tells more (Spaerck Jones 1972), and half a name tells half as much.

    Args:
        words: Normalized words and phrases, as keywords are.
        image_counts: Images per keyword, each >= 1.
        image_count: N, at least the largest of them.

    Returns:
        Weight by keyword, above 0; keywords that share no word are left out.

    Examples:
        >>> counts = {"lorry": 4, "fire lorry": 1, "road": 8}
        >>> {word: round(weight, 2) for word, weight in text_matches(["lorry"], counts, image_count=8).items()}
        {'lorry': 0.69, 'fire lorry': 1.04}
    """
    asked = {part for word in words for part in word.split()}
    found = {}
    for keyword, count in image_counts.items():
        parts = keyword.split()
        weight = sum(part in asked for part in parts) / max(len(parts), 1) * np.log(image_count / count)
        if weight > 0:
            found[keyword] = float(weight)
    return found
