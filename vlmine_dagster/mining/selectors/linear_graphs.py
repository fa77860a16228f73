"""One list per class, from its likeliest image to its least likely: where GALAXY and DIRECT ask."""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.selectors.state import Floats, Places


def margin_order(probabilities: npt.ArrayLike, number: int) -> Places:
    """Return images by how far a class leads, or how little it trails, the likeliest class.

    The margin is p_ik - max_c p_ic: 0 where class k leads. Leaders come by falling p_ik, then the lower place.

    Args:
        probabilities: Shape (N, C).
        number: k.

    Returns:
        Shape (N,), places.

    Examples:
        >>> margin_order([[0.1, 0.9], [0.8, 0.2], [0.45, 0.55], [0.6, 0.4]], 0)
        array([1, 3, 2, 0])
    """
    given = np.asarray(probabilities, dtype=np.float64)
    own = given[:, number]
    return np.lexsort((-own, -(own - given.max(axis=1))))


def known_signs(labels: Places, order: Places, number: int) -> npt.NDArray[np.int8]:
    """Return for each image of a list 1 if it is labelled as class k, -1 as another class, 0 if it has no label."""
    sorted_labels = labels[order]
    return np.where(sorted_labels < 0, 0, np.where(sorted_labels == number, 1, -1)).astype(np.int8)


def threshold_gains(signs: npt.ArrayLike) -> Floats:
    """Return for each threshold s what a cut before place s gets right: sum of signs before it minus the sum after.

    Examples:
        >>> threshold_gains([1, 0, -1, -1])
        array([ 1.,  3.,  3.,  1., -1.])
    """
    given = np.asarray(signs, dtype=np.float64)
    before = np.concatenate([[0.0], np.cumsum(given)])
    return np.asarray(2 * before - before[-1])
