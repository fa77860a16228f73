"""The detector in LiDAR points: deterministic, at home in its grid, and able to learn a small world."""

import numpy as np
import pytest
import torch

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.geometry.overlap import ground_iou
from vlmine_dagster.learning.pillar_detector import Grid, LabelledSweep, PillarRecipe, detect_pillars, fit_pillars

GRID = Grid(reach_m=16, cells=16)
RECIPE = PillarRecipe(2, GRID, epochs=30, width=16)


def sweep(seed: int) -> LabelledSweep:
    """Points on flat ground and on a long low box and a small high one, far from each other."""
    draw = np.random.default_rng(seed)
    ground = np.concatenate([draw.uniform(-16, 16, (300, 2)), np.zeros((300, 1))], axis=1)
    low = [draw.uniform(2, 12), draw.uniform(-12, 12), 0.75, 6, 2, 1.5, 0]
    high = [draw.uniform(-12, -4), draw.uniform(-12, 12), 1.5, 1, 1, 3, 0]
    boxes = np.array([low, high])
    inside = [draw.uniform(-0.5, 0.5, (80, 3)) * box[3:6] + box[:3] for box in boxes]
    points = np.concatenate([ground, *inside])
    cloud = np.column_stack([points, np.full(len(points), 0.5)]).astype(np.float32)
    return LabelledSweep(cloud, boxes, np.array([0, 1]))


@pytest.fixture(scope="module")
def trained():
    torch.set_num_threads(1)
    return fit_pillars([sweep(seed) for seed in range(24)], RECIPE, random_seed=0)


def test_it_finds_in_new_sweeps_what_it_has_learned(trained):
    unseen = [sweep(seed) for seed in range(100, 108)]
    hits = 0
    for one, found in zip(unseen, detect_pillars(trained, [one.points for one in unseen]), strict=True):
        for number in (0, 1):
            claims = found.boxes[found.classes == number]
            if len(claims):
                hits += ground_iou(one.boxes[number : number + 1], claims[:1])[0] > 0.2
        assert (np.diff(found.scores) <= 0).all()
    assert hits >= 12  # of 16


def test_the_same_seed_trains_the_same_detector():
    few = [sweep(seed) for seed in range(3)]
    recipe = PillarRecipe(2, GRID, epochs=2, width=16)
    first, again, other = (fit_pillars(few, recipe, random_seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_points_and_boxes_outside_of_the_grid_are_passed_over():
    far = LabelledSweep(np.full((5, 4), 99, np.float32), np.array([[99, 0, 0, 4, 2, 2, 0.0]]), np.array([0]))
    net = fit_pillars([far, sweep(0)], PillarRecipe(2, GRID, epochs=1, width=16), random_seed=0)
    assert len(detect_pillars(net, [far.points, np.empty((0, 4), np.float32)])) == 2
    with pytest.raises(ContractError, match="no labelled sweep"):
        fit_pillars([], RECIPE, random_seed=0)
