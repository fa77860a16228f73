"""Runs by the launcher of Dagster's instance: processes, Docker, Kubernetes, Ray jobs, whatever `dagster.yaml` says.

Runs are submitted to the web server, as its own pages do, and followed in the history: the code server, the daemon's
queue, pools and run monitoring are those of the deployment.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import dagster as dg

from vlmine_dagster.automation.execution import Report, Watcher, Work, report_of
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.engine.stage import COMMAND_TAG
from vlmine_dagster.resources.progress import Step, read_step

_LOOK_EVERY_S = 1.0
_PATIENCE_S = 60.0
_RECORDS_AT_ONCE = 500
_LOCATIONS = ("vlmine_dagster.definitions", "vlmine")
"""Names under which `vlmine ui` and `workspace.yaml` load a project; what they loaded may be older than vlmine.yaml."""


@dataclass
class _Followed:
    """A submitted run.

    Attributes:
        work: What it makes.
        run_id: Dagster's id.
        cursor: How far its history was read.
        events: What happened in it.
    """

    work: Work
    run_id: str
    cursor: str | None = None
    events: list[dg.DagsterEvent] = field(default_factory=list)


class Launched:
    """Submits runs, as many at once as there are places, and follows them.

    Args:
        count: Runs at once; the deployment's queue may let fewer run.
        url: Address of Dagster's web server.
        instance: Dagster's instance, the one of that server.
        watcher: Who is told what happens.
    """

    def __init__(self, count: int, *, url: str, instance: dg.DagsterInstance, watcher: Watcher):
        self.places = count
        self._url = url
        self._instance = instance
        self._watcher = watcher
        self._followed: dict[int, _Followed] = {}

    def __enter__(self) -> Self:
        import requests
        from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

        parts = urlsplit(self._url)
        try:
            self._client = DagsterGraphQLClient(
                parts.hostname or "",
                port_number=parts.port,
                use_https=parts.scheme == "https",
                path_prefix=parts.path.rstrip("/"),
            )
            for name in _LOCATIONS:
                self._client.reload_repository_location(name)
        except (requests.exceptions.RequestException, DagsterGraphQLClientError) as error:
            raise ConfigError(
                f"no Dagster web server answers at {self._url} ({type(error).__name__}). Start `vlmine ui`, or set "
                f"VLMINE_DAGSTER_URL to the server of your deployment; `vlmine run` without --on needs none."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._followed:
            self._end_all()

    def start(self, work: Work) -> None:
        """Submit a run."""
        from dagster_graphql import DagsterGraphQLClientError

        number = next(number for number in range(self.places) if number not in self._followed)
        try:
            run_id = self._client.submit_job_execution(
                work.job,
                run_config={"ops": dict(work.config)},
                tags=_tags(work),
                asset_selection=list(work.assets),
            )
        except DagsterGraphQLClientError as error:
            raise ConfigError(
                f"Dagster at {self._url} does not take a run of {work.names}[{work.where}]: {error}. Does it serve "
                f"this project, and this version of vlmine?"
            ) from error
        self._followed[number] = _Followed(work, run_id)
        self._watcher.on_run(work.names, work.where, number)

    def wait(self) -> tuple[Work, Report]:
        """Read the history of all runs until one ends."""
        while True:
            for number in list(self._followed):
                ended = self._look(number)
                if ended is not None:
                    return ended
            time.sleep(_LOOK_EVERY_S)

    def _look(self, number: int) -> tuple[Work, Report] | None:
        """Pass on what has happened in a run; return its report once it has ended."""
        followed = self._followed[number]
        run = self._instance.get_run_by_id(followed.run_id)  # before its history, which is then complete
        for step in self._news(followed):
            self._watcher.on_step(step, number)
        if run is not None and not run.is_finished:
            return None
        del self._followed[number]
        self._watcher.on_done(number)
        return followed.work, self._report(followed, run)

    def _news(self, followed: _Followed) -> Iterator[Step]:
        """Read what was added to the history of a run; yield how far it has come."""
        has_more = True
        while has_more:
            found = self._instance.get_records_for_run(followed.run_id, followed.cursor, limit=_RECORDS_AT_ONCE)
            followed.cursor, has_more = found.cursor, found.has_more
            for record in found.records:
                entry = record.event_log_entry
                if entry.dagster_event is not None:
                    followed.events.append(entry.dagster_event)
                elif (step := read_step(entry.user_message)) is not None:
                    yield step

    def _report(self, followed: _Followed, run: dg.DagsterRun | None) -> Report:
        is_success = run is not None and run.status is dg.DagsterRunStatus.SUCCESS
        report = report_of(followed.events, is_success=is_success)
        if is_success or report.failures:
            return report
        status = "was deleted" if run is None else f"ended as {run.status.value}"
        words = _last_words(followed.events)
        reason = f"{followed.work.names}[{followed.work.where}]: the run {followed.run_id} {status}. {words}".strip()
        return Report(materialized=report.materialized, failures=[(followed.work.assets[0], reason)])

    def stop(self) -> list[tuple[Work, Report]]:
        """Terminate all runs and wait until they have ended."""
        return self._end_all()

    def _end_all(self) -> list[tuple[Work, Report]]:
        found, deadline = [], time.monotonic() + _PATIENCE_S
        asked: set[str] = set()
        while self._followed and time.monotonic() < deadline:
            run_ids = {followed.run_id for followed in self._followed.values()}
            asked |= {run_id for run_id in run_ids - asked if self._is_ending(run_id)}
            for number in list(self._followed):
                ended = self._look(number)
                if ended is not None:
                    work, report = ended
                    found.append((work, Report(materialized=report.materialized, is_interrupted=True)))
            time.sleep(_LOOK_EVERY_S / 4)
        self._followed.clear()
        return found

    def _is_ending(self, run_id: str) -> bool:
        """Ask Dagster to end a run, which it refuses while its launcher starts the run: ask again then."""
        import requests
        from dagster_graphql import DagsterGraphQLClientError

        try:
            self._client.terminate_run(run_id)
        except (requests.exceptions.RequestException, DagsterGraphQLClientError):
            return False
        return True


def _last_words(events: Sequence[dg.DagsterEvent]) -> str:
    """Return why a run ended: the last error that its launcher or the queue reported, else what its last event says."""
    errors = (getattr(event.event_specific_data, "error", None) for event in reversed(events))
    error = next((one for one in errors if one is not None), None)
    if error is not None:
        return str((error.cause or error).message).strip()
    ends = [event for event in events if event.is_job_failure or event.is_job_event]
    return (ends[-1].message or "").strip() if ends else ""


def _tags(work: Work) -> dict[str, str]:
    """Return the tags of a run that does not end with `vlmine run`; the server wants its partition among them."""
    own = {name: value for name, value in work.tags.items() if name != COMMAND_TAG}
    where = {} if work.partition_key is None else {"dagster/partition": work.partition_key}
    return {**own, **where}
