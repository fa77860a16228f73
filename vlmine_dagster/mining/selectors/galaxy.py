"""GALAXY: bisection on one linear graph per class."""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.selectors.linear_graphs import known_signs, margin_order
from vlmine_dagster.mining.selectors.state import Ask, Places, PoolState


def galaxy(state: PoolState, count: int, ask: Ask) -> Places:
    """Pick images by bisecting the shortest path between oppositely labelled images.

    For each class k the images are a line, sorted by `margin_order`. Each turn draws a class at random. On its line it
    takes the shortest run of unlabelled images between an image labelled k and one labelled otherwise, and asks about
    the middle one (of an even run the first of the two). Where all such pairs are neighbours by now, it asks about the
    unlabelled image nearest to any of these cuts. A line with labels of one kind only gives a random image. Labels come
    back after each image; the model stays that of the round.

    Args:
        state: The pool. Equal margins keep the order of their places, so copies are neighbours on every line.
        count: Images to pick; all that are unlabelled where there are fewer.
        ask: Labels an image.

    Returns:
        Places in the order in which they were picked.

    References:
        Zhang, Katz-Samuels and Nowak 2022, arXiv 2202.01402. Their order of ties between equally short runs is not
        given; here the one nearer to the top of the list is taken.
    """
    labels, draw = state.labels.copy(), state.generator()
    lines: dict[int, tuple[Places, npt.NDArray[np.int8]]] = {}
    picks: list[int] = []
    for _ in range(min(count, len(state.unlabelled))):
        number = int(draw.integers(state.class_count))
        if number not in lines:
            order = margin_order(state.probabilities, number)
            lines[number] = order, known_signs(labels, order, number)
        order, signs = lines[number]
        signs = known_signs(labels, order, number)
        place = next_on_line(signs)
        picked = int(draw.choice(np.flatnonzero(labels < 0)) if place is None else order[place])
        labels[picked] = ask(picked)
        picks.append(picked)
    return np.array(picks, dtype=np.int64)


def next_on_line(signs: npt.ArrayLike) -> int | None:
    """Return the place that GALAXY asks about next on one line, None where no pair of opposite labels is on it.

    Args:
        signs: Shape (N,): 1 labelled as the class, -1 as another, 0 unlabelled; at least one is unlabelled.

    Examples:
        >>> next_on_line([1, 0, 0, 0, -1, 0, 1])  # the run of one at place 5 is shorter than that of three
        5
        >>> next_on_line([0, 0, 1, -1, -1, 0])  # opposite neighbours at 2 and 3: the nearest unlabelled one
        1
        >>> next_on_line([0, -1, 0]) is None
        True
    """
    given = np.asarray(signs)
    known = np.flatnonzero(given)
    is_pair = given[known[:-1]] != given[known[1:]]
    if not is_pair.any():
        return None
    left, right = known[:-1][is_pair], known[1:][is_pair]
    runs = right - left - 1
    if runs.any():
        shortest = np.where(runs > 0, runs, len(given)).argmin()
        return int(left[shortest] + 1 + (runs[shortest] - 1) // 2)
    unknown = np.flatnonzero(given == 0)
    after = np.searchsorted(unknown, left)
    above = np.where(after > 0, left - unknown[np.maximum(after - 1, 0)], len(given))
    below = np.where(after < len(unknown), unknown[np.minimum(after, len(unknown) - 1)] - right, len(given))
    if above.min() <= below.min():
        return int(unknown[after[above.argmin()] - 1])
    return int(unknown[after[below.argmin()]])
