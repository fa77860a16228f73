"""The graph of stages: all that follows from what they declare to read.

Nothing here is written by hand: which tables have extraction variants, which asset publishes a table, in which order
and in which waves stages are made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import TABLES, WHOLE_POOL
from vlmine_dagster.engine.stage import Part, Reads, Source, Stage, Unit
from vlmine_dagster.settings import DEFAULT_VARIANT
from vlmine_dagster.settings.project import Project

JOB_NAMES = {
    "images": "shard_job",
    "vocab_counts": "global_job",
    "novelty_scores": "score_job",
    "pareto_set": "mining_job",
    "duplicates": "duplicates_job",
    "descriptions": "description_job",
}
"""Names of jobs by a stage that they make, of several the first here; other jobs are named after their first stage."""


@dataclass(frozen=True)
class Wave:
    """Stages whose partitions are made together: each reads only its own partition, or what earlier waves made.

    Attributes:
        number: Its place in the order of waves.
        kind: How its tables are cut: "shard", "pool" or "experiment".
        stages: Its stages, in topological order.
        is_range: Whether a range of partitions is made in one run.
        job: Name of the Dagster job that makes it; waves that follow each other and are cut alike share one.
    """

    number: int
    kind: str
    stages: tuple[Stage, ...]
    is_range: bool
    job: str


class Graph:
    """Stages, in an order in which each comes after all that it reads.

    Args:
        stages: All stages, in any order; where it is open, the order of the tables decides.
    """

    def __init__(self, stages: Sequence[Stage]):
        self._by_table = {table: stage for stage in stages for table in stage.tables}
        places = {table: place for place, table in enumerate(TABLES)}
        parents = {stage.table: {parent.table for parent in self.parents(stage)} for stage in stages}
        self.stages = tuple(self._by_table[table] for table in _sorted(parents, places))
        self._waves: dict[frozenset[tuple[str, str]], tuple[Wave, ...]] = {}

    def parents(self, stage: Stage, project: Project | None = None) -> dict[Stage, bool]:
        """Return the stages whose tables a stage may read, and whether it reads across their partitions.

        Args:
            stage: The stage.
            project: Only the edges that it has; None for all.
        """
        found: dict[Stage, bool] = {}
        for reads in stage.reads:
            if project is not None and not reads.is_part_of(project):
                continue
            for parent in (self._by_table[table] for table in reads.tables if table in self._by_table):
                found[parent] = found.get(parent, False) or self._crosses(stage, reads)
        found.pop(stage, None)
        return found

    def inputs(self, unit: Unit, project: Project) -> dict[Unit, Reads]:
        """Return the units that a unit of a project does read, and what it declares of the first table of each."""
        units, found = self.applicable(project), dict[Unit, Reads]()
        for part in [unit.part(project, name) for name in unit.stage.partitions(project, ["any shard"])]:
            for source in self.sources(unit.stage, part, ()):
                parent = Unit(self.stage_of(source.table), source.variant)
                if parent in units and parent.stage is not unit.stage:
                    found.setdefault(parent, next(one for one in unit.stage.reads if one.table == source.name))
        return found

    def leading_to(self, table: str, project: Project) -> set[Stage]:
        """Return the stages that a table of a project is made by and from."""
        found: set[Stage] = set()
        waiting = [self.stage_of(table)]
        while waiting:
            stage = waiting.pop()
            if stage not in found:
                found.add(stage)
                waiting += self.parents(stage, project)
        return found

    def stage_of(self, table: str) -> Stage:
        """Return the stage that publishes a table."""
        return self._by_table[table]

    def publisher(self, table: str) -> str:
        """Return the asset that publishes a table: its own, or that of which it is a companion."""
        return self._by_table[table].table

    def units(self, project: Project) -> list[Unit]:
        """Return all stages with their extraction variants, those that a project skips too, in topological order."""
        return [Unit(stage, variant) for stage in self.stages for variant in self._variants(stage, project)]

    def applicable(self, project: Project) -> list[Unit]:
        """Return the units that a project has: without labels no task model, and nothing that nobody asks for."""
        return [unit for unit in self.units(project) if unit.why_skipped(project) is None]

    def skipped(self, project: Project) -> dict[str, str]:
        """Return why stages do not apply to a project, by table; not those that no experiment asks for."""
        reasons = {unit: unit.why_skipped(project) for unit in self.units(project) if not unit.stage.is_on_demand}
        return {unit.stage.table: reason for unit, reason in reasons.items() if reason}

    def has_variants(self, table: str) -> bool:
        """Whether each extraction variant has its own of a table: extraction itself, and what is always made of it."""
        return table in self._variant_tables

    @cached_property
    def _variant_tables(self) -> frozenset[str]:
        found: set[str] = set()
        for stage in self.stages:
            is_later = any(reads.table in found for reads in stage.reads if reads.where is None)
            if stage.contract.partition != "experiment" and (stage.is_extraction or is_later):
                found |= set(stage.tables)
        return frozenset(found)

    def _variants(self, stage: Stage, project: Project) -> tuple[str, ...]:
        return project.settings.variant_names if self.has_variants(stage.table) else (DEFAULT_VARIANT,)

    def sources(self, stage: Stage, part: Part, shards: Sequence[str]) -> list[Source]:
        """Return all that a partition reads: columns of which partitions, of which variant."""
        return [self._source(stage, reads, part, shards) for reads in stage.needed(part)]

    def _source(self, stage: Stage, reads: Reads, part: Part, shards: Sequence[str]) -> Source:
        columns = reads.columns(part) if callable(reads.columns) else reads.columns
        if reads.partitions is not None:
            partitions = reads.partitions(part)
        elif reads.partition == stage.contract.partition:
            partitions = (part.partition,)
        else:
            partitions = tuple(shards) if reads.partition == "shard" else (WHOLE_POOL,)
        kind = part.settings.items
        on_disk = kind.renamed(reads.table) if reads.table == ITEMS else {}
        return Source(
            name=reads.table,
            table=kind.stored(reads.table),
            columns=columns,
            stored=tuple(on_disk.get(column, column) for column in columns),
            partitions=partitions,
            variant=self.stored_variant(reads.table, stage, part),
            is_optional=reads.is_optional,
        )

    def stored_variant(self, table: str, reader: Stage, part: Part) -> str:
        """Return the variant under which a stage reads a table; an experiment names its own."""
        if not self.has_variants(table):
            return DEFAULT_VARIANT
        return part.experiment.variant if reader.contract.partition == "experiment" else part.variant

    def waves(self, project: Project) -> tuple[Wave, ...]:
        """Return the waves in which the stages of a project are made, in order.

        A stage belongs to the wave of what it reads if it reads the same partition of that, and to a later one if it
        reads across partitions: a shard the whole pool, the pool every shard, a report other experiments. Stages of a
        level that are cut alike and run alike are one wave.
        """
        edges = ((stage, reads) for stage in self.stages for reads in stage.reads)
        absent = frozenset((stage.table, reads.table) for stage, reads in edges if not reads.is_part_of(project))
        if absent not in self._waves:
            self._waves[absent] = self._waves_of(project)
        return self._waves[absent]

    def _waves_of(self, project: Project) -> tuple[Wave, ...]:
        levels: dict[str, int] = {}
        grouped: dict[tuple[int, str, bool], list[Stage]] = {}
        for stage in self.stages:
            above = [levels[parent.table] + crosses for parent, crosses in self.parents(stage, project).items()]
            level = levels[stage.table] = max(above, default=0)
            grouped.setdefault((level, stage.contract.partition, stage.is_one_run), []).append(stage)
        waves: list[Wave] = []
        for (_, kind, is_range), found in sorted(grouped.items(), key=lambda item: item[0][0]):
            is_next = bool(waves) and (waves[-1].kind, waves[-1].is_range) == (kind, is_range)
            made = {stage.table for stage in found}
            named = [job for table, job in JOB_NAMES.items() if table in made]
            job = waves[-1].job if is_next else next(iter(named), f"{found[0].table}_job")
            waves.append(Wave(len(waves), kind, tuple(found), is_range, job))
        return tuple(waves)

    @staticmethod
    def _crosses(stage: Stage, reads: Reads) -> bool:
        return reads.partitions is not None or reads.partition != stage.contract.partition

    def units_of(self, wave: Wave, project: Project) -> list[Unit]:
        """Return what a wave makes of a project, in topological order: nothing that the project skips."""
        return [unit for unit in self.applicable(project) if unit.stage in wave.stages]


def _sorted(parents: dict[str, set[str]], places: dict[str, int]) -> list[str]:
    """Return names so that each comes after its parents, and otherwise by their places."""
    sorter = TopologicalSorter(parents)
    sorter.prepare()
    order: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=lambda name: places.get(name, len(places)))
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return order
