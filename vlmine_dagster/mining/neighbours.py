"""Nearest neighbours among vectors that need not fit in memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ConfigError, ContractError
from vlmine_dagster.mining.one_thread import on_one_thread

SEARCHES = ("auto", "exact", "index")

EXACT_UP_TO = 50_000
"""Vectors up to which "auto" compares all pairs."""

WHOLE_UP_TO = 3_000_000
"""Vectors that the index keeps whole, 4 GB of 1,280 numbers; of more it keeps 256 axes."""

_QUERY_ROWS = 32_768
_SAMPLE_ROWS = 65_536
_AXES = 256
_BITS = 4  # an axis in the lists
_PROBED_LISTS = 192
_CANDIDATES = 4  # times as many as are wanted: their similarities are computed again, from bytes
_KMEANS_ROUNDS = 10  # faiss does 25: twice the time to train, and the same recall within .004
_ROWS_A_LIST = 16  # of the sample, at least; faiss asks for 39, but more lists are worth more than better centres

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Blocks: TypeAlias = Callable[[], Iterable[npt.NDArray[Any]]]
"""Starts to read vectors anew: blocks of shape (B, D), any float type, the same rows in the same order each time."""


def nearest_neighbours(
    vectors: Blocks, *, count: int, queries: Blocks | None = None, search: str = "auto", probed: int = _PROBED_LISTS
) -> Iterator[tuple[Integers, Floats]]:
    """Find the vectors with the largest inner products, reading block by block.

    Make the rows unit vectors for the cosine, or square roots of probabilities for the Bhattacharyya coefficient.

    `exact` compares all pairs: O(N^2 D) time, and memory for 32,768 rows and their answers. `index` projects the
    vectors on the 256 main axes of a sample and keeps what is left of each axis after the nearest centre of k-means
    in 4 bits, in lists around these centres; it looks into the nearest 192 lists of each query, and computes the
    similarities of four times as many as are wanted again, from the whole vectors, a byte a number: D + 128 bytes a
    vector (1.4 GB a million of 1,280). Of more than three million vectors it keeps only the axes, in 256 + 128 bytes.
    `auto` is exact up to 50,000 vectors.

    Args:
        vectors: The N vectors among which neighbours are sought, read two or three times.
        count: Neighbours of each query, at most N, or N - 1 without `queries`.
        queries: The vectors whose neighbours are sought. None: `vectors` themselves, none its own neighbour.
        search: "auto", "exact" or "index".
        probed: Lists that the index looks into; fewer are enough where only very near vectors count.

    Yields:
        Places in `vectors`, shape (B, K), int64, nearest first, and similarities, shape (B, K), float32, for each query
        in order; block sizes are not those of `queries`. K is `count`, or less where there are no more vectors. Equally
        near ones come in no declared order.

    Raises:
        ConfigError: search is unknown.
        ContractError: count is below 1, a block is not a table of finite numbers, or blocks differ in width.

    Examples:
        >>> blocks = lambda: [np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.6, 0.8]])]
        >>> [(places.tolist(), similar.round(1).tolist()) for places, similar in nearest_neighbours(blocks, count=1)]
        [([[2], [2], [1]], [[0.6000000238418579], [0.800000011920929], [0.800000011920929]])]

    References:
        Inverted lists and codes: Jégou et al. 2011; scanned as in André et al. 2017 (arXiv 1704.07355); computed by
        faiss (Douze et al. 2024, arXiv 2401.08281).
    """
    if search not in SEARCHES:
        raise ConfigError(f"nearest_neighbours: unknown search {search!r}, expected {', '.join(SEARCHES)}.")
    if count < 1:
        raise ContractError(f"nearest_neighbours: count {count}, expected at least 1.")
    return _search(vectors, queries, count, search, probed)


def _search(
    vectors: Blocks, queries: Blocks | None, count: int, search: str, probed: int
) -> Iterator[tuple[Integers, Floats]]:
    is_own = queries is None
    asked = _checked(vectors if queries is None else queries)
    found = (
        _all_pairs(_checked(vectors), asked, count + is_own)
        if search == "exact" or (search == "auto" and not _has_more_than(vectors, EXACT_UP_TO))
        else _by_index(_checked(vectors), asked, count + is_own, probed)
    )
    start = 0
    for places, similarities in found:
        yield _without_own(places, similarities, start) if is_own else (places, similarities)
        start += len(places)


def _checked(vectors: Blocks) -> Callable[[], Iterator[Floats]]:
    """Return a reader of the same blocks as contiguous float32."""

    def read() -> Iterator[Floats]:
        width = None
        for block in vectors():
            floats = np.ascontiguousarray(block, dtype=np.float32)
            if floats.ndim != 2 or not np.isfinite(floats).all() or width not in (None, floats.shape[1]):
                raise ContractError(
                    f"nearest_neighbours: a block of shape {floats.shape}, expected (vectors, {width or 'dimensions'}) "
                    f"of finite numbers."
                )
            width = floats.shape[1]
            yield floats

    return read


def _has_more_than(vectors: Blocks, most: int) -> bool:
    seen = 0
    for block in vectors():
        seen += len(block)
        if seen > most:
            return True
    return False


def _all_pairs(
    vectors: Callable[[], Iterator[Floats]], queries: Callable[[], Iterator[Floats]], count: int
) -> Iterator[tuple[Integers, Floats]]:
    import faiss

    for asked in _gathered(queries(), _QUERY_ROWS):
        places: Integers = np.empty((len(asked), 0), np.int64)
        similarities: Floats = np.empty((len(asked), 0), np.float32)
        start = 0
        for block in _gathered(vectors(), _QUERY_ROWS):
            near, where = faiss.knn(asked, block, min(count, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            similarities, places = np.hstack([similarities, near]), np.hstack([places, where + start])
            best = np.argsort(-similarities, axis=1, kind="stable")[:, :count]
            similarities = np.take_along_axis(similarities, best, axis=1)
            places = np.take_along_axis(places, best, axis=1)
            start += len(block)
        yield places, similarities


def _gathered(blocks: Iterable[Floats], rows: int) -> Iterator[Floats]:
    """Put small blocks together and cut large ones, so that each has `rows` rows but the last."""
    held: list[Floats] = []
    size = 0
    for block in blocks:
        rest = block
        while size + len(rest) >= rows:
            yield np.concatenate([*held, rest[: rows - size]])
            held, rest, size = [], rest[rows - size :], 0
        if len(rest):
            held, size = [*held, rest], size + len(rest)
    if held:
        yield np.concatenate(held)


def _by_index(
    vectors: Callable[[], Iterator[Floats]], queries: Callable[[], Iterator[Floats]], count: int, probed: int
) -> Iterator[tuple[Integers, Floats]]:
    index = _trained(vectors)
    if index is None:
        return
    for block in vectors():
        index.add(block)
    for block in queries():
        for asked in _gathered([block], _QUERY_ROWS):
            yield _probed(index, asked, min(count, index.ntotal), probed)


def _trained(vectors: Callable[[], Iterator[Floats]]) -> Any:
    """Return an empty index, or None where there are no vectors; the sample it comes from is large, and gone then."""
    import faiss

    sample, total = _sample(vectors())
    if not total:
        return None
    axes = _main_axes(sample, _AXES)
    project = faiss.LinearTransform(axes.shape[0], axes.shape[1], False)
    faiss.copy_array_to_vector(axes.T.ravel(), project.A)
    project.is_trained = True
    project.set_is_orthonormal()  # so that vectors can be read back
    on_axes = sample @ axes
    lists = _trained_lists(on_axes, total)
    if total <= WHOLE_UP_TO:
        return faiss.IndexRefine(faiss.IndexPreTransform(project, lists), _trained_bytes(sample))
    return faiss.IndexPreTransform(project, faiss.IndexRefine(lists, _trained_bytes(on_axes)))


def _sample(blocks: Iterable[Floats]) -> tuple[Floats, int]:
    """Return every 1st, 2nd, 4th ... row, at most `_SAMPLE_ROWS` of them, and the number of all rows."""
    kept: list[Floats] = []
    step, total, size = 1, 0, 0
    for block in blocks:
        kept.append(block[-total % step :: step].copy())
        total, size = total + len(block), size + len(kept[-1])
        while size > _SAMPLE_ROWS:
            kept, step = [np.concatenate(kept)[::2]], step * 2
            size = len(kept[0])
    return (np.concatenate(kept) if kept else np.empty((0, 1), np.float32)), total


@on_one_thread
def _main_axes(sample: Floats, count: int) -> Floats:
    """Return the axes that keep most of the inner products of the sample, shape (D, at most `count`)."""
    moments = sample.T @ sample
    return np.ascontiguousarray(np.linalg.eigh(moments)[1][:, -count:], dtype=np.float32)


def _trained_lists(sample: Floats, total: int) -> Any:
    """Return empty lists of vectors, 4 bits an axis, each axis with 16 values of its own."""
    import faiss

    size, metric = sample.shape[1], faiss.METRIC_INNER_PRODUCT
    lists = max(1, min(int(4 * total**0.5), len(sample) // _ROWS_A_LIST))
    index = faiss.IndexIVFPQFastScan(faiss.IndexFlatIP(size), size, lists, size, _BITS, metric)
    index.by_residual = True  # what a centre leaves is small, so 16 values an axis tell more of it
    index.cp.min_points_per_centroid, index.cp.niter = _ROWS_A_LIST, _KMEANS_ROUNDS
    index.train(np.resize(sample, (max(len(sample), 2**_BITS), size)))
    return index


def _trained_bytes(sample: Floats) -> Any:
    """Return an empty store of vectors; a number is a byte, from the least to the largest of its axis in the sample."""
    import faiss

    index = faiss.IndexScalarQuantizer(sample.shape[1], faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    index.train(sample)
    return index


def _probed(index: Any, asked: Floats, count: int, probed: int) -> tuple[Integers, Floats]:
    """Search; queries whose lists hold too few vectors look into all lists."""
    similarities, places = index.search(asked, count, params=_looking_into(index, probed))
    short = np.flatnonzero((places[:, -1] < 0) & asked.any(axis=1))
    if len(short):
        similarities[short], places[short] = index.search(
            asked[short], count, params=_looking_into(index, index.ntotal)
        )
    lost = np.flatnonzero(places[:, -1] < 0)
    if len(lost):  # zeros, to which all codes are alike: any vectors are as near as others
        near = asked[lost] @ index.reconstruct_n(0, count).T
        places[lost] = np.argsort(-near, axis=1, kind="stable")
        similarities[lost] = -np.sort(-near, axis=1)
    return places, similarities


def _looking_into(index: Any, lists: int) -> Any:
    import faiss

    made: Any = faiss  # its stubs lack the arguments of parameters
    inner = made.SearchParametersIVF(nprobe=min(lists, faiss.extract_index_ivf(index).nlist))  # more find nonsense
    if isinstance(index, faiss.IndexRefine):
        projected = made.SearchParametersPreTransform(index_params=inner)
        return made.IndexRefineSearchParameters(k_factor=_CANDIDATES, base_index_params=projected)
    refined = made.IndexRefineSearchParameters(k_factor=_CANDIDATES, base_index_params=inner)
    return made.SearchParametersPreTransform(index_params=refined)


def _without_own(places: Integers, similarities: Floats, start: int) -> tuple[Integers, Floats]:
    """Drop each row's own place; among more equals than were asked for it may be absent, then the last one goes."""
    is_own = places == np.arange(start, start + len(places))[:, None]
    order = np.argsort(is_own, axis=1, kind="stable")[:, :-1]
    return np.take_along_axis(places, order, axis=1), np.take_along_axis(similarities, order, axis=1)
