"""Frames that an experiment skips: what the rules read, and what a list says of the frames left out."""

import numpy as np
import pyarrow as pa

from vlmine_dagster.mining.moments import thin_list
from vlmine_dagster.scoring.moments import FrameRule, SkippedFrames


def test_a_rule_without_a_gap_reads_no_position():
    frames = pa.table({"image_id": ["a", "b", "c"], "sequence_id": ["drive", "drive", None]})

    found = FrameRule(("sequence_id",), None, "frame_index", 1).thinned(frames, np.array([1, 0, 2]), name="rare")

    assert found.kept.tolist() == [0, 2]  # b, which comes first, and c, which is of no sequence
    assert found.skipped.tolist() == [1]


def test_a_gap_is_measured_in_the_column_of_its_rule():
    frames = pa.table({"image_id": ["a", "b", "c"], "sequence_id": ["drive"] * 3, "frame_index": [0, 9, 10]})

    found = FrameRule(("sequence_id",), 10, "frame_index", None).thinned(frames, np.array([0, 1, 2]), name="rare")

    assert found.kept.tolist() == [0, 2]
    assert found.skipped.tolist() == [1]


def test_only_listed_images_stand_for_skipped_frames():
    order = np.array([3, 1, 4])  # of a pool of 5, in which 0 and 2 are not listed
    found = SkippedFrames.of(thin_list([0, 0, 1], per_sequence=1), order, 5)

    assert found.more.tolist() == [0, 0, 0, 1, 0]
    assert found.instead.tolist() == [-1, 3, -1, -1, -1]
    assert list(found.notes) == [3]


def test_a_frame_is_listed_instead_by_the_image_that_both_rules_keep():
    order = np.array([0, 1, 2])
    first = SkippedFrames.of(thin_list([0, 1, 1], per_sequence=1), order, 3)  # 2 is skipped in favour of 1
    later = SkippedFrames.of(thin_list([0, 0], per_sequence=1), np.array([0, 1]), 3)  # and 1 in favour of 0

    found = first.and_also(later)

    assert found.instead.tolist() == [-1, 0, 0]
    assert found.more.tolist() == [1, 1, 0]
    ids = pa.chunked_array([["a", "b", "c"]])
    assert found.listed_instead(ids, np.array([2, 1, 0])).to_pylist() == ["a", "a", None]
