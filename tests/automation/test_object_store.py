"""A home in an object store, on a real S3 server: two machines make in it at once what one makes on its disk."""

import multiprocessing
import os
import sys
from pathlib import Path

import pytest
from conftest import Made, Maker, members, run_together

from benchmarks.compare_homes import differences
from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.settings.project import Project

moto = pytest.importorskip("moto.server", reason="needs an S3 server: pip install -e '.[dev]'")
pytest.importorskip("s3fs")

SHARDS = {f"pool/{k}": members({"coffee": 2, "rocket": 1}, start=10 * k) for k in range(3)}
ARM = {"novelty_min": {"signals": ["novelty_min"]}}


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of a server of our own."""
    import s3fs

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    files.mkdir("homes")
    yield files
    server.stop()


def run_project(file: str, environment: dict[str, str]) -> None:
    """`vlmine run` of one machine: its own folder, its own history, one home."""
    os.environ.update(environment)
    with open_instance(Project.load(file)) as instance:
        outcome = Runner(file, instance).run()
    print(outcome.failures, outcome.waiting, file=sys.stderr, flush=True)  # the only trace of why it was not whole
    os._exit(0 if outcome.is_whole else 1)


@pytest.mark.slow
def test_two_machines_that_make_the_same_shards_in_one_store_do_no_harm(
    make_project: Maker, bucket, monkeypatch, tmp_path: Path
):
    alone, one, other = (make_project(SHARDS, experiments=ARM) for _ in range(3))
    assert alone.run().is_whole
    environment = {**os.environ, "VLMINE_HOME": "s3://homes/pool"}
    context = multiprocessing.get_context("forkserver")
    machines = [context.Process(target=run_project, args=(str(made.file), environment)) for made in (one, other)]

    assert run_together(machines) == [0, 0]

    bucket.invalidate_cache()
    bucket.get("homes/pool/lake", str(tmp_path / "home" / "lake"), recursive=True)
    assert list(differences(alone.folder / ".vlmine", tmp_path / "home")) == []
    monkeypatch.setenv("VLMINE_HOME", "s3://homes/pool")
    again = Made(one.folder, one.instance).run()
    assert (again.is_whole, again.materialized) == (True, [])
    assert not (one.folder / ".vlmine" / "lake").exists() or not list((one.folder / ".vlmine/lake").rglob("*.parquet"))
