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
    from vlmine_dagster.automation.history import open_instance, quiet_libraries
    from vlmine_dagster.cli.progress import RunDisplay
    from vlmine_dagster.settings.project import Project

    project = Project.load()
    with quiet_libraries(), open_instance(project) as instance, RunDisplay(is_quiet=is_quiet) as display:
        yield instance, display


@contextmanager
def open_runner(*, is_quiet: bool, worker_count: int = 1, **options: bool) -> "Iterator[Runner]":
    """Open the planner of the project's runs.

    Args:
        is_quiet: Show no progress.
        worker_count: Processes that make runs; 1 makes them here.
        options: Those of `Runner`.
    """
    from vlmine_dagster.automation.runner import Runner
    from vlmine_dagster.automation.workers import Workers

    open_bench().tracking.check_address()  # before a model is paid
    with open_history(is_quiet=is_quiet) as (instance, display):
        executor = None
        if worker_count > 1:
            executor = Workers(settings_file(), worker_count, instance=instance, watcher=display)
        yield Runner(settings_file(), instance, executor=executor, watcher=display, **options)
