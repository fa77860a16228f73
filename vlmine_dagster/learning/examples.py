"""Labelled images: which of them teach, which tell when to stop, and how much each weighs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vlmine_dagster.domain.errors import ConfigError, ContractError

BALANCES = ("none", "effective_number", "inverse_frequency")

EFFECTIVE_BETA = 0.999
"""Of the effective number of images; Cui et al. tried 0.9, 0.99, 0.999 and 0.9999."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled images.

    Attributes:
        inputs: N rows, as the network reads them.
        labels: Shape (N,), int, class numbers.
    """

    inputs: npt.NDArray[Any]
    labels: npt.ArrayLike


def class_numbers(labels: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the place of each label among the classes.

    Raises:
        ContractError: a label is not a class.
    """
    places = {name: place for place, name in enumerate(classes)}
    unknown = sorted(set(labels) - places.keys())
    if unknown:
        raise ContractError(f"training: label {unknown[0]!r} is not one of the {len(places)} classes.")
    return np.array([places[label] for label in labels], dtype=np.int64)


def validation_rows(labels: npt.ArrayLike, *, share: float, random_seed: int = 0) -> npt.NDArray[np.bool_]:
    """Draw the images that tell when to stop: of each class the share, rounded down.

    So a class with fewer than 1 / share images gives none: rare images are there to learn from.

    Args:
        labels: Shape (N,), int >= 0.
        share: Share of each class, in [0, 1).
        random_seed: Another seed draws others.

    Returns:
        Shape (N,), True for a validation image.

    Examples:
        >>> validation_rows([0, 0, 0, 0, 1, 1], share=0.25).sum(), validation_rows([0, 1], share=0.25).sum()
        (np.int64(1), np.int64(0))
    """
    numbers = np.asarray(labels, dtype=np.int64)
    left = Counter({label: int(share * count + 1e-9) for label, count in Counter(numbers.tolist()).items()})
    held = np.zeros(len(numbers), dtype=bool)
    for row in np.random.default_rng(random_seed).permutation(len(numbers)).tolist():
        if left[numbers[row]] > 0:
            held[row] = True
            left[numbers[row]] -= 1
    return held


def class_weights(labels: npt.ArrayLike, class_count: int, *, balance: str) -> torch.Tensor | None:
    """Return how much an image of each class weighs in the loss; the weights of the classes there are mean 1.

    With n images of a class, `inverse_frequency` weighs 1 / n, and `effective_number` (1 - b) / (1 - b^n) with
    b = 0.999: as 1 / n for few images, but the same for all large classes. `none` weighs all images alike.

    Args:
        labels: Shape (N,), int in [0, class_count).
        class_count: Classes; one without an image weighs nothing.
        balance: "none", "effective_number" or "inverse_frequency".

    Returns:
        Shape (C,), float32; None for "none".

    Raises:
        ConfigError: balance is unknown.

    Examples:
        >>> class_weights([0, 0, 0, 1], 3, balance="inverse_frequency")
        tensor([0.5000, 1.5000, 0.0000])
        >>> class_weights([0, 0, 0, 1], 3, balance="effective_number")
        tensor([0.5004, 1.4996, 0.0000])

    References:
        Cui et al. 2019, arXiv 1901.05555.
    """
    if balance not in BALANCES:
        raise ConfigError(f"class_weights: unknown balance {balance!r}, expected {', '.join(BALANCES)}.")
    if balance == "none":
        return None
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=class_count)
    known = np.maximum(counts, 1)
    each = 1 / known if balance == "inverse_frequency" else (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**known)
    weights = np.where(counts > 0, each, 0.0)
    return torch.from_numpy(weights * (counts > 0).sum() / weights.sum()).float()
