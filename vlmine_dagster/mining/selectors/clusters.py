"""Selectors that start from clusters of the features: TypiClust, ALOE, and plain cluster-wise sampling."""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.selectors.state import Places, PoolState, Singles

MOST_CLUSTERS = 500
_FEWEST_IN_CLUSTER = 5
_NEIGHBOURS = 20
_ROUNDS = 10


def clusters_of(features: Singles, count: int, *, random_seed: int = 0) -> Places:
    """Return the cluster of each image, by k-means over the features.

    Args:
        features: Shape (N, D).
        count: Clusters; N where there are more.
        random_seed: Of the first centres.

    Returns:
        Shape (N,), in [0, count).

    References:
        Lloyd 1982, by faiss (Douze et al. 2024, arXiv 2401.08281).
    """
    import faiss

    given = np.ascontiguousarray(features, dtype=np.float32)
    if count >= len(given) or not count:
        return np.arange(len(given))
    found = faiss.Kmeans(given.shape[1], count, niter=_ROUNDS, seed=random_seed, min_points_per_centroid=1)
    found.train(given)
    return np.asarray(found.index.search(given, 1)[1][:, 0], dtype=np.int64)


def typicality(features: Singles, *, neighbours: int = _NEIGHBOURS) -> npt.NDArray[np.float64]:
    """Return the inverse of the mean distance of each image to its nearest neighbours among the others.

    Args:
        features: Shape (N, D).
        neighbours: K; N - 1 where there are fewer others.

    Returns:
        Shape (N,), above 0, higher is more typical; infinite where all K are copies, and for an image that is alone.

    Examples:
        >>> typicality(np.array([[0.0], [1.0], [3.0]]), neighbours=2)
        array([0.5       , 0.66666667, 0.4       ])
    """
    from scipy.spatial.distance import cdist

    count = min(neighbours, len(features) - 1)
    if count < 1:
        return np.full(len(features), np.inf)
    distances = np.sort(cdist(features, features), axis=1)[:, 1 : count + 1]
    with np.errstate(divide="ignore"):
        return np.asarray(1 / distances.mean(axis=1))


def typiclust(state: PoolState, count: int) -> Places:
    """Pick the most typical image of each of the largest clusters that have no label.

    The pool is cut into min(labels + count, 500) clusters by k-means. Each turn the cluster with the fewest labels, and
    of these the largest, gives its most typical unlabelled image (`typicality` within the cluster, 20 neighbours),
    which then counts as labelled. Clusters of fewer than 5 images give none until nothing else is left.

    Args:
        state: The pool; the model's answers are not used. Of equally typical images the lower place is taken.
        count: Images to pick; all that are unlabelled where there are fewer.

    Returns:
        Places in the order in which they were picked.

    References:
        Hacohen, Dekel and Weinshall 2022, arXiv 2202.02794.
    """
    wanted = min(len(state.labelled) + count, MOST_CLUSTERS)
    cluster = clusters_of(state.features, wanted, random_seed=state.random_seed)
    sizes = np.bincount(cluster)
    labelled = np.bincount(cluster[state.labelled], minlength=len(sizes))
    queues = {
        number: _by_typicality(state, np.flatnonzero(cluster == number)) for number in np.flatnonzero(sizes).tolist()
    }
    picks: list[int] = []
    while len(picks) < min(count, len(state.unlabelled)):
        open_ones = [number for number, queue in queues.items() if queue]
        number = min(open_ones, key=lambda k: (sizes[k] < _FEWEST_IN_CLUSTER, labelled[k], -sizes[k], k))
        picks.append(queues[number].pop(0))
        labelled[number] += 1
    return np.array(picks, dtype=np.int64)


def _by_typicality(state: PoolState, members: Places) -> list[int]:
    """Return the unlabelled images of a cluster, the most typical first."""
    order = members[np.argsort(-typicality(state.features[members]), kind="stable")]
    return [place for place in order.tolist() if state.labels[place] < 0]


def gradient_norm(probabilities: npt.ArrayLike, features: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the L1 norm of the gradient that equal probabilities of all classes would cause in the last layer.

    GradNorm_i = |x_i|_1 sum_c |p_ic - 1 / C|: large where the model is sure and the features are large, as they are for
    images of classes that it knows.

    Args:
        probabilities: Shape (N, C).
        features: Shape (N, D).

    Returns:
        Shape (N,), lower is more likely of a class that the model does not know.

    Examples:
        >>> gradient_norm([[0.5, 0.5], [1.0, 0.0]], [[1.0, -3.0], [1.0, 0.0]])
        array([0., 1.])

    References:
        Huang, Geng and Li 2021, arXiv 2110.00218.
    """
    given, values = np.asarray(probabilities, dtype=np.float64), np.asarray(features, dtype=np.float64)
    return np.asarray(np.abs(values).sum(axis=1) * np.abs(given - 1 / given.shape[1]).sum(axis=1))


def aloe(state: PoolState, count: int) -> Places:
    """Pick from each cluster the image that is most likely of an unknown class.

    The unlabelled images are cut into as many clusters as images are wanted (at most 500; then each gives several in
    turn), by k-means over the features; each gives the image with the lowest `gradient_norm`.

    Args:
        state: The pool. Of equal images the lower place is taken.
        count: Images to pick; all that are unlabelled where there are fewer.

    Returns:
        Places, the largest clusters first.

    References:
        Xie et al. 2024, arXiv 2411.06353, whose abstract tells the two stages; that there are as many clusters as picks
        is our choice.
    """
    norms = gradient_norm(state.probabilities[state.unlabelled], state.features[state.unlabelled])
    return _one_of_each(state, count, norms)


def cluster_wise(state: PoolState, count: int) -> Places:
    """Pick a random image of each of as many clusters as images are wanted (at most 500; then several in turn).

    Args:
        state: The pool; the model's answers are not used.
        count: Images to pick; all that are unlabelled where there are fewer.

    Returns:
        Places, the largest clusters first.
    """
    return _one_of_each(state, count, state.generator().random(len(state.unlabelled)))


def _one_of_each(state: PoolState, count: int, score: npt.NDArray[np.float64]) -> Places:
    """Return the lowest score of each cluster of the unlabelled images, then the second lowest, the largest first."""
    places = state.unlabelled
    cluster = clusters_of(state.features[places], min(count, MOST_CLUSTERS), random_seed=state.random_seed)
    sizes = np.bincount(cluster)
    order = np.lexsort((places, score))
    turn = np.empty(len(places), dtype=np.int64)
    for number in np.flatnonzero(sizes).tolist():
        members = order[cluster[order] == number]
        turn[members] = np.arange(len(members))
    return places[np.lexsort((cluster, -sizes[cluster], turn))][:count]
