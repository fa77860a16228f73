"""Runs whose process is gone: nobody else ends them, and they hold places and slots that others wait for.

Dagster's run monitoring looks after processes that its launcher can ask for; the default launcher cannot. So a machine
that was switched off in the middle of a backfill would find its runs started for ever, and its pools taken.

A history in a file is of this machine alone. One in PostgreSQL may be of many, and what runs on another cannot be seen
from here: there only runs of a `vlmine run` in this very place are ended.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
from filelock import FileLock, Timeout

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.engine.dagster_internals import SERVER_TAG, free_slots_of_ended_runs, is_history_local
from vlmine_dagster.engine.stage import COMMAND_TAG, PROCESS_TAG, WORKER_TAG
from vlmine_dagster.settings.project import Project

_AT_WORK = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_PATIENCE_S = 5.0
_LOCK_PATIENCE_S = 1.0  # other commands hold it for a moment, to see that no `vlmine run` does


def place_of(project: Project) -> str:
    """Return what no two `vlmine run`s work in at once."""
    return f"{socket.gethostname()}:{project.state_folder('locks')}"


@contextmanager
def lock_of_run(project: Project) -> Iterator[None]:
    """Hold what a `vlmine run` locks.

    Raises:
        ConfigError: another one is at work.
    """
    lock = FileLock(project.state_folder("locks") / "run.lock", timeout=_LOCK_PATIENCE_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigError(
            f"another `vlmine run` is at work on {project.home}. Wait for it, or watch it with `vlmine status`."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def run_of_this_process(project: Project) -> Iterator[dict[str, str]]:
    """Give the tags of a run that ends with this process: whoever finds the run later can see whether it is at work."""
    file = project.state_folder("locks") / f"{uuid4().hex}.lock"
    try:
        with FileLock(file):
            yield {PROCESS_TAG: f"{socket.gethostname()}:{file}"}
    finally:
        file.unlink(missing_ok=True)


def fail_dead_runs(instance: dg.DagsterInstance, *, locked: str | None = None) -> list[str]:
    """End runs whose process is gone, and give back the slots of pools that ended runs hold.

    Slots are given back by every run that has ended, not by those that end now alone: whoever ended a run may itself
    have been killed before it came to the slots, and a step would wait for them for ever.

    Args:
        instance: Dagster's instance.
        locked: The place that the caller has locked, so that no other `vlmine run` is at work there: its runs that seem
            to be are dead.

    Returns:
        Ids of the runs that were ended now.
    """
    failed = []
    is_ours_alone = is_history_local(instance)
    for run in instance.get_runs(dg.RunsFilter(statuses=list(_AT_WORK))):
        reason = _cause_of_death(run, is_ours_alone=is_ours_alone, locked=locked)
        if reason:
            instance.report_run_failed(run, reason)
            failed.append(run.run_id)
    free_slots_of_ended_runs(instance)
    return failed


def fail_dead_runs_of(project: Project, instance: dg.DagsterInstance) -> list[str]:
    """Do what `fail_dead_runs` does, for other commands than `vlmine run`: where none is at work, with its runs."""
    try:
        with lock_of_run(project):
            return fail_dead_runs(instance, locked=place_of(project))
    except ConfigError:
        return fail_dead_runs(instance)


def fail_runs_of(instance: dg.DagsterInstance, worker: str, reason: str) -> list[tuple[str, str]]:
    """End the runs of a process that is gone, and give back the slots of pools that they hold.

    Returns:
        (asset, partition) pairs that these runs had made.
    """
    made = []
    for run in instance.get_runs(dg.RunsFilter(statuses=list(_AT_WORK), tags={WORKER_TAG: worker})):
        instance.report_run_failed(run, reason)
        made += made_by(instance, run.run_id)
    free_slots_of_ended_runs(instance)
    return made


def made_by(instance: dg.DagsterInstance, run_id: str) -> list[tuple[str, str]]:
    """Return the (asset, partition) pairs that a run has made so far."""
    logs = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    found = [entry.asset_materialization for entry in logs]
    return [(one.asset_key.to_user_string(), one.partition or WHOLE_POOL) for one in found if one is not None]


def _cause_of_death(run: dg.DagsterRun, *, is_ours_alone: bool, locked: str | None) -> str:
    if COMMAND_TAG in run.tags:
        is_dead = locked is not None and (is_ours_alone or run.tags[COMMAND_TAG] == locked)
        return "The process of `vlmine run` is gone." if is_dead else ""
    if PROCESS_TAG in run.tags:
        machine, _, file = run.tags[PROCESS_TAG].partition(":")
        is_dead = machine == socket.gethostname() and not _is_locked(Path(file))
        return "The process of this run is gone. What it kept is taken up when it is run again." if is_dead else ""
    server = run.tags.get(SERVER_TAG)
    if server is None or not is_ours_alone or _answers(json.loads(server)):
        return ""
    return "The server that ran this is gone: `vlmine ui` or the machine was stopped. Nothing is lost; run it again."


def _is_locked(file: Path) -> bool:
    """Whether a process holds the lock of a file; what a dead one left of it is removed."""
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            file.unlink()
    except Timeout:
        return True
    return False


def _answers(server: Mapping[str, Any]) -> bool:
    """Return whether somebody listens at an address; where that cannot be told, take it that somebody does."""
    path = server.get("socket")
    with socket.socket(socket.AF_UNIX if path else socket.AF_INET) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(path or (server["host"], server["port"]))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True
