"""Frames of recordings: recognized by names and by columns, drawn whole, never cut by a split."""

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import jpeg

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.tables import Split
from vlmine_dagster.resources.intake import inspect_shard, relabelled
from vlmine_dagster.resources.labels import load_labels
from vlmine_dagster.resources.sources import open_source
from vlmine_dagster.resources.sources.contract import Moment
from vlmine_dagster.resources.sources.sequences import moment_of
from vlmine_dagster.settings.project import Project, parse_settings
from vlmine_dagster.settings.sequences import SequenceSettings

PATTERN = r"(?P<sequence>.+)_(?P<frame>\d+)"


def project_of(folder, *, labels=None, **dataset) -> Project:
    given = {"kind": "folder", "root": "data", "shard_count": 2, "labels": labels, **dataset}
    return Project(parse_settings({"name": "p", "dataset": given}), folder)


def rows_of(project):
    """All rows of `images`, by key."""
    source, dataset = open_source(project), project.settings.dataset
    found = {}
    for shard in source.shards():
        rows = inspect_shard(
            source,
            shard,
            labels=load_labels(project),
            max_pixels=10**6,
            sequences=dataset.sequences,
        )
        found |= {row["image_id"].removeprefix(f"{shard}/"): row for row in rows.to_pylist()}
    return found


@pytest.mark.parametrize(
    ("settings", "key", "moment"),
    [
        ({"pattern": PATTERN}, "day/drive_7.jpg", Moment("day/drive", 7)),
        ({"pattern": PATTERN}, "drive_0012", Moment("drive", 12)),
        ({"pattern": PATTERN}, "sunset.jpg", None),
        ({"pattern": PATTERN}, f"drive_{2**63}.jpg", Moment("drive", None)),
        ({"pattern": PATTERN, "frames_per_s": 4}, "drive_10.png", Moment("drive", 10, 2.5)),
        ({"pattern": PATTERN, "name": "image_id"}, "0001.jpg", None),
        ({"pattern": r"(?P<sequence>.+)/(?P<frame>\d+)", "name": "image_id"}, "03.jpg", Moment("s", 3)),
        (
            {"pattern": r"(?P<sequence>\w+)__(?P<timestamp>\d+)", "timestamp_unit": "us"},
            "n015__1532402927612460.jpg",
            Moment("n015", None, 1532402927.61246),
        ),
        ({"pattern": r"(?P<sequence>\w)-(?P<timestamp>.*)"}, "a-nan.jpg", Moment("a")),
    ],
)
def test_names_say_the_recording_the_frame_and_the_time(settings, key, moment):
    assert moment_of(SequenceSettings(**settings), f"s/{key}", key) == moment


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"pattern": "("}, "is not a regular expression"),
        ({"pattern": r"\d+"}, "lacks the group"),
        ({"pattern": "(?P<sequence>.)(?P<frme>.)"}, "has the group 'frme'; expected sequence, frame, timestamp"),
        ({}, "set pattern or columns, one of the two"),
        ({"pattern": PATTERN, "columns": {"sequence": "drive"}}, "set pattern or columns, one of the two"),
        ({"columns": {"sequence": "drive"}}, "kind folder has no columns; set pattern instead"),
    ],
)
def test_settings_that_name_no_sequence_are_refused(tmp_path, given, told):
    with pytest.raises(ConfigError, match=told):
        project_of(tmp_path, sequences=given)


def test_columns_that_name_no_sequence_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="columns lack `sequence`"):
        project_of(tmp_path, kind="parquet", shard_count=None, sequences={"columns": {"frame": "n"}})


def parquet(folder, sequences, **columns) -> Project:
    (folder / "data").mkdir()
    count = len(next(iter(columns.values())))
    table = pa.table({"id": [f"r{n}" for n in range(count)], "image": [jpeg("coffee", 0)] * count, **columns})
    pq.write_table(table, folder / "data" / "t.parquet")
    given = {"kind": "parquet", "root": "data", "key_column": "id", "sequences": sequences}
    return Project(parse_settings({"name": "p", "dataset": given}), folder)


def test_columns_say_the_recording_the_frame_and_the_time(tmp_path):
    taken = [dt.datetime(2026, 1, 2, 3, 4, 5, 250_000), None, dt.datetime(2026, 1, 2, 3, 4, 6)]
    columns = {"drive": ["a", None, "b"], "number": [3, 4, None], "taken": pa.array(taken, pa.timestamp("us"))}
    project = parquet(tmp_path, {"columns": {"sequence": "drive", "frame": "number", "timestamp": "taken"}}, **columns)

    rows = rows_of(project)

    found = [(row["sequence_id"], row["frame_index"], row["timestamp_s"]) for row in rows.values()]
    assert found == [("a", 3, 1767323045.25), (None, None, None), ("b", None, 1767323046.0)]


@pytest.mark.parametrize(
    ("sequences", "told"),
    [
        ({"sequence": "cam"}, r"no column 'cam' \(dataset.sequences.columns.sequence\)"),
        ({"sequence": "drive", "frame": "drive"}, "column 'drive' .* has type string, expected .* int64"),
    ],
)
def test_columns_that_do_not_fit_are_named(tmp_path, sequences, told):
    project = parquet(tmp_path, {"columns": sequences}, drive=["a", "b"])

    with pytest.raises(ConfigError, match=told):
        rows_of(project)


@pytest.fixture
def drives(tmp_path) -> Project:
    """Twelve recordings of three frames and five single photos, in two shards, labelled everywhere."""
    (tmp_path / "data").mkdir()
    names = [f"drive{drive:02}_{frame}.jpg" for drive in range(12) for frame in range(3)]
    names += [f"photo{number}.jpg" for number in range(5)]
    for name in names:
        (tmp_path / "data" / name).write_bytes(jpeg("coffee", 0))
    (tmp_path / "labels.csv").write_text("\n".join(["key,split,class_id", *(f"{name},pool,road" for name in names)]))
    labels = {"file": "labels.csv", "oracle": True, "seed_fraction": 0.5}
    return project_of(tmp_path, labels=labels, sequences={"pattern": PATTERN})


def test_an_oracle_draws_whole_recordings_and_single_images_for_themselves(drives):
    rows = rows_of(drives)
    splits = {}
    for row in rows.values():
        splits.setdefault(row["sequence_id"] or row["image_id"], set()).add(row["split"])

    assert len(splits) == 12 + 5
    assert all(len(found) == 1 for found in splits.values())
    assert {"seed", "pool"} == set().union(*splits.values())
    assert {row["image_id"].split("/")[0] for row in rows.values()} == {"shard-000", "shard-001"}


def test_changed_labels_keep_recordings_whole(drives):
    labels, source = load_labels(drives), open_source(drives)
    for shard in source.shards():
        rows = inspect_shard(
            source, shard, labels=labels, max_pixels=10**6, sequences=drives.settings.dataset.sequences
        )
        assert relabelled(rows, shard, labels).equals(rows)


def test_a_frame_that_was_drawn_with_its_recording_is_not_taken_for_mined(drives):
    labels = load_labels(drives)
    seed = next(row for row in rows_of(drives).values() if row["split"] == Split.SEED and row["sequence_id"])
    key = seed["image_id"].partition("/")[2]

    assert labels.visible(seed["image_id"], key, seed["sequence_id"])[1] is Split.SEED
    assert not labels.is_mined(seed["image_id"], key, seed["sequence_id"])
