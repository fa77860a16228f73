"""Processes that are killed, and processes side by side: what they leave is what one undisturbed process leaves."""

import multiprocessing
import os
import random
import signal
import sys
from typing import Any

import pytest
from conftest import FEW_ARMS, Made, Maker, members, run_together, small_pool

from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.automation.jobs import SHARD_JOB
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.cli.compare import compared_experiments
from vlmine_dagster.definitions import build_definitions
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine.partitions import SHARDS
from vlmine_dagster.settings.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # fifty runs one after the other, perhaps on a busy machine
KILLS = 50
LONGEST_LIFE = 350  # touches of a file; a whole run of three shards has some 2,700
# What tells time or the folder differs between any two projects.
OWN_COLUMNS = {"descriptions": {"latency_s"}, "mining_report": {"path", "sha256"}, "task_model": {"path"}}

# Children come from a server that has imported everything, so that one starts at once and none inherits a thread.
_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(
    [
        "great_expectations.expectations",
        "great_expectations.render.renderer.site_builder",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_svg",
        "mlflow.store.tracking.sqlalchemy_store",
        "scipy.optimize",
        "torch._dynamo",  # what the first optimizer imports
        "vlmine_dagster.automation.runner",
        "vlmine_dagster.definitions",
        "vlmine_dagster.learning.retraining",
        "vlmine_dagster.reporting.report_content",
        "vlmine_dagster.scoring.retraining",
    ]
)


def run_project(file: str, life: int) -> None:
    """`vlmine run` whose process group is gone at the given touch of a file of the project; 0 lives on."""
    os.setpgid(0, 0)
    os.environ.pop("DAGSTER_HOME", None)
    project = Project.load(file)
    left = life

    def count(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if event in ("open", "os.rename", "os.remove", "sqlite3.connect") and str(project.folder) in str(args[0]):
            left -= 1
            if left == 0:
                os.killpg(0, signal.SIGKILL)

    sys.addaudithook(count)
    with open_instance(project) as instance:
        outcome = Runner(file, instance).run()
    os._exit(0 if outcome.is_whole else 1)


def run_shards(file: str, chosen: list[str]) -> None:
    """What a backfill does: one run of the shard_job after the other."""
    project = Project.load(file)
    with open_instance(project) as instance:
        job = build_definitions(project, settings_file=file).resolve_job_def(SHARD_JOB)
        for shard in chosen:
            assert job.execute_in_process(instance=instance, partition_key=shard, raise_on_error=False).success


def exit_of(target: Any, *args: Any) -> int | None:
    return run_together([_children.Process(target=target, args=args)])[0]


def few_arms(make_project: Maker) -> Made:
    """Three shards of the small pool with three of the default experiments."""
    pool, labels = small_pool()
    del pool["pool/c"]
    made = make_project(pool, labels=labels)
    made.keep_experiments(*FEW_ARMS)
    return made


def content(made: Made) -> dict[tuple[str, str], dict[str, str]]:
    """Hashes of the columns of every published table."""
    lake = made.bench.lake
    return {
        (table, partition): {
            name: value
            for name, value in lake.stamp(table, partition).columns.items()
            if name not in OWN_COLUMNS.get(table, {"uri"})
        }
        for table in TABLES
        for partition in lake.partitions(table)
    }


def in_mlflow(made: Made) -> list[dict[str, Any]]:
    """What MLflow knows of the experiments, but for the ids of its runs."""
    return [{k: v for k, v in row.items() if not k.startswith("mlflow")} for row in compared_experiments(made.bench)]


def test_killed_at_fifty_moments_a_run_ends_like_one_left_alone(make_project: Maker):
    clean, made = few_arms(make_project), few_arms(make_project)
    # in a process of its own too: the last bits of a product depend on what other tests set for their threads
    assert exit_of(run_project, str(clean.file), 0) == 0
    wanted = content(clean)
    draw = random.Random(0)
    killed, reached = 0, set()
    while killed < KILLS:
        code = exit_of(run_project, str(made.file), draw.randint(1, LONGEST_LIFE))
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
        reached |= {table for table in TABLES if made.bench.lake.partitions(table)}
        if code == 0:
            assert content(made) == wanted
            made = few_arms(make_project)
    assert exit_of(run_project, str(made.file), 0) == 0

    assert reached == {table for table, _ in wanted}
    assert content(made) == wanted
    assert in_mlflow(made) == in_mlflow(clean)
    assert not list(made.folder.rglob("*.tmp"))


def test_sixteen_shards_by_four_processes_equal_one_after_the_other(make_project: Maker):
    shards = {f"pool/{k:02}": members({"coffee": 2, "rocket": 1}, start=3 * k) for k in range(16)}
    experiments = {"novelty_min": {"signals": ["novelty_min"]}}
    serial, together = (make_project(shards, experiments=experiments) for _ in range(2))
    assert serial.run().is_whole
    with open_instance(together.project) as instance:
        instance.add_dynamic_partitions(SHARDS, list(shards))
    names = list(shards)
    workers = [_children.Process(target=run_shards, args=(str(together.file), names[place::4])) for place in range(4)]

    assert run_together(workers) == [0] * 4
    assert exit_of(run_project, str(together.file), 0) == 0
    assert content(together) == content(serial)
    assert in_mlflow(together) == in_mlflow(serial)
