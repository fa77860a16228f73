"""From ranked objects to what is handed out: one row per image, and budgets that count images or boxes to draw."""

from typing import Literal

import numpy as np
import numpy.typing as npt

Counted = Literal["images", "objects", "boxes"]


def first_of_each(parents: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the places of the first object of each image, in the order of the list.

    Args:
        parents: The image of each of N objects, best first.

    Examples:
        >>> first_of_each(["b", "a", "b", "c"])
        array([0, 1, 3])
    """
    places: npt.NDArray[np.int64] = np.sort(np.unique(np.asarray(parents), return_index=True)[1])
    return places


def count_within(parents: npt.ArrayLike, box_counts: npt.ArrayLike, *, budget: int, counted: Counted) -> int:
    """Return how many objects from the first on a budget reaches.

    Whoever labels an object has its whole image before them: an image costs one, or all its boxes, when its first
    object comes, and nothing more afterwards. The list ends before the first object that would exceed the budget, so
    that a smaller budget always selects a prefix of what a larger one does.

    Args:
        parents: The image of each of N objects, best first.
        box_counts: Boxes in that image, shape (N,).
        budget: Images, objects or boxes that may be spent.
        counted: Which of these.

    Examples:
        >>> places = ["a", "b", "a", "c"]
        >>> [count_within(places, [3, 40, 3, 1], budget=4, counted=unit) for unit in ("images", "objects", "boxes")]
        [4, 4, 1]
    """
    costs = np.ones(len(np.asarray(parents)), np.int64)
    if counted != "objects":
        is_first = np.zeros(len(costs), bool)
        is_first[first_of_each(parents)] = True
        costs = np.where(is_first, np.asarray(box_counts, np.int64) if counted == "boxes" else 1, 0)
    return int(np.searchsorted(np.cumsum(costs), budget, side="right"))
