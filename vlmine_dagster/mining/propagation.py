"""Labels that spread over the graph of nearest neighbours: class posteriors that need neither names nor clouds."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.isolation import NeighbourLists

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_KEPT = np.float32(0.9)
_STEPS = 20
_LEAST = np.float32(1e-7)

Singles = npt.NDArray[np.float32]


def neighbour_graph(lists: NeighbourLists, *, neighbours: int = 10) -> "csr_array":
    """Return the normalized graph of N images: D^-1/2 W D^-1/2 with W_ij = max(cos_ij, 0) between neighbours.

    Images are neighbours if either is among the nearest of the other; D holds the row sums of W.

    Args:
        lists: Their nearest neighbours.
        neighbours: Nearest ones that count; all where there are fewer.

    Returns:
        Shape (N, N), float32, symmetric, sparse: at most 2 N neighbours numbers, 8 bytes each.

    Examples:
        >>> lists = NeighbourLists(np.array([[1], [0], [1]], np.int32), np.array([[1.0], [1.0], [0.5]], np.float32))
        >>> neighbour_graph(lists).toarray().astype(float).round(2)
        array([[0.  , 0.82, 0.  ],
               [0.82, 0.  , 0.58],
               [0.  , 0.58, 0.  ]])
    """
    from scipy.sparse import csr_array

    size, kept = len(lists), min(neighbours, lists.places.shape[1])
    weights = np.maximum(lists.cosines[:, :kept], 0)
    ends = np.arange(size + 1, dtype=np.int32 if size * kept < 2**31 else np.int64) * kept
    one_way = csr_array((weights.ravel(), lists.places[:, :kept].ravel(), ends), shape=(size, size))
    both = csr_array(one_way.maximum(one_way.T.tocsr()))
    sums = np.maximum(np.asarray(both.sum(axis=1), dtype=np.float32), _LEAST)
    scale = 1 / np.sqrt(sums)
    both.data *= scale[both.indices]
    both.data *= np.repeat(scale, np.diff(both.indptr))
    return both


def spread(graph: "csr_array", start: npt.NDArray[Any]) -> Singles:
    """Return how much of a label reaches each image: F <- 0.9 S F + 0.1 Y, 20 times from F = Y.

    Linear in Y, so that classes can be spread one after the other, and all of them together give the row sums.

    Args:
        graph: S, shape (N, N), from `neighbour_graph`.
        start: Y, shape (N,), 1 where an image has the label, else 0.

    Returns:
        Shape (N,), float32, >= 0.

    Examples:
        >>> from scipy.sparse import csr_array
        >>> pair = csr_array(np.array([[0, 1], [1, 0]], dtype=np.float32))
        >>> spread(pair, np.array([1, 0])).astype(float).round(2)
        array([0.58, 0.42])

    References:
        Zhou et al. 2004, Learning with local and global consistency; their closed form is the limit of these steps.
    """
    given = np.asarray(start, dtype=np.float32)
    found = given.copy()
    for _ in range(_STEPS):
        found = _KEPT * (graph @ found) + (1 - _KEPT) * given
    return np.asarray(found, dtype=np.float32)


def log_share(of_class: Singles, of_all: Singles, *, class_count: int) -> Singles:
    """Return the logarithm of the class's share of what reaches each image; 1e-7 of every class reaches all of them.

    Args:
        of_class: Shape (N,), `spread` of the class's labels.
        of_all: Shape (N,), `spread` of all labels.
        class_count: Classes that have labels.

    Examples:
        >>> log_share(np.float32([0.3, 0.0]), np.float32([0.6, 0.0]), class_count=4).astype(float).round(3)
        array([-0.693, -1.386])
    """
    return np.asarray(np.log((of_class + _LEAST) / (of_all + class_count * _LEAST)), dtype=np.float32)
