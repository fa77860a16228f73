"""The replay of a fleet: the real planner hands everything out once, and then finds all of it fresh."""

import pytest

from benchmarks.fleet import Fleet, makespan, open_bench, replay


def test_a_fleet_makes_every_shard_once_and_the_planner_then_finds_all_fresh(tmp_path):
    fleet = Fleet(workers=2, images_per_shard=100, per_second=10.0, overhead_s=1.0)
    bench = open_bench(tmp_path, 6)

    found = replay(bench, fleet)

    made = {table for table, _, _ in bench.lake.stamps}
    assert {"images", "keywords", "keyword_answers", "vocab_counts", "pareto_set", "mining_report"} <= made
    assert sum(table == "keywords" for table, _, _ in bench.lake.stamps) == 6
    shard_runs = 6
    assert found.runs > shard_runs
    assert found.fleet_s >= 3 * fleet.shard_s  # six shards by two workers, and then the pool and the experiments
    assert fleet.shard_s == pytest.approx(11.0)


def test_runs_go_to_the_first_worker_that_is_free():
    assert makespan([3.0, 1.0, 1.0, 1.0], 2) == 3.0
    assert makespan([], 2) == 0.0
