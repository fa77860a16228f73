"""A detector of boxes in LiDAR points, in pure torch: pillars by scatter, a small 2D backbone, heat maps of centres."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.learning.heat_maps import PRIOR_LOGIT, CentreTarget, centre_loss, centre_target, peaks
from vlmine_dagster.learning.training import seeded

_FEATURES = 8
_SHAPES = 8
"""Offsets of the centre (2), its height, logarithms of three sides, sine and cosine of the heading."""
_GROUPS = 8
_MOST_FOUND = 60
_MOST_PER_CELL = 5
_LEAST_SCORE = 0.03
_SHAPE_WEIGHT = 1.0
_SPREAD = 0.7  # cells; of the bump around a centre


@dataclass(frozen=True)
class Grid:
    """The square of ground around the vehicle that is looked at.

    Attributes:
        reach_m: Half its side.
        cells: Cells along a side, a multiple of 4.
    """

    reach_m: float = 38.4
    cells: int = 64

    @property
    def cell_m(self) -> float:
        """Side of a cell in metres."""
        return 2 * self.reach_m / self.cells


@dataclass(frozen=True)
class LabelledSweep:
    """Points with the boxes in them.

    Attributes:
        points: Shape (N, 4): x, y, z and intensity.
        boxes: Shape (M, 7).
        classes: Shape (M,), integers.
    """

    points: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class PillarRecipe:
    """How a detector is trained.

    Attributes:
        class_count: Classes.
        grid: Where objects are looked for.
        epochs: Passes over the sweeps.
        learning_rate: The highest of the cycle.
        batch_size: Sweeps a step.
        width: Channels of the finest layer.
    """

    class_count: int
    grid: Grid = Grid()
    epochs: int = 20
    learning_rate: float = 4e-3
    batch_size: int = 4
    width: int = 16


@dataclass(frozen=True)
class Detections:
    """Boxes that a detector claims, the surest first.

    Attributes:
        boxes: Shape (K, 7).
        classes: Shape (K,).
        scores: Shape (K,), 0 to 1.
    """

    boxes: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]


class PillarNet(nn.Module):
    """Points to heat maps of centres and the shapes of boxes there.

    Args:
        class_count: Classes.
        grid: The ground that is looked at.
        width: Channels of the finest layer.
    """

    def __init__(self, class_count: int, grid: Grid, width: int):
        super().__init__()
        self.grid = grid
        self.point = nn.Sequential(nn.Linear(_FEATURES, width), nn.ReLU())
        self.fine = _layer(width, width)
        self.coarse = nn.Sequential(_layer(width, 2 * width, stride=2), _layer(2 * width, 2 * width))
        self.coarsest = nn.Sequential(_layer(2 * width, 4 * width, stride=2), _layer(4 * width, 4 * width))
        self.merge = nn.Sequential(nn.Conv2d(7 * width, 2 * width, 1, bias=False), nn.ReLU())
        self.heat, self.shape = nn.Conv2d(2 * width, class_count, 1), nn.Conv2d(2 * width, _SHAPES, 1)
        nn.init.constant_(self.heat.bias, PRIOR_LOGIT)  # type: ignore[arg-type]

    def forward(self, features: torch.Tensor, cells: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (B, C, H, W) and shapes (B, 8, H, W).

        Args:
            features: Shape (P, 8), of the points of all sweeps.
            cells: Shape (P,), each point's sweep and cell as one number.
            count: Sweeps.
        """
        side = self.grid.cells
        per_point = self.point(features)
        flat = per_point.new_zeros(count * side * side, per_point.shape[1])
        index = cells[:, None].expand_as(per_point)
        flat = flat.scatter_reduce(0, index, per_point, "amax", include_self=True)
        image = flat.view(count, side, side, -1).permute(0, 3, 1, 2)
        fine = self.fine(image)
        coarse = self.coarse(fine)
        coarsest = self.coarsest(coarse)
        grown = [functional.interpolate(layer, size=(side, side)) for layer in (coarse, coarsest)]
        merged = self.merge(torch.cat([fine, *grown], dim=1))
        return self.heat(merged), self.shape(merged)


def fit_pillars(sweeps: Sequence[LabelledSweep], recipe: PillarRecipe, *, random_seed: int) -> PillarNet:
    """Train a detector from scratch; the same sweeps, recipe and random seed give the same one on one machine.

    Half of the sweeps, drawn anew in each epoch, are mirrored from left to right.

    Raises:
        ContractError: there is no sweep.
    """
    if not sweeps:
        raise ContractError("fit_pillars: no labelled sweep. Label some, with boxes.")
    grid = recipe.grid
    with seeded(random_seed):
        net = PillarNet(recipe.class_count, grid, recipe.width)
        steps = recipe.epochs * -(-len(sweeps) // recipe.batch_size)
        optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
        draw = np.random.default_rng(random_seed)
        examples = [(_example(sweep, recipe), _example(_mirrored(sweep), recipe)) for sweep in sweeps]
        for _ in range(recipe.epochs):
            for batch in _batches(examples, recipe.batch_size, draw):
                logits, shapes = net(*_joined([example.points for example in batch], grid), len(batch))
                targets = [example.target for example in batch]
                loss = centre_loss(logits, shapes, targets, shape_weight=_SHAPE_WEIGHT)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(net.parameters(), 10.0)
                optimizer.step()
                schedule.step()
    return net.eval()


def detect_pillars(net: PillarNet, clouds: Sequence[npt.NDArray[np.float32]]) -> list[Detections]:
    """Return what a detector finds in each of some clouds of points (N, 4), at most 60 boxes.

    A box stands where the heat is highest among its eight neighbours; nothing else is suppressed.
    """
    found = []
    with torch.no_grad():
        for cloud in clouds:
            logits, shapes = net(*_joined([_features(cloud, net.grid)], net.grid), 1)
            found.append(_decoded(torch.sigmoid(logits[0]), shapes[0], net.grid))
    return found


def _layer(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(_GROUPS, outside), nn.ReLU())


@dataclass(frozen=True)
class _Points:
    """Points within the grid: features (P, 8), and the cell of each (P,)."""

    features: npt.NDArray[np.float32]
    cells: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Example:
    """A sweep, ready to be learned from."""

    points: _Points
    target: CentreTarget


def _example(sweep: LabelledSweep, recipe: PillarRecipe) -> _Example:
    return _Example(_features(sweep.points, recipe.grid), _target(sweep, recipe))


def _batches(
    examples: Sequence[tuple[_Example, _Example]], size: int, draw: np.random.Generator
) -> Iterator[list[_Example]]:
    """Yield all examples in random order, each as it is or mirrored."""
    order = draw.permutation(len(examples)).tolist()
    for start in range(0, len(order), size):
        yield [examples[place][int(draw.random() < 0.5)] for place in order[start : start + size]]


def _mirrored(sweep: LabelledSweep) -> LabelledSweep:
    flip = np.array([1, -1, 1, 1], np.float32)
    boxes = sweep.boxes * np.array([1, -1, 1, 1, 1, 1, -1.0])
    return LabelledSweep(sweep.points * flip, boxes, sweep.classes)


def _features(cloud: npt.NDArray[np.float32], grid: Grid) -> _Points:
    """Return the points of a cloud within the grid.

    Features: x, y and z in units of about one, intensity, offset from the middle of the cell, height over its mean, and
    how many points its cell has.
    """
    place = np.floor((cloud[:, :2] + grid.reach_m) / grid.cell_m).astype(np.int64)
    inside = ((place >= 0) & (place < grid.cells)).all(axis=1)
    points, place = cloud[inside], place[inside]
    cell = place[:, 1] * grid.cells + place[:, 0]
    counts = np.bincount(cell, minlength=grid.cells**2)
    means = np.bincount(cell, points[:, 2], minlength=grid.cells**2) / np.maximum(counts, 1)
    middle = (place + 0.5) * grid.cell_m - grid.reach_m
    columns = [
        points[:, :2] / grid.reach_m,
        points[:, 2:4],
        (points[:, :2] - middle) / grid.cell_m,
        (points[:, 2] - means[cell])[:, None],
        np.log1p(counts[cell])[:, None] / 4,
    ]
    kept = _highest(cell, points[:, 2])
    return _Points(np.concatenate(columns, axis=1).astype(np.float32)[kept], cell[kept])


def _highest(cells: npt.NDArray[np.int64], heights: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the places of the highest points of each cell: most others lie on the road, and cost the most time."""
    order = np.lexsort((-heights, cells))
    sorted_cells = cells[order]
    starts = np.flatnonzero(np.r_[True, sorted_cells[1:] != sorted_cells[:-1]]) if len(cells) else np.empty(0, np.int64)
    rank = np.arange(len(cells)) - np.repeat(starts, np.diff(np.r_[starts, len(cells)]))
    return order[rank < _MOST_PER_CELL]


def _joined(clouds: Sequence[_Points], grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features and cells of the points of several sweeps; a cell's number says of which sweep it is."""
    cells = [cloud.cells + number * grid.cells**2 for number, cloud in enumerate(clouds)]
    features = np.concatenate([cloud.features for cloud in clouds])
    return torch.from_numpy(features), torch.from_numpy(np.concatenate(cells))


def _target(sweep: LabelledSweep, recipe: PillarRecipe) -> CentreTarget:
    grid = recipe.grid
    exact = (sweep.boxes[:, :2] + grid.reach_m) / grid.cell_m
    place = np.floor(exact).astype(np.int64)
    kept = ((place >= 0) & (place < grid.cells)).all(axis=1)
    boxes, exact, place, classes = sweep.boxes[kept], exact[kept], place[kept], sweep.classes[kept]
    sides, turn = np.log(np.maximum(boxes[:, 3:6], 1e-3)), boxes[:, 6:]
    shapes = np.concatenate([exact - place - 0.5, boxes[:, 2:3], sides, np.sin(turn), np.cos(turn)], axis=1)
    places = np.stack([classes, place[:, 1], place[:, 0]], axis=1)
    spreads = np.full((len(places), 2), _SPREAD)
    return centre_target(places, shapes, spreads=spreads, size=(recipe.class_count, grid.cells, grid.cells))


def _decoded(likely: torch.Tensor, shapes: torch.Tensor, grid: Grid) -> Detections:
    scores, places = peaks(likely, at_most=_MOST_FOUND, at_least=_LEAST_SCORE)
    classes, rows, columns = places.T
    shape = shapes[:, rows, columns].T.double().numpy()
    centre = np.stack([columns.numpy(), rows.numpy()], axis=1) + 0.5 + shape[:, :2]
    heading = np.arctan2(shape[:, 6:7], shape[:, 7:8])
    sides = np.exp(np.clip(shape[:, 3:6], -3, 4))
    boxes = np.concatenate([centre * grid.cell_m - grid.reach_m, shape[:, 2:3], sides, heading], axis=1)
    return Detections(boxes, classes.numpy(), scores.double().numpy())
