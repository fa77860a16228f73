"""The detector in LiDAR points: deterministic, at home in its grid, and able to learn a small world."""

import numpy as np
import pytest
import torch

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.geometry.overlap import ground_iou
from vlmine_dagster.learning.pillar_detector import (
    Grid,
    LabelledSweep,
    PillarRecipe,
    _decoded,
    _features,
    _joined,
    _mirrored,
    _target,
    detect_pillars,
    fit_pillars,
)

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


SMALL = Grid(reach_m=8, cells=4)  # cells of 4 m


def test_a_mirrored_sweep_has_its_left_on_the_right_and_turns_the_other_way():
    points, box = np.array([[1, 2, 3, 0.5]], np.float32), np.array([[1, 2, 3, 4, 5, 6, 0.25]])

    found = _mirrored(LabelledSweep(points, box, np.array([1])))

    assert found.points.tolist() == [[1, -2, 3, 0.5]]
    assert found.boxes.tolist() == [[1, -2, 3, 4, 5, 6, -0.25]]
    assert found.classes.tolist() == [1]


def test_a_point_is_told_by_its_place_in_its_cell_and_by_who_else_is_there():
    cloud = np.array([[1, 3, 2, 0.5], [1.5, 3, 0, 0.25], [-8, -8, 1, 0], [8, 0, 0, 0], [0, -8.1, 0, 0]], np.float32)

    found = _features(cloud, SMALL)

    assert found.cells.tolist() == [0, 10, 10]  # row 2 and column 2 of four; what lies at the far edge is outside
    alone, two = np.log1p(1) / 4, np.log1p(2) / 4
    expected = [
        [-1, -1, 1, 0, -0.5, -0.5, 0, alone],
        [0.125, 0.375, 2, 0.5, -0.25, 0.25, 1, two],
        [1.5 / 8, 0.375, 0, 0.25, -0.125, 0.25, -1, two],
    ]
    np.testing.assert_allclose(found.features, expected, atol=1e-6)


def test_the_five_highest_points_of_a_cell_are_kept_of_each_sweep():
    heights = [3, 0, 6, 1, 5, 2, 4]
    cloud = np.array([[1, 1, height, 0] for height in heights] + [[-1, 1, 9, 0]], np.float32)
    first, other = _features(cloud, SMALL), _features(cloud[:2], SMALL)

    assert first.features[:, 2].tolist() == [9, 6, 5, 4, 3, 2]
    features, cells = _joined([first, other], SMALL)
    assert features.shape == (8, 8)
    assert cells.tolist() == [9, 10, 10, 10, 10, 10, 26, 26]  # 16 cells later


@pytest.mark.parametrize(("side", "wanted"), [(0.0012, 0.0012), (0.0, 0.001)])
def test_a_side_of_a_box_counts_as_a_millimetre_at_least(side, wanted):
    boxes = np.array([[1, 3, 0.5, 4, 2, side, 0]])
    target = _target(LabelledSweep(np.zeros((0, 4), np.float32), boxes, np.array([0])), PillarRecipe(1, SMALL))

    np.testing.assert_allclose(target.shapes[0, 3:6].exp(), [4, 2, wanted], rtol=1e-6)


def test_boxes_are_read_from_the_maps_that_were_wanted_of_them():
    boxes = np.array(
        [[1, 3, 0.5, 4, 2, 1.5, 2.5], [-8, 7.9, 1, 6, 2.5, 3, -0.5], [5, -7, 0, 0.01, 99, 1, 0], [8, 0, 0, 1, 1, 1, 0]]
    )
    target = _target(LabelledSweep(np.zeros((0, 4), np.float32), boxes, np.array([1, 0, 1, 0])), PillarRecipe(2, SMALL))

    assert target.places.tolist() == [[1, 2, 2], [0, 3, 0], [1, 0, 3]]  # class, row, column; one lies outside
    np.testing.assert_allclose(target.shapes[0, :2], [-0.25, 0.25])  # from the middle of the cell, in cells
    assert target.heat[1, 2, 1].item() == pytest.approx(np.exp(-1 / 2 / 0.7**2))
    assert target.heat[1, 2, 2].item() == target.heat[0, 3, 0].item() == 1

    shapes = torch.zeros(8, 4, 4)
    likely = torch.zeros(2, 4, 4)
    for (label, row, column), shape, score in zip(target.places.tolist(), target.shapes, (0.9, 0.8, 0.7), strict=True):
        shapes[:, row, column], likely[label, row, column] = shape, score
    likely[0, 0, 0] = 0.03  # as good as nothing
    found = _decoded(likely, shapes, SMALL)

    assert found.classes.tolist() == [1, 0, 1]
    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.7], atol=1e-6)
    bounded = boxes[:3].copy()
    bounded[2, 3:5] = np.exp(-3), np.exp(4)  # no side is shorter or longer
    np.testing.assert_allclose(found.boxes, bounded, rtol=1e-5, atol=1e-5)
