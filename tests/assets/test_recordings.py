"""A pool with recordings through the real graph: drawn whole, counted once, listed once, exported with its frames."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import Made, jpeg

from vlmine_dagster.cli.context import frames_around
from vlmine_dagster.cli.export import export_list
from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import ConfigError

FRAMES = 6
DRAW = 23
"""The draw of the labelled set that holds a recording of a park and that of the street."""


@pytest.fixture(scope="module")
def made(make_project) -> Made:
    """Four recordings of six frames and a few photos, over two shards; one recording shows a rocket."""
    recordings = {"park_1": "coffee", "park_2": "coffee", "street_1": "chelsea", "launch_7": "rocket"}
    shards: dict[str, dict[str, bytes]] = {"a": {}, "b": {}}
    for name, shown in recordings.items():
        for frame in range(FRAMES):
            shards["ab"[frame % 2]][f"{name}_{frame:03}.jpg"] = jpeg(shown, frame)
    shards["a"] |= {f"photo{n}.jpg": jpeg("coffee", 20 + n) for n in range(4)}
    rows = [f"{name.removesuffix('.jpg')},pool,{name[:4]}" for shard in shards.values() for name in shard]
    made = make_project(
        shards,
        count_by="sequence",
        budget=5,
        experiments={
            "mine": {"signals": ["novelty_min"], "gap_s": 1, "per_sequence": 2},
            "plain": {"signals": ["novelty_min"]},
        },
    )
    (made.folder / "labels.csv").write_text("\n".join(["key,split,class_id", *rows]))
    dataset = {
        "kind": "webdataset",
        "root": "data",
        "labels": {"file": "labels.csv", "oracle": True, "seed_fraction": 0.5, "draw": DRAW},
        "sequences": {"pattern": r"(?P<sequence>.+)_(?P<frame>\d+)", "frames_per_s": 4},
    }
    made.settings(dataset=dataset)
    outcome = made.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    return made


def test_recordings_are_drawn_whole_counted_once_and_listed_once(made):
    images = made.frame("images").set_index("image_id")
    whole = images.groupby("sequence_id")["split"].nunique()
    assert (whole.size, whole.max()) == (4, 1)

    counts = made.frame("vocab_counts")
    assert (counts["unit_count"] <= counts["image_count"]).all()
    assert (counts["unit_count"] < counts["image_count"]).any()

    listed = made.frame("pareto_set", "mine").set_index("image_id").sort_values("rank").join(images["sequence_id"])
    kept = listed[listed["listed_instead"].isna()]
    assert kept.groupby("sequence_id").size().max() == 2
    assert len(listed) == len(made.frame("pareto_set", "plain"))
    assert kept["more_frames"].sum() == listed["listed_instead"].notna().sum() > 0
    assert listed["selected"].sum() == min(5, len(kept))
    first = kept.iloc[0]
    assert "sequence" in first["reason"].split(" · ")[0] or "1 image" not in first["reason"]
    page = (made.folder / ".vlmine/reports/mine.html").read_text(encoding="utf-8")
    assert "more frames of this moment" in page


def test_a_skipped_frame_is_explained_by_the_one_that_is_listed(made, monkeypatch):
    monkeypatch.chdir(made.folder)
    listed = made.frame("pareto_set", "mine")
    row = listed[listed["listed_instead"].notna()].iloc[0]

    card = json.loads(CliRunner().invoke(main, ["explain", row["image_id"], "--json"]).output)
    told = CliRunner().invoke(main, ["explain", row["image_id"]]).output

    place = card["experiments"]["mine"]
    assert (place["selected"], place["listed_instead"], place["more_frames"]) == (False, row["listed_instead"], 0)
    assert card["count_by"] == "sequence"
    assert f"frame {card['image']['frame_index']} of sequence {card['image']['sequence_id']}, at " in told
    assert f"in {card['keywords'][0]['unit_count']} sequence" in told


def test_an_export_adds_the_frames_around_each_once_and_marks_them(made, tmp_path):
    bench = made.bench
    made_of = export_list(bench, "mine", tmp_path / "m.csv", count=3, context=2, images=tmp_path / "to label")

    rows = list(csv.DictReader((tmp_path / "m.csv").open()))
    mined = [row for row in rows if row["role"] == "mined"]
    context = [row for row in rows if row["role"] == "context"]
    images = made.frame("images").set_index("image_id")
    ids = [row["image_id"] for row in rows]
    assert (made_of.row_count, len(mined), len(set(ids))) == (len(rows), 3, len(ids))
    assert context
    for row in context:
        frame, around = images.loc[row["image_id"]], images.loc[row["context_of"]]
        distance = int(frame["frame_index"] - around["frame_index"])
        assert frame["sequence_id"] == around["sequence_id"]
        assert 1 <= abs(distance) <= 2
        side = "before" if distance < 0 else "after"
        many = "frame" if abs(distance) == 1 else "frames"
        assert row["reason"] == f"context: {abs(distance)} {many} {side} {row['context_of']}"
        assert row["rank"] == next(one["rank"] for one in mined if one["image_id"] == row["context_of"])
        assert row["more_frames"] == ""
    assert all(Path(row["path"]).is_file() for row in rows)
    plain = list(csv.DictReader(_exported(bench, tmp_path / "p.csv").open()))
    assert list(plain[0]) == ["rank", "image_id", "shard", "path", "reason", "novelty_min", "more_frames"]


def _exported(bench, file: Path) -> Path:
    export_list(bench, "mine", file, count=3)
    return file


def test_context_of_a_pool_without_sequences_is_refused(make_project):
    with pytest.raises(ConfigError, match="--context needs sequences"):
        frames_around(make_project({"a": {}}).bench, {"a/x": 1}, 1)
