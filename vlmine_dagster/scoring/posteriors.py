"""Models that learn classes from the labelled images by what is stored of them: two probes and a discriminant."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.discriminant import Discriminant, fit_discriminant
from vlmine_dagster.mining.unexplained import held_out_shares, least_unexplained_share
from vlmine_dagster.scoring.evidence import Evidence, EvidenceBlocks, Halves

_SAMPLED = 10_000  # images of the pool whose features tell how images vary

Floats = npt.NDArray[np.float64]


class Learned:
    """What is learned from M labelled images of C classes.

    A logistic probe on features, one on the cube roots of tag probabilities, and a linear discriminant on features,
    which needs few labels. Without two images of one class there is no discriminant.

    Args:
        seed: The labelled images.
        numbers: Shape (M,), their classes.
        class_count: C.
        pool: The images that could be mined; a sample of them tells the discriminant how images vary.
    """

    def __init__(self, seed: Evidence, numbers: npt.NDArray[np.int64], class_count: int, pool: EvidenceBlocks):
        from vlmine_dagster.learning.training import fit_probe

        self._features, self._tags = (
            fit_probe(rows, numbers, class_count=class_count)
            for rows in (seed.features, _cube_roots(seed.tag_probabilities))
        )
        self._clouds: Discriminant | None = None
        self._seed, self._numbers = seed, numbers
        self._sample: npt.NDArray[np.float32] | None = None
        if np.bincount(numbers).max() > 1:
            self._sample = _sampled_features(pool)
            everything = np.concatenate([seed.features, self._sample])
            self._clouds = fit_discriminant(seed.features, numbers, class_count=class_count, everything=everything)

    @property
    def count(self) -> int:
        """Number of models."""
        return 2 + (self._clouds is not None)

    def by_features(self, images: Evidence) -> Floats:
        """Return class probabilities of B images by the probe on features, shape (B, C)."""
        from vlmine_dagster.learning.prediction import predict_probabilities

        return predict_probabilities(self._features, images.features)

    def by_probes(self, images: Evidence) -> list[Floats]:
        """Return class probabilities of B images by both probes, shape (B, C) each."""
        from vlmine_dagster.learning.prediction import predict_probabilities

        return [self.by_features(images), predict_probabilities(self._tags, _cube_roots(images.tag_probabilities))]

    def by_clouds(self, images: Evidence) -> list[Floats]:
        """Return class probabilities of B images by the discriminant, shape (B, C); none where there is none."""
        return [] if self._clouds is None else [self._clouds.posterior(images.features)]

    def unexplained_share(self, is_chance: npt.NDArray[np.bool_]) -> float:
        """Return which share of the pool is of classes without a label, at least; 0 where there is no discriminant.

        Args:
            is_chance: Shape (M,), which labels were drawn by chance, each image for itself.
        """
        if self._sample is None:
            return 0.0
        return least_unexplained_share(held_out_shares(self._seed.features, self._numbers, is_chance, self._sample))

    def newness(self, images: Evidence) -> Floats:
        """Return how little the labelled classes explain B images by the discriminant, shape (B,); NaN without it."""
        return np.full(len(images), np.nan) if self._clouds is None else self._clouds.newness(images.features)


def predicted_sizes(
    pool: EvidenceBlocks,
    posteriors: Callable[[Evidence], list[Floats]],
    known: npt.NDArray[np.int64],
) -> Floats:
    """Return how many images each class has by models: its labels and the mean over models of its posteriors' sum.

    Args:
        pool: The images that could be mined.
        posteriors: Returns class probabilities of B images by each model, shape (B, C).
        known: Shape (C,), labels.

    Returns:
        Shape (C,), float64; NaN for a class without a label, of which models know nothing.
    """
    total = np.zeros(len(known))
    for block in pool.blocks():
        total += np.mean([one.sum(axis=0, dtype=np.float64) for one in posteriors(block)], axis=0)
    return np.where(known > 0, known + total, np.nan)


def _cube_roots(shares: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return cube roots; those of halves, as features are stored, are looked up in a tenth of the time."""
    return _root_of_each()[shares.view(np.uint16)] if shares.dtype == np.float16 else np.cbrt(shares)


@cache
def _root_of_each() -> Halves:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.cbrt(np.arange(2**16, dtype=np.uint16).view(np.float16)))


def _sampled_features(pool: EvidenceBlocks) -> npt.NDArray[np.float32]:
    """Return the features of some images, evenly over the pool, at most `_SAMPLED`."""
    step = max(-(-len(pool) // _SAMPLED), 1)
    start, parts = 0, []
    for block in pool.blocks():
        parts.append(np.asarray(block.features[-start % step :: step], dtype=np.float32))
        start += len(block)
    return np.concatenate(parts)
