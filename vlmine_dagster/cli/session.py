"""The project that a command works on, opened as far as the command needs it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

    from vlmine_dagster.automation.execution import Executor
    from vlmine_dagster.automation.runner import Runner
    from vlmine_dagster.cli.progress import RunDisplay
    from vlmine_dagster.resources.workbench import Workbench

_LAUNCHED_AT_ONCE = 4  # as many as the queue of our dagster.yaml lets run


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
def open_runner(
    *, is_quiet: bool, where: str = "here", worker_count: int | None = None, **options: bool
) -> "Iterator[Runner]":
    """Open the planner of the project's runs.

    Args:
        is_quiet: Show no progress.
        where: Where runs are made: `here`, `dagster` or `ray`.
        worker_count: Runs at once; None leaves it to where they are made.
        options: Those of `Runner`.
    """
    from vlmine_dagster.automation.runner import Runner

    bench = open_bench()
    bench.tracking.check_address()  # before a model is paid
    with open_history(is_quiet=is_quiet) as (instance, display):
        executor = _executor(bench, instance, display, where=where, count=worker_count)
        yield Runner(settings_file(), instance, executor=executor, watcher=display, **options)


def _executor(
    bench: "Workbench", instance: "dg.DagsterInstance", display: "RunDisplay", *, where: str, count: int | None
) -> "Executor | None":
    """Return where runs are made, None for this process."""
    project = bench.project
    if where == "dagster":
        from vlmine_dagster.automation.launched import Launched
        from vlmine_dagster.resources.addresses import DAGSTER_VARIABLE, web_address

        url = web_address(project, DAGSTER_VARIABLE)
        return Launched(count or _LAUNCHED_AT_ONCE, url=url, instance=instance, watcher=display)
    if where == "ray":
        from vlmine_dagster.automation.ray_workers import RayWorkers

        file = str(project.file.resolve())  # a relative one means another on another node
        return RayWorkers(file, count, needs=project.settings.most_needs, instance=instance, watcher=display)
    if (count or 1) > 1:
        from vlmine_dagster.automation.workers import Workers

        return Workers(settings_file(), count or 1, instance=instance, watcher=display)
    return None
