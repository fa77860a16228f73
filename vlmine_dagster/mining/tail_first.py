"""Tail First Sampling: the predicted class with the fewest labels comes first."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.selection import mid_ranks

Floats = npt.NDArray[np.float64]


def tail_first(predicted: Sequence[str | None], entropy: npt.ArrayLike, labelled_counts: Mapping[str, int]) -> Floats:
    """Score images by the turn at which Tail First Sampling takes them.

    A step takes the class with the fewest labelled images, and of the images predicted to be of it the one with the
    highest entropy; it then counts as labelled. With m_k labels of class k in the seed, and x_i = 1, 2, ... the place
    of image i by falling entropy among the images predicted as its class, that is the order of -(m_k + x_i); between
    classes with as many labels the tie rule of the ranking decides.

    The source runs it with labels that come back after each image, and counts images retrieved from a model's
    pretraining data as labelled; here one list is made at once, so a prediction counts as a label, and only the seed
    counts as labelled. Equal entropies share the mean of their places.

    Args:
        predicted: N likeliest classes, None where there is none.
        entropy: Shape (N,), predictive entropy; NaN where there is none.
        labelled_counts: m_k by class; a class without an entry has none.

    Returns:
        Shape (N,), float64, below 0, higher is taken sooner; NaN where prediction or entropy is missing.

    Raises:
        ContractError: lengths differ.

    Examples:
        >>> tail_first(["car", "car", "owl", None], [0.1, 0.5, 0.3, 0.9], {"car": 5, "owl": 1})
        array([-7., -6., -2., nan])

    References:
        Wang, Wang and Kong 2025, arXiv 2506.01724, by the text of its project page (leowangtong.github.io/ALOR); the
        authors' code was not read.
    """
    unsure = np.asarray(entropy, dtype=np.float64)
    if unsure.shape != (len(predicted),):
        raise ContractError(f"tail_first: {len(predicted)} predictions and entropies of shape {unsure.shape}.")
    score = np.full(len(predicted), np.nan)
    places: dict[str, list[int]] = {}
    for place, name in enumerate(predicted):
        if name is not None:
            places.setdefault(name, []).append(place)
    for name, rows in places.items():
        score[rows] = -(labelled_counts.get(name, 0) + mid_ranks(unsure[rows]))
    return score
