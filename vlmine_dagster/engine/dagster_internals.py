"""The one place that knows what Dagster keeps to itself; pyproject.toml bounds its version, a test guards each fact.

Nothing private is imported: facts that public objects carry are read by the names that Dagster gives them.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from vlmine_dagster.resources.sqlite_files import held_pool

SERVER_TAG = ".dagster/grpc_info"
"""Written by the launcher on a run: the code server whose child it is."""

DATA_VERSION_TAG = "dagster/data_version"
USER_PROVIDED_TAG = "dagster/data_version_is_user_provided"
CODE_VERSION_TAG = "dagster/code_version"
INPUT_VERSION_TAG = "dagster/input_data_version"
INPUT_POINTER_TAG = "dagster/input_event_pointer"
"""Tags of a materialization from which the UI works out staleness; the last two end in the key of an input."""


_WAITING = "dagster._core.execution.plan.instance_concurrency_context"
_INTERRUPTS = "dagster._utils.interrupts"
_NAP_S = 0.5
_RELIEVED_EVERY_S = 5.0
_MOST_ENGINES = 32  # Dagster keeps one file per run
_MOST_SCRIPTS = 8


@dataclass(frozen=True)
class StepFailure:
    """A step that failed.

    Attributes:
        step: Its name.
        text: Why, for people.
        cause: Name of the class of the error behind it, empty where there is none.
    """

    step: str
    text: str
    cause: str


def step_failures(events: Iterable[dg.DagsterEvent]) -> Iterator[StepFailure]:
    """Yield the steps of a run that failed, those that a signal ended left out.

    Args:
        events: What happened in the run.
    """
    for event in events:
        if event.is_step_failure and not _is_interrupt(event):
            failed = event.step_failure_data
            given = failed.user_failure_data and failed.user_failure_data.description
            error = failed.error
            message = "" if error is None else (error.cause or error).message.strip()
            cause = error.cause.cls_name if error is not None and error.cause is not None else None
            yield StepFailure(str(event.step_key), given or message, cause or "")


def is_interrupted(events: Iterable[dg.DagsterEvent]) -> bool:
    """Whether a signal ended a run; Dagster takes that for a failure like any other."""
    return any(
        (event.is_step_failure and _is_interrupt(event))
        or (event.is_job_failure and _failure_reason(event) == "UNEXPECTED_TERMINATION")
        for event in events
    )


def _is_interrupt(event: dg.DagsterEvent) -> bool:
    return _name(event.step_failure_data.error_source) == "INTERRUPT"


def _failure_reason(event: dg.DagsterEvent) -> str:
    """Return why a run failed, "" where its launcher or a monitor could not tell."""
    data = event.event_specific_data
    return "" if data is None else _name(getattr(data, "failure_reason", None))


def _name(member: object) -> str:
    return str(getattr(member, "name", ""))


def is_history_local(instance: dg.DagsterInstance) -> bool:
    """Whether the history is in files of this machine, so that no other machine writes to it."""
    return any(base.__name__ == "SqliteRunStorage" for base in type(instance.run_storage).__mro__)


def lighten(instance: dg.DagsterInstance) -> None:
    """Take from a run what it costs beside its work, where the history is in files of this machine.

    Dagster makes an engine and a connection for each event and compiles its statements again, reads its hundred
    migrations twice for the file of each run, and starts four processes a run that copy what steps print to files and
    back to the terminal. What steps print goes straight to where this process prints.
    """
    for storage in (instance.run_storage, instance.event_log_storage):
        for module in _modules_of(storage, "SqliteRunStorage", "SqliteEventLogStorage"):
            if not hasattr(module.create_engine, "cache_info"):
                module.create_engine = _reusing(module.create_engine)
                _read_migrations_once()
    for module in _modules_of(instance.compute_log_manager, "LocalComputeLogManager"):
        module.mirror_stream_to_file = _without_copies


def _modules_of(member: object, *names: str) -> list[Any]:
    """Return the modules of the classes of these names that something is one of."""
    return [sys.modules[base.__module__] for base in type(member).__mro__ if base.__name__ in names]


def _reusing(create_engine: Any) -> Any:
    """Return a function that returns the same engine for the same arguments, with connections that stay open."""

    @lru_cache(_MOST_ENGINES)
    def made(url: str, connect_args: tuple[tuple[str, Any], ...]) -> Any:
        return create_engine(url, poolclass=held_pool(), connect_args=dict(connect_args))

    def engine(url: str, *, poolclass: Any = None, connect_args: Any = None) -> Any:
        return made(url, tuple(sorted((connect_args or {}).items())))

    engine.cache_info = made.cache_info  # type: ignore[attr-defined]
    os.register_at_fork(after_in_child=made.cache_clear)  # a connection must not be used on both sides of a fork
    return engine


@cache
def _read_migrations_once() -> None:
    """Let alembic keep the migrations that belong to a configuration, of which Dagster has one per kind of storage."""
    from alembic.script import ScriptDirectory

    ScriptDirectory.from_config = staticmethod(lru_cache(_MOST_SCRIPTS)(ScriptDirectory.from_config))  # type: ignore[method-assign]


@contextmanager
def _without_copies(_stream: object, path: str) -> Iterator[None]:
    """Leave the file of what a step prints empty, which says that nothing was captured."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).touch()
    yield


def free_slots_of_ended_runs(instance: dg.DagsterInstance) -> None:
    """Give back the slots of pools that ended runs hold."""
    history = instance.event_log_storage
    for run_id in history.get_concurrency_run_ids():
        holder = instance.get_run_by_id(run_id)
        if holder is None or holder.is_finished:
            history.free_concurrency_slots_for_run(run_id)


def make_waiting_polite(relieve: Callable[[dg.DagsterInstance], object]) -> None:
    """Let a step that waits for a place in a pool sleep between two questions, and end when a signal asks it to.

    Dagster takes the smallest of 0 and the seconds until it asks again, so that a step that waits in its run's process
    keeps a processor busy; and it notes signals that come meanwhile for the step, which may not begin for hours.

    Args:
        relieve: Called now and then while a step waits: ends runs whose process is gone, which hold places for ever.
    """
    module = sys.modules.get(_WAITING)  # loaded with Dagster, and named nowhere in public
    relieved = time.monotonic()

    def seconds_until_asked(context: Any) -> float:
        nonlocal relieved
        if sys.modules[_INTERRUPTS].pop_captured_interrupt():
            raise KeyboardInterrupt
        times = context._pending_timeouts.values()
        if times and time.monotonic() - relieved > _RELIEVED_EVERY_S:
            relieve(context._instance)
            relieved = time.monotonic()
        return min(max(0.0, min(times) - time.time()), _NAP_S) if times else 0.0

    if module is not None:
        module.InstanceConcurrencyContext.interval_to_next_pending_claim_check = seconds_until_asked


def on_wait(instance: dg.DagsterInstance, run_id: str, tell: Callable[[str], None]) -> None:
    """Have somebody told when a step of a run that this process makes waits for a pool.

    Args:
        instance: Dagster's instance.
        run_id: The run, which has not begun.
        tell: Called with a sentence: which pool, and which runs hold its places.
    """

    def heard(entry: dg.EventLogEntry) -> None:
        details = getattr(entry.dagster_event and entry.dagster_event.event_specific_data, "metadata", None)
        pool = details.get("pool") if isinstance(details, dict) else None
        if pool is not None:
            tell(f"waiting for a place in the pool {pool.value}{_held_by(instance, pool.value)}")

    instance.add_event_listener(run_id, heard)


def _held_by(instance: dg.DagsterInstance, pool: str) -> str:
    claimed = instance.event_log_storage.get_concurrency_info(pool).claimed_slots
    runs = [instance.get_run_by_id(run_id) for run_id in dict.fromkeys(slot.run_id for slot in claimed)]
    shown = ", ".join(f"{run.run_id[:8]} ({run.job_name})" for run in runs if run is not None)
    return f", held by run {shown}" if shown else ""


def version_tags(
    *, data_version: str, code_version: str, inputs: Sequence[tuple[dg.AssetKey, str, int | None]]
) -> dict[str, str]:
    """Return the tags that a materialization carries.

    Args:
        data_version: Of what was made.
        code_version: Of the asset.
        inputs: Key, data version and storage id of the last event of each asset that it reads.
    """
    tags = {DATA_VERSION_TAG: data_version, USER_PROVIDED_TAG: "true", CODE_VERSION_TAG: code_version}
    for key, version, pointer in inputs:
        tags[f"{INPUT_VERSION_TAG}/{key.to_user_string()}"] = version
        tags[f"{INPUT_POINTER_TAG}/{key.to_user_string()}"] = "NULL" if pointer is None else str(pointer)
    return tags
