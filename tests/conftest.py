"""Small real projects: crops of scikit-image's photos in tars, the real encoder, the real MLflow."""

import json
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import hypothesis
import pytest
import sqlalchemy
import yaml
from filelock import FileLock
from photos import PHOTOS, jpeg, members, photo  # noqa: F401 - tests of projects take them from here
from plain_tables import plain_rows  # noqa: F401
from processes import run_together  # noqa: F401

from benchmarks.tars import write_tar
from vlmine_dagster.automation.outcome import Outcome
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.definitions import build_definitions
from vlmine_dagster.engine.partitions import SHARDS
from vlmine_dagster.resources.encoder import Encoder
from vlmine_dagster.resources.progress import Step
from vlmine_dagster.resources.tracking import Tracking
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project

hypothesis.settings.register_profile("shared machines", deadline=None)
hypothesis.settings.load_profile("shared machines")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores Ctrl-C for what it starts in the background

LONGEST = "test_kills"
"""The module whose tests take minutes."""
BUDGETS = {"kind": "probe", "budgets": [0.1, 0.3], "seeds": [0]}
FEW_ARMS = ("random", "pareto", "fused")  # of the default experiments: every stage and every kind of signal


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "do_connect")
def close_anywhere(dialect: Any, record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
    """Let any thread close a connection to a database in memory.

    The garbage collector closes those of a dropped instance, in whichever thread it runs. Where SQLite refuses,
    SQLAlchemy logs a traceback, and CPython 3.11 parses source to print one: a test that was importing a module at
    that moment failed with "AST constructor recursion depth mismatch" (cpython#106905).
    """
    if any("mode=memory" in str(part) for part in arguments):
        options["check_same_thread"] = False


class Held:
    """A connection per thread to a database in memory: Dagster opens one for each event, a fifth of its runs' time."""

    def __init__(self, engine: sqlalchemy.Engine, lock: threading.Lock):
        self._engine, self._lock = engine, lock
        self._own = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[sqlalchemy.Connection]:
        with self._lock:
            if not hasattr(self._own, "connection"):
                self._own.connection = self._engine.connect()
                self._own.connection.execute(sqlalchemy.text("PRAGMA foreign_keys=ON;"))
                self._own.connection.commit()
            with self._own.connection.begin():
                yield self._own.connection


def instance_in_memory() -> dg.DagsterInstance:
    """An instance without files whose events go through one connection per thread."""
    instance = dg.DagsterInstance.ephemeral()
    events = instance.event_log_storage
    events._connect = Held(events._engine, events._db_lock).transaction
    return instance


class Made:
    """A project in a temporary folder and its Dagster instance.

    Args:
        folder: The folder.
        instance: Dagster's instance; one in memory if None, made when it is first asked for.
        known: Shards that such a one knows.
    """

    def __init__(self, folder: Path, instance: dg.DagsterInstance | None = None, *, known: Sequence[str] = ()):
        self.folder = folder
        if instance is not None:
            self.instance = instance
        self.known = known

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        instance = instance_in_memory()
        instance.add_dynamic_partitions(SHARDS, list(self.known))
        return instance

    @property
    def file(self) -> Path:
        return self.folder / "vlmine.yaml"

    @property
    def project(self) -> Project:
        return Project.load(self.file)

    @property
    def bench(self) -> Workbench:
        return Workbench(settings_file=str(self.file))

    def run(self, *, allow_missing_shards: bool = False, **chosen: Sequence[str]) -> Outcome:
        runner = Runner(str(self.file), self.instance, allow_missing_shards=allow_missing_shards)
        return runner.run(**chosen)

    def run_again(self, *, is_failure_retried: bool) -> Outcome:
        return Runner(str(self.file), self.instance, is_failure_retried=is_failure_retried).run()

    def inspect(self) -> list[str]:
        return Runner(str(self.file), self.instance).inspect_images()

    def job(self, name: str, partition: str | None = None, **more: Any) -> Any:
        for shard in self.bench.source.shards():
            self.instance.add_dynamic_partitions(SHARDS, [shard])
        job = build_definitions(self.project, settings_file=str(self.file)).resolve_job_def(name)
        return job.execute_in_process(instance=self.instance, partition_key=partition, raise_on_error=False, **more)

    def frame(self, table: str, partition: str | None = None) -> Any:
        lake = self.bench.lake
        partitions = [partition] if partition else lake.partitions(table)
        return lake.read_all(table, partitions).to_pandas()

    def replace_shard(self, shard: str, content: Mapping[str, bytes]) -> None:
        write_tar(self.folder / "data" / f"{shard}.tar", content)

    def keep_experiments(self, *names: str) -> None:
        """Leave out all other experiments, where they would only cost time."""
        arms = self.project.settings.experiments
        self.settings(experiments={name: arms[name].model_dump(mode="json") for name in names})

    def settings(self, **changes: Any) -> None:
        content = yaml.safe_load(self.file.read_text())
        self.file.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))

    def name_classes(self, *names: str) -> None:
        """Give the project a file of classes, which names all that there are."""
        rows = "".join(f"{name},{name}\n" for name in names)
        (self.folder / "classes.csv").write_text(f"class_id,name\n{rows}")
        dataset = self.project.settings.model_dump(mode="json")["dataset"]
        self.settings(dataset={**dataset, "labels": {**dataset["labels"], "classes": "classes.csv"}})


def events_of_unstarted_run(reason: str) -> list[dg.DagsterEvent]:
    """What happens in a run that is marked as failed before it starts."""

    @dg.job
    def nothing() -> None:
        pass

    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(nothing)
        instance.report_run_failed(run, reason)
        records = instance.get_records_for_run(run.run_id).records
    return [record.event_log_entry.dagster_event for record in records]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take minutes, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: Path(item.path).stem != LONGEST)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VLMINE_HOME", "VLMINE_PROJECT", "MLFLOW_TRACKING_URI", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every project's home starts from: the exported encoder and a migrated MLflow file."""
    folder = tmp_path_factory.mktemp("state")
    assert Encoder(folder / "models").session is not None
    file = tmp_path_factory.mktemp("template") / "vlmine.yaml"
    file.write_text(yaml.safe_dump({"name": "template", "dataset": {"kind": "folder", "root": "."}}))
    Tracking(Project.load(file)).client.search_experiments()
    fold_log(file.parent / ".vlmine")
    shutil.copytree(file.parent / ".vlmine" / "mlflow", folder / "mlflow", ignore=LOGS)
    return folder


LOGS = shutil.ignore_patterns("*.db-wal", "*.db-shm")  # which a process that has the file open may take away


def fold_log(home: Path) -> None:
    """Write what SQLite keeps beside MLflow's file into it, so that it can be copied alone."""
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


@pytest.fixture
def prepared_home(state: Path, tmp_path: Path) -> Path:
    """The home of a project in the test's own folder, with what every home starts from."""
    return start_home(state, tmp_path)


def start_home(state: Path, folder: Path) -> Path:
    """Make the home of a project of what every home starts from."""
    return Path(shutil.copytree(state, folder / ".vlmine", symlinks=True, copy_function=copied))


def copied(source: str, target: str) -> str:
    """Copy a file; the encoder, which nothing writes to once it is there, is linked."""
    if source.endswith(".onnx"):
        os.link(source, target)
        return target
    return str(shutil.copy2(source, target))


class Watched:
    """Notes what is told; `act` may do something about it."""

    def __init__(self, act: Callable[[int, Step | None], None] = lambda _place, _step: None):
        self.act = act
        self.began: list[tuple[int, str]] = []
        self.steps: list[tuple[int, Step]] = []
        self.waits: list[tuple[int, str]] = []

    def on_run(self, _assets: str, partition: str, place: int = 0) -> None:
        self.began.append((place, partition))
        self.act(place, None)

    def on_step(self, step: Step, place: int = 0) -> None:
        self.steps.append((place, step))
        self.act(place, step)

    def on_wait(self, reason: str, place: int = 0) -> None:
        self.waits.append((place, reason))

    def on_done(self, place: int = 0) -> None:
        pass


Maker = Callable[..., Made]


@pytest.fixture(scope="session")
def make_project(state: Path, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Make a project of tars: `make_project({"pool/a": {"x.jpg": bytes}}, labels="key,split,class_id\\n...")`."""

    def make(shards: Mapping[str, Mapping[str, bytes]], *, labels: str | None = None, **settings: Any) -> Made:
        folder = tmp_path_factory.mktemp("project")
        for shard, content in shards.items():
            write_tar(folder / "data" / f"{shard}.tar", content)
        dataset: dict[str, Any] = {"kind": "webdataset", "root": "data"}
        if labels is not None:
            (folder / "labels.csv").write_text(labels)
            dataset["labels"] = {
                "file": "labels.csv",
                "oracle": True,
                "seed_fraction": 0.4,
                "few_under": 5,
                "many_over": 8,
            }
        content = {"name": "small", "dataset": dataset, "retraining": BUDGETS, "budget": 0.2, **settings}
        (folder / "vlmine.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        start_home(state, folder)
        return Made(folder)

    return make


def small_pool() -> tuple[dict[str, dict[str, bytes]], str]:
    """Three shards of a pool and one of test images, with labels; rocket is the rare one."""
    shards = {
        "pool/a": members({"coffee": 8, "chelsea": 3, "rocket": 1}, start=0),
        "pool/b": members({"coffee": 7, "chelsea": 4, "rocket": 2}, start=10),
        "pool/c": members({"coffee": 6, "chelsea": 5, "rocket": 1}, start=20),
        "test/t": members({"coffee": 3, "chelsea": 3, "rocket": 3}, start=50),
    }
    rows = [
        f"{name.removesuffix('.jpg')},{'test' if shard.startswith('test') else 'pool'},{name.split('-')[0]}"
        for shard, content in shards.items()
        for name in content
    ]
    return shards, "\n".join(["key,split,class_id", *rows])


@pytest.fixture(scope="session")
def _finished(make_project: Maker, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A project in which everything was run; the first of pytest-xdist's workers that needs it makes it for all."""
    own = tmp_path_factory.getbasetemp()
    place = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "finished.json"
    with FileLock(f"{place}.lock"):
        if not place.exists():
            shards, labels = small_pool()
            made = make_project(shards, labels=labels)
            outcome = made.run()
            assert outcome.is_whole, (outcome.failures, outcome.waiting)
            fold_log(made.folder / ".vlmine")
            place.write_text(json.dumps([str(made.folder), list(made.instance.get_dynamic_partitions(SHARDS))]))
    folder, known = json.loads(place.read_text())
    return Made(Path(folder), known=known)


@pytest.fixture
def finished(_finished: Made, tmp_path: Path) -> Made:
    """A copy of a project in which everything was run; free to be broken. Its Dagster history is its own."""
    folder = tmp_path / "finished"
    shutil.copytree(_finished.folder, folder, ignore=LOGS, copy_function=copied)
    return Made(folder, known=_finished.known)
