"""Fronts under three signals or more: a k-d tree that knows the last front seen in each of its boxes.

Imported where it is needed: numba compiles it at its first call, which takes three seconds.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

_LEAF_SIZE = 16

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Tree(NamedTuple):
    """A complete binary tree of boxes around points; node n has the children 2n + 1 and 2n + 2.

    Leaves are at the end; each holds as many points, in the order of `points`, some of them twice to fill it.

    Attributes:
        points: Shape (P, D).
        highest: Shape (nodes, D), the corner of each box that is highest in all coordinates.
        lowest: Shape (nodes, D), the lowest corner around the points that were entered, infinite before.
        fronts: Shape (P,), the front of each point, 0 until it is entered.
        last_fronts: Shape (nodes,), the largest front in each box.
    """

    points: Floats
    highest: Floats
    lowest: Floats
    fronts: Integers
    last_fronts: Integers


def tree_fronts(points: Floats) -> Integers:
    """Return the front of each point, 1 for those that no point dominates.

    Points come in lexicographic order, so that whoever dominates a point came before it, and its front is one behind
    the last front of these. Of that front the first coordinate says nothing more: it is asked for in a k-d tree of the
    others, where boxes are passed over that hold no later front than one already found or no point low enough.

    Time is about O(N log N) for three signals and grows with their number, however many fronts there are.

    Args:
        points: Shape (N, M), finite, M at least 2, lower is better.

    Returns:
        Shape (N,), int64.

    Examples:
        >>> tree_fronts(np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 1], [1, 1, 1], [2, 2, 2]]))
        array([1, 1, 2, 2, 3])

    References:
        The order in which points are entered is that of ENS (Zhang et al. 2015); trees for it, one a front, are those
        of ENS-NDT (Gustavsson & Syberfeldt 2018). One tree for all fronts, searched for the largest, is our own.
    """
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    fronts = np.empty(len(points), np.int64)
    fronts[order] = _fronts_in_order(ordered, *_grown(ordered[:, 1:]))
    return fronts


def _grown(points: Floats) -> tuple[Tree, Integers]:
    """Return the tree of points, and the place of each in it."""
    depth = max(0, int(np.ceil(np.log2(len(points) / _LEAF_SIZE))))
    order = np.resize(np.arange(len(points)), -(-len(points) // 2**depth) * 2**depth)
    corners = []
    for level in range(depth + 1):
        order = order.reshape(2**level, -1)
        boxes = points[order]
        corners.append(boxes.max(axis=1))
        if level < depth:
            widest = (corners[-1] - boxes.min(axis=1)).argmax(axis=1)
            along = np.take_along_axis(boxes, widest[:, None, None], axis=2)[:, :, 0]
            halves = np.argpartition(along, order.shape[1] // 2, axis=1)
            order = np.take_along_axis(order, halves, axis=1)
    places = np.empty(len(points), np.int64)
    places[order.reshape(-1)] = np.arange(order.size)
    highest = np.vstack(corners)
    lowest, last_fronts = np.full_like(highest, np.inf), np.zeros(len(highest), np.int64)
    return Tree(points[order.reshape(-1)], highest, lowest, np.zeros(order.size, np.int64), last_fronts), places


@njit()
def _fronts_in_order(points: Floats, tree: Tree, places: Integers) -> Integers:
    fronts = np.empty(len(points), np.int64)
    for number in range(len(points)):
        if number and not _is_above(points[number], points[number - 1]):
            fronts[number] = fronts[number - 1]  # equal, since it is not before the last one either
        else:
            fronts[number] = _last_front_below(tree, points[number, 1:]) + 1
            _enter(tree, places[number], fronts[number])
    return fronts


@njit()
def _last_front_below(tree: Tree, point: Floats) -> int:
    """Return the largest front among entered points that are nowhere above a point, 0 if there are none."""
    leaves = (len(tree.highest) + 1) // 2
    size = len(tree.points) // leaves
    found, waiting, count = 0, np.zeros(64, np.int64), 1
    while count:
        count -= 1
        node = waiting[count]
        if tree.last_fronts[node] <= found or _is_above(tree.lowest[node], point):
            continue
        if not _is_above(tree.highest[node], point):
            found = tree.last_fronts[node]
        elif node < leaves - 1:
            left, right = 2 * node + 1, 2 * node + 2
            is_left_later = tree.last_fronts[left] > tree.last_fronts[right]
            waiting[count], waiting[count + 1] = (right, left) if is_left_later else (left, right)
            count += 2
        else:
            first = (node - leaves + 1) * size
            for place in range(first, first + size):
                if tree.fronts[place] > found and not _is_above(tree.points[place], point):
                    found = tree.fronts[place]
    return found


@njit()
def _is_above(corner: Floats, point: Floats) -> bool:
    """Whether a corner is above a point in any coordinate."""
    for j in range(len(point)):  # noqa: SIM110 - numba knows no generators
        if corner[j] > point[j]:
            return True
    return False


@njit()
def _enter(tree: Tree, place: int, front: int) -> None:
    """Tell a point's front to it and to the boxes around it."""
    tree.fronts[place] = front
    leaves = (len(tree.highest) + 1) // 2
    node = leaves - 1 + place // (len(tree.points) // leaves)
    while node >= 0:
        tree.last_fronts[node] = max(tree.last_fronts[node], front)
        for j in range(tree.points.shape[1]):
            tree.lowest[node, j] = min(tree.lowest[node, j], tree.points[place, j])
        node = (node + 1) // 2 - 1
