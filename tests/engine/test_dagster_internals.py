"""Each fact about Dagster on which `engine/dagster_internals.py` relies, asked of the Dagster that is installed."""

import ast
import gc
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import alembic.util
import dagster as dg
import pytest
import sqlalchemy
from conftest import Made, Maker, events_of_unstarted_run, members

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.definitions import build_definitions
from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.engine import dagster_internals
from vlmine_dagster.engine.dagster_internals import (
    DATA_VERSION_TAG,
    SERVER_TAG,
    StepFailure,
    free_slots_of_ended_runs,
    is_history_local,
    is_interrupted,
    lighten,
    make_waiting_polite,
    on_wait,
    step_failures,
    version_tags,
)
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.versions import observe
from vlmine_dagster.resources.sqlite_files import kept_open
from vlmine_dagster.settings.plain_paths import plain_path

ROOT = Path(__file__).parents[2]


def result_of(failure):
    """The result of a run of one asset that fails."""

    @dg.asset
    def fails() -> None:
        failure()

    return (
        dg.Definitions(assets=[fails]).resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
    )


def raising(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("no such shard"), StepFailure("fails", "ValueError: no such shard", "ValueError")),
        (dg.Failure("the money is spent"), StepFailure("fails", "the money is spent", "")),
    ],
    ids=["any error", "one for people"],
)
def test_a_failed_step_says_why_and_by_which_error(error, expected):
    result = result_of(raising(error))

    assert list(step_failures(result.all_events)) == [expected]
    assert not is_interrupted(result.all_events)


def test_a_step_that_a_signal_ends_is_an_interruption_and_no_failure():
    result = result_of(lambda: os.kill(os.getpid(), signal.SIGINT))

    assert is_interrupted(result.all_events)
    assert list(step_failures(result.all_events)) == []


def test_a_run_that_its_launcher_could_not_start_was_not_interrupted():
    events = events_of_unstarted_run("no cluster")
    assert any(event.is_job_failure for event in events)
    assert not is_interrupted(events)


def test_a_materialization_carries_the_tags_that_dagster_writes_itself():
    @dg.asset(code_version="one")
    def above() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion("rows 1"))

    @dg.asset(code_version="two", deps=[above])
    def below() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion("rows 2"))

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([above, below], instance=instance).success
        (read,), (made,) = (
            instance.fetch_materializations(dg.AssetKey(name), limit=1).records for name in ("above", "below")
        )

    tags = made.asset_materialization.tags
    inputs = [(dg.AssetKey("above"), "rows 1", read.storage_id)]
    assert tags == version_tags(data_version="rows 2", code_version="two", inputs=inputs)
    assert read.asset_materialization.tags[DATA_VERSION_TAG] == "rows 1"


def test_an_input_that_nobody_made_is_pointed_to_as_nothing():
    @dg.asset(deps=[dg.AssetSpec("outside")], code_version="one")
    def below() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion("rows"))

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([below], instance=instance).success
        (made,) = instance.fetch_materializations(dg.AssetKey("below"), limit=1).records

    inputs = [(dg.AssetKey("outside"), "INITIAL", None)]
    assert made.asset_materialization.tags == version_tags(data_version="rows", code_version="one", inputs=inputs)


def test_history_in_files_is_told_from_history_elsewhere(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        assert not is_history_local(instance)
    with dg.DagsterInstance.local_temp(str(plain_path(tmp_path))) as instance:
        assert is_history_local(instance)


def test_slots_are_given_back_by_runs_that_ended_or_that_nobody_knows_and_by_no_others(tmp_path):
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def job() -> None:
        nothing()

    with dg.DagsterInstance.local_temp(str(plain_path(tmp_path))) as instance:
        history = instance.event_log_storage
        at_work, ended = (instance.create_run_for_job(job).run_id for _ in range(2))
        history.set_concurrency_slots("cores", 3)
        for run_id in (at_work, ended, "nobody knows"):
            assert history.claim_concurrency_slot("cores", run_id, "nothing").is_claimed
        instance.report_run_failed(instance.get_run_by_id(ended))

        free_slots_of_ended_runs(instance)

        assert history.get_concurrency_run_ids() == {at_work}


@dataclass
class Waiting:
    """A job whose step needs the only place of a pool, which another run holds.

    Attributes:
        instance: The history of both.
        job: The job.
        holder: Id of the run that holds the place, and seems to be at work.
        asked: Grows each time that a step asks for a place.
    """

    instance: dg.DagsterInstance
    job: dg.JobDefinition
    holder: str
    asked: list[object]

    def let_go(self) -> None:
        self.instance.report_run_failed(self.instance.get_run_by_id(self.holder))
        free_slots_of_ended_runs(self.instance)


@pytest.fixture
def waiting(tmp_path, monkeypatch) -> Iterator[Waiting]:
    from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

    @dg.op(pool="cores")
    def nothing() -> None: ...

    @dg.job
    def slow_job() -> None:
        nothing()

    asked: list[object] = []
    ask = InstanceConcurrencyContext.claim
    monkeypatch.setattr(InstanceConcurrencyContext, "claim", lambda *given: (asked.append(given), ask(*given))[1])
    name = "interval_to_next_pending_claim_check"  # what make_waiting_polite replaces is put back
    monkeypatch.setattr(InstanceConcurrencyContext, name, getattr(InstanceConcurrencyContext, name))
    with dg.DagsterInstance.local_temp(str(plain_path(tmp_path))) as instance:
        instance.event_log_storage.set_concurrency_slots("cores", 1)
        holder = instance.create_run_for_job(slow_job, status=dg.DagsterRunStatus.STARTED).run_id
        assert instance.event_log_storage.claim_concurrency_slot("cores", holder, "nothing").is_claimed
        yield Waiting(instance, slow_job, holder, asked)


def test_a_step_that_waits_for_a_pool_says_who_holds_it_and_asks_only_now_and_then(waiting: Waiting):
    heard: list[str] = []
    run_id = str(uuid4())
    make_waiting_polite(lambda _: None)
    on_wait(waiting.instance, run_id, heard.append)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: (time.sleep(2.5), waiting.let_go()))
        done = waiting.job.execute_in_process(instance=waiting.instance, run_id=run_id)

    assert done.success
    assert len(waiting.asked) < 20  # thousands without
    assert heard == [f"waiting for a place in the pool cores, held by run {waiting.holder[:8]} (slow_job)"]


def test_a_step_that_waits_has_dead_runs_ended_and_takes_their_place(waiting: Waiting, monkeypatch):
    monkeypatch.setattr(dagster_internals, "_RELIEVED_EVERY_S", 0.5)
    make_waiting_polite(lambda _: waiting.let_go())

    assert waiting.job.execute_in_process(instance=waiting.instance).success


def test_a_signal_ends_a_run_that_waits_for_a_pool(waiting: Waiting):
    make_waiting_polite(lambda _: None)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: (time.sleep(1.5), os.kill(os.getpid(), signal.SIGINT)))
        started = time.monotonic()
        done = waiting.job.execute_in_process(instance=waiting.instance, raise_on_error=False)

    assert is_interrupted(done.all_events)
    assert time.monotonic() - started < 30  # without, for as long as the other run holds the pool
    free_slots_of_ended_runs(waiting.instance)
    assert waiting.instance.event_log_storage.get_concurrency_run_ids() == {waiting.holder}


def test_the_launcher_names_the_code_server_of_a_run_by_the_tag_that_is_looked_for():
    from dagster._core.storage import tags

    assert tags.GRPC_INFO_TAG == SERVER_TAG


def marked(made: Made) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """The (table, partition) pairs that Dagster's UI marks, and those that `vlmine status` calls not fresh."""
    from dagster._core.definitions.data_version import CachingStaleStatusResolver
    from dagster._core.loader import LoadingContextForTest

    graph = build_definitions(made.project, settings_file=str(made.file)).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(made.instance, graph, LoadingContextForTest(made.instance))
    shards = made.bench.source.shards()
    freshness = Freshness(GRAPH, made.bench, shards)
    by_dagster, by_status = set(), set()
    for unit in GRAPH.applicable(made.project):
        for name in unit.stage.partitions(made.project, shards):
            if resolver.get_status(unit.key, None if name == WHOLE_POOL else name).value != "FRESH":
                by_dagster.add((unit.stage.table, name))
            if freshness.state(unit, name) != "fresh":
                by_status.add((unit.stage.table, name))
    return by_dagster, by_status


def test_changed_files_mark_in_dagster_all_that_status_calls_stale(make_project: Maker):
    made = make_project(
        {"a": members({"coffee": 4}, start=0), "b": members({"coffee": 2, "rocket": 1}, start=10)},
        experiments={"rare": {"signals": ["novelty_min"]}},
    )

    def both_mark() -> set[tuple[str, str]]:
        observe(made.instance, GRAPH, made.bench, made.bench.source.shards())
        by_dagster, by_status = marked(made)
        assert by_dagster == by_status
        return by_status

    assert made.run().is_whole
    assert both_mark() == set()

    before = (made.folder / "data/a.tar").read_bytes()
    made.replace_shard("a", members({"coffee": 5}, start=70))
    assert both_mark() >= {
        ("embeddings", "a"),
        ("vocab_counts", WHOLE_POOL),
        ("novelty_scores", "b"),
        ("pareto_set", "rare"),
    }
    assert ("embeddings", "b") not in both_mark()
    (made.folder / "data/a.tar").write_bytes(before)
    assert both_mark() == set()

    made.replace_shard("a", members({"coffee": 5}, start=80))
    made.replace_shard("new", members({"coffee": 3}, start=40))
    assert made.run().is_whole  # nobody has observed in between
    assert both_mark() == set()


def private_imports(file: Path) -> set[str]:
    """Modules of Dagster's own that a file imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return {name for name in names if name.startswith("dagster._")}


def test_no_code_and_no_other_test_imports_private_modules_of_dagster():
    files = [
        file
        for part in ("vlmine_dagster", "assets", "resources", "benchmarks", "tests")
        for file in (ROOT / part).rglob("*.py")
    ]

    assert {file.name for file in files if private_imports(file)} == {Path(__file__).name}


def test_events_of_a_history_in_files_are_written_by_one_engine_and_connection_per_file(tmp_path):
    used: list[tuple[str, int]] = []
    opened: list[object] = []

    def note(connection: sqlalchemy.Connection) -> None:
        used.append((str(connection.engine.url), id(connection.engine)))

    def note_new(connection: object, _record: object) -> None:
        opened.append(connection)

    folder = plain_path(tmp_path)
    with kept_open(folder), dg.DagsterInstance.local_temp(str(folder)) as instance:
        lighten(instance)
        lighten(instance)
        sqlalchemy.event.listen(sqlalchemy.Engine, "engine_connect", note)
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", note_new)
        try:
            for number in range(3):
                instance.report_runless_asset_event(dg.AssetMaterialization("images", metadata={"number": number}))
            seen = instance.fetch_materializations(dg.AssetKey("images"), limit=9).records
        finally:
            sqlalchemy.event.remove(sqlalchemy.Engine, "engine_connect", note)
            sqlalchemy.event.remove(sqlalchemy.Engine, "connect", note_new)
        assert list(folder.rglob("*.db-wal"))

    assert not list(folder.rglob("*.db-wal"))  # the last connection is closed, and the log folded in
    assert [record.asset_materialization.metadata["number"].value for record in seen] == [2, 1, 0]
    of_events = [engine for engine in used if str(folder) in engine[0]]
    assert len(of_events) > 6
    assert len(set(of_events)) == len({url for url, _ in of_events})
    assert len(opened) <= 2 * len(set(of_events))  # Dagster asks within an answer, too


def test_a_forked_process_writes_to_a_history_by_connections_of_its_own(tmp_path):
    folder = plain_path(tmp_path)
    with kept_open(folder), dg.DagsterInstance.local_temp(str(folder)) as instance:
        lighten(instance)

        def report(name: str) -> None:
            instance.report_runless_asset_event(dg.AssetMaterialization(name))

        report("before")
        children = [multiprocessing.get_context("fork").Process(target=report, args=(f"child_{n}",)) for n in range(3)]
        for child in children:
            child.start()
        for number in range(5):
            report(f"parent_{number}")
        for child in children:
            child.join()
        names = {key.to_user_string() for key in instance.all_asset_keys()}

    assert [child.exitcode for child in children] == [0, 0, 0]
    assert names == {"before", *(f"child_{n}" for n in range(3)), *(f"parent_{n}" for n in range(5))}


def test_a_history_in_memory_is_dropped_in_another_thread_without_a_complaint(caplog):
    engine = sqlalchemy.create_engine(
        "sqlite:///file:dropped?mode=memory&cache=shared&uri=true", poolclass=sqlalchemy.NullPool
    )
    held: list[sqlalchemy.Connection] = []

    with caplog.at_level(logging.ERROR, "sqlalchemy.pool"), ThreadPoolExecutor(1) as other:
        other.submit(lambda: held.append(engine.connect())).result()
        held.clear()
        gc.collect()

    assert not caplog.records


@dg.asset
def speaks() -> None:
    print("said by a step", flush=True)


def test_a_run_reads_no_migration_again_starts_no_process_and_prints_where_we_print(tmp_path, monkeypatch, capfd):
    read: list[str] = []
    started: list[object] = []
    load = alembic.util.load_python_file
    monkeypatch.setattr("alembic.util.load_python_file", lambda folder, name: read.append(name) or load(folder, name))
    monkeypatch.setattr("subprocess.Popen", lambda command, **_: started.append(command))
    job = dg.Definitions([speaks]).resolve_implicit_global_asset_job_def()

    with dg.DagsterInstance.local_temp(str(plain_path(tmp_path))) as instance:
        lighten(instance)
        job.execute_in_process(instance=instance)
        read.clear()
        job.execute_in_process(instance=instance)
        histories = [*Path(str(plain_path(tmp_path))).rglob("*.db")]

    assert capfd.readouterr().out.count("said by a step") == 2
    assert set(read) <= {"env.py"}
    assert not started
    assert len(histories) >= 3  # an index and one of each run, whose tables were stamped
