"""A detector's boxes in space, judged by hand, and the scores that they give to objects."""

import json
from types import SimpleNamespace

import pyarrow as pa
import pytest
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import KEYWORDS, OBJECTS
from vlmine_dagster.mining.boxes_3d import RareRule
from vlmine_dagster.resources.drives.contract import BOX_SIDES, BOXES
from vlmine_dagster.resources.drives.detections import DETECTIONS
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.scoring.detections_3d import (
    disagreements,
    judged_detections,
    object_scores,
    prediction_table,
    track_keywords,
)


def box(x, *, length=4.0, y=0.0):
    """A box of 2 m x 1.5 m, so many metres ahead of the vehicle."""
    return dict(zip(BOX_SIDES, (x, y, 1.0, length, 2.0, 1.5, 0.0), strict=True))


def truth(*rows):
    plain = {
        "timestamp_us": 0,
        "track_id": "t",
        "class_name": None,
        "type_name": "vehicle",
        "point_count": 9,
        "speed": 0.0,
    }
    return pa.Table.from_pylist([plain | row for row in rows], BOXES)


def claims(*rows):
    plain = {"segment": "a", "timestamp_us": 0, "type_name": "vehicle", "score": 0.5}
    return pa.Table.from_pylist([plain | row for row in rows], DETECTIONS)


def source(**segments):
    return SimpleNamespace(shards=lambda: tuple(segments), boxes=segments.__getitem__)


LONG = RareRule(longer_than_m=6)


def found(boxes, detections, rule=LONG, **more):
    judged = judged_detections(source(a=boxes), detections, rule, **more)
    return {(one.type_name, one.of): (round(one.precision.ap, 3), one.precision.count) for one in judged}


def test_each_class_is_judged_whole_by_rarity_and_by_distance():
    boxes = truth(box(10), box(29.9), box(30), box(50, length=8), {**box(10, y=9), "type_name": "cyclist"})
    right = claims(box(10), box(30), box(50, length=8))

    assert found(boxes, right) == {
        ("cyclist", "all"): (0, 1),
        ("cyclist", "common"): (0, 1),
        ("cyclist", "0 to 30 m"): (0, 1),
        ("vehicle", "all"): (0.75, 4),
        ("vehicle", "rare (longer than 6 m)"): (1, 1),
        ("vehicle", "common"): (0.667, 3),
        ("vehicle", "0 to 30 m"): (0.5, 2),
        ("vehicle", "30 to 50 m"): (1, 1),
        ("vehicle", "beyond 50 m"): (1, 1),
    }


@pytest.mark.parametrize("distance", [0, 30, 50])
def test_a_claim_counts_at_its_own_distance_the_nearer_bound_included(distance):
    wrong = {**box(distance, y=0), "score": 0.9}
    boxes = truth(*(box(x, y=20) for x in (0, 25, 60)))
    right = [{**row, "score": 0.5} for row in boxes.select(BOX_SIDES).to_pylist()]

    by_ring = {
        of: ap for (_, of), (ap, _) in found(boxes, claims(wrong, *right)).items() if " m" in of and "rare" not in of
    }

    rings = ["0 to 30 m", "30 to 50 m", "beyond 50 m"]
    hit = rings[[0, 30, 50].index(distance)]
    assert by_ring == {ring: 0.5 if ring == hit else 1.0 for ring in rings}


def test_short_claims_are_no_wrong_claims_of_long_objects_but_of_common_ones_all_are_where_length_is_no_rule():
    boxes = truth(box(10), box(20, length=8))
    detections = claims({**box(40, length=4), "score": 0.9}, box(10), box(20, length=8))

    by_length = found(boxes, detections)
    assert by_length["vehicle", "rare (longer than 6 m)"] == (1, 1)
    assert by_length["vehicle", "common"] == (0.5, 1)
    by_points = found(boxes, detections, RareRule(fewer_points_than=5))
    assert by_points["vehicle", "common"] == (0.667, 2)


@pytest.mark.parametrize(
    ("type_name", "min_iou", "is_found"),
    [("vehicle", None, False), ("cyclist", None, True), ("vehicle", 0.5, True), ("cyclist", 0.7, False)],
)
def test_a_vehicle_has_to_overlap_by_seven_tenths_and_others_by_a_half(type_name, min_iou, is_found):
    boxes = truth({**box(10), "type_name": type_name})
    detections = claims({**box(11), "type_name": type_name})  # 3 of 5 metres are shared: 0.6

    assert found(boxes, detections, min_iou=min_iou)[type_name, "all"] == (float(is_found), 1)


def test_moments_and_segments_are_kept_apart_and_unknown_ones_left_out():
    boxes = {"a": truth(box(10), {**box(10), "timestamp_us": 5}), "b": truth(box(10)), "c": truth(box(10))}
    detections = claims(
        box(10), {**box(10), "segment": "b"}, {**box(10), "timestamp_us": 7}, {**box(1), "segment": "z"}
    )

    (whole, *_) = judged_detections(source(**boxes), detections, LONG)

    assert (whole.precision.ap, whole.precision.count) == (pytest.approx(2 / 3), 3)  # nothing was said of c


def test_tracks_are_rare_by_the_keywords_of_all_their_crops(tmp_path):
    lake = Lake(str(tmp_path))
    for shard, tracks in {"a": ["1", "1", "2", None], "b": ["1"]}.items():
        names = [f"{shard}/x#{number}" for number in range(len(tracks))]
        lake.publish("objects", shard, plain_rows(OBJECTS, object_id=names, track_id=tracks), inputs="")
        words = [name for name in names for _ in "ab"]
        said = [f"{word} {name[-1]}" for name in names for word in ("big", "red")]
        lake.publish("keywords", shard, plain_rows(KEYWORDS, image_id=words, keyword=said), inputs="")

    known = track_keywords(lake, ["a", "b"])

    assert known == {
        ("a", "1"): {"big 0", "red 0", "big 1", "red 1"},
        ("a", "2"): {"big 2", "red 2"},
        ("b", "1"): {"big 0", "red 0"},
    }
    boxes = truth({**box(10), "track_id": "1"}, {**box(20), "track_id": "2"}, {**box(40), "track_id": "9"})
    by_word = found(boxes, claims(box(20)), RareRule(keyword="big 2"), keywords=known)
    assert by_word["vehicle", 'rare (keyword "big 2")'] == (1, 1)


def test_an_object_has_the_score_of_the_box_that_overlaps_it_most(tmp_path):
    frames = pa.table({"key": ["still", "later"], "timestamp_us": [0, 3_000_000]})
    drive = SimpleNamespace(shards=lambda: ("a",), layout=SimpleNamespace(frames=lambda shard: frames))
    rows = {
        "best": ("a/still", None, box(10), "ok"),
        "barely": ("a/still", None, box(14.2, y=1), "ok"),
        "alone": ("a/still", None, box(90), "ok"),
        "timed": ("a/still", 3.0, box(10), "ok"),
        "unknown": ("a/other", None, box(10), "ok"),
        "failed": ("a/still", None, box(10), "corrupt"),
        "flat": ("a/still", None, {}, "ok"),
    }
    lake = Lake(str(tmp_path))
    lake.publish(
        "objects",
        "a",
        plain_rows(
            OBJECTS,
            object_id=list(rows),
            image_id=[row[0] for row in rows.values()],
            timestamp_s=[row[1] for row in rows.values()],
            attributes=[json.dumps(row[2]) if row[2] else None for row in rows.values()],
            outcome=[row[3] for row in rows.values()],
        ),
        inputs="",
    )
    detections = claims(
        {**box(11), "score": 0.9},
        {**box(10.1), "score": 0.4},
        {**box(10), "score": 0.8, "timestamp_us": 3_000_000},
    )

    assert object_scores(drive, lake, detections) == {"best": 0.4, "barely": 0.0, "alone": 0.0, "timed": 0.8}


def test_scores_of_two_detectors_are_averaged_and_an_object_that_one_does_not_know_has_none():
    alone = prediction_table({"b": 0.75, "a": 0.5})
    both = prediction_table({"b": 0.75, "a": 0.5}, {"b": 0.25, "c": 1.0})

    assert alone.to_pydict() == {"image_id": ["a", "b"], "found": [0.5, 0.75], "missed": [0.5, 0.25]}
    assert both.to_pydict() == {"image_id": ["a", "b"], "found": [0.25, 0.5], "missed": [0.75, 0.5]}


def test_objects_that_two_detectors_see_differently_come_by_how_differently():
    scores = {"same": 0.5, "more": 0.9, "tie": 0.25, "also": 0.25, "lost": 0.125}

    assert disagreements(scores, {"same": 0.5, "more": 0.25, "tie": 0.5, "also": 0.5}) == [
        ("more", 0.9, 0.25),
        ("also", 0.25, 0.5),
        ("tie", 0.25, 0.5),
        ("lost", 0.125, 0.0),
    ]
