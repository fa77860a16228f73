"""The made-up pool of the benchmarks: vlmine takes it for its own work, and makes only what depends on a new shard."""

import shutil

import dagster as dg
import pytest

from benchmarks.growth import fit
from benchmarks.synthetic_pool import SyntheticPool
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.cli.status import table_states


def test_a_shard_that_comes_renews_all_scores_and_no_description(tmp_path, state):
    pool = SyntheticPool(tmp_path / "pool", shard_count=3, images_a_shard=40)
    shutil.copytree(state, pool.folder / ".vlmine", symlinks=True)
    pool.make()
    with dg.DagsterInstance.ephemeral() as instance:
        first = Runner(str(pool.file), instance).run()
        pool = pool.add_rows()
        second = Runner(str(pool.file), instance).run()

    assert first.is_whole and second.is_whole, (first, second)
    shards = [f"shard-0000{number}" for number in range(4)]
    for table in ("novelty_scores", "uncertainty_scores"):
        assert sorted(name for made, name in second.materialized if made == table) == shards
    assert {made for made, _ in second.materialized}.isdisjoint({"images", "embeddings", "descriptions", "keywords"})
    rows = {row["table"]: row for row in table_states(pool.bench, shards)}
    assert rows["keywords"]["rows"] == 4 * 40 * 10
    assert rows["pareto_set"]["states"] == {"fresh": 1}
    assert "no experiment of vlmine.yaml uses any of" in rows["rarity_scores"]["skipped"]


def test_the_fit_finds_start_and_exponent_of_times_that_follow_them():
    start, slope, exponent = fit({n: 5 + 0.001 * n**1.2 for n in (100, 1_000, 10_000, 100_000)})
    assert (start, slope, exponent) == (pytest.approx(5), pytest.approx(0.001), pytest.approx(1.2))
