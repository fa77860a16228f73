"""Recordings in a pool: those that judge are not mined, those that are cut by splits stop the list."""

import pytest
from conftest import plain_rows
from memory import MemoryReader

from vlmine_dagster.domain.errors import CutSequencesError
from vlmine_dagster.domain.tables import IMAGES, KEYWORD_ANSWERS
from vlmine_dagster.scoring.pool import load_pool
from vlmine_dagster.scoring.sequences import check_sequences, sequences_of
from vlmine_dagster.settings.project import Project, parse_settings

PATTERN = r"(?P<sequence>.+)_(?P<frame>\d+)"


def reader(folder, sequences, splits):
    """Images of two shards, each a sequence and a split."""
    dataset = {"kind": "folder", "root": ".", "sequences": {"pattern": PATTERN}}
    arms = {"random": {"signals": ["random"]}}
    settings = parse_settings({"name": "p", "dataset": dataset, "experiments": arms})
    ids = [f"{'ab'[place % 2]}/{place}" for place in range(len(sequences))]
    tables: dict = {"images": {}, "keyword_answers": {}}
    for start, shard in enumerate("ab"):
        part = slice(start, None, 2)
        tables["images"][shard] = plain_rows(
            IMAGES,
            image_id=ids[part],
            sha256=ids[part],
            sequence_id=sequences[part],
            split=splits[part],
            label=["road"] * len(ids[part]),
        )
        tables["keyword_answers"][shard] = plain_rows(KEYWORD_ANSWERS, image_id=ids[part])
    columns = {
        "images": ("image_id", "sha256", "sequence_id", "split", "outcome"),
        "keyword_answers": ("image_id", "outcome"),
    }
    return MemoryReader(tables, columns, project=Project(settings, folder))


def test_unlabelled_frames_of_a_recording_that_judges_are_not_mined(tmp_path):
    pool = reader(tmp_path, ["x", "x", "y", "y", None], ["test", "pool", "pool", "seed", "pool"])

    rows = load_pool(pool, pool.project.settings.experiments["random"])

    assert rows.column("image_id").to_pylist() == ["a/2", "a/4"]
    assert check_sequences(pool).text == "none of 2 sequences is cut by a split"
    assert sequences_of(pool, ["b/1", "a/4"]) == ["x", None]


@pytest.mark.parametrize("splits", [["seed", "test"], ["val", "test"]])
def test_a_recording_with_labels_in_two_splits_is_named(tmp_path, splits):
    pool = reader(tmp_path, ["x", "x", "y", "z"], [*splits, "seed", "pool"])

    with pytest.raises(CutSequencesError, match=rf"1 of 3 sequences .* x \({' and '.join(sorted(splits))}\)\. "):
        check_sequences(pool)
