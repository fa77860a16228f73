"""How crowded an image's neighbourhood is, by what a model sees in it, and how far the labelled seed."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.neighbours import Blocks, nearest_neighbours

_PAIRS_AT_ONCE = 8_000_000
"""Pairs of images that are compared at once, 12 bytes each."""

Floats = npt.NDArray[np.float64]


def semantic_density(probabilities: npt.ArrayLike | Blocks, *, neighbours: int = 100, search: str = "auto") -> Floats:
    """Sum an image's similarities to its nearest neighbours over tag probabilities.

    The similarity of images i and j is the Bhattacharyya coefficient sum_t sqrt(p_it p_jt), 1 for equal distributions
    and 0 for disjoint ones. The image itself is not a neighbour.

    Args:
        probabilities: Shape (N, T), rows sum to 1 or less; float16 is enough. Or a function that reads such rows block
            by block, where they need not fit in memory.
        neighbours: Nearest images that count; all others where there are fewer.
        search: "exact" compares all pairs, "index" finds most of the nearest, "auto" is exact up to 50,000 images; see
            `mining.neighbours`.

    Returns:
        Shape (N,), float64, from 0 (nobody like it) to `neighbours`; higher is more crowded, so negate it to mine.

    Raises:
        ConfigError: search is unknown.
        ContractError: the shape is wrong, a value is negative or not finite.

    Examples:
        >>> semantic_density([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], neighbours=1)
        array([1., 1., 0.])

    References:
        Bhattacharyya 1943.
    """
    given: Blocks = probabilities if callable(probabilities) else lambda: [np.asarray(probabilities)]

    def roots() -> Iterator[npt.NDArray[np.float32]]:
        for block in given():
            if block.ndim != 2 or not np.isfinite(block).all() or (block < 0).any():
                raise ContractError(
                    f"semantic_density: got shape {block.shape}, expected (images, tags) of finite numbers >= 0."
                )
            yield np.sqrt(block, dtype=np.float32)

    return _summed(nearest_neighbours(roots, count=neighbours, search=search))


def embedding_density(embeddings: npt.ArrayLike | Blocks, *, neighbours: int = 100, search: str = "auto") -> Floats:
    """Sum an image's similarities to its nearest neighbours over embeddings.

    The similarity of images i and j is the cosine of their embeddings; the image itself is not a neighbour. A vector of
    zeros is like nothing.

    Args:
        embeddings: Shape (N, D), any scale; float16 is enough. Or a function that reads such rows block by block.
        neighbours: Nearest images that count; all others where there are fewer.
        search: As in `semantic_density`.

    Returns:
        Shape (N,), float64, from -neighbours to `neighbours`; higher is more crowded, so negate it to mine.

    Raises:
        ConfigError: search is unknown.
        ContractError: the shape is wrong or a value is not finite.

    Examples:
        >>> embedding_density([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]], neighbours=1)
        array([1., 1., 0.])

    References:
        Information density with the cosine: Settles and Craven 2008; here over nearest neighbours alone, and mined
        where it is low.
    """
    return _summed(nearest_neighbours(_directions(embeddings), count=neighbours, search=search))


def seed_distance(embeddings: npt.ArrayLike | Blocks, seed: npt.ArrayLike | Blocks, *, search: str = "auto") -> Floats:
    """Return how far an image is from the nearest labelled one: 1 - the largest cosine of their embeddings.

    Args:
        embeddings: Shape (N, D), any scale; float16 is enough. Or a function that reads such rows block by block.
        seed: Likewise, of the S labelled images.
        search: As in `semantic_density`, over the seed.

    Returns:
        Shape (N,), float64, from 0 (a copy of a labelled image) to 2; higher is farther. NaN where S is 0.

    Raises:
        ConfigError: search is unknown.
        ContractError: the shape is wrong or a value is not finite.

    Examples:
        >>> seed_distance([[2.0, 0.0], [0.0, 1.0], [3.0, 4.0]], [[1.0, 0.0], [5.0, 0.0]]).round(6)
        array([0. , 1. , 0.4])

    References:
        The distance that k-center selection covers (Sener and Savarese 2018, arXiv 1708.00489), and that tells what is
        out of distribution (Sun et al. 2022, arXiv 2204.06507, with one neighbour).
    """
    found = nearest_neighbours(_directions(seed), count=1, queries=_directions(embeddings), search=search)
    nearest = [similar.max(axis=1, initial=-np.inf).astype(np.float64) for _, similar in found]
    similar = np.concatenate(nearest) if nearest else np.empty(0)
    return np.where(np.isfinite(similar), np.maximum(1.0 - similar, 0.0), np.nan)


def keyword_density(keywords: Sequence[Sequence[str]], *, neighbours: int = 100) -> Floats:
    """Sum an image's similarities to its nearest neighbours over keywords, for describers without probabilities.

    With K_i the keywords of image i, the similarity is |K_i and K_j| / sqrt(|K_i| |K_j|): the Bhattacharyya coefficient
    of `semantic_density` when all keywords of an image are equally probable. The image itself is not a neighbour.

    Args:
        keywords: N lists, no repeats within an image.
        neighbours: Nearest images that count; all others where there are fewer.

    Returns:
        Shape (N,), float64, from 0 (nobody shares a keyword) to `neighbours`; higher is more crowded, so negate it to
        mine. NaN where an image has no keywords.

    Examples:
        >>> keyword_density([["car", "road"], ["car"], ["owl"], []], neighbours=1).round(3)
        array([0.707, 0.707, 0.   ,   nan])

    References:
        Bhattacharyya 1943; for sets it is the coefficient of Ochiai 1957. Exact; time grows with the pairs of images
        that share a keyword, memory is bounded.
    """
    from scipy.sparse import csr_array

    places: dict[str, int] = {}
    columns = [places.setdefault(word, len(places)) for words in keywords for word in words]
    sizes = np.array([len(words) for words in keywords], dtype=np.int64)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    values = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes)
    table = csr_array((values, columns, ends), shape=(len(sizes), len(places)))
    turned = table.T.tocsr()
    density = np.full(len(sizes), np.nan)
    rows = max(1, _PAIRS_AT_ONCE // max(len(sizes), 1))
    for start in range(0, len(sizes), rows):
        pairs = (table[start : start + rows] @ turned).tocsr()
        for row in range(pairs.shape[0]):
            cells = slice(pairs.indptr[row], pairs.indptr[row + 1])
            others = pairs.data[cells][pairs.indices[cells] != start + row]
            if sizes[start + row]:
                most = min(neighbours, len(others))
                density[start + row] = np.partition(others, len(others) - most)[len(others) - most :].sum()
    return density


def _directions(vectors: npt.ArrayLike | Blocks) -> Blocks:
    """Return a reader of the vectors at length 1."""
    given: Blocks = vectors if callable(vectors) else lambda: [np.asarray(vectors)]

    def read() -> Iterator[npt.NDArray[np.float32]]:
        for block in given():
            floats = np.asarray(block, dtype=np.float32)
            yield floats / np.maximum(np.linalg.norm(floats, axis=-1, keepdims=True), 1e-12)

    return read


def _summed(found: Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]) -> Floats:
    sums = [similarities.sum(axis=1, dtype=np.float64) for _, similarities in found]
    return np.concatenate(sums) if sums else np.empty(0)
