"""Slices in a project: floors, rarity within a slice, results by slice; and only where they are asked for."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import Made, Maker, jpeg

from vlmine_dagster.cli.export import export_list
from vlmine_dagster.cli.main import main
from vlmine_dagster.resources.tracking import Tracking

WEATHER = {"coffee": "day", "chelsea": "day", "rocket": "night"}


def shard(start: int, counts: dict[str, int], *, sidecar: bool = True) -> dict[str, bytes]:
    """Photos with a JSON file of their weather each; the first of each kind has none."""
    found = {}
    for name, count in counts.items():
        for number in range(start, start + count):
            found[f"{name}-{number}.jpg"] = jpeg(name, number)
            if sidecar and number > start:
                found[f"{name}-{number}.json"] = json.dumps({"weather": WEATHER[name], "speed": number}).encode()
    return found


@pytest.fixture(scope="module")
def made(make_project: Maker) -> Made:
    shards = {
        "a": shard(0, {"coffee": 10, "chelsea": 6, "rocket": 4}),
        "b": shard(20, {"coffee": 9, "chelsea": 6, "rocket": 5}),
        "t": shard(50, {"coffee": 6, "chelsea": 6, "rocket": 12}),
    }
    rows = [
        f"{name.removesuffix('.jpg')},{'test' if one == 't' else 'pool'},{name.split('-')[0]}"
        for one, content in shards.items()
        for name in content
        if name.endswith(".jpg")
    ]
    experiments = {
        "plain": {"signals": ["novelty_min"]},
        "floor": {"signals": ["novelty_min"], "slices": {"by": "weather", "floor": 3}},
        "within": {"signals": ["novelty_min"], "slices": {"by": "weather", "within": True}},
        "typo": {"signals": ["random"], "slices": {"by": "wether"}},
        "much": {"signals": ["random"], "slices": {"by": "weather", "floor": 8}},
        "fast": {"signals": ["random"], "slices": {"by": "speed", "bins": 2}},
    }
    project = make_project(shards, labels="\n".join(["key,split,class_id", *rows]), experiments=experiments, budget=10)
    outcome = project.run()
    assert {name for table, name in outcome.failures if table == "pareto_set"} == {"typo", "much"}, outcome.failures
    project.failures = outcome.failures  # type: ignore[attr-defined]
    return project


def test_each_slice_gets_its_floor_and_images_without_a_value_are_a_slice(made: Made):
    plain, floor = made.frame("pareto_set", "plain"), made.frame("pareto_set", "floor")

    assert plain["slice"].isna().all()
    assert set(floor["slice"]) == {"day", "night", "not known"}
    counts = Counter(floor[floor["selected"]]["slice"])
    assert sum(counts.values()) == 10
    assert all(counts[name] >= min(3, n) for name, n in Counter(floor["slice"]).items())
    lifted = floor[floor["reason"].str.contains("for the floor of weather")]
    assert set(lifted["image_id"]).isdisjoint(plain[plain["selected"]]["image_id"])
    assert len(lifted) == 10 - len(
        set(floor[floor["selected"]]["image_id"]) & set(plain[plain["selected"]]["image_id"])
    )


def test_rarity_within_a_slice_counts_the_keywords_of_that_slice_alone(made: Made):
    rows = made.frame("pareto_set", "within")
    slice_of = {
        row.image_id: json.loads(row.attributes)["weather"] if isinstance(row.attributes, str) else "not known"
        for row in made.frame("attributes").itertuples()
    }
    counts: Counter[tuple[str, str]] = Counter()
    words: dict[str, list[str]] = {}
    for row in made.frame("keywords").itertuples():
        counts[row.keyword, slice_of[row.image_id]] += 1
        words.setdefault(row.image_id, []).append(row.keyword)

    for row in rows.itertuples():
        expected = 1 / min(counts[word, slice_of[row.image_id]] for word in words[row.image_id])
        assert row.novelty_min == pytest.approx(expected)
    assert rows["novelty_min"].sum() > made.frame("pareto_set", "plain")["novelty_min"].sum()
    assert rows.iloc[0]["reason"].endswith(" · counted within its weather")


def test_what_cannot_be_sliced_says_why(made: Made):
    failures: Any = made.failures  # type: ignore[attr-defined]

    typo = failures["pareto_set", "typo"]
    assert "no image has a column 'wether'. Did you mean 'weather'? There are: speed, weather." in typo
    assert "the floors need" in failures["pareto_set", "much"]
    assert "and the budget selects 10. Lower slices.floor, or raise the budget." in failures["pareto_set", "much"]
    halves = Counter(made.frame("pareto_set", "fast")["slice"])
    assert len(halves) == 3
    assert "not known" in halves


def test_exports_say_the_slice_where_there_are_slices(made: Made, tmp_path: Path):
    for arm in ("plain", "floor"):
        export_list(made.bench, arm, tmp_path / f"{arm}.csv")
    plain, floor = (pd.read_csv(tmp_path / f"{arm}.csv") for arm in ("plain", "floor"))

    assert "slice" not in plain
    listed = made.frame("pareto_set", "floor").set_index("image_id")["slice"]
    assert floor["slice"].tolist() == [listed[name] for name in floor["image_id"]]


def test_metrics_report_and_mlflow_tell_results_by_slice(made: Made, monkeypatch: pytest.MonkeyPatch):
    metrics = made.frame("retrain_metrics", "floor")
    names = set(metrics["metric"])
    accuracy = metrics[metrics["metric"] == "worst_slice_accuracy"].set_index("budget")["value"]
    by_slice = metrics[metrics["metric"].str.startswith("slice_accuracy: ")]

    assert {"slice_accuracy: day", "slice_accuracy: night"} <= names
    assert not any(name.startswith("slice_") for name in made.frame("retrain_metrics", "plain")["metric"])
    assert accuracy.to_dict() == by_slice.groupby("budget")["value"].min().to_dict()
    page = (made.folder / ".vlmine" / "reports" / "floor.html").read_text()
    assert "Slices by weather" in page
    assert "Worst slice with the labelled set alone" in page
    assert "what a smaller budget selects is not always part of" in page
    assert "Slices by" not in (made.folder / ".vlmine" / "reports" / "plain.html").read_text()
    tracking = Tracking(made.project)
    run_id = tracking.latest(experiment="floor", asset="pareto_set")
    data = tracking.client.get_run(run_id).data
    assert data.params["slices_by"] == "weather"
    assert data.params["slices_floor"] == "3"
    assert data.metrics["slice_selected: night"] >= 3
    assert "worst_slice_accuracy" in data.metrics
    assert data.tags["vlmine.worst_slice"].startswith("Worst slice with")

    monkeypatch.chdir(made.folder)
    shown = CliRunner().invoke(main, ["top", "--experiment", "floor", "-n", "3"])
    assert "Selected by weather: " in shown.output
    told = json.loads(CliRunner().invoke(main, ["compare", "--json"]).output)
    found = {row["experiment"]: row["slices"] for row in told["experiments"]}
    assert found["plain"] == {}
    assert {one["slice"] for one in found["floor"]["slices"]} == {"day", "night", "not known"}
    assert found["floor"]["worst"] in " ".join(CliRunner().invoke(main, ["compare"]).output.split())


def test_without_slices_nothing_is_made(made: Made):
    made.settings(experiments={"plain": {"signals": ["novelty_min"]}})

    before = made.bench.lake.stamp("pareto_set", "plain")
    outcome = made.run()

    assert outcome.materialized == []
    assert made.bench.lake.stamp("pareto_set", "plain") == before
