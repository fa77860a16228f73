"""Class balance: whichever class has the fewest labels asks next."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.selectors.state import Ask, Floats, Places, PoolState, Singles

SURE_BELOW = 10
"""Labels below which a class asks about its likeliest images instead of the most doubtful ones."""
MISS_WEIGHT = 0.25
"""What an image that turns out to be of another class counts towards the level of the class that asked."""


def class_balance(state: PoolState, count: int, ask: Ask, *, shares: Singles | None = None) -> Places:
    """Pick images so that all classes come to have as many labels.

    Each turn the class with the lowest level asks. Its level is its number of labels, plus 0.25 for each image that it
    asked about and that was of another class, so that a class that cannot be found does not take the whole budget. With
    fewer than 10 labels per class asks about its likeliest image: labels of its own are what it needs most. With 10 or
    more it asks about the image nearest to its boundary, where p_k and the largest other probability differ least.
    Labels come back after each image; the model stays that of the round. A class without any label asks once one of its
    images has been found.

    Where classes go by names that a tagger knows, a named class asks from the start, and while it has fewer than 10
    labels the likeliest image is the one that goes most by its name.

    Args:
        state: The pool. Of equal images the lower place is taken, of equally low classes the lower number.
        count: Images to pick; all that are unlabelled where there are fewer.
        ask: Labels an image.
        shares: Shape (N, C), from `mining.class_names.name_shares`; a column of zeros is a class without a name.

    Returns:
        Places in the order in which they were picked.

    References:
        Ours. That each class searches its own sorted list is from GALAXY and DIRECT, arXiv 2202.01402 and 2312.09196.
    """
    of_name = np.zeros_like(state.probabilities) if shares is None else shares
    is_named = np.asarray((of_name > 0).any(axis=0))
    likely = np.where(is_named, of_name, state.probabilities)
    lists = _Lists(state.unlabelled, state.probabilities[state.unlabelled], likely[state.unlabelled])
    counts = state.label_counts.astype(np.float64)
    level = np.where((counts > 0) | is_named, counts, np.inf)
    picks: list[int] = []
    while len(picks) < min(count, len(state.unlabelled)):
        if np.isinf(level).all():
            picks.extend(lists.left()[: count - len(picks)])
            break
        number = int(level.argmin())
        picked = lists.take(number, is_sure=counts[number] < SURE_BELOW)
        if picked is None:
            level[number] = np.inf
            continue
        answer = ask(picked)
        picks.append(picked)
        level[answer] = (level[answer] if counts[answer] or is_named[answer] else 0.0) + 1
        counts[answer] += 1
        if answer != number:
            level[number] += MISS_WEIGHT
    return np.array(picks, dtype=np.int64)


@dataclass(eq=False)
class _Lists:
    """The unlabelled images in the order in which each class asks about them; none is given twice.

    Attributes:
        places: U places.
        probabilities: Shape (U, C), which tell the boundaries.
        likely: Shape (U, C), which tell the likeliest images.
    """

    places: Places
    probabilities: Floats
    likely: npt.NDArray[np.floating]
    _orders: dict[tuple[int, bool], list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._is_left = np.ones(len(self.places), dtype=bool)
        self._largest_two = -np.partition(-self.probabilities, 1, axis=1)[:, :2]

    def take(self, number: int, *, is_sure: bool) -> int | None:
        """Return the next image of a class: its likeliest, or that nearest to its boundary."""
        order = self._orders.get((number, is_sure))
        if order is None:
            order = self._orders[number, is_sure] = self._order(number, is_sure=is_sure)
        while order:
            row = order.pop()
            if self._is_left[row]:
                self._is_left[row] = False
                return int(self.places[row])
        return None

    def left(self) -> list[int]:
        """Return the places that no class was given."""
        return [int(place) for place in self.places[self._is_left]]

    def _order(self, number: int, *, is_sure: bool) -> list[int]:
        """Return rows, the next one last."""
        own = self.probabilities[:, number]
        first, second = self._largest_two[:, 0], self._largest_two[:, 1]
        doubt = -self.likely[:, number] if is_sure else np.abs(own - np.where(own >= first, second, first))
        return [int(row) for row in np.argsort(doubt, kind="stable")[::-1]]
