"""`vlmine run --on ray`: a cluster of two nodes, one of which dies, and Ctrl-C."""

import os
import signal
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from conftest import Maker, Watched, members
from scripted_endpoint import ScriptedEndpoint
from test_workers import asks, good
from tiny_models import make_llava

from benchmarks.compare_homes import differences
from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.automation.ray_workers import RayWorkers, _room
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.engine.stage import WORKER_TAG
from vlmine_dagster.settings.compute import Needs

pytest.importorskip("ray", reason="needs Ray: pip install 'vlmine-dagster[ray]'")

SHARDS = {f"pool/{k}": members({"coffee": 2, "rocket": 1}, start=10 * k) for k in range(4)}
IMAGES = 12


@contextmanager
def cluster():
    """Two nodes, of which each has room for one actor; the second can be taken away."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    import ray
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 2, "num_gpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=size)
    try:
        del size["include_dashboard"]
        second = made.add_node(**size)
        ray.init(address=made.address, log_to_driver=False)
        yield made, second
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.mark.slow
def test_shards_of_a_node_that_dies_are_made_elsewhere_and_no_answer_is_paid_for_twice(
    make_project: Maker, tmp_path: Path
):
    tiny = {"kind": "transformers", "model": str(make_llava(tmp_path / "tiny")), "max_output_tokens": 4}
    local = {
        "variants": {"local": {"describer": tiny, "keyworder": {"kind": "rules"}}},
        "dataset": {"kind": "webdataset", "root": "data", "max_failure_share": 1.0},  # its weights are random
    }
    needs = {"descriptions": {"num_cpus": 2, "num_gpus": 1}}
    gone: list[int] = []
    stops: list[int] = []
    models: dict[str, set[int | None]] = {}
    with ScriptedEndpoint(good) as endpoint:
        alone = make_project(SHARDS, **asks(endpoint, **local))
        assert alone.run(shards=list(SHARDS)).is_whole
        endpoint.calls.clear()
        made = make_project(SHARDS, **asks(endpoint, compute=needs, **local))
        watched = Watched()
        with cluster() as (nodes, second), open_instance(made.project) as instance:
            instance.event_log_storage.set_concurrency_slots("api", 2)
            most = made.project.settings.most_needs
            executor = RayWorkers(str(made.file), None, needs=most, instance=instance, watcher=watched)
            runner = Runner(str(made.file), instance, executor=executor, watcher=watched)

            def loaded_model(_actor: Any) -> int | None:
                from vlmine_dagster.resources import local_model

                return next((id(model) for model in local_model._loaded.values()), None)

            def lose_a_node(place, step):
                import ray

                if step is not None and step.work.startswith("descriptions") and not gone:
                    gone.append(place)
                    nodes.remove_node(second, allow_graceful=False)
                elif step is not None and step.work.startswith("descriptions") and gone and not stops:
                    stops.append(place)
                    os.kill(os.getpid(), signal.SIGINT)
                if step is None and place in executor._found and executor._found[place].is_alive:
                    found = executor._found[place]  # has made a run, and begins the next
                    models.setdefault(found.name, set()).add(ray.get(found.actor.__ray_call__.remote(loaded_model)))

            watched.act = lose_a_node
            stopped = runner.run(shards=list(SHARDS))
            actors_left, unfinished = dict(executor._found), [run for run in instance.get_runs() if not run.is_finished]
            outcome = Runner(str(made.file), instance, executor=executor, watcher=watched).run(shards=list(SHARDS))
            failed = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
            places = executor.places
            actors = Counter(run.tags[WORKER_TAG] for run in instance.get_runs())

    assert (stopped.is_interrupted, stopped.failures, actors_left, unfinished) == (True, {}, {}, [])
    assert outcome.is_whole, outcome.failures
    assert not set(outcome.materialized) & set(stopped.materialized)
    assert (most, places) == (Needs(2, 1), 2)
    assert len(failed) == 2 and len(actors) >= 3  # of the node that is gone, and at Ctrl-C
    assert max(actors.values()) > 2
    assert models and all(len(ids) == 1 for ids in models.values())  # weights load once per actor
    assert list(differences(alone.folder / ".vlmine", made.folder / ".vlmine")) == []
    assert IMAGES <= len(endpoint.calls) <= IMAGES + 2  # those that were in flight


def test_a_cluster_has_room_for_as_many_actors_as_fit_on_its_nodes():
    def node(cpus, gpus, *, alive=True):
        return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus, "memory": 64e9}}

    nodes = [node(16.0, 2.0), node(4.0, 0.0), node(3.0, 4.0), node(64.0, 8.0, alive=False)]

    assert _room(nodes, Needs(4, 0.5)) == 4
    assert _room(nodes, Needs(2)) == 8 + 2 + 1
    assert _room(nodes, Needs(1, memory_gb=30)) == 2 + 2 + 2
    assert _room(nodes, Needs(1, 16)) == 1
