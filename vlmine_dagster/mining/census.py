"""What labels and names say about the sizes of classes, before any image is looked at."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.class_sizes import (
    expected_counts,
    few_shot_probability,
    unseen_class_count,
    unseen_share,
)

RARE_SEED_COUNT = 8
"""Classes with more labels in the seed are not searched for, where nothing is predicted."""

LEAST_CHANCE = 0.02
"""Of being few-shot, above which a class whose size is predicted is searched for. One without a label always is."""

_UNSEEN_WEIGHT = 0.3  # labels that a class counts for, of those that may be there without any

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Census:
    """What is known about C classes, announced ones without a label among them.

    Attributes:
        known: Shape (C,), labels.
        by_chance: Shape (C,), labels that chance put into the seed, or would have put there if it is not a random draw.
        fraction: Share of all images that chance put there.
        is_named: Shape (C,), whether a class can be told by its name.
        is_announced: Whether the project names its classes, so that there are no others.
        few_under: A class is few-shot with fewer images than this.
        is_drawn: Whether the labels tell the sizes of classes, as those of a random draw do.
        predicted_sizes: Shape (C,), images of each class by models; NaN where they know none. None: nothing is
            predicted.
        unexplained_count: Images of the pool, at least, that no class with labels explains.
    """

    known: npt.NDArray[np.int64]
    by_chance: npt.NDArray[np.int64]
    fraction: float
    is_named: npt.NDArray[np.bool_]
    is_announced: bool
    few_under: int
    is_drawn: bool = True
    predicted_sizes: Floats | None = None
    unexplained_count: float = 0.0

    @cached_property
    def share_there(self) -> float:
        """Share of the announced classes without a label that the pool may hold."""
        return unseen_share(self.by_chance, int((self.known == 0).sum()), seed_fraction=self.fraction)

    @cached_property
    def name_weights(self) -> Floats:
        """Sizes that classes are thought to have among named ones, shape (C,)."""
        sizes = self.known if self.is_drawn else np.maximum(self.by_chance, _UNSEEN_WEIGHT)
        return np.asarray(np.where(self.known > 0, sizes, _UNSEEN_WEIGHT * self.share_there) * self.is_named)

    @cached_property
    def few_shot(self) -> Floats:
        """Probability that a class is there and few-shot, shape (C,); 0 where it has neither a label nor a name."""
        few = few_shot_probability(
            self.by_chance,
            seed_fraction=self.fraction,
            few_under=self.few_under,
            known_counts=self.known,
            predicted_sizes=self.predicted_sizes,
        )
        return few * np.where(self.known > 0, 1.0, self.is_named * self.share_there)

    @cached_property
    def nameless_count(self) -> float:
        """Classes of the pool that may be expected to have neither a label nor a name."""
        if self.is_announced:
            return self.share_there * int(((self.known == 0) & ~self.is_named).sum())
        found = int(((self.known > 0) & (self.by_chance == 0)).sum())
        return max(unseen_class_count(self.by_chance, seed_fraction=self.fraction) - found, 0.0)

    @cached_property
    def listed(self) -> npt.NDArray[np.int64]:
        """Numbers of the K classes that are searched for, by a list of images each."""
        if self.predicted_sizes is not None:
            return np.flatnonzero(self.few_shot > np.where(self.known > 0, LEAST_CHANCE, 0))
        return np.flatnonzero((self.by_chance <= RARE_SEED_COUNT) & (self.few_shot > 0))

    @property
    def list_terms(self) -> tuple[Floats, Floats]:
        """What `class_rank_rarity` asks of the lists: how likely few-shot, and how many images.

        Shape (K,) each, or (K + 1,) with that of the nameless as the last, where there may be any.
        """
        few = self.few_shot[self.listed]
        counts = expected_counts(self.by_chance, seed_fraction=self.fraction, known_counts=self.known)[self.listed]
        if not self.nameless_count:
            return few, counts
        one_few = few_shot_probability([0], seed_fraction=self.fraction, few_under=self.few_under)
        one_count = expected_counts([0], seed_fraction=self.fraction)
        return np.append(few, one_few), np.append(
            counts, np.maximum(self.nameless_count * one_count, self.unexplained_count)
        )
