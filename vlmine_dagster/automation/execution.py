"""Where a run executes, as a value: this process, workers beside it, a Ray cluster, the launcher of Dagster's instance.

The planner says what has to be made, the runner hands it out; an executor makes it. All hand out the same work and
bring back the same reports, so that nothing else knows where something was made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import uuid4

import dagster as dg

from vlmine_dagster.automation.jobs import build_core
from vlmine_dagster.domain.errors import BudgetExceededError
from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.engine.dagster_internals import is_interrupted, on_wait, step_failures
from vlmine_dagster.resources.progress import Step
from vlmine_dagster.settings.compute import Needs
from vlmine_dagster.settings.project import Project

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, eq=False)
class Work:
    """One Dagster run to be made, in plain data that travels to other processes and machines.

    Attributes:
        job: The job.
        assets: Its assets, in topological order, as Dagster writes their keys.
        first: Its partition, or the first of a range.
        last: The last of a range.
        config: Configuration by step.
        tags: Tags of the run.
        needs: What it needs of a node, None where no setting says so.
    """

    job: str
    assets: tuple[str, ...]
    first: str
    last: str
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    needs: Needs | None = None

    @property
    def partition_key(self) -> str | None:
        """Its partition, None where it has none or a range."""
        return self.first if self.first == self.last and self.first != WHOLE_POOL else None

    @property
    def names(self) -> str:
        """Its assets, for people."""
        return ", ".join(self.assets)

    @property
    def where(self) -> str:
        """Its partition or range, for people."""
        return self.first if self.first == self.last else f"{self.first} ... {self.last}"

    @property
    def run_config(self) -> dict[str, Any]:
        """Configuration of the run: what happens is in Dagster's history, not on the terminal."""
        return {**_QUIET, "ops": dict(self.config)}


@dataclass(frozen=True)
class Report:
    """What came of a run.

    Attributes:
        is_success: Whether all of it was made.
        materialized: (asset, partition) pairs that were made.
        failures: (step, reason) of the steps that failed.
        spent: Why no more money may be spent, empty while it may.
        is_interrupted: Whether a signal ended it.
    """

    is_success: bool = False
    materialized: Sequence[tuple[str, str]] = ()
    failures: Sequence[tuple[str, str]] = ()
    spent: str = ""
    is_interrupted: bool = False


class Watcher(Protocol):
    """Receives what happens; places are numbered from 0."""

    def on_run(self, assets: str, partition: str, place: int = 0) -> None:
        """A run begins."""

    def on_step(self, step: Step, place: int = 0) -> None:
        """Work goes on."""

    def on_wait(self, reason: str, place: int = 0) -> None:
        """The run at a place waits."""

    def on_done(self, place: int = 0) -> None:
        """The run at a place has ended."""


class Unwatched:
    """Tells nobody."""

    def on_run(self, assets: str, partition: str, place: int = 0) -> None:
        """A run begins."""

    def on_step(self, step: Step, place: int = 0) -> None:
        """Work goes on."""

    def on_wait(self, reason: str, place: int = 0) -> None:
        """The run at a place waits."""

    def on_done(self, place: int = 0) -> None:
        """The run at a place has ended."""


class Executor(Protocol):
    """Makes runs, several at once where it has several places."""

    @property
    def places(self) -> int:
        """How many runs it makes at once."""

    def __enter__(self) -> Self:
        """Be ready for work; nothing is started before there is some."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what it started."""

    def start(self, work: Work) -> None:
        """Begin a run; only while a place is free."""

    def wait(self) -> tuple[Work, Report]:
        """Return the next run that ends, with what came of it.

        Raises:
            VlmineError: what no run can be made without is missing or wrong.
        """

    def stop(self) -> list[tuple[Work, Report]]:
        """End all that is at work, which publishes nothing more; return what came of it."""


class Maker:
    """Makes runs in this process, whoever asked for them.

    Args:
        project: Whose assets and jobs; they are built for the first run.
        settings_file: Its `vlmine.yaml`.
        instance: Dagster's instance.
    """

    def __init__(self, project: Project, settings_file: str, instance: dg.DagsterInstance):
        self._project, self._settings_file, self._instance = project, settings_file, instance
        self._assets: tuple[str, ...] = ()

    @cached_property
    def _definitions(self) -> dg.Definitions:
        return build_core(self._project, settings_file=self._settings_file)

    def make(
        self, work: Work, *, tags: Mapping[str, str] | None = None, tell: Callable[[str], None] | None = None
    ) -> Report:
        """Make a run. What the shards of one asset share, a session of the encoder, is given up before another.

        Args:
            work: What.
            tags: More tags: where it is made.
            tell: Called with a sentence when it waits for a pool.
        """
        if work.assets != self._assets:
            from vlmine_dagster.resources.encoder import forget_session

            forget_session()
            self._assets = work.assets
        run_id = str(uuid4())
        if tell is not None:
            on_wait(self._instance, run_id, tell)
        result = self._definitions.resolve_job_def(work.job).execute_in_process(
            instance=self._instance,
            asset_selection=[dg.AssetKey.from_user_string(name) for name in work.assets],
            raise_on_error=False,
            run_config=work.run_config,
            tags={**work.tags, **(tags or {})},
            partition_key=work.partition_key,
            run_id=run_id,
        )
        return report_of(result.all_events, is_success=bool(result.success))


def report_of(events: Sequence[dg.DagsterEvent], *, is_success: bool) -> Report:
    """Return what came of a run, by what happened in it."""
    made = [event.step_materialization_data.materialization for event in events if event.is_step_materialization]
    failures = list(step_failures(events))
    return Report(
        is_success=is_success,
        materialized=[(one.asset_key.to_user_string(), one.partition or WHOLE_POOL) for one in made],
        failures=[(failure.step, failure.text) for failure in failures],
        spent=next((one.text for one in failures if one.cause == BudgetExceededError.__name__), ""),
        is_interrupted=is_interrupted(events),
    )


class ThisProcess:
    """Makes one run after the other in this process.

    Args:
        maker: Makes them.
        watcher: Receives what happens; steps come to whoever listens in this process.
    """

    places = 1

    def __init__(self, maker: Maker, watcher: Watcher):
        self._maker, self._watcher = maker, watcher
        self._work: Work | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._work = None

    def start(self, work: Work) -> None:
        """Take a run; `wait` makes it."""
        self._watcher.on_run(work.names, work.where)
        self._work = work

    def wait(self) -> tuple[Work, Report]:
        """Make the run."""
        work, self._work = self._work, None
        if work is None:
            raise RuntimeError("there is no run to wait for")
        report = self._maker.make(work, tell=self._watcher.on_wait)
        self._watcher.on_done()
        return work, report

    def stop(self) -> list[tuple[Work, Report]]:
        """Do nothing: a run in this process ends before anybody can ask."""
        return []
