"""`vlmine run --workers`: processes of one machine make what one process makes, and end as it ends."""

import os
import signal
from contextlib import contextmanager

import dagster as dg
import pytest
from conftest import Made, Maker, Watched, members, small_pool
from scripted_endpoint import Answer, ScriptedEndpoint

from benchmarks.compare_homes import differences
from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.automation.outcome import Outcome
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.automation.workers import Workers
from vlmine_dagster.engine.stage import WORKER_TAG
from vlmine_dagster.resources.progress import Step

ONE_ARM = {"novelty_min": {"signals": ["novelty_min"]}}
SHARDS = {f"pool/{k}": members({"coffee": 3, "rocket": 1}, start=10 * k) for k in range(4)}
IMAGES = 16


@contextmanager
def workers(made: Made, watched: Watched, count: int = 2):
    with open_instance(made.project) as instance:
        executor = Workers(str(made.file), count, instance=instance, watcher=watched)
        yield instance, executor, Runner(str(made.file), instance, executor=executor, watcher=watched)


def run(made: Made, watched: Watched, count: int = 2) -> Outcome:
    with workers(made, watched, count) as (_, _, runner):
        return runner.run()


def asks(endpoint: ScriptedEndpoint, **more):
    settings = {"kind": "openai", "model": "vlm", "base_url": endpoint.url, "concurrency": 1}
    prices = {"vlm": {"input": 100.0, "output": 100.0}}
    words = {"kind": "rules"}
    return {"describer": settings, "keyworder": words, "prices": prices, "experiments": ONE_ARM, **more}


def good(call) -> Answer:
    return Answer(f"A thing by itself, seen from {call.digest[:6]} sides.", tokens=(900, 100), delay_s=0.02)


def statuses(instance: dg.DagsterInstance) -> set[str]:
    return {run.status.value for run in instance.get_runs()}


def kill(executor: Workers, place: int) -> None:
    os.kill(executor._workers[place].process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_three_workers_make_what_one_process_makes_though_workers_are_killed(make_project: Maker):
    pool, labels = small_pool()
    alone, together = make_project(pool, labels=labels), make_project(pool, labels=labels)
    for made in (alone, together):
        made.keep_experiments("pareto")
    one, watched, killed = alone.run(), Watched(), []

    with workers(together, watched, count=3) as (instance, executor, runner):

        def always(place: int, step: Step | None) -> None:
            if step is not None and step.work == "embeddings[pool/b]":
                kill(executor, place)

        watched.act = always
        first = runner.run()
        failed = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        reasons = [entry.message for run in failed for entry in instance.all_logs(run.run_id)]

    with workers(together, watched, count=3) as (_, executor, runner):

        def once(place: int, step: Step | None) -> None:
            if step is not None and not killed:
                killed.append(place)
                kill(executor, place)

        watched.act = once
        second = runner.run()

    assert one.is_whole and killed
    (((_, shard), reason),) = first.failures.items()
    assert shard == "pool/b"
    assert "pool/b]: the process that made this was killed by signal 9, 2 times. If memory is short" in reason
    assert len(failed) == 2 and all(WORKER_TAG in run.tags for run in failed)
    assert any("The process that made this was killed by signal 9" in text for text in reasons)
    assert "vocab_counts" in first.waiting
    assert second.is_whole
    assert sorted([*first.materialized, *second.materialized]) == sorted(one.materialized)
    assert list(differences(alone.folder / ".vlmine", together.folder / ".vlmine")) == []
    assert {place for place, _ in watched.began} == {0, 1, 2}
    assert {step.work for _, step in watched.steps} >= {f"embeddings[{shard}]" for shard in pool}


@pytest.mark.slow
def test_workers_stop_together_share_one_limit_and_no_answer_is_paid_for_twice(make_project: Maker):
    a_call, limit = 0.1, 0.85
    watched = Watched()
    with ScriptedEndpoint(good) as endpoint:
        made = make_project(SHARDS, **asks(endpoint, max_cost_usd=limit))
        with workers(made, watched) as (instance, executor, runner):
            instance.event_log_storage.set_concurrency_slots("api", 2)

            def interrupt(_place: int, step: Step | None) -> None:
                if step is not None and step.work.startswith("descriptions"):
                    watched.act = lambda _place, _step: None
                    os.kill(os.getpid(), signal.SIGINT)

            watched.act = interrupt
            stopped = runner.run()
            left = statuses(instance)
            assert executor._workers == [None, None]
        asked, paid = len(endpoint.calls), made.bench.cache.spent_usd()
        poor = run(made, watched)
        spent = made.bench.cache.spent_usd()
        made.settings(**asks(endpoint, max_cost_usd=100.0))
        rich = run(made, watched)

    assert (stopped.is_interrupted, stopped.failures) == (True, {})
    assert left <= {"SUCCESS", "FAILURE"}
    assert 0 < asked < limit / a_call and paid < limit
    assert "raise max_cost_usd in vlmine.yaml" in poor.stopped and not poor.is_whole
    assert paid <= spent <= limit + a_call + 1e-9  # of two workers each has one call on its way
    assert rich.is_whole
    assert len(endpoint.calls) <= IMAGES + 2  # those that were in flight at Ctrl-C
