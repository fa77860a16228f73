"""Which frames the list of an experiment skips, in whose favour, and what it says of them."""

import numpy as np
import pyarrow as pa
import pytest

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.mining.moments import thin_list
from vlmine_dagster.mining.selection import rank_images
from vlmine_dagster.scoring.moments import FrameRule, SkippedFrames, joined, part_of, rules_of, thinned
from vlmine_dagster.settings import ExperimentSettings

FRAMES = pa.table(
    {
        "image_id": ["a/0", "a/1", "a/2", "b/0", "c"],
        "sequence_id": ["a", "a", "a", "b", None],
        "track_id": ["car", "van", "car", None, None],
        "frame_index": [0, 1, 9, 0, None],
        "timestamp_s": [0.0, 0.1, 0.9, 0.0, None],
    }
)
ALL = np.arange(5)


def experiment(**rules) -> ExperimentSettings:
    return ExperimentSettings(signals=("random",), **rules)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, []),
        ({"gap_s": 0.5}, [FrameRule(("sequence_id",), 0.5, "timestamp_s", None)]),
        ({"gap_frames": 5, "per_sequence": 2}, [FrameRule(("sequence_id",), 5, "frame_index", 2)]),
        ({"per_sequence": 2}, [FrameRule(("sequence_id",), None, "frame_index", 2)]),
        (
            {"gap_s": 0.5, "gap_of": "track"},
            [FrameRule(("sequence_id", "track_id"), 0.5, "timestamp_s", None)],
        ),
        (
            {"gap_frames": 5, "gap_of": "track", "per_sequence": 2},
            [
                FrameRule(("sequence_id", "track_id"), 5, "frame_index", None),
                FrameRule(("sequence_id",), None, "frame_index", 2),
            ],
        ),
    ],
)
def test_a_gap_of_tracks_is_one_rule_and_a_number_per_sequence_another(rules, expected):
    assert rules_of(experiment(**rules)) == expected


def test_a_list_skips_frames_that_are_too_near_or_too_many_and_puts_them_last():
    assert thinned(FRAMES, ALL, experiment(gap_s=0.5), name="e").tolist() == [0, 2, 3, 4, 1]
    assert thinned(FRAMES, ALL[::-1], experiment(gap_frames=9), name="e").tolist() == [4, 3, 2, 0, 1]
    assert thinned(FRAMES, ALL[::-1], experiment(gap_frames=10), name="e").tolist() == [4, 3, 2, 1, 0]
    both = experiment(gap_s=1, gap_of="track", per_sequence=1)  # first the second car, then the van
    assert thinned(FRAMES, ALL, both, name="e").tolist() == [0, 3, 4, 1, 2]


def test_a_number_per_sequence_needs_no_position():
    found = thinned(FRAMES.select(["image_id", "sequence_id"]), ALL, experiment(per_sequence=1), name="e")

    assert found.tolist() == [0, 3, 4, 1, 2]


@pytest.mark.parametrize(
    ("rules", "column", "message"),
    [
        (
            {"gap_s": 1},
            "timestamp_s",
            r"needs the time of every frame, and 1 frame has none \(timestamp_s .*frames_per_s",
        ),
        (
            {"gap_frames": 1},
            "frame_index",
            r"needs the number of every frame, and 1 frame has none \(frame_index .*`frame`",
        ),
    ],
)
def test_a_gap_needs_the_position_of_every_frame_but_not_of_other_images(rules, column, message):
    positions = [None, *FRAMES.column(column).to_pylist()[1:]]
    unplaced = FRAMES.set_column(FRAMES.schema.get_field_index(column), column, pa.array(positions))

    with pytest.raises(ConfigError, match=rf"experiment 'e': the gap {message}") as refused:
        thinned(unplaced, ALL, experiment(**rules), name="e")
    assert "such as a/0" in str(refused.value)


def test_parts_of_a_ranking_are_joined_to_the_whole_again():
    ranking = rank_images({"entropy": np.array([0.1, 0.4, 0.3, np.nan])}, list("abcd"))
    first, then = part_of(ranking, np.array([0, 2])), part_of(ranking, np.array([1]))

    assert first.order.tolist() == [1, 0]
    whole = joined(first, then)
    assert (whole.order.tolist(), whole.front.tolist()) == ([1, 0, 2], ranking.front[[0, 2, 1]].tolist())
    assert whole.rank_sum.tolist() == ranking.rank_sum[[0, 2, 1]].tolist()
    assert whole.excluded_count == ranking.excluded_count == 1


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 0, 1, 2]])
def test_what_is_skipped_for_a_frame_that_a_later_rule_skips_is_skipped_for_the_one_that_stays(order):
    best, second, third, other = order
    first = SkippedFrames.of(thin_list([0, 0, 0, 1], [0, 9, 10, 0], gap=2), np.array(order), 4)
    later = SkippedFrames.of(thin_list([0, 0, 1], per_sequence=1), np.array([best, second, other]), 4)

    assert first.instead[order].tolist() == [-1, -1, second, -1]
    both = first.and_also(later)
    assert both.instead[order].tolist() == [-1, best, best, -1]
    assert both.more[order].tolist() == [1, 1, 0, 0]
    assert both.notes_of([best, second, other]) == [
        " · 1 more frame of this sequence",
        " · 1 more frame of this moment",
        "",
    ]
    ids = pa.chunked_array([["w", "x", "y", "z"]])
    stays = ids[best].as_py()
    assert both.listed_instead(ids, np.array([other, third, second])).to_pylist() == [None, stays, stays]


def test_a_note_counts_the_frames_of_the_moment_and_those_of_the_sequence():
    found = thin_list([0, 0, 0], [0, 1, 100], gap=2, per_sequence=1)

    assert SkippedFrames.of(found, np.array([2, 1, 0]), 3).notes == {
        2: " · 1 more frame of this moment · 1 more frame of this sequence"
    }


def test_where_nothing_is_skipped_there_is_nothing_to_say():
    none = SkippedFrames.none(3)

    assert (none.more.tolist(), none.notes, none.instead.tolist()) == ([0, 0, 0], {}, [-1, -1, -1])
    one = SkippedFrames.of(thin_list([0, 0], per_sequence=1), np.array([0, 2]), 3)
    for found in (none.and_also(one), one.and_also(none)):
        assert (found.more.tolist(), found.instead.tolist()) == ([1, 0, 0], [-1, -1, 0])
