"""The planner: what has to be made, in which order, for `vlmine run` and for all that runs by itself.

Order and grouping follow from what stages declare to read (`engine.graph`), the need from the one rule of freshness
(`engine.freshness`). Nothing else decides what is stale.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.engine.freshness import Freshness, Place
from vlmine_dagster.engine.graph import Wave
from vlmine_dagster.engine.stage import Unit
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import settings_hash
from vlmine_dagster.settings.compute import Needs

RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass(frozen=True)
class Batch:
    """What one Dagster run makes.

    Attributes:
        wave: The wave that it belongs to.
        units: Its assets, in topological order.
        first: Its partition, or the first of a range.
        last: The last of a range.
        needs: What it needs of a node, None where no setting says so.
    """

    wave: Wave
    units: tuple[Unit, ...]
    first: str
    last: str
    needs: Needs | None = None

    @property
    def keys(self) -> list[dg.AssetKey]:
        """Keys of its assets."""
        return [unit.key for unit in self.units]

    @property
    def partition_key(self) -> str | None:
        """Its partition, None where it has none or a range."""
        return self.first if self.first == self.last and self.first != WHOLE_POOL else None

    @property
    def tags(self) -> dict[str, str]:
        """The tags that make a run one of a range, and those by which Ray or Kubernetes reserve what it needs."""
        of_range = {} if self.first == self.last else dict(zip(RANGE_TAGS, (self.first, self.last), strict=True))
        return {**of_range, **({} if self.needs is None else self.needs.run_tags)}


class Planner:
    """Says what is left to make.

    Args:
        bench: The project's resources.
        shards: All shards, in the order of ranges.
        left: Places that could not be brought up to date: what reads them waits.
        is_partial: Whether stages that read the whole pool go on without missing shards.
    """

    def __init__(
        self, bench: Workbench, shards: Sequence[str], *, left: Collection[Place] = (), is_partial: bool = False
    ):
        self.project = bench.project
        self.shards = tuple(shards)
        self.freshness = Freshness(GRAPH, bench, shards)
        self._left = left
        self._is_partial = is_partial

    @cached_property
    def waves(self) -> list[tuple[Wave, list[Unit]]]:
        """The waves of the project in order, each with what it makes of it; those that make nothing are left out."""
        return [(wave, units) for wave in GRAPH.waves(self.project) if (units := GRAPH.units_of(wave, self.project))]

    def partitions(self, wave: Wave) -> list[str]:
        """Return all partitions of a wave."""
        return wave.stages[0].partitions(self.project, self.shards)

    def is_current(self, units: Sequence[Unit], partition: str) -> bool:
        """Whether nothing of some units has to be made for a partition."""
        return all(
            self.freshness.is_current(unit, partition) and not self.why_waiting(unit, partition) for unit in units
        )

    def why_waiting(self, unit: Unit, partition: str) -> str:
        """Return what a partition waits for: what is missing, or could not be brought up to date; empty if nothing."""
        waits = [place for place in self.freshness.required(unit, partition) if self._is_waited_for(place, partition)]
        return self.freshness.waits_for(waits)

    def _is_waited_for(self, place: Place, partition: str) -> bool:
        table, name, _ = place
        if place in self._left:
            return True
        is_other_shard = name != partition and GRAPH.stage_of(table).contract.partition == "shard"
        return not (self._is_partial and is_other_shard) and self.freshness.stamp(*place) is None

    def batches(self, wave: Wave, partitions: Sequence[str]) -> Iterator[Batch]:
        """Yield what is to be made of a wave for some partitions, as runs that can be requested in advance.

        Args:
            wave: The wave.
            partitions: Its partitions, in the order of ranges.
        """
        chosen = GRAPH.units_of(wave, self.project)
        found = {name: left for name in partitions if (left := self.freshness.unfinished(chosen, name))}
        if wave.is_range and found:
            order = {unit for left in found.values() for unit in left}
            units = [unit for unit in chosen if unit in order]
            yield self.batch(wave, units, next(iter(found)), list(found)[-1])
            return
        for name, left in found.items():
            yield self.batch(wave, left, name)

    def batch(self, wave: Wave, units: Sequence[Unit], first: str, last: str | None = None) -> Batch:
        """Return a run of some units of a wave.

        Args:
            wave: The wave.
            units: Its assets, in topological order.
            first: Its partition, or the first of a range.
            last: The last of a range; the first if None.
        """
        needs = self.project.settings.needs(unit.stage.table for unit in units)
        return Batch(wave, tuple(units), first, last or first, needs)

    def next_batches(self, *, after: str | None = None, first: int = 0) -> list[Batch]:
        """Return the runs of the first wave in which anything has to be made; empty where all is current.

        Args:
            after: Name of a job that is done: only waves after its first one are looked at.
            first: Number of the first wave that counts.
        """
        done = [wave.number for wave, _ in self.waves if wave.job == after]
        start = max(first, min(done) + 1 if done else 0)
        for wave, _ in self.waves:
            if wave.number >= start and (found := list(self.batches(wave, self.partitions(wave)))):
                return found
        return []

    def digest(self, batch: Batch) -> str:
        """Return a hash of what goes into the partitions of a run: asked for twice, it is the same."""
        names = [batch.first] if batch.first == batch.last else self.partitions(batch.wave)
        inputs = [
            self.freshness.inputs(unit.stage, unit.part(self.project, name)) for unit in batch.units for name in names
        ]
        return settings_hash([batch.wave.number, batch.first, batch.last, inputs])


def ranges(order: Sequence[str], *, todo: Sequence[str], blocked: Sequence[str]) -> list[tuple[str, str]]:
    """Return (first, last) of the ranges to be made: other partitions may lie inside of one, blocked ones end it.

    Examples:
        >>> ranges("abcdef", todo=["a", "c", "f"], blocked=["d"])
        [('a', 'c'), ('f', 'f')]
    """
    found: list[tuple[str, str]] = []
    is_open = False
    for name in order:
        if name in blocked:
            is_open = False
        elif name in todo:
            found = [*found[:-1], (found[-1][0], name)] if is_open else [*found, (name, name)]
            is_open = True
    return found
