"""What breaks in the night: killed processes, full and locked disks, half files, servers that are gone, clocks."""

import dataclasses
import errno
import os
import shutil
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from conftest import FEW_ARMS, Made, members
from test_kills import OWN_COLUMNS

from vlmine_dagster.assets.images import images
from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.automation.jobs import GLOBAL_JOB
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.cli.compare import compared_experiments
from vlmine_dagster.definitions import build_definitions
from vlmine_dagster.domain.errors import (
    CacheError,
    ConfigError,
    LakeError,
    MissingInputError,
    SourceError,
    StoreError,
    TrackingError,
)
from vlmine_dagster.domain.tables import TABLES, WHOLE_POOL, Outcome
from vlmine_dagster.engine.asset_factory import build_asset
from vlmine_dagster.engine.graph import Graph
from vlmine_dagster.engine.partitions import experiments
from vlmine_dagster.engine.stage import COMMAND_TAG, Product, Unit
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.cache import ReplyCache
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.replies import Reply


def content(made: Made) -> dict[tuple[str, str], dict[str, str]]:
    """Hashes of the columns of every published table, but for those that tell time and place."""
    lake = made.bench.lake
    return {
        (table, partition): {
            name: digest
            for name, digest in lake.stamp(table, partition).columns.items()
            if name not in OWN_COLUMNS.get(table, ())
        }
        for table in TABLES
        for partition in lake.partitions(table)
    }


@pytest.fixture(scope="module")
def clean(_finished: Made) -> dict:
    return content(_finished)


def test_a_full_disk_is_told_and_what_is_there_stays_whole(finished: Made, monkeypatch):
    finished.keep_experiments(*FEW_ARMS)
    before = content(finished)
    finished.replace_shard("pool/a", members({"coffee": 4, "rocket": 2}, start=70))

    def no_room(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr("vlmine_dagster.domain.files.os.fsync", no_room)
        outcome = finished.run()

    assert "cannot be written: No space left on device" in outcome.failures["images", "pool/a"]
    assert "Make room" in outcome.failures["images", "pool/a"]
    assert content(finished) == before
    assert not list(finished.folder.rglob("*.tmp"))
    assert finished.run().is_whole


def test_a_full_disk_stops_the_cache_before_a_call_is_paid_for(tmp_path):
    cache = ReplyCache(tmp_path)
    cache.put("v", [("a", Reply("said", Outcome.OK, None))], label="l")
    pages = cache._database.execute("PRAGMA page_count").fetchone()[0]
    cache._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(CacheError, match="database or disk is full. Make room"):
        cache.put("v", [(str(k), Reply("x" * 4000, Outcome.OK, None)) for k in range(50)], label="l")

    assert set(ReplyCache(tmp_path).find("v", ["a", "0", "1"])) == {"a"}  # all of a group or none


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a file system that nobody can write, such as /sys")
def test_a_lake_that_may_not_be_written_is_refused_before_any_work(finished: Made, monkeypatch):
    locked = Lake("/sys/kernel/vlmine")
    with pytest.raises(LakeError, match="the lake /sys/kernel/vlmine cannot be written"):
        locked.check_writable()

    monkeypatch.setattr("vlmine_dagster.resources.workbench.Workbench.lake", locked)
    with pytest.raises(LakeError, match="let this user write there"):
        finished.run()
    assert finished.instance.get_runs() == []


def test_an_mlflow_that_is_gone_is_told_before_work_starts_and_nothing_is_lost(finished: Made, monkeypatch, clean):
    finished.bench.lake.remove("pareto_set", "pareto")
    with monkeypatch.context() as gone:
        gone.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        gone.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        outcome = finished.run(experiments=["pareto"])

    assert "MLflow at http://127.0.0.1:1" in outcome.failures["pareto_set", "pareto"]
    assert "Check MLFLOW_TRACKING_URI" in outcome.failures["pareto_set", "pareto"]
    assert finished.run().is_whole
    assert content(finished) == clean


def test_an_mlflow_that_goes_while_a_table_is_recorded_costs_no_work(finished: Made, monkeypatch):
    finished.bench.lake.remove("pareto_set", "pareto")

    def refuses(*_: object, **__: object) -> None:
        raise TrackingError("MLflow at http://127.0.0.1:1: connection refused.")

    with monkeypatch.context() as gone:
        gone.setattr("vlmine_dagster.reporting.mlflow_runs.run_tags", refuses)
        assert finished.run(experiments=["pareto"]).is_whole

    records = finished.instance.fetch_materializations(dg.AssetKey("pareto_set"), limit=1).records
    assert "connection refused" in str(records[0].asset_materialization.metadata["mlflow"].value)
    monkeypatch.delattr("vlmine_dagster.scoring.retraining.retrained_rows")  # nothing is trained again
    again = finished.run()
    assert again.is_whole, again.failures
    assert set(again.materialized) == {(t, "pareto") for t in ("pareto_set", "retrain_metrics", "mining_report")}
    row = next(row for row in compared_experiments(finished.bench) if row["experiment"] == "pareto")
    assert row["few_recall"]
    assert finished.run().materialized == []


def test_an_mlflow_that_lost_everything_is_told_again_without_training(finished: Made, monkeypatch):
    finished.keep_experiments(*FEW_ARMS)
    shutil.rmtree(finished.folder / ".vlmine" / "mlflow")
    with pytest.raises(
        MissingInputError, match="`vlmine run` mines what is missing and reports the rest to MLflow again"
    ):
        compared_experiments(finished.bench)
    monkeypatch.delattr("vlmine_dagster.scoring.retraining.retrained_rows")

    again = finished.run()

    assert again.is_whole, again.failures
    assert {table for table, _ in again.materialized} == {"pareto_set", "retrain_metrics", "mining_report"}
    assert all(row["few_recall"] for row in compared_experiments(finished.bench))


def test_another_budget_opens_a_run_in_mlflow_that_has_all_curves(finished: Made):
    finished.keep_experiments(*FEW_ARMS)
    finished.settings(budget=3)

    outcome = finished.run()

    assert outcome.is_whole, outcome.failures
    assert all(row["few_recall"] and row["few_accuracy"] for row in compared_experiments(finished.bench))


def test_nothing_is_made_of_what_could_not_be_brought_up_to_date(finished: Made):
    finished.settings(task_model={"kind": "predictions", "path": "labels.csv"})

    outcome = finished.run()

    assert set(outcome.failures) == {("task_model", WHOLE_POOL)}
    assert "waits for task_model" in outcome.waiting["uncertainty_scores[pool/a]"]
    assert "waits for uncertainty_scores" in outcome.waiting["pareto_set[entropy]"]
    assert not {"uncertainty_scores", "pareto_set"} & {table for table, _ in outcome.materialized}


def tried(made: Made, failures: list[Exception], monkeypatch, **tags: str) -> tuple[bool, int]:
    """Make images, which fails in these ways first; return whether it succeeded, and how often it was tried again."""
    left = list(failures)

    def compute(run: StageRun) -> Product:
        if left:
            raise left.pop(0)
        return Product(run.previous().read())

    monkeypatch.setattr("vlmine_dagster.engine.asset_factory._FIRST_WAIT_S", 0.001)
    stage = dataclasses.replace(images, compute=compute)
    asset = build_asset(Unit(stage), Graph([stage]), made.project, experiments=experiments([]), code_version="x")
    result = dg.materialize(
        [asset],
        partition_key="pool/a",
        instance=made.instance,
        resources={"workbench": made.bench},
        tags=tags,
        raise_on_error=False,
    )
    return result.success, sum(event.is_step_up_for_retry for event in result.all_events)


@pytest.mark.parametrize(
    ("failures", "tags", "expected"),
    [
        ([TrackingError("gone"), LakeError("gone"), StoreError("gone")], {}, (True, 3)),
        ([TrackingError("gone")] * 9, {}, (False, 3)),
        ([ConfigError("wrong")], {}, (False, 0)),
        ([SourceError("no tar")], {}, (False, 0)),
        ([TrackingError("gone")], {COMMAND_TAG: "here"}, (False, 0)),
    ],
    ids=["passes", "does not pass", "settings", "a broken file", "somebody waits at the terminal"],
)
def test_what_may_pass_by_itself_is_tried_again_and_nothing_else(finished: Made, monkeypatch, failures, tags, expected):
    assert tried(finished, failures, monkeypatch, **tags) == expected


def test_a_run_killed_between_lake_and_mlflow_is_made_again_so_that_mlflow_hears_of_it(finished: Made, monkeypatch):
    lake = finished.bench.lake
    lake.remove("pareto_set", "entropy")
    known = finished.bench.tracking.latest(experiment="entropy", asset="pareto_set")

    class Gone(BaseException):
        """The process is gone."""

    def dies(*_: object) -> None:
        raise Gone

    with monkeypatch.context() as killed:
        killed.setattr("vlmine_dagster.engine.making._recorded", dies)
        with suppress(Gone):
            finished.run(experiments=["entropy"])
    published = lake.stamp("pareto_set", "entropy")
    assert published is not None
    assert finished.bench.tracking.latest(experiment="entropy", asset="pareto_set") == known
    mark = finished.folder / ".vlmine" / "pending" / "pareto_set-entropy"
    assert mark.exists()

    again = finished.run(experiments=["entropy"])

    assert ("pareto_set", "entropy") in again.materialized
    assert lake.stamp("pareto_set", "entropy") == published
    assert finished.bench.tracking.latest(experiment="entropy", asset="pareto_set") != known
    assert not mark.exists()
    assert finished.run(experiments=["entropy"]).materialized == []


def test_a_half_written_file_is_made_again(finished: Made, clean):
    for table, partition in (("keywords", "pool/b"), ("embeddings", "pool/a"), ("pareto_set", "entropy")):
        path = Path(str(finished.bench.lake.path(table, partition)))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    outcome = finished.run()

    assert {("keywords", "pool/b"), ("embeddings", "pool/a"), ("pareto_set", "entropy")} <= {*outcome.materialized}
    assert content(finished) == clean


@pytest.mark.parametrize(("layout", "said"), [("0", "Move it away and run again"), ("99", "Update vlmine")])
def test_a_home_of_another_version_is_refused_by_name(finished: Made, layout, said):
    (finished.folder / ".vlmine" / "layout").write_text(layout)

    with pytest.raises(ConfigError, match=rf"\.vlmine has layout '{layout}', this vlmine writes layout 1. {said}"):
        finished.run()


def test_a_home_from_before_layouts_were_marked_goes_on(finished: Made):
    mark = finished.folder / ".vlmine" / "layout"
    mark.unlink()

    assert finished.run().materialized == []
    assert mark.read_text() == "1"


def test_a_clock_that_goes_back_changes_nothing(finished: Made, monkeypatch):
    finished.keep_experiments("entropy", "fused")
    finished.replace_shard("pool/a", members({"coffee": 4, "chelsea": 3, "rocket": 2}, start=70))
    yesterday = time.time() - 86_400
    started = time.monotonic()
    with monkeypatch.context() as back:
        back.setattr(time, "time", lambda: yesterday + time.monotonic() - started)
        outcome = finished.run()
    assert outcome.is_whole
    assert ("pareto_set", "entropy") in outcome.materialized

    shown = {row["experiment"]: row["mlflow_run_id"] for row in compared_experiments(finished.bench)}
    runs = {name: finished.bench.tracking.client.get_run(run_id) for name, run_id in shown.items()}
    assert {run.info.start_time < (yesterday + 3600) * 1000 for run in runs.values()} == {True}
    assert finished.run().materialized == []


def test_a_cache_of_a_newer_version_is_refused(tmp_path):
    ReplyCache(tmp_path).spent_usd()
    with sqlite3.connect(tmp_path / "replies.sqlite") as database:
        database.execute("PRAGMA user_version = 9")
    database.close()

    with pytest.raises(CacheError, match="Update vlmine"):
        ReplyCache(tmp_path).spent_usd()


def test_a_slot_that_a_dead_run_holds_is_given_back_though_the_run_was_buried_before(finished: Made):
    file = str(finished.file)
    finished.bench.lake.remove("task_model", "pool")
    with open_instance(finished.project) as instance:
        job = build_definitions(finished.project, settings_file=file).resolve_job_def(GLOBAL_JOB)
        dead = instance.create_run_for_job(job)
        history = instance.event_log_storage
        history.set_concurrency_slots("accelerator", 1)
        assert history.claim_concurrency_slot("accelerator", dead.run_id, "task_model").is_claimed
        instance.report_run_failed(dead, "whoever buried it was killed before it came to the slots")

        outcome = Runner(file, instance).run()

        assert ("task_model", "pool") in outcome.materialized
        assert history.get_concurrency_run_ids() == set()
