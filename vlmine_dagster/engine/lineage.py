"""What is missing, stale or fresh, from the stamps in the lake alone."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine.stages import PUBLISHED_WITH, VARIANT_TABLES, Reads, Stage, Unit, read_partitions
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT, settings_hash
from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    from vlmine_dagster.resources.lake import Stamp

State = Literal["missing", "stale", "fresh", "blocked"]


class Lineage:
    """Tells which partitions are missing, stale or fresh, from the stamps in the lake alone.

    Stamps are read once an instance: make a new one after something was published.

    Args:
        bench: The project's resources.
        shards: All shards of the pool.
        left: (table, partition, variant) that could not be brought up to date: what is made of them waits.
    """

    def __init__(self, bench: Workbench, shards: Sequence[str], *, left: Collection[tuple[str, str, str]] = ()):
        self._bench = bench
        self._left = left
        self._shards = tuple(sorted(shards))
        self._stamps: dict[tuple[str, str, str], Stamp | None] = {}

    def stamp(self, table: str, partition: str, variant: str = DEFAULT_VARIANT) -> "Stamp | None":
        """Return the stamp of a partition, None where it is missing."""
        key = (table, partition, variant)
        if key not in self._stamps:
            self._stamps[key] = self._bench.lake.stamp(table, partition, variant=variant)
        return self._stamps[key]

    def source(self, stage: Stage, partition: str) -> str:
        """Return the hash of what a partition's rows are read from, where more is joined to them; else nothing."""
        if stage.source is None:
            return ""
        return settings_hash([stage.table, stage.version, stage.source(self._bench, partition)])

    def changing(self, unit: Unit, partition: str) -> tuple[str, ...]:
        """Return the columns that making a partition again may change: those joined to its rows alone, or all."""
        stamp = self.stamp(unit.stage.table, partition, unit.variant)
        if stamp is not None and stamp.source and stamp.source == self.source(unit.stage, partition):
            return unit.stage.joined
        return tuple(column.name for table in unit.stage.tables for column in TABLES[table].columns)

    def inputs(
        self, stage: Stage, partition: str, variant: str = DEFAULT_VARIANT, *, shards: Sequence[str] | None = None
    ) -> str | None:
        """Return the hash of all that goes into a partition; None where something upstream is missing."""
        parts: list[Any] = [stage.table, stage.version, stage.settings(self._bench, partition, variant)]
        for reads, names, upstream_variant in self._upstream(stage, partition, variant, shards):
            for name in names:
                stamp = self.stamp(reads.table, name, upstream_variant)
                if stamp is None:
                    return None
                parts.append([reads.table, name, stamp.version(reads.columns)])
        return settings_hash(parts)

    def _upstream(
        self, stage: Stage, partition: str, variant: str, shards: Sequence[str] | None = None
    ) -> Iterator[tuple[Reads, Sequence[str], str]]:
        """Yield what a partition reads, of which partitions, and of which variant."""
        for reads in stage.needed(self._bench.project, partition, variant):
            names = read_partitions(stage.contract, TABLES[reads.table], partition, shards or self._shards)
            yield reads, names, experiment_variant(self._bench.project, stage, partition, reads.table, variant)

    def missing(self, stage: Stage, partition: str, variant: str = DEFAULT_VARIANT) -> str:
        """Return what a partition waits for, for people; empty where nothing upstream is missing."""
        gaps: dict[str, None] = {}  # in pipeline order, a companion under its asset's name
        for reads, names, upstream_variant in self._upstream(stage, partition, variant):
            absent = [name for name in names if self.stamp(reads.table, name, upstream_variant) is None]
            stale = [name for name in names if (reads.table, name, upstream_variant) in self._left]
            of = [name for name in names if name in {*absent, *stale}]
            if of:
                shown = ", ".join(of[:3]) + (f" and {len(of) - 3} more" if len(of) > 3 else "")
                gaps.setdefault(f"{PUBLISHED_WITH.get(reads.table, reads.table)} of {shown}")
        return f"waits for {'; '.join(gaps)}" if gaps else ""

    def unfinished(self, units: Sequence[Unit], partition: str) -> list[Unit]:
        """Return which of some units, in pipeline order, are not fresh for a partition, and what follows from them.

        What follows may turn out to be fresh once the others are made; a run that is asked for in advance cannot wait
        for that.
        """
        found: list[Unit] = []
        changing: set[tuple[str, str, str]] = set()
        for unit in units:
            is_fresh = self.state(unit.stage, partition, unit.variant) == "fresh"
            if not is_fresh or changing & self._columns_read(unit, partition):
                found.append(unit)
                names = self.changing(unit, partition)
                changing |= {(table, unit.variant, name) for table in unit.stage.tables for name in names}
        return found

    def _columns_read(self, unit: Unit, partition: str) -> set[tuple[str, str, str]]:
        project = self._bench.project
        return {
            (reads.table, experiment_variant(project, unit.stage, partition, reads.table, unit.variant), name)
            for reads in unit.stage.needed(project, partition, unit.variant)
            for name in reads.columns
        }

    def is_held(self, stage: Stage, partition: str, variant: str = DEFAULT_VARIANT) -> bool:
        """Whether a partition would be made of something that could not be brought up to date."""
        return bool(self._left) and any(
            (reads.table, name, upstream_variant) in self._left
            for reads, names, upstream_variant in self._upstream(stage, partition, variant)
            for name in names
        )

    def state(self, stage: Stage, partition: str, variant: str = DEFAULT_VARIANT) -> State:
        """Return whether a partition is missing, stale (made from something else), fresh, or waits for upstream."""
        stamps = [self.stamp(table, partition, variant) for table in stage.tables]
        if None in stamps:  # told without looking into files: a shard that is new may be large
            return "blocked" if self.missing(stage, partition, variant) else "missing"
        inputs = self.inputs(stage, partition, variant)
        if inputs is None or self.is_held(stage, partition, variant):
            return "blocked"
        if stage.is_tracked and pending_mark(self._bench, stage.table, partition).exists():
            return "stale"  # MLflow was not told of it
        return "fresh" if all(stamp is not None and stamp.inputs == inputs for stamp in stamps) else "stale"


def pending_mark(bench: Workbench, table: str, partition: str) -> Path:
    """Return the file that is there from before a table is published until MLflow was told of it."""
    return bench.project.state_folder("pending") / f"{table}-{partition}"


def experiment_variant(project: Project, stage: Stage, partition: str, table: str, variant: str) -> str:
    """Return the variant under which a stage reads a table; an experiment names its own."""
    if table not in VARIANT_TABLES:
        return DEFAULT_VARIANT
    if stage.contract.partition == "experiment":
        return project.settings.experiments[partition].variant
    return variant
