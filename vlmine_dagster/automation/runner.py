"""What `vlmine run` does: find what is not fresh, materialize it in order, into the history that the UI shows."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.execution.plan.objects import ErrorSource
from filelock import FileLock, Timeout

from vlmine_dagster.automation.dead_runs import bury_orphans
from vlmine_dagster.automation.schedules import (
    GLOBAL_JOB,
    MINING_JOB,
    RANGE_TAGS,
    SCORE_JOB,
    SHARD_JOB,
    is_of,
    units_of,
)
from vlmine_dagster.definitions import build_definitions
from vlmine_dagster.domain.errors import BudgetExceededError, ConfigError
from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.engine.catalog import all_units
from vlmine_dagster.engine.lineage import Lineage, State
from vlmine_dagster.engine.partitions import SHARDS
from vlmine_dagster.engine.stages import COMMAND_TAG, ModelConfig, Stage, Unit
from vlmine_dagster.resources.progress import ALL_SHARDS, Progress
from vlmine_dagster.resources.sources.ignored import ignored_line
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.plain_paths import plain_path
from vlmine_dagster.settings.project import Project

VIEWS_FILE = "vlmine.duckdb"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        materialized: (asset, partition) pairs that were made.
        fresh_count: Pairs that were fresh already.
        failures: What failed, by (asset, partition).
        waiting: Why assets had to wait, by asset.
        skipped: Why stages do not apply, by table; not of those that nobody asked for.
        stopped: Why the run was stopped early, empty where it was not.
        is_interrupted: Whether that was Ctrl-C, or another signal that asks a process to end.
    """

    materialized: list[tuple[str, str]] = field(default_factory=list)
    fresh_count: int = 0
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    stopped: str = ""
    is_interrupted: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether everything asked for is fresh now."""
        return not self.failures and not self.waiting and not self.is_interrupted


@contextmanager
def open_instance(project: Project) -> Iterator[dg.DagsterInstance]:
    """Open the project's Dagster instance: DAGSTER_HOME if set, else `dagster/` under the home."""
    home = prepare_dagster_home(project)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def prepare_dagster_home(project: Project) -> Path:
    """Return the folder of the Dagster instance, with a `dagster.yaml` in it.

    A DAGSTER_HOME of the user's own is taken as it is; one that is not there is made.

    Raises:
        ConfigError: it cannot be made.
    """
    home = project.dagster_home
    if os.environ.get("DAGSTER_HOME") and home.is_dir():
        return home
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder DAGSTER_HOME={home} cannot be made ({error.strerror}). Make it, name another or unset "
            f"DAGSTER_HOME: Dagster's history is then kept with the project."
        ) from error
    home = plain_path(home)
    if not (home / "dagster.yaml").exists():
        with packaged_dagster_yaml() as source:
            shutil.copy(source, home / "dagster.yaml")
    return home


@contextmanager
def packaged_dagster_yaml() -> Iterator[Path]:
    """Give the `dagster.yaml` that comes with the project, from a checkout or from a wheel."""
    checkout = Path(__file__).parent.parent.parent / "dagster.yaml"
    yield checkout if checkout.exists() else Path(str(files("vlmine_dagster").joinpath("dagster.yaml")))


class Runner:
    """Materializes what is missing or stale.

    Args:
        settings_file: `vlmine.yaml`.
        instance: Dagster's instance.
        on_run: Told of each Dagster run before it starts, as (assets, partition).
        allow_missing_shards: Go on with the shards that are there where the whole pool is read.
        is_failure_retried: Ask models again where their kept answer is a failure.
    """

    def __init__(
        self,
        settings_file: str,
        instance: dg.DagsterInstance,
        *,
        on_run: Callable[[str, str], None] = lambda _assets, _partition: None,
        allow_missing_shards: bool = False,
        is_failure_retried: bool = False,
    ):
        self._bench = Workbench(settings_file=settings_file)
        self._project = self._bench.project
        self._definitions = build_definitions(self._project, settings_file=settings_file)
        self._instance = instance
        self._on_run = on_run
        self._allow_missing = allow_missing_shards
        self._is_failure_retried = is_failure_retried
        self._left: set[tuple[str, str, str]] = set()
        self.outcome = Outcome()

    def run(self, *, shards: Sequence[str] = (), experiments: Sequence[str] = ()) -> Outcome:
        """Bring shards, pool and experiments up to date.

        One failing shard does not stop the others; what needs every shard then waits. Ctrl-C ends the step at work,
        which publishes nothing, and the run; what was made until then is told.

        Args:
            shards: Only these; empty means all.
            experiments: Only these; empty means all.

        Raises:
            ConfigError: there is no such shard or experiment, another run is at work, or a describer or keyworder
                cannot be as it is set.
            LakeError: the lake cannot be written.
        """
        with _locked(self._project), self._interruptible():
            self._bench.lake.check_writable()
            self._check_models()
            bury_orphans(self._instance, locked=self._place)
            known = self.sync_shards()
            wanted = _chosen(shards, known, "shard")
            arms = _chosen(experiments, list(self._project.settings.experiments), "experiment")
            self._make_shards(wanted)
            if self.outcome.stopped or (shards and not experiments):
                return self.outcome
            self._chain(GLOBAL_JOB, WHOLE_POOL)
            self._score(wanted)
            *mining, report = self._units(MINING_JOB)
            for arm in arms:  # a page shows its rivals, so all are judged before the first page is made
                self._bring_up(MINING_JOB, arm, mining)
            for arm in arms:
                self._bring_up(MINING_JOB, arm, [report])
            kept = {"shard": known, "experiment": self._project.settings.experiments}
            self._bench.lake.write_views(self._project.state_folder("lake").parent / VIEWS_FILE, kept=kept)
        return self.outcome

    def _check_models(self) -> None:
        """Make every describer and keyworder: a wrong setting is told once, before any work, not a shard at a time."""
        from vlmine_dagster.describing.providers import describer_of, keyworder_of

        for variant in self._project.settings.variant_names:
            describer_of(self._bench, variant)
            keyworder_of(self._bench, variant)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self.outcome.stopped, self.outcome.is_interrupted = "interrupted", True

    def _make_shards(self, wanted: Sequence[str]) -> None:
        """Bring shards up to date, one after the other; those that are fresh cost a look at their stamps."""
        units, lineage = self._units(SHARD_JOB), self._lineage()
        todo = [shard for shard in wanted if not self._is_fresh(lineage, units, shard)]
        self.outcome.fresh_count += len(units) * (len(wanted) - len(todo))
        progress = Progress(ALL_SHARDS, total=len(todo), unit="shards")
        for place, shard in enumerate(todo):
            self._bring_up(SHARD_JOB, shard, units)
            progress.add(1)
            if self.outcome.stopped:
                self.outcome.waiting[f"{len(todo) - place - 1} more shards"] = "the money is spent"
                return

    def _is_fresh(self, lineage: Lineage, units: Sequence[Unit], partition: str) -> bool:
        return all(self._state(lineage, unit, partition) == "fresh" for unit in units)

    def inspect_images(self) -> list[str]:
        """Bring the `images` of all shards up to date, which costs nothing; return the shards.

        Raises:
            ConfigError: another run is at work.
        """
        with _locked(self._project):
            bury_orphans(self._instance, locked=self._place)
            known = self.sync_shards()
            units = [unit for unit in self._units(SHARD_JOB) if unit.stage.table == "images"]
            lineage = self._lineage()
            for shard in known:
                if not self._is_fresh(lineage, units, shard):
                    self._bring_up(SHARD_JOB, shard, units)
        return known

    def sync_shards(self) -> list[str]:
        """Register shards that came, forget those that went; return all."""
        found = self._bench.source.shards()
        known = self._instance.get_dynamic_partitions(SHARDS)
        self._instance.add_dynamic_partitions(SHARDS, [shard for shard in found if shard not in set(known)])
        for shard in set(known) - set(found):
            self._instance.delete_dynamic_partition(SHARDS, shard)
        return found

    @property
    def ignored(self) -> str | None:
        """What lies beside the images and is not used, in one line; None where there is nothing."""
        return ignored_line(self._bench.source)

    def _units(self, job: str) -> list[Unit]:
        for unit in all_units(self._project):
            reason = unit.stage.skipped(self._project, unit.variant)
            if is_of(job, unit.stage) and reason is not None and not unit.stage.is_on_demand:
                self.outcome.skipped[unit.stage.table] = reason
        return units_of(job, self._project)

    def _chain(self, job: str, partition: str) -> None:
        self._bring_up(job, partition, self._units(job))

    def _bring_up(self, job: str, partition: str, units: Sequence[Unit]) -> None:
        """Materialize what is not fresh; what follows a stale stage is looked at again, for it may stay fresh."""
        tried: set[dg.AssetKey] = set()
        while True:
            lineage = self._lineage()
            states = [(unit, self._state(lineage, unit, partition)) for unit in units]
            todo = [(unit, state) for unit, state in states if state != "fresh" and unit.key not in tried]
            if not todo:
                self.outcome.fresh_count += sum(state == "fresh" and unit.key not in tried for unit, state in states)
                return
            (first, state), *rest = todo
            if state == "blocked" and self._has_to_wait(lineage, first, partition):
                self._wait(first, partition, lineage)
                break
            batch = [first, *(unit for unit, state in rest if state in ("missing", "blocked"))]
            tried |= {unit.key for unit in batch}
            if not self._execute(job, batch, partition):
                break
        self._leave(units, [partition])

    def _has_to_wait(self, lineage: Lineage, unit: Unit, partition: str) -> bool:
        """Whether something upstream is missing or old that nobody allowed to be so."""
        return not self._allow_missing or lineage.is_held(unit.stage, partition, unit.variant)

    def _leave(self, units: Sequence[Unit], partitions: Sequence[str]) -> None:
        """Keep in mind what is not up to date, so that nothing is made of it: what is there was made of something else.

        Shards that may be missing may be old too.
        """
        lineage = self._lineage()
        for unit in units:
            if self._allow_missing and unit.stage.contract.partition == "shard":
                continue
            for partition in partitions:
                if lineage.state(unit.stage, partition, unit.variant) != "fresh":
                    self._left |= {(table, partition, unit.variant) for table in unit.stage.tables}

    def _state(self, lineage: Lineage, unit: Unit, partition: str) -> State:
        state = lineage.state(unit.stage, partition, unit.variant)
        if state == "fresh" and self._is_failure_retried and self._has_failures(unit, partition):
            return "stale"
        return state

    def _has_failures(self, unit: Unit, partition: str) -> bool:
        """Return whether a model's answers hold failures that asking again could mend."""
        variant = self._project.settings.variant(unit.variant)
        table = {"descriptions": "descriptions", "keywords": "keyword_answers"}.get(unit.stage.table)
        part = variant.describer if table == "descriptions" else variant.keyworder
        if table is None or not part.capabilities.asks_model:
            return False
        rows = self._bench.lake.read(table, partition, columns=["outcome"], variant=unit.variant)
        return bool(set(rows.column("outcome").to_pylist()) - {"ok", "corrupt"})

    def _score(self, shards: Sequence[str]) -> None:
        """Score the shards that need it, each unbroken range of them in one run."""
        lineage = self._lineage()
        chosen = set(shards)
        order = [shard for shard in self._instance.get_dynamic_partitions(SHARDS) if shard in chosen]
        for unit in self._units(SCORE_JOB):
            states = {shard: lineage.state(unit.stage, shard, unit.variant) for shard in order}
            self.outcome.fresh_count += sum(state == "fresh" for state in states.values())
            blocked = [shard for shard, state in states.items() if state == "blocked"]
            if blocked and not self._allow_missing:
                self._wait(unit, blocked[0], lineage)
            made = [self._execute(SCORE_JOB, [unit], first, last=last) for first, last in _ranges(order, states)]
            if blocked or not all(made):
                self._leave([unit], order)

    def _wait(self, unit: Unit, partition: str, lineage: Lineage) -> None:
        name = unit.key.to_user_string()
        reason = lineage.missing(unit.stage, partition, unit.variant)
        self.outcome.waiting[name if partition == WHOLE_POOL else f"{name}[{partition}]"] = reason

    @property
    def _place(self) -> str:
        """What no two `vlmine run`s work in at once."""
        return f"{socket.gethostname()}:{self._project.state_folder('locks')}"

    def _lineage(self) -> Lineage:
        return Lineage(self._bench, self._instance.get_dynamic_partitions(SHARDS), left=self._left)

    def _execute(self, job: str, units: Sequence[Unit], partition: str, *, last: str | None = None) -> bool:
        names = ", ".join(unit.key.to_user_string() for unit in units)
        self._on_run(names, partition if last in (None, partition) else f"{partition} ... {last}")
        target: dict[str, Any] = {} if partition == WHOLE_POOL else {"partition_key": partition}
        tags = {COMMAND_TAG: self._place}
        if last is not None and last != partition:
            target = {}
            tags |= dict(zip(RANGE_TAGS, (partition, last), strict=True))
        config = {unit.key.to_python_identifier(): {"config": self._config(unit.stage)} for unit in units}
        result = self._definitions.resolve_job_def(job).execute_in_process(
            instance=self._instance,
            asset_selection=[unit.key for unit in units],
            raise_on_error=False,
            run_config={**_QUIET, "ops": config},
            tags=tags,
            **target,
        )
        self._note(result, partition)
        if any(_is_interruption(event) for event in result.all_events):
            raise KeyboardInterrupt
        return bool(result.success)

    def _config(self, stage: Stage) -> dict[str, Any]:
        asks = {"retry_failed": self._is_failure_retried} if issubclass(stage.config, ModelConfig) else {}
        return {"allow_missing_shards": self._allow_missing, **asks}

    def _note(self, result: Any, partition: str) -> None:
        for event in result.all_events:
            if event.is_step_materialization:
                made = event.step_materialization_data.materialization
                self.outcome.materialized.append((made.asset_key.to_user_string(), made.partition or WHOLE_POOL))
            elif event.is_step_failure and event.step_failure_data.error_source is not ErrorSource.INTERRUPT:
                failed = event.step_failure_data
                told = failed.user_failure_data and failed.user_failure_data.description
                text = told or (failed.error.cause or failed.error).message.strip()
                self.outcome.failures[str(event.step_key), partition] = text
                if failed.error.cause is not None and failed.error.cause.cls_name == BudgetExceededError.__name__:
                    self.outcome.stopped = text


def _is_interruption(event: dg.DagsterEvent) -> bool:
    """Whether an event is the end of a run by a signal; Dagster takes that for a failure like any other."""
    reason = RunFailureReason.UNEXPECTED_TERMINATION
    return event.is_job_failure and event.job_failure_data.failure_reason is reason


@contextmanager
def _locked(project: Project) -> Iterator[None]:
    lock = FileLock(project.state_folder("locks") / "run.lock", timeout=0)
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


def _ranges(order: Sequence[str], states: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (first, last) of the ranges to be made: fresh shards may lie inside of one, blocked ones end it."""
    ranges: list[tuple[str, str]] = []
    is_open = False
    for shard in order:
        if states[shard] == "blocked":
            is_open = False
        elif states[shard] != "fresh":
            ranges = [*ranges[:-1], (ranges[-1][0], shard)] if is_open else [*ranges, (shard, shard)]
            is_open = True
    return ranges


def _chosen(names: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    unknown = [name for name in names if name not in known]
    if unknown:
        shown = ", ".join(known[:10]) + (" ..." if len(known) > 10 else "")
        raise ConfigError(f"there is no {what} {unknown[0]!r}. There are: {shown}")
    return list(names) or list(known)
