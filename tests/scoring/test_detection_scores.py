"""A detector's boxes in space as signals, and how well it finds objects near and far."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from vlmine_dagster.mining.boxes_3d import RareRule
from vlmine_dagster.resources.drives.contract import BOX_SIDES
from vlmine_dagster.scoring.detections_3d import disagreements, judged_detections, prediction_table

CAR = dict(zip(BOX_SIDES, (0.0, 0.0, 0.0, 4.0, 2.0, 1.5, 0.0), strict=True))


def box_at(distance, **more):
    return {**CAR, "center_x": float(distance), "timestamp_us": 0, "type_name": "vehicle", **more}


def test_objects_are_judged_by_distance_from_the_sensor_itself_on():
    true_boxes = [box_at(at, track_id=str(at)) for at in (0, 29, 30, 50, 200)]
    source = SimpleNamespace(shards=lambda: ("drive",), boxes=lambda _segment: pa.Table.from_pylist(true_boxes))
    claims = pa.Table.from_pylist([box_at(at, segment="drive", score=0.9) for at in (0, 29, 30)])

    judged = judged_detections(source, claims, RareRule(longer_than_m=7.0))
    found = {one.of: (one.precision.count, one.precision.ap) for one in judged}

    assert found == {
        "all": (5, pytest.approx(0.6)),
        "common": (5, pytest.approx(0.6)),
        "0 to 30 m": (2, 1.0),
        "30 to 50 m": (1, 1.0),
        "beyond 50 m": (2, 0.0),
    }


def test_of_two_detectors_the_mean_score_says_how_likely_an_object_is_found():
    alone = prediction_table({"b": 0.75, "a": 0.25})
    both = prediction_table({"b": 0.75, "a": 0.25}, {"b": 0.25})

    assert alone.to_pydict() == {"image_id": ["a", "b"], "found": [0.25, 0.75], "missed": [0.75, 0.25]}
    assert both.to_pydict() == {"image_id": ["a", "b"], "found": [0.125, 0.5], "missed": [0.875, 0.5]}


def test_detectors_that_differ_most_come_first_and_those_that_agree_are_left_out():
    scores = {"b": 0.75, "c": 0.5, "a": 0.5, "d": 0.25}
    others = {"b": 0.75, "c": 0.25, "a": 0.75, "d": 1.0}

    assert disagreements(scores, others) == [("d", 0.25, 1.0), ("a", 0.5, 0.75), ("c", 0.5, 0.25)]
