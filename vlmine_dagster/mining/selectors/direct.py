"""DIRECT: find the best threshold of each class against the others, and label around it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.selectors.linear_graphs import known_signs, margin_order, threshold_gains
from vlmine_dagster.mining.selectors.state import Ask, Places, PoolState

FEWEST_PER_CLASS = 10
"""Labels that the search for one threshold gets, if the budget is too small for all classes."""


def direct(state: PoolState, count: int, ask: Ask, *, fewest_per_class: int = FEWEST_PER_CLASS) -> Places:
    """Pick images around the threshold that separates each class best from all others.

    For each class k the images are a line, sorted by `margin_order`, and a threshold s says "class k" before place s.
    The best threshold gets most labels right: it maximizes #(k before s) - #(others before s) + #(others after s) -
    #(k after s). Half of the budget narrows down where it is, for the classes with the fewest labels first; with the
    rest each class labels the unlabelled images nearest to its best threshold, above and below in turn. A threshold by
    majority is what makes it robust to wrong labels.

    Args:
        state: The pool. Equal margins keep the order of their places; of equally good thresholds the first counts.
        count: Images to pick; all that are unlabelled where there are fewer.
        ask: Labels an image, one at a time.
        fewest_per_class: Labels of one search; with less than that for each class, fewer classes are searched.

    Returns:
        Places in the order in which they were picked.

    References:
        Nuggehalli, Zhang, Jain and Nowak 2023, arXiv 2312.09196, algorithms 1 and 2.
    """
    budget = min(count, len(state.unlabelled))
    lines = _Lines(state, ask)
    each, classes = budget // (2 * state.class_count), state.class_count
    if each < fewest_per_class:
        classes = min(state.class_count, budget // (2 * fewest_per_class))
        each = fewest_per_class if classes else 0
    draw = state.generator()
    rarest = np.argsort(state.label_counts, kind="stable")[:classes]
    for number in rarest.tolist():
        lines.search(number, each, draw)
    left = budget - len(lines.picks)
    for turn, number in enumerate(draw.permutation(state.class_count).tolist()):
        lines.label_around(number, left * (turn + 1) // state.class_count - left * turn // state.class_count)
    return np.array(lines.picks, dtype=np.int64)


@dataclass
class _Lines:
    """The lines of all classes, whose labels grow."""

    state: PoolState
    ask: Ask

    def __post_init__(self) -> None:
        self.labels = self.state.labels.copy()
        self.picks: list[int] = []

    def search(self, number: int, budget: int, draw: np.random.Generator) -> None:
        """Label images of the region in which the best threshold must be, and shrink that region.

        At first it reaches from the last image of the unbroken run of positives at the top to the first image of the
        unbroken run of negatives at the bottom. With b labels left it is to shrink by the b-th root of its unlabelled
        images with each label, so that nothing is left at the end; the end whose threshold gets less right moves.
        """
        order = margin_order(self.state.probabilities, number)
        signs = known_signs(self.labels, order, number)
        first, last = _region(signs)
        for left in range(budget, 0, -1):
            inside = first + np.flatnonzero(signs[first : last + 1] == 0)
            if not len(inside):
                return
            chosen = int(draw.choice(inside))
            self._label(int(order[chosen]))
            signs[chosen] = 1 if self.labels[order[chosen]] == number else -1
            gains = threshold_gains(signs)
            size = len(inside) - 1
            wanted = int(np.ceil(size / size ** (1 / left))) if size else 0
            while size > wanted:
                is_top = gains[first] < gains[last] or (gains[first] == gains[last] and draw.integers(2) == 0)
                size -= int(signs[first if is_top else last] == 0)
                first, last = (first + 1, last) if is_top else (first, last - 1)

    def label_around(self, number: int, budget: int) -> None:
        """Label the unlabelled images nearest to the best threshold, above and below in turn."""
        order = margin_order(self.state.probabilities, number)
        signs = known_signs(self.labels, order, number)
        threshold = int(threshold_gains(signs).argmax())
        unknown = np.flatnonzero(signs == 0)
        below = np.searchsorted(unknown, threshold)
        sides = [unknown[:below][::-1].tolist(), unknown[below:].tolist()]
        for turn in range(budget):
            side = sides[turn % 2] or sides[1 - turn % 2]
            if side:
                self._label(int(order[side.pop(0)]))

    def _label(self, place: int) -> None:
        self.labels[place] = self.ask(place)
        self.picks.append(place)


def _region(signs: npt.NDArray[np.int8]) -> tuple[int, int]:
    """Return the first and last place of the region in which the best threshold must be.

    Examples:
        >>> _region(np.array([1, 0, 1, 0, -1, 1, 0, -1, 0]))
        (2, 7)
    """
    known = np.flatnonzero(signs)
    negative, positive = known[signs[known] < 0], known[signs[known] > 0]
    top = known[: np.searchsorted(known, negative[0])] if len(negative) else known
    bottom = known[np.searchsorted(known, positive[-1], side="right") :] if len(positive) else known
    return (int(top[-1]) if len(top) else 0), (int(bottom[0]) if len(bottom) else len(signs) - 1)
