"""What runs automatically: sensors and schedules, at fixed times or as soon as inputs change."""

import datetime
import os
import re
import time

import dagster as dg
import pyarrow as pa
import pytest
from conftest import Made, members, small_pool

from vlmine_dagster.automation.jobs import GLOBAL_JOB, MINING_JOB, SCORE_JOB, SHARD_JOB, build_jobs, units_of
from vlmine_dagster.automation.planner import RANGE_TAGS
from vlmine_dagster.automation.schedules import (
    REFRESH_TAG,
    build_chain,
    build_continuous,
    build_schedules,
    new_shards,
)
from vlmine_dagster.automation.stopping import when_to_stop
from vlmine_dagster.definitions import build_definitions
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.engine.partitions import SHARDS
from vlmine_dagster.settings.plain_paths import plain_path

TICK = datetime.datetime(2026, 3, 1, 2, 0, tzinfo=datetime.UTC)


def look(made: Made):
    """A tick of the sensor."""
    return new_shards(dg.build_sensor_context(instance=made.instance, resources={"workbench": made.bench}))


def test_a_sensor_says_once_in_its_log_and_at_each_tick_what_more_labels_would_bring(finished):
    def outlook(cursor: str | None) -> tuple[str, str]:
        context = dg.build_sensor_context(
            instance=finished.instance, resources={"workbench": finished.bench}, cursor=cursor
        )
        return when_to_stop(context).skip_message, context.cursor

    said, cursor = outlook(None)
    assert re.match(r"New classes in another \d+ random images: about \d+ \(.*New keywords in another 500 ", said)
    assert outlook(cursor) == (said, cursor)

    lake = finished.bench.lake
    shard = next(one for one in lake.partitions("images") if one.startswith("pool"))
    rows = lake.read("images", shard).to_pylist()
    rows[0] |= {"split": "seed", "label": "a class that nobody has seen"}
    lake.publish("images", shard, pa.Table.from_pylist(rows, lake.read("images", shard).schema), inputs="x")
    assert outlook(cursor)[0] != said


def tick(made: Made, name: str):
    """A tick of a schedule."""
    schedule = next(s for s in build_schedules(made.project) if s.name == name)
    with dg.build_schedule_context(  # left open, its instance would outlive the test as the process's own
        instance=made.instance, scheduled_execution_time=TICK, resources={"workbench": made.bench}
    ) as context:
        return schedule(context)


class TestSensor:
    def test_a_changed_date_is_no_change(self, finished):
        assert isinstance(look(finished), dg.SkipReason)
        os.utime(finished.folder / "data/pool/a.tar", (1, 1))

        assert isinstance(look(finished), dg.SkipReason)

    def test_changed_bytes_ask_for_the_run_of_that_shard_once(self, finished):
        finished.replace_shard("pool/a", members({"coffee": 5}, start=70))

        first, second = look(finished), look(finished)

        assert [request.partition_key for request in first.run_requests] == ["pool/a"]
        assert [r.run_key for r in first.run_requests] == [r.run_key for r in second.run_requests]
        assert first.dynamic_partitions_requests == []
        finished.replace_shard("pool/a", members({"coffee": 5}, start=80))
        assert look(finished).run_requests[0].run_key != first.run_requests[0].run_key

    def test_what_came_is_registered_and_asked_for_and_what_went_is_forgotten(self, finished):
        finished.replace_shard("pool/new", members({"coffee": 2}, start=60))
        (finished.folder / "data/pool/a.tar").unlink()

        result = look(finished)

        assert [request.partition_key for request in result.run_requests] == ["pool/new"]
        added, removed = result.dynamic_partitions_requests
        assert list(added.partition_keys) == ["pool/new"]
        assert list(removed.partition_keys) == ["pool/a"]

    def test_a_shard_that_went_is_forgotten_and_nothing_runs(self, finished):
        (finished.folder / "data/pool/a.tar").unlink()

        found = look(finished)

        assert found.run_requests == []
        assert list(found.dynamic_partitions_requests[0].partition_keys) == ["pool/a"]

    def test_a_tick_reads_the_history_only_where_something_changed(self, finished, monkeypatch):
        bench, read = {"workbench": finished.bench}, []
        context = dg.build_sensor_context(finished.instance, resources=bench)
        new_shards(context)
        monkeypatch.setattr(
            "vlmine_dagster.engine.versions._record", lambda _instance, name, _versions: read.append(name)
        )
        again = dg.build_sensor_context(finished.instance, resources=bench, cursor=context.cursor)

        new_shards(again)
        assert read == []

        finished.settings(keyworder={"kind": "rules"})
        new_shards(again)
        assert read == ["dataset", "whole_dataset", "experiments"]

    def test_labels_that_came_back_are_no_change_of_any_shard(self, finished):
        with (finished.folder / "labels.csv").open("a") as file:
            file.write("\nnobody,pool,coffee")

        assert isinstance(look(finished), dg.SkipReason)

    def test_a_tick_reads_no_new_shard_and_leaves_large_files_to_the_run(self, finished, monkeypatch):
        later = time.time_ns() + 10**10  # files are settled by then, so their hashes are kept
        monkeypatch.setattr("vlmine_dagster.resources.sources.fingerprints.time.time_ns", lambda: later)
        assert isinstance(look(finished), dg.SkipReason)
        for shard in ("pool/a", "pool/b", "pool/new"):
            finished.replace_shard(shard, members({"coffee": 2}, start=60))
        size = (finished.folder / "data/pool/new.tar").stat().st_size
        monkeypatch.setattr("vlmine_dagster.automation.schedules._MOST_BYTES_PER_TICK", 1.5 * size)
        read = []

        def content_hash(_tree: object, path: str) -> str:
            read.append(path)
            return "f" * 64

        monkeypatch.setattr("vlmine_dagster.resources.sources.tree.FileTree.content_hash", content_hash)

        both = [request.partition_key for request in look(finished).run_requests]
        first = list(read)
        monkeypatch.setattr("vlmine_dagster.automation.schedules._MOST_BYTES_PER_TICK", 0.5 * size)
        all_three = look(finished).run_requests

        assert both == ["pool/a", "pool/new"]  # what the tick has no time for, a later one looks at
        assert set(first) == {"pool/a.tar"}
        assert [request.partition_key for request in all_three] == ["pool/a", "pool/b", "pool/new"]
        assert read == first

    @pytest.mark.parametrize("paid", ["describer", "keyworder"])
    def test_nothing_is_spent_unless_automation_is_on(self, make_project, paid):
        endpoint = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:1"}
        asking = {"keyworder": {"kind": "rules"}, paid: endpoint}
        made = make_project({"a": members({"coffee": 1}, start=0)}, **asking)

        came = look(made)
        made.instance.add_dynamic_partitions(SHARDS, ["a"])
        told = look(made).skip_message
        made.settings(automation={"is_on": True})

        assert (came.run_requests, len(came.dynamic_partitions_requests)) == ([], 1)
        assert "automation.is_on in vlmine.yaml is false" in told
        assert [request.partition_key for request in look(made).run_requests] == ["a"]


def carried_out(made: Made, asked: dg.RunRequest) -> dg.DagsterRun:
    """The run of a request, as the daemon would start it."""
    job = build_definitions(made.project, settings_file=str(made.file)).resolve_job_def(asked.job_name)
    keys = [*asked.asset_selection]
    result = job.execute_in_process(
        instance=made.instance, partition_key=asked.partition_key, asset_selection=keys, tags=asked.tags
    )
    return made.instance.get_run_by_id(result.run_id)


def after(made: Made, run: dg.DagsterRun):
    """What follows the success of a run."""
    sensor = build_chain(build_jobs(made.project))
    (record,) = made.instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_SUCCESS).records
    event = record.event_log_entry.dagster_event
    context = dg.build_run_status_sensor_context(
        sensor.name, event, made.instance, run, resources={"workbench": made.bench}
    )
    return sensor(context)


def names(asked: dg.RunRequest) -> set[str]:
    """The assets that a request asks for."""
    return {key.to_user_string() for key in asked.asset_selection}


def test_after_arrivals_replacements_and_removals_all_is_as_after_a_fresh_run(finished, make_project):
    shards, labels = small_pool()
    labels += "".join(f"\nrocket-{k},pool,rocket" for k in (60, 61)) + "\ncoffee-60,pool,coffee"
    (finished.folder / "labels.csv").write_text(labels)
    new = members({"rocket": 2, "coffee": 1}, start=60)

    finished.replace_shard("pool/d", new)
    finished.run(shards=["pool/d"])
    (finished.folder / "data/pool/a.tar").unlink()
    finished.replace_shard("pool/b", shards["pool/c"])
    finished.run(experiments=["pareto"])
    finished.replace_shard("pool/b", shards["pool/b"])
    finished.replace_shard("pool/a", shards["pool/a"])
    (finished.folder / "data/pool/c.tar").unlink()
    assert finished.run().is_whole

    final = {"pool/a": shards["pool/a"], "pool/b": shards["pool/b"], "pool/d": new, "test/t": shards["test/t"]}
    fresh = make_project(final, labels=labels)
    assert fresh.run().is_whole
    for table in ("vocab_counts", "novelty_scores", "uncertainty_scores", "rarity_scores"):
        partitions = [*final] if table.endswith(("novelty_scores", "uncertainty_scores")) else ["pool"]
        for partition in partitions:
            ours, theirs = (made.frame(table, partition) for made in (finished, fresh))
            assert ours.equals(theirs), (table, partition)
    for arm in finished.project.settings.experiments:
        assert finished.frame("pareto_set", arm).equals(fresh.frame("pareto_set", arm)), arm

    import duckdb

    with duckdb.connect(str(finished.folder / ".vlmine/vlmine.duckdb"), read_only=True) as connection:
        seen = {row[0] for row in connection.sql("SELECT DISTINCT split_part(image_id, '/', 2) FROM images").fetchall()}
    assert seen == {"a", "b", "d", "t"}


@pytest.fixture
def kept(finished, tmp_path):
    """The same project with a history on disk, which schedules want."""
    with dg.DagsterInstance.local_temp(str(plain_path(tmp_path))) as instance:
        instance.add_dynamic_partitions(SHARDS, finished.instance.get_dynamic_partitions(SHARDS))
        yield Made(finished.folder, instance)


@pytest.fixture(scope="module")
def unlabelled(make_project):
    """A project that has no labels, and whose one experiment asks for novelty alone; its shards are made."""
    pool = {"a": members({"coffee": 4}, start=0), "b": members({"coffee": 2, "rocket": 1}, start=10)}
    made = make_project(
        pool,
        experiments={"rare": {"signals": ["novelty_min"]}},
        variants={"words": {"keyworder": {"kind": "rules"}}},
    )
    made.run(shards=[*pool])
    return made


class TestWhatAProjectSkips:
    def test_jobs_make_nothing_that_the_project_skips(self, unlabelled):
        result = unlabelled.job(GLOBAL_JOB)

        assert result.success
        made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
        assert made == {"vocab_counts", "words/vocab_counts", "junk"}

    def test_a_variant_has_the_scores_that_its_own_experiments_ask_for(self, unlabelled, make_project):
        signals = {"signals": ["sparsity", "embedding_sparsity"], "fusion": "fisher"}
        made = make_project(
            {"a": {}},
            variants={"words": {"keyworder": {"kind": "rules"}}},
            experiments={"rare": {"signals": ["novelty_min"]}, "lonely": {**signals, "variant": "words"}},
        )

        names = [unit.key.to_user_string() for unit in units_of(GLOBAL_JOB, made.project)]

        assert names == ["vocab_counts", "words/vocab_counts", "junk", "words/rarity_scores", "words/neighbour_scores"]

    def test_no_asset_depends_on_what_the_project_skips(self, unlabelled):
        definitions = build_definitions(unlabelled.project, settings_file=str(unlabelled.file))
        graph = definitions.resolve_asset_graph()

        assert {key.to_user_string() for key in graph.get(dg.AssetKey("pareto_set")).parent_keys} == {
            *(
                "images",
                "descriptions",
                "keywords",
                "vocab_counts",
                "novelty_scores",
                "junk",
                "whole_dataset",
                "experiments",
            ),
        }


class TestNightly:
    def test_nothing_to_do_says_so(self, kept):
        assert "4 shards, all fresh or at work" in tick(kept, "nightly_backfill").skip_message

    def test_what_is_missing_or_stale_is_made_oldest_first_up_to_the_cap(self, kept):
        for name in ("pool/x", "pool/y"):
            kept.replace_shard(name, members({"coffee": 1}, start=90))
            kept.instance.add_dynamic_partitions(SHARDS, [name])
        kept.bench.lake.remove("keywords", "pool/b")
        kept.settings(automation={"max_shards_per_night": 2})

        found = tick(kept, "nightly_backfill")

        assert [request.partition_key for request in found] == ["pool/b", "pool/x"]
        assert [names(request) for request in found] == [
            {"keywords"},
            {"images", "embeddings", "descriptions", "keywords"},
        ]
        assert found[0].run_key == f"nightly:{TICK.isoformat()}:pool/b"
        assert [r.run_key for r in tick(kept, "nightly_backfill")] == [r.run_key for r in found]

    def test_a_shard_that_fails_comes_again_the_next_night(self, kept):
        (kept.folder / "data/pool/b.tar").write_bytes(b"no tar")

        assert not kept.job(SHARD_JOB, "pool/b").success
        assert [request.partition_key for request in tick(kept, "nightly_backfill")] == ["pool/b"]

    def test_shards_that_always_fail_keep_nobody_waiting(self, kept):
        (kept.folder / "data/pool/b.tar").write_bytes(b"no tar")
        assert not kept.job(SHARD_JOB, "pool/b").success
        kept.replace_shard("pool/x", members({"coffee": 1}, start=90))
        kept.instance.add_dynamic_partitions(SHARDS, ["pool/x"])

        found = tick(kept, "nightly_backfill")
        kept.settings(automation={"max_shards_per_night": 1})
        capped = tick(kept, "nightly_backfill")

        assert [request.partition_key for request in found] == ["pool/x", "pool/b"]
        assert [request.partition_key for request in capped] == ["pool/x"]

    def test_a_shard_at_work_is_left_alone(self, kept):
        kept.bench.lake.remove("keywords", "pool/b")
        job = build_definitions(kept.project, settings_file=str(kept.file)).resolve_job_def(SHARD_JOB)
        kept.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "pool/b"})

        assert isinstance(tick(kept, "nightly_backfill"), dg.SkipReason)

    def test_crons_and_caps_are_settings(self, kept):
        kept.settings(automation={"nightly_cron": "30 1 * * 1-5", "timezone": "Europe/Berlin", "is_on": True})
        nightly, refresh = build_schedules(kept.project)

        assert (nightly.cron_schedule, nightly.execution_timezone) == ("30 1 * * 1-5", "Europe/Berlin")
        assert nightly.default_status is dg.DefaultScheduleStatus.RUNNING
        assert refresh.cron_schedule == "0 6 * * *"

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"nightly_cron": "at noon"}, "'at noon' is not a cron expression of five fields"),
            ({"refresh_cron": "99 99 * * *"}, "'99 99 \\* \\* \\*' is not a cron expression of five fields"),
            ({"nightly_cron": "0 2 31 2 *"}, "that ever matches a time, such as '0 2 \\* \\* \\*'"),
            ({"timezone": "Europe/Berln"}, "no time zone 'Europe/Berln', .* Did you mean 'Europe/Berlin'?"),
        ],
    )
    def test_a_time_that_never_comes_is_refused_with_the_settings(self, make_project, wrong, told):
        made = make_project({"a": {}}, automation=wrong)

        with pytest.raises(ConfigError, match=told):
            _ = made.project

    def test_a_label_that_came_back_opens_no_picture_and_encodes_none(self, kept, monkeypatch):
        before = kept.frame("images", "pool/a")
        labels = (kept.folder / "labels.csv").read_text()
        (kept.folder / "labels.csv").write_text(labels.replace("rocket-0,pool,rocket", "rocket-0,seed,rocket"))

        request = tick(kept, "nightly_backfill")[0]
        with monkeypatch.context() as closed:
            closed.setattr("vlmine_dagster.resources.pictures.inspect_picture", None)
            carried_out(
                kept, dg.RunRequest(job_name=SHARD_JOB, partition_key="pool/a", asset_selection=request.asset_selection)
            )
        joined = kept.frame("images", "pool/a")
        assert kept.job(SHARD_JOB, "pool/a").success  # is fresh, so this one opens the pictures

        assert names(request) == {"images", "descriptions", "keywords"}
        opened = kept.frame("images", "pool/a")  # at the address to which this project was copied
        assert joined.drop(columns="uri").equals(opened.drop(columns="uri"))
        row = joined.set_index("image_id").loc["pool/a/rocket-0"]
        assert (row["label"], row["split"]) == ("rocket", "seed")
        assert joined.drop(columns=["label", "split"]).equals(before.drop(columns=["label", "split"]))


class TestRefresh:
    def test_nothing_changed_means_nothing_runs(self, kept):
        assert "nothing has changed" in tick(kept, "refresh").skip_message

    def test_a_changed_shard_refreshes_pool_and_experiments(self, kept):
        kept.replace_shard("pool/a", members({"coffee": 5}, start=70))
        assert kept.job(SHARD_JOB, "pool/a").success

        found = tick(kept, "refresh")

        assert found.run_key == f"{GLOBAL_JOB}:{TICK.isoformat()}:pool"
        assert found.tags == {REFRESH_TAG: TICK.isoformat()}
        assert names(found) == {"vocab_counts", "rarity_scores", "task_model", "junk"}

    def test_a_shard_that_is_not_there_is_waited_for_by_name_also_when_other_things_changed(self, kept):
        kept.replace_shard("pool/x", members({"coffee": 1}, start=90))
        kept.instance.add_dynamic_partitions(SHARDS, ["pool/x"])
        kept.settings(budget=0.3)

        told = tick(kept, "refresh").skip_message

        assert told.startswith("1 of 5 shards are not there yet, such as pool/x: nightly_backfill makes them")

    def test_a_shard_that_fails_after_it_was_made_holds_nothing_up(self, kept):
        (kept.folder / "data/pool/b.tar").write_bytes(b"no tar")
        kept.settings(budget=0.3)

        assert tick(kept, "refresh").job_name == GLOBAL_JOB

    def test_what_was_never_counted_is_counted(self, kept):
        for table in ("vocab_counts", "rarity_scores", "task_model"):
            kept.bench.lake.remove(table, "pool")

        assert tick(kept, "refresh").job_name == GLOBAL_JOB

    def test_a_refresh_at_work_is_not_doubled(self, kept):
        kept.settings(budget=0.3)
        job = build_definitions(kept.project, settings_file=str(kept.file)).resolve_job_def(SCORE_JOB)
        kept.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={REFRESH_TAG: "yesterday"})

        assert "still at work" in tick(kept, "refresh").skip_message

    def test_only_what_is_not_fresh_is_made_and_only_runs_of_a_refresh_start_others(self, kept):
        kept.bench.lake.remove("uncertainty_scores", "pool/b")
        kept.bench.lake.remove("uncertainty_scores", "pool/c")
        kept.settings(experiments={"rare": {"signals": ["novelty_min"]}, "unsure": {"signals": ["entropy"]}})

        counted = tick(kept, "refresh")
        scored = after(kept, carried_out(kept, counted)).run_requests
        mined = after(kept, carried_out(kept, scored[0])).run_requests
        *_, last = [carried_out(kept, one) for one in mined]
        shown = after(kept, last).run_requests

        assert (counted.job_name, names(counted)) == (GLOBAL_JOB, {"vocab_counts"})
        assert [(one.job_name, names(one)) for one in scored] == [(SCORE_JOB, {"uncertainty_scores"})]
        assert [scored[0].tags[name] for name in RANGE_TAGS] == ["pool/b", "pool/c"]
        assert {(one.job_name, one.partition_key) for one in mined} == {(MINING_JOB, "rare"), (MINING_JOB, "unsure")}
        assert names(mined[0]) == {"pareto_set", "retrain_metrics"}
        assert {(one.job_name, one.partition_key) for one in shown} == {(MINING_JOB, "rare"), (MINING_JOB, "unsure")}
        assert names(shown[0]) == {"mining_report"}  # a page shows its rivals, so all are judged before
        alone = dg.RunRequest(job_name=GLOBAL_JOB, asset_selection=counted.asset_selection)
        assert isinstance(after(kept, carried_out(kept, alone)), dg.SkipReason)

    def test_on_a_project_without_labels_it_reaches_mining(self, unlabelled, tmp_path):
        with dg.DagsterInstance.local_temp(str(plain_path(tmp_path))) as instance:
            instance.add_dynamic_partitions(SHARDS, unlabelled.instance.get_dynamic_partitions(SHARDS))
            made = Made(unlabelled.folder, instance)

            (scored,) = after(made, carried_out(made, tick(made, "refresh"))).run_requests
            (mined,) = after(made, carried_out(made, scored)).run_requests
            (shown,) = after(made, carried_out(made, mined)).run_requests
            carried_out(made, shown)

        assert mined.partition_key == "rare"
        assert len(made.frame("pareto_set", "rare")) == 7
        assert made.run().materialized == []


class TestContinuous:
    """`automation: {mode: continuous}`: everything is made again as soon as what it is made of has changed."""

    @staticmethod
    def look(made: Made):
        sensor = build_continuous(build_jobs(made.project), is_on=True)
        return sensor(dg.build_sensor_context(instance=made.instance, resources={"workbench": made.bench}))

    def test_it_makes_what_follows_a_changed_shard_wave_by_wave(self, kept):
        kept.settings(experiments={"rare": {"signals": ["novelty_min"]}})
        assert kept.run().is_whole
        assert isinstance(self.look(kept), dg.SkipReason)
        kept.replace_shard("pool/a", members({"coffee": 5}, start=70))
        made = []
        while isinstance(found := self.look(kept), dg.SensorResult):
            made.append({name for one in found.run_requests for name in names(one)})
            for one in found.run_requests:
                carried_out(kept, one)

        assert made[0] == {"images", "embeddings", "descriptions", "keywords"}
        assert {"vocab_counts"} <= made[1]
        assert {"novelty_scores"} <= made[2]
        assert made[3] == {"pareto_set", "retrain_metrics"}
        assert kept.run().materialized == []

    def test_what_failed_is_not_tried_again_until_it_changes(self, kept):
        (kept.folder / "data/pool/b.tar").write_bytes(b"no tar")
        (asked,) = self.look(kept).run_requests
        job = build_definitions(kept.project, settings_file=str(kept.file)).resolve_job_def(asked.job_name)
        job.execute_in_process(
            instance=kept.instance,
            partition_key=asked.partition_key,
            asset_selection=[*asked.asset_selection],
            tags=asked.tags,
            raise_on_error=False,
        )

        again = self.look(kept)
        kept.replace_shard("pool/b", members({"coffee": 5}, start=70))

        assert isinstance(again, dg.SkipReason)
        assert [one.partition_key for one in self.look(kept).run_requests] == ["pool/b"]

    def test_a_materialization_that_changed_nothing_asks_for_nothing(self, kept):
        kept.instance.report_runless_asset_event(dg.AssetMaterialization("images", partition="pool/a"))

        assert isinstance(self.look(kept), dg.SkipReason)

    def test_it_takes_the_place_of_the_schedules(self, kept):
        kept.settings(automation={"mode": "declarative"})  # its name in earlier versions
        definitions = build_definitions(kept.project, settings_file=str(kept.file))

        assert {sensor.name for sensor in definitions.sensors} == {"new_shards", "when_to_stop", "keep_up"}
        assert not definitions.schedules


def test_the_ui_can_load_everything_at_once(make_project):
    made = make_project({"a": {}})
    for mode in ("schedules", "continuous"):
        made.settings(automation={"mode": mode})

        dg.Definitions.validate_loadable(build_definitions(made.project, settings_file=str(made.file)))


def test_what_runs_by_itself_is_as_documented(finished):
    definitions = build_definitions(finished.project, settings_file=str(finished.file))

    assert {s.name: s.cron_schedule for s in definitions.schedules} == {
        "nightly_backfill": "0 2 * * *",
        "refresh": "0 6 * * *",
    }
    assert {s.name: s.default_status.value for s in definitions.sensors} == dict.fromkeys(
        ("new_shards", "when_to_stop", "refresh_goes_on"), "RUNNING"
    )
    assert {job.name for job in definitions.jobs} >= {SHARD_JOB, GLOBAL_JOB, SCORE_JOB, MINING_JOB}
