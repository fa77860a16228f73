"""Objects as points: maps that are high at the centres of objects, what teaches them, and how they are read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

PRIOR_LOGIT = -4.6
"""Bias of the heat at first, a likelihood of 0.01: else many empty places drown the few centres (Lin et al. 2017)."""


@dataclass(frozen=True, eq=False)
class CentreTarget:
    """What the maps of one example should be.

    Attributes:
        heat: Shape (C, H, W): 1 at the centres of a class, less around them.
        places: Shape (K, 3): class, row and column of each centre.
        shapes: Shape (K, S): what is to be said of the object at its centre.
    """

    heat: torch.Tensor
    places: npt.NDArray[np.int64]
    shapes: torch.Tensor


def centre_target(
    places: npt.NDArray[np.int64],
    shapes: npt.NDArray[np.float64],
    *,
    spreads: npt.NDArray[np.float64],
    size: tuple[int, int, int],
) -> CentreTarget:
    """Return the maps that are wanted for some objects: a bell around each centre, of two the higher.

    Args:
        places: Shape (K, 3): class, row and column of each centre, within the map.
        shapes: Shape (K, S).
        spreads: Shape (K, 2): standard deviation of the bell along rows and columns, in places.
        size: C, H and W.
    """
    heat = np.zeros(size, np.float32)
    for (label, row, column), (down, across) in zip(places.tolist(), spreads.tolist(), strict=True):
        rows = ((np.arange(size[1]) - row) / down) ** 2
        columns = ((np.arange(size[2]) - column) / across) ** 2
        np.maximum(heat[label], np.exp(-(rows[:, None] + columns[None]) / 2), out=heat[label])
    return CentreTarget(torch.from_numpy(heat), places, torch.from_numpy(shapes.astype(np.float32)))


def centre_loss(
    logits: torch.Tensor, shapes: torch.Tensor, targets: Sequence[CentreTarget], *, shape_weight: float
) -> torch.Tensor:
    """Return the focal loss of the heat and the weighted absolute error of the shapes at the centres, per object.

    Args:
        logits: Shape (B, C, H, W).
        shapes: Shape (B, S, H, W).
        targets: B of them.
        shape_weight: Weight of the error of the shapes.

    References:
        Zhou et al. 2019, Objects as Points, arXiv 1904.07850.
    """
    heat = torch.stack([target.heat for target in targets])
    is_centre, likely = heat == 1, logits.sigmoid()
    of_centres = nn.functional.logsigmoid(logits) * (1 - likely) ** 2 * is_centre
    of_others = nn.functional.logsigmoid(-logits) * likely**2 * (1 - heat) ** 4 * ~is_centre
    error = shapes.new_zeros(())
    for found, target in zip(shapes, targets, strict=True):
        error = error + (found[:, target.places[:, 1], target.places[:, 2]].T - target.shapes).abs().sum()
    count = max(1, sum(len(target.places) for target in targets))
    return (shape_weight * error - of_centres.sum() - of_others.sum()) / count


def peaks(likely: torch.Tensor, *, at_most: int, at_least: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the places that no neighbour of their class exceeds, the likeliest first; nothing else is suppressed.

    Args:
        likely: Shape (C, H, W), 0 to 1.
        at_most: Most places.
        at_least: Places that are not likelier are left out.

    Returns:
        Likelihoods of shape (K,), and places of shape (K, 3): class, row and column.
    """
    highest = nn.functional.max_pool2d(likely[None], 3, stride=1, padding=1)[0]
    flat = torch.where(likely == highest, likely, 0).flatten()
    scores, found = flat.topk(min(at_most, len(flat)))
    found, scores = found[scores > at_least], scores[scores > at_least]
    _, height, width = likely.shape
    return scores, torch.stack([found // (height * width), found // width % height, found % width], dim=1)
