"""The study `driving` on a small world, whose keywords are made up so that its lists can be told."""

import json

import numpy as np
import pytest
from conftest import jpeg, plain_rows

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.tables import NOVELTY_SCORES, OBJECTS
from vlmine_dagster.resources.driving.waymo_files import write_kinds, write_waymo
from vlmine_dagster.resources.driving.world import WorldSize, drives
from vlmine_dagster.studies.driving import BOTH, DOUBT, KEYWORDS, KNOWN, LISTS, RULES, STUDY, doubt_of
from vlmine_dagster.studies.study import conduct

SIZE = WorldSize(segments=9, frames=2, frame_gap_s=1.0, beams=10, columns=120)


@pytest.fixture(scope="module")
def reported(make_project):
    """A finished study; an object is novel if it is longer than 7 m, so that keywords find what is known."""
    made = make_project(
        {"a": {"x.jpg": jpeg("coffee", 0)}}, retraining={"epochs": 1, "kind": "probe", "budgets": [0.2]}
    )
    world = list(drives(SIZE, random_seed=3))
    write_waymo(made.folder / "world", world, random_seed=0, has_pictures=False)
    write_kinds(made.folder / "kinds.parquet", world)
    made.settings(
        dataset={"kind": "waymo", "root": "world", "kinds": "kinds.parquet"},
        unit="object",
        objects={"from_dataset": True},
        experiments={"novelty_min": {"signals": ["novelty_min"]}},
    )
    lake = made.bench.lake
    for drive in world:
        rows = [
            (f"{drive.name}/{frame.time_us}_FRONT#{actor.name}", frame.time_us / 1e6, actor.size[0])
            for frame in drive.frames()
            for actor in drive.actors
            if actor.kind.type == 1
        ]
        names, times, lengths = (list(column) for column in zip(*rows, strict=True))
        objects = plain_rows(OBJECTS, object_id=names, timestamp_s=times)
        lake.publish("objects", drive.name, objects, inputs="x")
        novelty = [1.0 if length > 7 else 0.01 for length in lengths]
        columns = {"image_id": names, "novelty_min": novelty, "min_count": [1] * len(names)}
        lake.publish("novelty_scores", drive.name, plain_rows(NOVELTY_SCORES, **columns), inputs="x")
    return made, conduct(STUDY, made.bench, draws=1)


def test_every_list_is_judged_by_every_rule_and_the_rules_are_named(reported):
    _, report = reported
    assert [f"rare means: {rule.text}" for rule in RULES] == list(report.words[1:3])
    tracks = {row["of"]: row for row in report.tables["Rare tracks in the sweeps that a list labels"]}
    assert set(tracks) == {f"rare tracks: {rule.text}" for rule in RULES}
    assert all(row[name] for row in tracks.values() for name in LISTS)
    precision = report.tables["Average precision in space (AP), mean over draws and 95% interval"]
    assert any("vehicle, 20 to 38 m" in row["of"] for row in precision)
    assert any(f"vehicle, rare: {RULES[0].text}" in row["of"] for row in precision)
    assert not any(row[KNOWN] for row in precision)  # nothing is trained on it


def test_keywords_that_name_long_vehicles_find_as_many_as_those_who_know_them(reported):
    made, report = reported
    rows = json.loads(next((made.folder / ".vlmine/studies/driving/steps").glob("*/draw-0.json")).read_text())
    found = {row["list"]: row["value"] for row in rows if row["of"] == f"rare tracks: {RULES[0].text}"}
    assert found[KEYWORDS] >= max(found[DOUBT], 1)
    assert 0 < found[BOTH] <= found[KEYWORDS] or found[BOTH] >= found[DOUBT]
    assert any(word.startswith(f"rare tracks: {RULES[0].text}: {KEYWORDS} minus {DOUBT}") for word in report.words)


def test_a_project_of_photos_is_refused(make_project):
    made = make_project({"a": {"x.jpg": jpeg("coffee", 0)}})
    made.bench.lake.publish("objects", "a", plain_rows(OBJECTS, object_id=["a/x.jpg#1"]), inputs="x")
    made.bench.lake.publish("novelty_scores", "a", plain_rows(NOVELTY_SCORES, image_id=["a/x.jpg"]), inputs="x")
    with pytest.raises(ConfigError, match="needs a data set of driving"):
        conduct(STUDY, made.bench, draws=1)


def test_doubt_is_greatest_where_scores_are_halves():
    assert doubt_of(np.array([0.5])) > doubt_of(np.array([0.9])) > doubt_of(np.array([0.999])) > doubt_of(np.array([]))
