"""The one rule of freshness: what is missing, stale or fresh, from the stamps in the lake alone.

A partition is fresh if its stamp equals the hash of what it declares to read (columns of upstream partitions, settings,
code version), and everything that it reads is fresh. `vlmine status`, `vlmine run`, schedules, sensors and the data
versions that Dagster shows all ask here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine.graph import Graph
from vlmine_dagster.engine.stage import Part, Source, Stage, Unit
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT, settings_hash

if TYPE_CHECKING:
    from vlmine_dagster.resources.stamps import Stamp

State = Literal["missing", "stale", "fresh", "blocked"]
Place = tuple[str, str, str]
"""A table, a partition of it, and the extraction variant under which it is stored."""

_SHOWN = 3


class Freshness:
    """Says which partitions are missing, stale, fresh or blocked.

    Stamps are read once per instance: make a new one after something was published.

    Args:
        graph: All stages.
        bench: The project's resources.
        shards: All shards of the pool.
    """

    def __init__(self, graph: Graph, bench: Workbench, shards: Sequence[str]):
        self.graph = graph
        self.shards = tuple(sorted(shards))
        self.bench = bench
        self._stamps: dict[Place, Stamp | None] = {}
        self._inputs: dict[Place, str | None] = {}
        self._states: dict[Place, State] = {}

    def stamp(self, table: str, partition: str, variant: str = DEFAULT_VARIANT) -> "Stamp | None":
        """Return the stamp of a partition, None where it is missing."""
        key = (table, partition, variant)
        if key not in self._stamps:
            self._stamps[key] = self.bench.lake.stamp(table, partition, variant=variant)
        return self._stamps[key]

    def state(self, unit: Unit, partition: str) -> State:
        """Return whether a partition is missing, stale, fresh, or blocked because something upstream is missing."""
        key = (unit.stage.table, partition, unit.variant)
        if key not in self._states:
            self._states[key] = self._state(unit, partition)
        return self._states[key]

    def _state(self, unit: Unit, partition: str) -> State:
        is_there = all(self.stamp(table, partition, unit.variant) is not None for table in unit.stage.tables)
        if self.missing(unit, partition):
            return "blocked"
        if not is_there:
            return "missing"
        return "fresh" if self.is_current(unit, partition) and not self.not_fresh(unit, partition) else "stale"

    def is_current(self, unit: Unit, partition: str) -> bool:
        """Whether a partition is what would be made now of what is upstream, fresh or not."""
        if unit.stage.is_tracked and pending_mark(self.bench, unit.stage.table, partition).exists():
            return False  # MLflow does not know of it
        stamps = [self.stamp(table, partition, unit.variant) for table in unit.stage.tables]
        if None in stamps:  # known without a look into files: a shard that is new may be large
            return False
        inputs = self.inputs(unit.stage, unit.part(self.bench.project, partition))
        return inputs is not None and all(stamp is not None and stamp.inputs == inputs for stamp in stamps)

    def inputs(self, stage: Stage, part: Part, *, shards: Sequence[str] | None = None) -> str | None:
        """Return the hash of all that goes into a partition; None where something upstream is missing.

        Args:
            stage: The stage.
            part: Its partition.
            shards: The shards that it reads where it reads the whole pool; all if None.
        """
        key = (stage.table, part.partition, part.variant)
        if shards is None and key in self._inputs:
            return self._inputs[key]
        found = self._hashed(stage, part, self.shards if shards is None else shards)
        if shards is None:
            self._inputs[key] = found
        return found

    def _hashed(self, stage: Stage, part: Part, shards: Sequence[str]) -> str | None:
        sources = self.graph.sources(stage, part, shards)
        stamps = [(source, name, self._stamp_of(source, name)) for source in sources for name in source.partitions]
        if any(stamp is None and not source.is_optional for source, _, stamp in stamps):
            return None
        parts: list[Any] = [stage.table, stage.version]
        parts.append([*stage.experiment_settings(part), *stage.settings(part), *stage.fingerprints(self.bench, part)])
        parts += [
            [source.table, name, None if stamp is None else stamp.version(source.stored)]
            for source, name, stamp in stamps
        ]
        return settings_hash(parts)

    def _stamp_of(self, source: Source, partition: str) -> "Stamp | None":
        return self.stamp(source.table, partition, source.variant)

    def source(self, stage: Stage, partition: str) -> str:
        """Return the hash of what a partition's rows are read from, where more is joined to them; else nothing."""
        if stage.source is None:
            return ""
        content = stage.source(self.bench, Part(self.bench.project, partition))
        return settings_hash([stage.table, stage.version, content])

    def missing(self, unit: Unit, partition: str) -> list[Place]:
        """Return what is missing that a partition reads and cannot do without."""
        return [place for place in self.required(unit, partition) if self.stamp(*place) is None]

    def not_fresh(self, unit: Unit, partition: str) -> list[Place]:
        """Return what a partition reads that exists and is not fresh."""
        places = [(source, name) for source in self._sources(unit, partition) for name in source.partitions]
        return [
            (source.table, name, source.variant)
            for source, name in places
            if self._stamp_of(source, name) is not None
            and self.state(Unit(self.graph.stage_of(source.table), source.variant), name) != "fresh"
        ]

    def required(self, unit: Unit, partition: str) -> list[Place]:
        """Return what a partition reads and cannot do without."""
        sources = (source for source in self._sources(unit, partition) if not source.is_optional)
        return [(source.table, name, source.variant) for source in sources for name in source.partitions]

    def _sources(self, unit: Unit, partition: str) -> list[Source]:
        return self.graph.sources(unit.stage, unit.part(self.bench.project, partition), self.shards)

    def waits_for(self, places: Sequence[Place]) -> str:
        """Return what somebody waits for, for people; a companion is named by its asset; empty where it is nothing."""
        names: dict[str, dict[str, None]] = {}
        for table, partition, _ in places:
            names.setdefault(self.graph.publisher(table), {})[partition] = None
        shown = [
            f"{table} of {', '.join(list(of)[:_SHOWN])}" + (f" and {len(of) - _SHOWN} more" if len(of) > _SHOWN else "")
            for table, of in names.items()
        ]
        return f"waits for {'; '.join(shown)}" if shown else ""

    def changing(self, unit: Unit, partition: str) -> tuple[str, ...]:
        """Return the columns that making a partition again may change: those joined to its rows alone, or all."""
        stamp = self.stamp(unit.stage.table, partition, unit.variant)
        if stamp is not None and stamp.source and stamp.source == self.source(unit.stage, partition):
            return unit.stage.joined
        return tuple(column.name for table in unit.stage.tables for column in TABLES[table].columns)

    def unfinished(self, units: Sequence[Unit], partition: str) -> list[Unit]:
        """Return which of some units, in topological order, have to be made for a partition, and what follows of them.

        What follows may turn out to be current once the others are made; a run that is requested in advance cannot
        wait for that.
        """
        found: list[Unit] = []
        changing: set[Place] = set()
        for unit in units:
            if not self.is_current(unit, partition) or changing & self._columns_read(unit, partition):
                found.append(unit)
                names = self.changing(unit, partition)
                changing |= {(table, unit.variant, name) for table in unit.stage.tables for name in names}
        return found

    def _columns_read(self, unit: Unit, partition: str) -> set[Place]:
        return {
            (source.table, source.variant, name)
            for source in self._sources(unit, partition)
            if partition in source.partitions
            for name in source.stored
        }


def pending_mark(bench: Workbench, table: str, partition: str) -> Path:
    """Return the file that exists from before a table is published until MLflow knows of it."""
    return bench.project.state_folder("pending") / f"{table}-{partition}"
