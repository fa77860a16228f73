"""What is missing, stale or fresh, from the stamps in the lake alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assets.stages import PUBLISHED_WITH, VARIANT_TABLES, Stage, Unit, read_partitions
from resources.workbench import Workbench
from vlmine_dagster.project import Project
from vlmine_dagster.settings import DEFAULT_VARIANT, settings_hash
from vlmine_dagster.tables import TABLES

if TYPE_CHECKING:
    from resources.lake import Stamp

State = Literal["missing", "stale", "fresh", "blocked"]


class Lineage:
    """Tells which partitions are missing, stale or fresh, from the stamps in the lake alone.

    Stamps are read once an instance: make a new one after something was published.
    """

    def __init__(self, bench: Workbench, shards: Sequence[str]):
        self._bench = bench
        self._shards = tuple(sorted(shards))
        self._stamps: dict[tuple[str, str, str], Stamp | None] = {}

    def stamp(self, table: str, partition: str, variant: str = DEFAULT_VARIANT) -> "Stamp | None":
        """Return the stamp of a partition, None where it is missing."""
        key = (table, partition, variant)
        if key not in self._stamps:
            self._stamps[key] = self._bench.lake.stamp(table, partition, variant=variant)
        return self._stamps[key]

    def inputs(
        self, stage: Stage, partition: str, variant: str = DEFAULT_VARIANT, *, shards: Sequence[str] | None = None
    ) -> str | None:
        """Return the hash of all that goes into a partition; None where something upstream is missing."""
        parts: list[Any] = [stage.table, stage.version, stage.settings(self._bench, partition, variant)]
        for reads in stage.needed(self._bench.project, partition, variant):
            upstream_variant = experiment_variant(self._bench.project, stage, partition, reads.table, variant)
            for name in read_partitions(stage.contract, TABLES[reads.table], partition, shards or self._shards):
                stamp = self.stamp(reads.table, name, upstream_variant)
                if stamp is None:
                    return None
                parts.append([reads.table, name, stamp.version(reads.columns)])
        return settings_hash(parts)

    def missing(self, stage: Stage, partition: str, variant: str = DEFAULT_VARIANT) -> str:
        """Return what a partition waits for, for people; empty where nothing upstream is missing."""
        gaps: dict[str, None] = {}  # in pipeline order, a companion under its asset's name
        for reads in stage.needed(self._bench.project, partition, variant):
            upstream_variant = experiment_variant(self._bench.project, stage, partition, reads.table, variant)
            names = read_partitions(stage.contract, TABLES[reads.table], partition, self._shards)
            absent = [name for name in names if self.stamp(reads.table, name, upstream_variant) is None]
            if absent:
                shown = ", ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
                gaps.setdefault(f"{PUBLISHED_WITH.get(reads.table, reads.table)} of {shown}")
        return f"waits for {'; '.join(gaps)}" if gaps else ""

    def unfinished(self, units: Sequence[Unit], partition: str) -> list[Unit]:
        """Return which of some units, in pipeline order, are not fresh for a partition, and what follows from them.

        What follows may turn out to be fresh once the others are made; a run that is asked for in advance cannot wait
        for that.
        """
        found: list[Unit] = []
        for unit in units:
            if self.state(unit.stage, partition, unit.variant) != "fresh" or self._follows(unit, partition, found):
                found.append(unit)
        return found

    def _follows(self, unit: Unit, partition: str, above: Sequence[Unit]) -> bool:
        project = self._bench.project
        read = {
            (reads.table, experiment_variant(project, unit.stage, partition, reads.table, unit.variant))
            for reads in unit.stage.needed(project, partition, unit.variant)
        }
        return any((table, one.variant) in read for one in above for table in one.stage.tables)

    def state(self, stage: Stage, partition: str, variant: str = DEFAULT_VARIANT) -> State:
        """Return whether a partition is missing, stale (made from something else), fresh, or waits for upstream."""
        stamps = [self.stamp(table, partition, variant) for table in stage.tables]
        inputs = self.inputs(stage, partition, variant)
        if inputs is None:
            return "blocked"
        if None in stamps:
            return "missing"
        if stage.is_tracked and pending_mark(self._bench, stage, partition).exists():
            return "stale"  # killed before MLflow was told
        return "fresh" if all(stamp is not None and stamp.inputs == inputs for stamp in stamps) else "stale"


def pending_mark(bench: Workbench, stage: Stage, partition: str) -> Path:
    """Return the file that is there from before a table is published until MLflow was told of it."""
    return bench.project.state_folder("pending") / f"{stage.table}-{partition}"


def experiment_variant(project: Project, stage: Stage, partition: str, table: str, variant: str) -> str:
    """Return the variant under which a stage reads a table; an experiment names its own."""
    if table not in VARIANT_TABLES:
        return DEFAULT_VARIANT
    if stage.contract.partition == "experiment":
        return project.settings.experiments[partition].variant
    return variant
