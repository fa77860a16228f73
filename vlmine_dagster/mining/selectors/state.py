"""What a selector may look at: features, labels that are known by now, and a model's answers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError

UNLABELLED = -1

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

Ask: TypeAlias = Callable[[int], int]
"""Returns the class number of an image by its place. Only methods that label one image at a time call it, and only for
images that they pick."""


@dataclass(frozen=True, eq=False)
class PoolState:
    """A pool of N images between two rounds of labelling.

    Attributes:
        features: Shape (N, D), float32.
        labels: Shape (N,), int64, class numbers in [0, C); `UNLABELLED` where the class is unknown.
        probabilities: Shape (N, C), by the model that was trained on the labels; rows sum to 1.
        random_seed: Of all that a selector draws.

    Raises:
        ContractError: shapes differ.
    """

    features: Singles
    labels: Places
    probabilities: Floats
    random_seed: int = 0

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.labels) == len(self.probabilities):
            raise ContractError(
                f"PoolState: {len(self.features)} features, {len(self.labels)} labels and {len(self.probabilities)} "
                f"rows of probabilities, expected as many of each."
            )

    @property
    def class_count(self) -> int:
        """C."""
        return int(self.probabilities.shape[1])

    @cached_property
    def labelled(self) -> Places:
        """Places of the labelled images, rising."""
        return np.flatnonzero(self.labels != UNLABELLED)

    @cached_property
    def unlabelled(self) -> Places:
        """Places of the others, rising."""
        return np.flatnonzero(self.labels == UNLABELLED)

    @cached_property
    def label_counts(self) -> Places:
        """Labels by class, shape (C,)."""
        return np.bincount(self.labels[self.labelled], minlength=self.class_count)

    def generator(self) -> np.random.Generator:
        """Return a generator of random numbers, the same for the same state."""
        return np.random.default_rng([self.random_seed, len(self.labelled)])


def highest(scores: npt.ArrayLike, places: Places, count: int) -> Places:
    """Return the places with the highest scores, in order; of equal scores the lower place first.

    Examples:
        >>> highest([0.1, 0.9, 0.9], np.array([4, 7, 5]), 2)
        array([5, 7])
    """
    return places[np.lexsort((places, -np.asarray(scores, dtype=np.float64)))][:count]
