"""Recordings in a pool: those that judge are not mined, those that are cut by splits stop the list."""

import pytest
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.errors import ConfigError, CutSequencesError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import IMAGES, KEYWORD_ANSWERS, OBJECTS, PARETO_SET, UNCERTAINTY_SCORES
from vlmine_dagster.resources.lake import conform
from vlmine_dagster.scoring.pool import load_pool
from vlmine_dagster.scoring.ranking import mined_list
from vlmine_dagster.scoring.sequences import check_sequences, sequences_of
from vlmine_dagster.settings import ExperimentSettings
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


def test_of_many_recordings_with_labels_in_two_splits_three_are_named(tmp_path):
    pool = reader(tmp_path, list("vvxxyyzz"), ["seed", "test"] * 4)

    with pytest.raises(
        CutSequencesError, match=r"4 of 4 sequences .*: v \(.*\); x \(.*\); y \(seed and test\); and 1 more\."
    ):
        check_sequences(pool)


FRAMES = [("x", 0.0), ("x", 0.5), ("x", 3.0), ("y", 1.0), (None, None), ("x", 3.5), ("x", 0.1)]
"""Sequence and second of seven images, best first."""


def drive(folder, times=FRAMES, **rules):
    """The pool of an experiment that ranks seven images in their own order."""
    dataset = {"kind": "folder", "root": ".", "sequences": {"pattern": PATTERN}}
    model = {"kind": "predictions", "path": "p.parquet"}
    arms = {"mine": {"signals": ["entropy"], **rules}}
    settings = parse_settings({"name": "p", "dataset": dataset, "task_model": model, "experiments": arms})
    ids = [f"a/{place}" for place in range(len(times))]
    tables = {
        "images": plain_rows(
            IMAGES,
            image_id=ids,
            sha256=ids,
            sequence_id=[name for name, _ in times],
            timestamp_s=[at for _, at in times],
            split=["pool"] * len(ids),
        ),
        "keyword_answers": plain_rows(KEYWORD_ANSWERS, image_id=ids),
        "uncertainty_scores": plain_rows(UNCERTAINTY_SCORES, image_id=ids, entropy=range(len(ids), 0, -1)),
    }
    columns = dict(settings.experiments["mine"].reads)
    columns["images"] = tuple(dict.fromkeys((*columns.pop(ITEMS), "sequence_id")))
    project = Project(settings, folder)
    return MemoryReader({name: {"a": rows} for name, rows in tables.items()}, columns, project=project)


def driven_objects(folder, **rules):
    """The pool of an experiment that ranks six objects in frames in their own order."""
    dataset = {"kind": "folder", "root": ".", "sequences": {"pattern": PATTERN}}
    model = {"kind": "predictions", "path": "p.parquet"}
    arms = {"mine": {"signals": ["entropy"], **rules}}
    given = {"name": "p", "dataset": dataset, "task_model": model, "experiments": arms}
    settings = parse_settings({**given, "unit": "object", "objects": {"boxes": "b"}})
    ids = [f"a/p#{place}" for place in range(len(OBJECTS_IN_FRAMES))]
    sequences, times, tracks = zip(*OBJECTS_IN_FRAMES, strict=True)
    frames = plain_rows(
        OBJECTS, object_id=ids, image_id=ids, sha256=ids, sequence_id=sequences, timestamp_s=times, track_id=tracks,
        split=["pool"] * len(ids),
    )  # fmt: skip
    tables = {
        ITEMS: frames.rename_columns({"image_id": "parent_id", "object_id": "image_id"}),
        "keyword_answers": plain_rows(KEYWORD_ANSWERS, image_id=ids),
        "uncertainty_scores": plain_rows(UNCERTAINTY_SCORES, image_id=ids, entropy=range(len(ids), 0, -1)),
    }
    columns = dict(settings.experiments["mine"].reads)
    columns[ITEMS] = tuple(dict.fromkeys((*columns[ITEMS], "sequence_id")))
    project = Project(settings, folder)
    return MemoryReader({name: {"a": rows} for name, rows in tables.items()}, columns, project=project)


def listed(pool, budget):
    found = mined_list(pool, pool.project.settings.experiments["mine"], budget=budget, labels=None)
    conform(PARETO_SET.name, found.rows)
    return found, found.rows.to_pylist()


def test_a_list_takes_one_frame_per_moment_and_says_what_it_skips(tmp_path):
    found, rows = listed(drive(tmp_path, gap_s=1), 7)

    assert [row["image_id"] for row in rows] == [f"a/{place}" for place in (0, 2, 3, 4, 1, 5, 6)]
    assert [row["rank"] for row in rows] == list(range(1, 8))
    assert [row["selected"] for row in rows] == [True] * 4 + [False] * 3
    assert [row["more_frames"] for row in rows] == [2, 1, 0, 0, 0, 0, 0]
    assert [row["listed_instead"] for row in rows] == [None] * 4 + ["a/0", "a/2", "a/0"]
    assert rows[0]["reason"].endswith(" · 2 more frames of this moment")
    assert rows[1]["reason"].endswith(" · 1 more frame of this moment")
    assert "more" not in rows[2]["reason"]
    assert rows[4]["reason"] == "skipped, the list contains another frame of its sequence: a/0"
    assert (found.selected_count, found.skipped_count) == (4, 3)


def test_a_smaller_budget_is_a_prefix_of_a_larger_one(tmp_path):
    rows = {n: listed(drive(tmp_path, gap_s=1, per_sequence=2), n)[1] for n in range(2, 8)}

    for small in rows.values():
        assert [row["image_id"] for row in small] == [row["image_id"] for row in rows[7]]
    assert [sum(row["selected"] for row in found) for found in rows.values()] == [2, 3, 4, 4, 4, 4]


def test_a_list_takes_so_many_frames_per_sequence(tmp_path):
    _, rows = listed(drive(tmp_path, per_sequence=1), 2)

    assert [row["image_id"] for row in rows] == [f"a/{place}" for place in (0, 3, 4, 1, 2, 5, 6)]
    assert rows[0]["reason"].endswith(" · 4 more frames of this sequence")
    assert [row["reason"] for row in rows[2:4]] == [
        "beyond the budget",
        "skipped, the list contains another frame of its sequence: a/0",
    ]


def test_frames_whose_time_nobody_knows_are_named_with_what_to_do(tmp_path):
    times = [(name, None if place == 2 else at) for place, (name, at) in enumerate(FRAMES)]

    with pytest.raises(
        ConfigError, match=r"needs the time of every frame, and 1 frame has none \(timestamp_s .* a/2\. Set"
    ):
        listed(drive(tmp_path, times, gap_s=1), 3)


OBJECTS_IN_FRAMES = [
    ("x", 0.0, "1"),
    ("x", 0.0, "2"),
    ("x", 0.5, "1"),
    ("y", 0.0, "1"),
    ("x", 0.4, None),
    ("x", 3.0, "1"),
]
"""Sequence, second and track of six objects, best first; both recordings have a track 1."""


def test_a_gap_of_tracks_lists_two_things_of_one_moment_and_one_thing_once(tmp_path):
    rows = {
        most: listed(driven_objects(tmp_path, gap_s=1, gap_of="track", **({"per_sequence": most} if most else {})), 6)[
            1
        ]
        for most in (None, 2)
    }

    assert [row["image_id"] for row in rows[None]] == [f"a/p#{n}" for n in (0, 1, 3, 4, 5, 2)]
    assert rows[None][-1]["listed_instead"] == "a/p#0"
    assert rows[None][0]["reason"].endswith(" · 1 more object of this moment")
    assert [row["image_id"] for row in rows[2]] == [f"a/p#{n}" for n in (0, 1, 3, 4, 5, 2)]
    assert [row["selected"] for row in rows[2]] == [True, True, True, False, False, False]
    assert rows[2][0]["reason"].endswith(" · 1 more object of this moment · 2 more objects of this sequence")


def test_without_tracks_a_gap_is_between_all_objects_of_a_sequence(tmp_path):
    _, rows = listed(driven_objects(tmp_path, gap_s=1), 6)

    assert [row["image_id"] for row in rows] == [f"a/p#{n}" for n in (0, 3, 5, 1, 2, 4)]


@pytest.mark.parametrize(
    ("unit", "rules", "told"),
    [
        ("image", {"gap_s": 1, "gap_of": "track"}, "gap_of: track needs objects; set `unit: object`"),
        ("object", {"per_sequence": 1, "gap_of": "track"}, "set gap_s or gap_frames too"),
    ],
)
def test_a_gap_of_tracks_needs_objects_and_a_gap(unit, rules, told):
    dataset = {"kind": "folder", "root": ".", "sequences": {"pattern": PATTERN}}
    given = {"name": "p", "dataset": dataset, "experiments": {"mine": {"signals": ["random"], **rules}}}
    objects = {"unit": "object", "objects": {"boxes": "b"}} if unit == "object" else {}

    with pytest.raises(ConfigError, match=told):
        parse_settings({**given, **objects})


def test_an_experiment_without_a_gap_of_tracks_keeps_its_text():
    assert "gap_of" not in str(ExperimentSettings(signals=["random"], gap_s=1))
    assert "gap_of" not in ExperimentSettings(signals=["random"], gap_s=1).model_dump()


def test_rules_without_sequences_or_with_two_gaps_are_refused():
    dataset = {"kind": "folder", "root": "."}
    arms = {"mine": {"signals": ["random"], "per_sequence": 1}}
    with pytest.raises(ConfigError, match="'mine': per_sequence, gap_s and gap_frames need sequences"):
        parse_settings({"name": "p", "dataset": dataset, "experiments": arms})
    with pytest.raises(ConfigError, match="count_by: sequence needs sequences"):
        parse_settings({"name": "p", "dataset": dataset, "count_by": "sequence"})
    arms["mine"] |= {"gap_s": 1, "gap_frames": 2}
    with pytest.raises(ConfigError, match="set gap_s or gap_frames, not both"):
        parse_settings({"name": "p", "dataset": dataset, "experiments": arms})
