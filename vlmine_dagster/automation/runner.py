"""What `vlmine run` does: find what is not fresh, materialize it in order, into the history that the UI shows."""

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.automation.dead_runs import fail_dead_runs, lock_of_run, place_of
from vlmine_dagster.automation.execution import Executor, Maker, Report, ThisProcess, Unwatched, Watcher, Work
from vlmine_dagster.automation.outcome import Outcome
from vlmine_dagster.automation.planner import Batch, Planner, ranges
from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.tables import NO_FAILURES, WHOLE_POOL
from vlmine_dagster.engine.freshness import Place
from vlmine_dagster.engine.graph import Wave
from vlmine_dagster.engine.partitions import SHARDS
from vlmine_dagster.engine.stage import COMMAND_TAG, ModelConfig, Stage, Unit
from vlmine_dagster.engine.versions import confirm, observe
from vlmine_dagster.resources.data_docs import build_index
from vlmine_dagster.resources.progress import ALL_SHARDS, Progress
from vlmine_dagster.resources.sources.ignored import below, ignored_line
from vlmine_dagster.resources.sources.shard_names import nearest
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.providers import DescriberSettings, KeyworderSettings

VIEWS_FILE = "vlmine.duckdb"

Chain = Generator[Batch, bool, None]
"""Runs that follow each other: it yields a run, is sent whether that was made, and says what comes next."""


class Runner:
    """Materializes what is missing or stale.

    Args:
        settings_file: `vlmine.yaml`.
        instance: Dagster's instance.
        executor: Where runs are made; in this process if None.
        watcher: Receives what happens.
        allow_missing_shards: Continue with the shards that exist where the whole pool is read.
        is_failure_retried: Ask models again where their kept answer is a failure.
    """

    def __init__(
        self,
        settings_file: str,
        instance: dg.DagsterInstance,
        *,
        executor: Executor | None = None,
        watcher: Watcher | None = None,
        allow_missing_shards: bool = False,
        is_failure_retried: bool = False,
    ):
        self._bench = Workbench(settings_file=settings_file)
        self._project = self._bench.project
        self._instance = instance
        if executor is None:
            executor = ThisProcess(Maker(self._project, settings_file, instance), watcher or Unwatched())
        self._executor = executor
        self._allow_missing = allow_missing_shards
        self._is_failure_retried = is_failure_retried
        self._left: set[Place] = set()
        self._shards: Sequence[str] = []
        self._known: Planner | None = None
        self._is_pool_changed = False
        self._observed = ""
        self._began_with = _content(self._project.file)
        self.outcome = Outcome()

    def run(self, *, shards: Sequence[str] = (), experiments: Sequence[str] = ()) -> Outcome:
        """Bring shards, pool and experiments up to date, wave by wave.

        One failing shard does not stop the others; what needs every shard then waits. Ctrl-C ends the step at work,
        which publishes nothing, and the run; the outcome lists what was made until then.

        Args:
            shards: Only these, by their names or by those of their files; empty means all.
            experiments: Only these; empty means all.

        Raises:
            ConfigError: there is no such shard or experiment, another run is at work, or a describer or keyworder
                cannot be as it is set.
            LakeError: the lake cannot be written.
        """
        with lock_of_run(self._project), self._interruptible(), self._executor:
            self._bench.lake.check_writable()
            self._check_models()
            fail_dead_runs(self._instance, locked=place_of(self._project))
            existing = self.sync_shards()
            chosen = {
                "shard": _chosen([nearest(name, existing) or name for name in shards], existing, "shard"),
                "pool": [WHOLE_POOL],
                "experiment": _chosen(experiments, list(self._project.settings.experiments), "experiment"),
            }
            self.outcome.skipped = GRAPH.skipped(self._project)
            described = GRAPH.leading_to("keywords", self._project)
            for wave, units in self._planner().waves:
                self._shards = self._instance.get_dynamic_partitions(SHARDS)  # a sensor may have registered more
                is_narrow = bool(shards) and not experiments and wave.number > 0
                wanted = [unit for unit in units if not is_narrow or unit.stage in described]
                if wanted:
                    self._make_wave(wave, wanted, chosen[wave.kind])
                if self.outcome.stopped:
                    return self.outcome
            observe(self._instance, GRAPH, self._bench, existing, recorded=self._observed)
            confirm(self._instance, GRAPH, self._bench, existing, made=self.outcome.materialized)
            kept = {"shard": existing, "experiment": self._project.settings.experiments}
            home = self._project.state_folder("lake").parent
            self._write_views(kept)
            if self.outcome.materialized:
                build_index(home)
        return self.outcome

    def _write_views(self, kept: Mapping[str, Collection[str]]) -> None:
        """Write the file by which people ask the tables; the tables are there if it cannot be written."""
        file = self._project.state_folder("lake").parent / VIEWS_FILE
        changed = max(self._bench.lake.last_change_s(), self._project.file.stat().st_mtime)
        if not self._is_pool_changed and file.exists() and file.stat().st_mtime > changed:
            return  # DuckDB would open every file of every table for the same views
        try:
            self._bench.lake.write_views(file, kept=kept)
        except OSError as error:
            self.outcome.waiting[VIEWS_FILE] = f"cannot be written: {error.strerror or error}"

    def _check_models(self) -> None:
        """Make every describer and keyworder: a wrong setting is reported once, before any work, not once per shard."""
        from vlmine_dagster.describing.providers import describer_of, grounder_of, keyworder_of

        grounder_of(self._bench)
        for variant in self._project.settings.variant_names:
            describer_of(self._bench, variant)
            keyworder_of(self._bench, variant)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self.outcome.stopped, self.outcome.is_interrupted = "interrupted", True

    def inspect_images(self) -> list[str]:
        """Bring the tables up to date that decide which images models are asked about, at no cost; return the shards.

        Raises:
            ConfigError: another run is at work.
        """
        wanted = {"images"}
        if self._project.settings.describes_once:
            wanted |= {"objects", "embeddings", "duplicates", "shard_duplicates"}
        with lock_of_run(self._project), self._executor:
            fail_dead_runs(self._instance, locked=place_of(self._project))
            existing = self.sync_shards()
            for wave, units in self._planner().waves:
                chosen = [unit for unit in units if unit.stage.table in wanted]
                if chosen:
                    self._make_wave(wave, chosen, existing if wave.kind == "shard" else [WHOLE_POOL])
        return existing

    def mine(self, experiment: str) -> Outcome:
        """Bring the list of one experiment up to date from the tables that are there, and nothing else.

        Raises:
            ConfigError: there is no such experiment, or another run is at work.
        """
        with lock_of_run(self._project), self._interruptible(), self._executor:
            fail_dead_runs(self._instance, locked=place_of(self._project))
            self.sync_shards()
            _chosen([experiment], list(self._project.settings.experiments), "experiment")
            planned = [(wave, unit) for wave, units in self._planner().waves for unit in units]
            wave, unit = next((wave, unit) for wave, unit in planned if unit.stage.table == "pareto_set")
            self._work_off([self._bring_up(wave, experiment, [unit])])
        return self.outcome

    def sync_shards(self) -> list[str]:
        """Register shards that came, forget those that went; return all."""
        found = self._bench.source.shards()
        existing = self._instance.get_dynamic_partitions(SHARDS)
        self._is_pool_changed = set(existing) != set(found)
        self._instance.add_dynamic_partitions(SHARDS, [shard for shard in found if shard not in set(existing)])
        for shard in set(existing) - set(found):
            self._instance.delete_dynamic_partition(SHARDS, shard)
        self._shards = self._instance.get_dynamic_partitions(SHARDS)
        self._observed = observe(self._instance, GRAPH, self._bench, found, is_quick=True)
        return found

    @property
    def ignored(self) -> str | None:
        """What is beside the images and is not used, in one line; None where there is nothing."""
        from vlmine_dagster.resources.boxes.store import BoxStore

        boxes = self._bench.boxes
        root = self._project.resolve(self._project.settings.dataset.root)
        used = below(root, boxes.uris) if isinstance(boxes, BoxStore) else ()
        return ignored_line(self._bench.source, has_attributes=self._project.settings.needs_attributes, used=used)

    @property
    def failed_rows(self) -> list[str]:
        """What failed within tables, in sentences; nothing where nothing was made: it was said before."""
        from vlmine_dagster.scoring.findings import failure_findings

        return failure_findings(self._bench, self._shards) if self.outcome.materialized else []

    @property
    def has_other_settings(self) -> bool:
        """Whether vlmine.yaml is another than when this began: stages read it anew, so some may be made by either."""
        return _content(self._project.file) != self._began_with

    def _make_wave(self, wave: Wave, units: Sequence[Unit], partitions: Sequence[str]) -> None:
        """Bring the partitions of a wave up to date, as many at once as the executor has places, or as ranges."""
        if wave.is_range:
            for unit in units:
                self._make_range(wave, unit, set(partitions))
            return
        if wave.kind != "shard":
            self._work_off([self._bring_up(wave, name, units) for name in partitions])
            return
        planner = self._planner()
        todo = [name for name in partitions if self._left_to_do(planner, units, name)]
        self.outcome.fresh_count += len(units) * (len(partitions) - len(todo))
        progress = Progress(ALL_SHARDS, total=len(todo), unit="shards")
        if todo:
            progress.add(0)
        left = self._work_off([self._bring_up(wave, shard, units) for shard in todo], on_end=lambda: progress.add(1))
        if self.outcome.stopped and left:
            self.outcome.waiting[counted(left, "more shard")] = "the money is spent"

    def _work_off(self, chains: Iterable[Chain], *, on_end: Callable[[], None] = lambda: None) -> int:
        """Make the runs of chains, as many chains at once as the executor has places.

        Once the money is spent no further chain is begun; those at work end by themselves.

        Returns:
            How many chains were not begun.
        """
        waiting, at_work = deque(chains), dict[Work, Chain]()
        try:
            while True:
                while waiting and len(at_work) < self._executor.places and not self.outcome.stopped:
                    self._go_on(waiting.popleft(), None, at_work, on_end)
                if not at_work:
                    return len(waiting)
                work, report = self._executor.wait()
                chain = at_work.pop(work)
                self._note(work, report)
                self._go_on(chain, report.is_success, at_work, on_end)
        except KeyboardInterrupt:
            for work, report in self._executor.stop():
                self._count(work, report)
            raise

    def _go_on(
        self, chain: Chain, is_made: bool | None, at_work: dict[Work, Chain], on_end: Callable[[], None]
    ) -> None:
        """Start the next run of a chain, if there is one."""
        try:
            batch = next(chain) if is_made is None else chain.send(is_made)
        except StopIteration:
            on_end()
            return
        work = self._work(batch)
        at_work[work] = chain
        self._known = None
        self._executor.start(work)

    def _left_to_do(self, planner: Planner, units: Sequence[Unit], partition: str) -> bool:
        is_current = planner.is_current(units, partition)
        return not is_current or any(self._is_asked_again(unit, partition) for unit in units)

    def _bring_up(self, wave: Wave, partition: str, units: Sequence[Unit]) -> Chain:
        """Materialize what is not current; what follows is looked at again, for it may stay as it is."""
        tried: set[Unit] = set()
        while True:
            planner = self._planner()
            first, batch = self._next(planner, units, partition, tried)
            if first is None:
                self.outcome.fresh_count += len([unit for unit in units if unit not in tried])
                return
            reason = planner.why_waiting(first, partition)
            if reason:
                self._wait(first, partition, reason)
                break
            tried |= set(batch)
            if not (yield planner.batch(wave, batch, partition)):
                break
        self._leave(self._planner(), units, [partition])

    def _next(
        self, planner: Planner, units: Sequence[Unit], partition: str, tried: set[Unit]
    ) -> tuple[Unit | None, list[Unit]]:
        """Return the first unit that has to be made, and with it those after it that nobody has made yet."""
        for place, unit in enumerate(units):
            if unit not in tried and self._left_to_do(planner, [unit], partition):
                stamps = planner.freshness.stamp
                rest = (one for one in units[place + 1 :] if one not in tried)
                return unit, [unit, *(one for one in rest if stamps(one.stage.table, partition, one.variant) is None)]
        return None, []

    def _leave(self, planner: Planner, units: Sequence[Unit], partitions: Sequence[str]) -> None:
        """Remember what is not up to date, so that nothing is made of it: what exists was made of something else.

        Shards that may be missing may be old too.
        """
        for unit in units:
            if self._allow_missing and unit.stage.contract.partition == "shard":
                continue
            for partition in partitions:
                if not planner.is_current([unit], partition):
                    self._left |= {(table, partition, unit.variant) for table in unit.stage.tables}

    def _is_asked_again(self, unit: Unit, partition: str) -> bool:
        """Whether a model's answers hold failures, and asking again could succeed."""
        if not self._is_failure_retried:
            return False
        settings = self._project.settings
        variant, grounding = settings.variant(unit.variant), settings.grounding
        asked = {
            "descriptions": ("descriptions", variant.describer),
            "keywords": ("keyword_answers", variant.keyworder),
            "grounded_keywords": ("grounded_keywords", None if grounding is None else grounding.describer),
        }
        table, part = asked.get(unit.stage.table, ("", None))
        if not isinstance(part, DescriberSettings | KeyworderSettings) or not part.capabilities.asks_model:
            return False
        rows = self._bench.lake.read(table, partition, columns=["outcome"], variant=unit.variant)
        return bool(set(rows.column("outcome").to_pylist()) - {*NO_FAILURES, "corrupt"})

    def _make_range(self, wave: Wave, unit: Unit, chosen: set[str]) -> None:
        """Make the partitions that need it, each unbroken range of them in one run."""
        planner = self._planner()
        order = [shard for shard in self._shards if shard in chosen]
        reasons = {shard: planner.why_waiting(unit, shard) for shard in order}
        blocked = [shard for shard, reason in reasons.items() if reason]
        todo = [shard for shard in order if not reasons[shard] and not planner.freshness.is_current(unit, shard)]
        self.outcome.fresh_count += len(order) - len(blocked) - len(todo)
        if blocked and not self._allow_missing:
            self._wait(unit, blocked[0], reasons[blocked[0]])
        made: list[bool] = []

        def whole(first: str, last: str) -> Chain:
            made.append((yield planner.batch(wave, [unit], first, last)))

        self._work_off([whole(first, last) for first, last in ranges(order, todo=todo, blocked=blocked)])
        if blocked or not all(made):
            self._leave(self._planner(), [unit], order)

    def _wait(self, unit: Unit, partition: str, reason: str) -> None:
        name = unit.key.to_user_string()
        self.outcome.waiting[name if partition == WHOLE_POOL else f"{name}[{partition}]"] = reason

    def _planner(self) -> Planner:
        """Return a planner that has read stamps since the last run began or ended, and knows the shards of now."""
        if self._known is None or self._known.shards != tuple(self._shards):
            self._known = Planner(self._bench, self._shards, left=self._left, is_partial=self._allow_missing)
        return self._known

    def _work(self, batch: Batch) -> Work:
        return Work(
            job=batch.wave.job,
            assets=tuple(unit.key.to_user_string() for unit in batch.units),
            first=batch.first,
            last=batch.last,
            config={unit.key.to_python_identifier(): {"config": self._config(unit.stage)} for unit in batch.units},
            tags={COMMAND_TAG: place_of(self._project), **batch.tags},
            needs=batch.needs,
        )

    def _config(self, stage: Stage) -> dict[str, Any]:
        asks = {"retry_failed": self._is_failure_retried} if issubclass(stage.config, ModelConfig) else {}
        return {"allow_missing_shards": self._allow_missing, **asks}

    def _note(self, work: Work, report: Report) -> None:
        self._known = None
        self._count(work, report)
        if report.is_interrupted:
            raise KeyboardInterrupt

    def _count(self, work: Work, report: Report) -> None:
        self.outcome.materialized += report.materialized
        self.outcome.failures |= {(step, work.first): text for step, text in report.failures}
        self.outcome.stopped = self.outcome.stopped or report.spent


def _content(file: Path) -> bytes:
    """Return what is in a file, nothing where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _chosen(names: Sequence[str], existing: Sequence[str], what: str) -> list[str]:
    unknown = [name for name in names if name not in existing]
    if unknown:
        shown = ", ".join(existing[:10]) + (" ..." if len(existing) > 10 else "")
        raise ConfigError(f"there is no {what} {unknown[0]!r}. There are: {shown}")
    return list(names) or list(existing)
