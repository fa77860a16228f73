"""The project that a command works on, opened as far as the command needs it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

    from vlmine_dagster.automation.runner import Runner
    from vlmine_dagster.cli.progress import RunDisplay
    from vlmine_dagster.resources.workbench import Workbench


def open_bench() -> "Workbench":
    """Return the project's resources."""
    from vlmine_dagster.resources.workbench import Workbench

    return Workbench()


def settings_file() -> str:
    """Return the `vlmine.yaml` that was asked for, empty for that of the working folder."""
    return os.environ.get("VLMINE_PROJECT") or ""


@contextmanager
def open_history(*, is_quiet: bool) -> "Iterator[tuple[dg.DagsterInstance, RunDisplay]]":
    """Open Dagster's history and a display of what happens in it; libraries keep quiet meanwhile."""
    from vlmine_dagster.automation.runner import open_instance
    from vlmine_dagster.cli.progress import RunDisplay
    from vlmine_dagster.settings.project import Project

    project = Project.load()
    with _quiet_libraries(), open_instance(project) as instance, RunDisplay(is_quiet=is_quiet) as display:
        yield instance, display


@contextmanager
def open_runner(*, is_quiet: bool, **options: bool) -> "Iterator[Runner]":
    """Open the planner of the project's runs; options are those of `Runner`."""
    from vlmine_dagster.automation.runner import Runner

    open_bench().tracking.check_address()  # before a model is paid
    with open_history(is_quiet=is_quiet) as (instance, display):
        yield Runner(settings_file(), instance, on_run=display.on_run, **options)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep the chatter of libraries out of the terminal; what matters is in Dagster's log."""
    import logging
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("mlflow", "alembic", "great_expectations"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
