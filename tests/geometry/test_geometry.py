"""Poses, cameras, range images and overlaps: numbers that can be checked by hand, and areas by throwing points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.geometry.camera import Camera, clipped, projected_boxes, projected_points
from vlmine_dagster.geometry.lidar import (
    in_box,
    points_in_boxes,
    points_of_range_image,
    ray_directions,
    uniform_inclinations,
)
from vlmine_dagster.geometry.overlap import box_iou, box_iou_matrix, ground_iou, intersection_areas
from vlmine_dagster.geometry.poses import (
    OPTICAL_FROM_FORWARD,
    inverted,
    moved,
    moved_boxes,
    pose,
    pose_of_heading,
    pose_of_quaternion,
    quaternion_of_rotation,
    rotation_of_euler,
    rotation_of_quaternion,
    wrapped,
)

# 200 x 100 pixels, not square; the camera looks ahead from 2 m above the ground, 1 m before the origin.
CAMERA = Camera((100, 100), (100, 50), (200, 100), pose(inverted(OPTICAL_FROM_FORWARD)[:3, :3], [1, 0, 2]))


def boxes(count: int, *, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    sides = draw.uniform(0.5, 8, (count, 3))
    return np.concatenate([draw.uniform(-4, 4, (count, 3)), sides, draw.uniform(-7, 7, (count, 1))], axis=1)


def test_a_quarter_turn_moves_x_to_y_and_back():
    turn = pose_of_quaternion([np.sqrt(0.5), 0, 0, np.sqrt(0.5)], [10, 0, 1])
    assert moved([[2, 0, 0]], turn) == pytest.approx(np.array([[10, 2, 1]]))
    assert moved([[10, 2, 1]], inverted(turn)) == pytest.approx(np.array([[2, 0, 0]]))


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 1e-3))
@settings(max_examples=100, deadline=None)
def test_quaternions_and_rotations_are_two_ways_to_say_the_same(quaternion):
    rotation = rotation_of_quaternion(quaternion)
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert rotation_of_quaternion(quaternion_of_rotation(rotation)) == pytest.approx(rotation, abs=1e-7)


def test_euler_angles_turn_around_x_first_and_z_last():
    by_hand = rotation_of_quaternion([1, 0, 0, 1]) @ rotation_of_quaternion([1, 1, 0, 0])  # yaw after roll, 90 degrees
    assert rotation_of_euler(np.pi / 2, 0, np.pi / 2) == pytest.approx(by_hand)
    assert rotation_of_euler(0, np.pi / 2, 0) @ [1, 0, 0] == pytest.approx([0, 0, -1])


def test_headings_wrap_around():
    assert wrapped([0, np.pi, -np.pi, 3 * np.pi, 2 * np.pi + 0.5]) == pytest.approx([0, -np.pi, -np.pi, -np.pi, 0.5])
    turned = moved_boxes([[1, 0, 0, 4, 2, 1, 3.0]], pose_of_heading(0.5, [0, 0, 0]))
    assert turned[0, 6] == pytest.approx(3.5 - 2 * np.pi)
    assert turned[0, :2] == pytest.approx([np.cos(0.5), np.sin(0.5)])


def test_a_point_has_the_pixel_that_one_works_out_by_hand():
    # 10 m before the camera, 2 m to its left, 1 m below it: 100 - 100 * 2 / 10 across, 50 + 100 * 1 / 10 down.
    found = projected_points([[11, 2, 1], [1.05, 0, 2], [-20, 2, 1]], CAMERA)
    assert found[0] == pytest.approx([80, 60, 10])
    assert np.isnan(found[1, 0]) and np.isnan(found[2, 0]) and found[2, 2] == pytest.approx(-21)


def test_a_box_has_the_rectangle_of_its_nearer_face():
    # The face at x = 9 is 8 m before the camera, 4 m wide and from 1 m below it to 1 m above.
    found = projected_boxes([[10, 0, 2, 2, 4, 2, 0]], CAMERA)
    assert found[0] == pytest.approx([75, 37.5, 125, 62.5])
    turned = projected_boxes([[10, 0, 2, 4, 2, 2, np.pi / 2]], CAMERA)
    assert turned[0] == pytest.approx([75, 37.5, 125, 62.5])


def test_boxes_behind_the_camera_have_no_rectangle():
    found = projected_boxes([[-10, 0, 2, 2, 4, 2, 0], [0, 0, 2, 1, 1, 1, 1.0]], CAMERA)
    assert np.isnan(found).all()
    assert np.isnan(clipped(found, CAMERA.size)).all()


def test_of_a_box_that_reaches_behind_the_camera_the_part_before_it_counts():
    # A lorry beside the camera, from 5 m behind to 5 m ahead, 2 to 4 m to the left: its far end is at depth 5.
    found = clipped(projected_boxes([[1, 3, 2, 10, 2, 2, 0]], CAMERA), CAMERA.size)
    assert found[0] == pytest.approx([0, 0, 60, 100])  # right: 100 - 100 * 2 / 5
    # The same box by its corners alone, as if those behind had pixels, would end elsewhere.
    brute = np.array([[x, y, z] for x in np.linspace(-4, 6, 101) for y in (2, 4) for z in (1, 3)])
    seen = projected_points(brute, CAMERA)
    assert np.nanmax(seen[:, 0]) == pytest.approx(60)


def test_projected_boxes_agree_with_projected_corners_in_every_block():
    many = boxes(10_000, seed=1)
    many[:, 0] += 40
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    found = projected_boxes(many, CAMERA)
    for place in (0, 4095, 4096, 9999):
        box = many[place]
        points = moved(corners * box[3:6], pose_of_heading(box[6], box[:3]))
        pixels = projected_points(points, CAMERA)[:, :2]
        assert found[place] == pytest.approx([*pixels.min(axis=0), *pixels.max(axis=0)])


def test_a_range_image_gives_points_where_the_sensor_looks():
    # Two beams, 0 and 45 degrees below the horizon; four columns, whose middles look 135, 45, -45, -135 degrees.
    ranges = np.zeros((2, 4))
    ranges[0, 1], ranges[1, 2] = 10, np.sqrt(2)
    ego_from_sensor = pose(np.eye(3), [1, 0, 3])
    found = points_of_range_image(ranges, [-np.pi / 4, 0], ego_from_sensor)
    half = np.sqrt(0.5)
    assert found == pytest.approx(np.array([[1 + 10 * half, 10 * half, 3], [1 + half, -half, 2]]))


def test_a_turned_sensor_numbers_its_columns_by_the_vehicle():
    turned = pose_of_heading(np.pi / 2, [0, 0, 0])
    ranges = np.zeros((1, 4))
    ranges[0, 1] = 2
    assert points_of_range_image(ranges, [0], turned) == pytest.approx(
        points_of_range_image(ranges, [0], np.eye(4)), abs=1e-12
    )


def test_pixels_taken_while_the_vehicle_moved_are_put_where_they_were():
    ranges = np.zeros((1, 4))
    ranges[0, 1] = ranges[0, 2] = 10
    poses = np.zeros((1, 4, 6))
    poses[0, 2, 3:] = [1, 0, 0]  # the vehicle was a metre further on
    found = points_of_range_image(ranges, [0], np.eye(4), pixel_poses=poses, world_from_ego=np.eye(4))
    assert found[1] - found[0] == pytest.approx([1, -20 * np.sqrt(0.5), 0])


def test_a_range_image_without_returns_has_no_points():
    assert points_of_range_image(np.full((2, 3), -1.0), uniform_inclinations(-0.4, 0.1, 2), np.eye(4)).shape == (0, 3)


def test_rays_have_length_one_and_the_first_row_looks_highest():
    rays = ray_directions(uniform_inclinations(-0.4, 0.1, 8), 16)
    assert np.linalg.norm(rays, axis=-1) == pytest.approx(np.ones((8, 16)))
    assert rays[0, 0, 2] == pytest.approx(np.sin(0.1 - 0.5 / 16))
    assert (np.diff(rays[:, 0, 2]) < 0).all()


def test_overlaps_by_hand():
    square = [0, 0, 0, 2, 2, 2, 0]
    assert ground_iou([square], [square]) == pytest.approx([1])
    assert ground_iou([square], [[0, 0, 0, 2, 2, 2, np.pi / 2]]) == pytest.approx([1])
    assert ground_iou([square], [[0, 0, 0, 2, 2, 2, 100 * np.pi]]) == pytest.approx([1])
    assert ground_iou([square], [[2, 0, 0, 2, 2, 2, 0]]) == pytest.approx([0], abs=1e-8)
    assert ground_iou([square], [[1, 1, 0, 2, 2, 2, 0]]) == pytest.approx([1 / 7])
    assert intersection_areas([square], [[0, 0, 0, 1, 1, 1, 0.3]]) == pytest.approx([1])  # one within the other
    assert intersection_areas([[0, 0, 0, 10, 1, 1, 0]], [[0, 0, 0, 1, 10, 1, 0]]) == pytest.approx([1])  # a cross
    assert box_iou([square], [[0, 0, 1, 2, 2, 2, 0]]) == pytest.approx([1 / 3])
    assert box_iou([square], [[0, 0, 3, 2, 2, 2, 0]]) == pytest.approx([0])
    assert box_iou([[0, 0, 0, 0, 0, 0, 0]], [square]) == pytest.approx([0])
    with pytest.raises(ContractError, match="1 and 2 boxes"):
        intersection_areas([square], [square, square])


def test_overlaps_equal_the_share_of_random_points_in_both():
    first = boxes(30, seed=2)
    second = first + np.random.default_rng(3).normal(0, 0.4, first.shape)
    points = np.random.default_rng(4).uniform(-10, 10, (200_000, 3))
    found = box_iou(first, second)
    assert (found > 0.1).sum() > 15
    for a, b, iou in zip(first, second, found, strict=True):
        in_both, in_any = (in_box(points, a) & in_box(points, b)).mean(), (in_box(points, a) | in_box(points, b)).mean()
        spread = 4 * np.sqrt(in_any / len(points))  # four standard errors of the counted volumes
        assert iou * in_any == pytest.approx(in_both, abs=2 * spread)


@given(st.integers(0, 10_000), st.floats(-50, 50), st.floats(-50, 50), st.floats(-10, 10))
@settings(max_examples=60, deadline=None)
def test_overlap_is_symmetric_and_the_same_wherever_the_pair_is(seed, x, y, heading):
    first, second = boxes(16, seed=seed), boxes(16, seed=seed + 1)
    found = box_iou(first, second)
    assert ((found >= 0) & (found <= 1)).all()
    assert box_iou(second, first) == pytest.approx(found, abs=1e-6)
    move = pose_of_heading(heading, [x, y, 3])
    assert box_iou(moved_boxes(first, move), moved_boxes(second, move)) == pytest.approx(found, abs=1e-6)
    assert np.diag(box_iou_matrix(first, second)) == pytest.approx(found)


def test_inputs_stay_as_they_are():
    first, second = boxes(8, seed=5), boxes(8, seed=6)
    kept = first.copy(), second.copy()
    (
        box_iou(first, second),
        projected_boxes(first, CAMERA),
        moved_boxes(first, np.eye(4)),
        points_in_boxes(first, second),
    )
    assert (first == kept[0]).all() and (second == kept[1]).all()
