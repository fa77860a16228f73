"""Every benchmark of the engine runs at a tiny size and finds what it compares with."""

import json

import numpy as np
import pytest
from conftest import photo

from benchmarks import engine, growth, neighbours, peers, ranking
from benchmarks.measuring import Cost
from benchmarks.synthetic_lake import KEYWORDS_AN_IMAGE, LakeSize, make_lake
from vlmine_dagster.resources.workbench import Workbench


@pytest.fixture(scope="module")
def lake_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake")
    make_lake(folder, LakeSize(images=300, shards=3, vocabulary=100))
    return folder


def test_scores_of_the_stages_are_those_of_bare_duckdb(lake_folder):
    bench = engine.Workbench(settings_file=str(lake_folder / "vlmine.yaml"))

    parts = [engine.run_stage(bench, name) for name in (engine.POOL_STAGE, engine.SHARD_STAGE)]
    engine.run_bare_query(bench, lake_folder)

    engine.check_scores(bench, lake_folder)
    assert all(part["checked"] > 0 and part["published"] > 0 for part in parts)
    assert bench.lake.read_all("keywords", bench.lake.partitions("keywords")).num_rows == 300 * KEYWORDS_AN_IMAGE


def test_scores_that_differ_are_refused(lake_folder):
    bench = engine.Workbench(settings_file=str(lake_folder / "vlmine.yaml"))
    for name in (engine.POOL_STAGE, engine.SHARD_STAGE):
        engine.run_stage(bench, name)
    engine.run_bare_query(bench, lake_folder)
    scores = bench.lake.read("novelty_scores", "pool/00000")
    bench.lake.publish("novelty_scores", "pool/00000", scores.slice(1), inputs="")

    with pytest.raises(SystemExit, match="novelty_scores differs"):
        engine.check_scores(bench, lake_folder)


def test_the_report_tells_stages_and_ratios(capsys):
    costs = {"seconds": 2.0, "cpu": 1.0, "peak": 300.0, "part fronts": 0.5}

    engine.report({1000: dict.fromkeys(engine.WORK, costs)})

    said = capsys.readouterr().out
    assert "| novelty_scores | 1,000 | 2.0 | 1.0 |" in said
    assert "| 1,000 | 2.00 | 2.00 | 1.00 | 2.00 |" in said


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_ours_and_moocore_find_the_same_fronts(width):
    row = ranking.compare(200, width, rounds=1, peer_points=0)

    assert row[0] == f"200 x {width}, agreeing"
    assert row[-2:] == ["not tried", "not tried"]


@pytest.mark.parametrize("kind", ranking.KINDS)
def test_signals_of_every_kind_are_ranked(kind):
    points = ranking.KINDS[kind](500, 3)

    correlation = np.corrcoef(-1 / points[:, 0], points[:, 1])[0, 1]
    assert {
        "agreeing": correlation > 0.2,
        "independent": abs(correlation) < 0.15,
        "anticorrelated": correlation < -0.2,
    }[kind]
    assert ranking.compare(200, 3, kind=kind, rounds=1, peer_points=0)[0] == f"200 x 3, {kind}"


def test_fronts_that_differ_are_refused():
    with pytest.raises(SystemExit, match="finds other fronts"):
        ranking.seconds_of(ranking.by_moocore, np.eye(3), np.zeros(3, np.int64))


def test_selection_in_pandas_finds_the_same_images(lake_folder):
    bench = engine.Workbench(settings_file=str(lake_folder / "vlmine.yaml"))
    for name in (engine.POOL_STAGE, engine.SHARD_STAGE):
        engine.run_stage(bench, name)

    by_pandas = peers.select_by_pandas(lake_folder, 300)

    counts = bench.lake.read_all("novelty_scores", bench.lake.partitions("novelty_scores")).column("min_count")
    assert by_pandas == sorted(map(float, counts.to_pylist()))[:3]


def test_uniqueness_is_that_of_scikit_learn(lake_folder):
    found = [peers.uniqueness_by_vlmine(lake_folder, 200), peers.uniqueness_by_sklearn(lake_folder, 200)]

    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


def test_a_library_that_is_not_there_is_told():
    assert "nowhere cannot be compared with" in (peers.missing("nowhere") or "")


def test_the_index_is_measured_against_all_pairs():
    real = neighbours.unit(np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32))

    moved = neighbours.augmented(real, 0.1 * real[:50])

    few, mixed, many = (
        neighbours.measure(real, size, 20, more)
        for size, more in ((400, moved), (900, neighbours.mixtures(real)), (900, moved))
    )

    assert (few[0], mixed[0], many[0]) == ("400", "900", "900")
    assert float(few[5]) > 0.5


def test_changed_pictures_move_their_features(tmp_path):
    pictures = {"a.png": photo("coffee"), "b.png": photo("chelsea")}
    (tmp_path / "data").mkdir()
    for name, picture in pictures.items():
        picture.save(tmp_path / "data" / name)
    (tmp_path / "vlmine.yaml").write_text("name: p\ndataset: {kind: folder, root: data}\n")

    moves = neighbours.moves_of(Workbench(settings_file=str(tmp_path / "vlmine.yaml")), 2)

    assert moves.shape == (2 * neighbours.CHANGES, 1280)
    lengths = np.linalg.norm(moves, axis=1)
    assert 0.05 < lengths.min() <= lengths.max() < 1.5


def test_growth_of_the_stages_is_read_from_what_was_kept(tmp_path):
    costs = {"seconds": 2.0, "cpu": 1.0, "peak": 300.0}
    (tmp_path / engine.KEPT).write_text(json.dumps(dict.fromkeys(engine.WORK, costs)))

    assert growth.of_stages(tmp_path, 1000) == Cost(6.0, 3.0, 300.0)


def test_growth_is_drawn_as_png():
    costs = {n: Cost(1 + n / 1000, 1 + n / 1000, 500.0) for n in (100, 1000, 10_000)}

    assert growth.drawn({growth.BY_IMAGES: costs, growth.BY_SHARDS: costs}).startswith(b"\x89PNG")


@pytest.mark.parametrize(("of_each", "table"), [(0, "images"), (10, "objects")])
def test_images_and_objects_are_counted_and_ranked(tmp_path, of_each, table):
    bench = make_lake(tmp_path, LakeSize(images=300, shards=3, vocabulary=100, objects_an_image=of_each))

    for name in (engine.POOL_STAGE, engine.SHARD_STAGE, "pareto"):
        engine.run_stage(bench, name)
    engine.run_bare_query(bench, tmp_path)

    engine.check_scores(bench, tmp_path)
    shards = bench.lake.partitions(table)
    assert bench.lake.read_all("images", shards).num_rows == 300 // max(of_each, 1)
    assert bench.lake.read("pareto_set", "pareto").num_rows == bench.lake.read_all(table, shards).num_rows == 300
