"""Rare objects in space by named rules, and average precision that can be counted by hand."""

import numpy as np
import pytest

from vlmine_dagster.domain.errors import ContractError
from vlmine_dagster.mining.boxes_3d import Boxes3D, RareRule, matched, precision_of

OBJECTS = {
    "type_name": ["vehicle", "vehicle", "pedestrian"],
    "class_name": ["car", "bus", "pushchair"],
    "length": [4.5, 11.0, 1.4],
    "point_count": [3, 200, 12],
    "keywords": [{"car"}, {"bus", "minibus"}, set()],
}


def boxes(rows, scores=()) -> Boxes3D:
    """Cubes of two metres: (moment, x, heading) each."""
    given = np.array([[x, 0, 0, 2, 2, 2, heading] for _, x, heading in rows], float).reshape(-1, 7)
    return Boxes3D(np.array([moment for moment, _, _ in rows], np.int64), given, np.array(scores, float))


@pytest.mark.parametrize(
    ("rule", "expected", "text"),
    [
        (RareRule(longer_than_m=7), [False, True, False], "longer than 7 m"),
        (RareRule(types=("vehicle",), fewer_points_than=5), [True, False, False], "vehicle, fewer than 5 LiDAR points"),
        (RareRule(kinds=("pushchair", "bus")), [False, True, True], "kind pushchair or bus"),
        (RareRule(keyword="minibus"), [False, True, False], 'keyword "minibus"'),
    ],
)
def test_a_rule_says_which_objects_are_rare_and_names_itself(rule, expected, text):
    assert rule.holds(OBJECTS).tolist() == expected
    assert rule.text == text


def test_limits_of_a_rule_are_not_part_of_it():
    assert RareRule(fewer_points_than=12).holds(OBJECTS).tolist() == [True, False, False]
    assert RareRule(longer_than_m=4.5).holds(OBJECTS).tolist() == [False, True, False]


def test_a_rule_without_conditions_and_objects_without_a_column_are_refused():
    with pytest.raises(ContractError, match="no condition is given"):
        RareRule()
    with pytest.raises(ContractError, match=r"have no length. They have type_name"):
        RareRule(longer_than_m=7).holds({"type_name": ["vehicle"]})


def test_the_surest_detection_takes_the_box_and_its_double_is_wrong():
    truth = boxes([(0, 0, 0.0), (0, 10, 0.0), (1, 0, 0.0)])
    found = boxes([(0, 0.2, 0.0), (0, 0, np.pi / 2), (0, 10, np.pi), (1, 30, 0)], [0.6, 0.9, 0.8, 0.7])
    pairs = matched(truth, found, min_iou=0.5)
    assert pairs.order.tolist() == [1, 2, 3, 0]
    assert pairs.partner.tolist() == [0, 1, -1, -1]  # moment 1 is missed; the double of box 0 finds nothing
    assert pairs.accuracy[:2] == pytest.approx([0.5, 0.0])
    everything = precision_of(pairs, np.ones(3, bool), np.ones(4, bool))
    # Right, right, wrong, wrong of three objects: precision 1 up to a recall of 2/3.
    assert (everything.ap, everything.count) == (pytest.approx(2 / 3), 3)
    # Weighed: gains 0.5 and 0 after one and two claims; precision 0.5, then 0.25; area 0.5 * 0.5 / 3.
    assert everything.aph == pytest.approx(0.25 / 3)


def test_finding_an_object_that_does_not_count_is_neither_right_nor_wrong():
    truth = boxes([(0, 0, 0.0), (0, 10, 0.0)])
    found = boxes([(0, 10, 0.0), (0, 0, 0.0), (0, 50, 0.0)], [0.9, 0.5, 0.8])
    pairs = matched(truth, found, min_iou=0.7)
    rare = np.array([True, False])
    assert precision_of(pairs, rare, np.ones(3, bool)).ap == pytest.approx(1 / 2)  # after one that is wrong
    assert precision_of(pairs, rare, np.zeros(3, bool)).ap == pytest.approx(1)
    assert np.isnan(precision_of(pairs, np.zeros(2, bool), np.ones(3, bool)).ap)


def test_without_detections_precision_is_zero_and_without_objects_unknown():
    truth, none = boxes([(0, 0, 0.0)]), boxes([])
    assert precision_of(matched(truth, none, min_iou=0.5), np.ones(1, bool), np.ones(0, bool)).ap == 0
    pairs = matched(none, boxes([(0, 0, 0.0)], [0.5]), min_iou=0.5)
    assert np.isnan(precision_of(pairs, np.ones(0, bool), np.ones(1, bool)).ap)
