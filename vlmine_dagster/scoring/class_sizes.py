"""How large classes are: by the labels where these are a random draw of the pool, else by what a model predicts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.class_sizes import draw_p_value, share_distance, shifted_shares
from vlmine_dagster.scoring.evidence import Evidence, EvidenceBlocks

LEAST_P_VALUE = 1e-4
"""Of labels that pass for a random draw. Draws of the two benchmark pools have 0.2 and more; 5 and 10 labels per class
there have less than 1e-9."""

MOST_DISTANCE = 0.1
"""Between the shares of classes among labels and in the pool: a small difference is not worth another estimate."""

_FEWEST_LABELS = 30
_ASKED = 20_000  # images of the pool, evenly over it

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassSizes:
    """What is known about the sizes of C classes.

    Attributes:
        by_chance: Shape (C,), labels that a random draw put, or would have put, into the labelled set.
        shift: Shape (C,), by which posteriors of what was learned from the labels are to be multiplied; None where the
            labels are a random draw.
        distance: Total variation distance between the classes' shares among labels and in the pool, as predicted.
    """

    by_chance: npt.NDArray[np.int64]
    shift: Floats | None
    distance: float

    def corrected(self, posteriors: Floats) -> Floats:
        """Return posteriors of the pool, shape (N, C), of what was learned from the labels."""
        if self.shift is None:
            return posteriors
        weighed = posteriors * self.shift
        return np.asarray(weighed / np.maximum(weighed.sum(axis=1, keepdims=True), np.finfo(float).tiny))


def class_sizes(
    pool: EvidenceBlocks,
    posterior: Callable[[Evidence], Floats],
    *,
    known: npt.NDArray[np.int64],
    by_chance: npt.NDArray[np.int64],
    fraction: float,
) -> ClassSizes:
    """Compare the labels with what a model that learned from them predicts for the pool.

    Where they are not a random draw (balanced, picked by hand), a class of the estimated size n counts as if a random
    draw had put fraction x n of its images into the labelled set; what is labelled only says that it has at least
    these.

    Args:
        pool: N images that could be mined.
        posterior: Returns class probabilities of B images, shape (B, C), by a model that learned from the labels.
        known: Shape (C,), labels.
        by_chance: Shape (C,), those that did not come back for mined images.
        fraction: Share of all images that has such a label.
    """
    is_known = known > 0
    if by_chance.sum() < _FEWEST_LABELS:
        return ClassSizes(by_chance, None, 0.0)
    predicted = _predicted(pool, posterior)[:, is_known]
    shares = predicted.mean(axis=0)
    distance = share_distance(by_chance[is_known], shares)
    if distance <= MOST_DISTANCE or draw_p_value(by_chance[is_known], shares) >= LEAST_P_VALUE:
        return ClassSizes(by_chance, None, distance)
    prior = known[is_known] / known.sum()
    shares = shifted_shares(predicted, prior)
    estimate, shift = np.zeros(len(known)), np.ones(len(known))
    estimate[is_known] = shares * len(pool) + known[is_known]
    shift[is_known] = shares / prior
    return ClassSizes(np.rint(fraction * estimate).astype(np.int64), shift, distance)


def _predicted(pool: EvidenceBlocks, posterior: Callable[[Evidence], Floats]) -> Floats:
    """Return the posteriors of some images, evenly over the pool; of a class that has no label 0."""
    step = -(-len(pool) // _ASKED)
    start, parts = 0, []
    for block in pool.blocks():
        places = np.arange(-start % step, len(block), step)
        if len(places):
            parts.append(posterior(block.take(places)))
        start += len(block)
    return np.concatenate(parts)
