"""A list says who entered since the last one, who left, and why; nothing of that is lost to a kill or a repetition."""

from typing import Any

import pytest
from conftest import Made, Maker, members, write_tar

from vlmine_dagster.cli.mined import changes_of
from vlmine_dagster.cli.top import print_changes
from vlmine_dagster.resources.tracking import Tracking
from vlmine_dagster.scoring.list_changes import changes_text

PLANTED = {"coffee": 6, "chelsea": 6, "brick": 2}


@pytest.fixture(scope="module")
def made(make_project: Maker) -> Made:
    shards = {"week-1": members(PLANTED, start=0)}
    project = make_project(shards, experiments={"mine": {"signals": ["novelty_min"]}}, budget=4)
    outcome = project.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    return project


def selected(project: Made) -> set[str]:
    rows = project.frame("pareto_set", "mine")
    return set(rows[rows["selected"]]["image_id"])


def changes(project: Made) -> dict[str, Any]:
    return {row["image_id"]: row for row in changes_of(project.bench, "mine").to_pylist()}


def test_the_first_list_has_no_changes(made: Made):
    assert changes(made) == {}


def test_a_new_shard_says_who_entered_and_who_left_and_why(
    made: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "300")
    before = selected(made)
    write_tar(made.folder / "data" / "week-2.tar", members({"rocket": 2, "astronaut": 1, "chelsea": 2}, start=30))

    outcome = made.run()

    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    after, found = selected(made), changes(made)
    assert after != before
    assert {name for name, row in found.items() if row["change"] == "entered"} == after - before
    assert {name for name, row in found.items() if row["change"] == "left"} == before - after
    new = [row for row in found.values() if row["cause"] == "new"]
    assert new
    assert all(row["why"] == "new, in shard week-2" and row["rank_before"] is None for row in new)
    assert all(row["rank"] > 4 >= row["rank_before"] for row in found.values() if row["change"] == "left")
    text = changes_text(changes_of(made.bench, "mine"))
    assert text.startswith(f"Since the last list {len(after - before)} images entered")
    print_changes(list(found.values()), "mine", summary=text)
    shown = capsys.readouterr().out
    assert f"{text}." in shown
    assert "new, in shard week-2" in shown
    page = made.bench.project.state_folder("reports").joinpath("mine.html").read_text(encoding="utf-8")
    assert text in page
    assert "new, in shard week-2" in page


def test_mlflow_counts_who_entered_and_left(made: Made):
    rows = changes_of(made.bench, "mine").column("change").to_pylist()
    tracking = Tracking(made.project)
    run = tracking.client.get_run(tracking.latest(experiment="mine", asset="pareto_set"))
    assert run.data.metrics["entered"] == rows.count("entered")
    assert run.data.metrics["left"] == rows.count("left")


def test_a_list_that_is_made_again_keeps_its_changes(made: Made):
    before = changes(made)
    path = made.bench.project.state_folder("pending") / "pareto_set-mine"
    path.touch()  # as after a kill between publishing and MLflow

    outcome = made.run()

    assert ("pareto_set", "mine") in outcome.materialized
    assert changes(made) == before
    lake = made.bench.lake
    lake.publish("list_changes", "mine", lake.read("list_changes", "mine"), inputs="a run that was killed then")
    made.run()
    assert changes(made) == {}  # they are of no list
    lake.remove("list_changes", "mine")
    made.run()
    assert changes(made) == {}  # what was said is gone with its file, and nothing is made up


def test_another_budget_and_labels_are_named_as_the_cause(made: Made):
    before = selected(made)
    made.settings(budget=6)
    made.run()
    found = changes(made)
    assert set(found) == selected(made) - before
    assert {row["cause"] for row in found.values()} == {"budget"}
    assert next(iter(found.values()))["why"].endswith("the budget reaches 6 images now, 4 before")

    labelled = sorted(selected(made))[0]
    labels = made.folder / "labels.csv"
    other = next(name for name in made.frame("images")["image_id"] if name not in selected(made))
    labels.write_text(f"key,split,class_id\n{labelled},seed,0\n{other},seed,1\n")
    classes = made.folder / "classes.csv"
    classes.write_text("class_id,name\n0,thing\n1,other\n")
    files = {"file": "labels.csv", "classes": "classes.csv"}
    made.settings(dataset={"kind": "webdataset", "root": "data", "labels": files})
    outcome = made.run()
    assert ("pareto_set", "mine") in outcome.materialized, (outcome.failures, outcome.waiting)
    row = changes(made)[labelled]
    assert (row["change"], row["cause"], row["why"], row["rank"]) == ("left", "labelled", "labelled now", None)
