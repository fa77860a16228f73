"""What is left behind when a partition is made."""

import dagster as dg
from conftest import plain_rows

from vlmine_dagster.automation.jobs import MINING_JOB
from vlmine_dagster.domain.tables import IMAGES, PARETO_SET
from vlmine_dagster.engine.freshness import pending_mark


def test_a_stage_that_has_nothing_to_tell_mlflow_clears_the_mark_of_a_run_that_was_killed(make_project):
    made = make_project({"a": {}}, experiments={"rare": {"signals": ["novelty_min"]}}, retraining={"kind": "cnn"})
    lake = made.bench.lake
    lake.publish("images", "a", plain_rows(IMAGES, image_id=["a/0"]), inputs="by hand")
    lake.publish("pareto_set", "rare", plain_rows(PARETO_SET, image_id=["a/0"], selected=[False]), inputs="by hand")
    mark = pending_mark(made.bench, "retrain_metrics", "rare")
    mark.touch()

    assert made.job(MINING_JOB, "rare", asset_selection=[dg.AssetKey("retrain_metrics")]).success

    assert lake.path("retrain_metrics", "rare").exists()
    assert not mark.exists()
