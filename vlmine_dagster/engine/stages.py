"""The vocabulary of stages: a stage says what it reads and how it computes; a `StageRun` is one at work.

The body of every asset is the same four steps: read, compute, check, publish. So a stage is data, and both the asset
(`engine.pipeline`) and the answer to "is this partition fresh?" (`engine.lineage`) are made from it.
"""

import itertools
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from vlmine_dagster.domain.tables import TABLES, WHOLE_POOL, Table
from vlmine_dagster.resources.progress import Progress
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT
from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from vlmine_dagster.mining.advice import Advice
    from vlmine_dagster.resources.lake import Lake

_ROWS_A_BATCH = 1_000_000

VARIANT_TABLES = frozenset(
    {
        "descriptions",
        "keywords",
        "keyword_answers",
        "vocab_counts",
        "novelty_scores",
        "rarity_scores",
        "neighbour_scores",
    }
)

PUBLISHED_WITH = {"keyword_answers": "keywords"}

"""Companion tables and the asset that publishes them."""

COMMAND_TAG = "vlmine/command"
"""Marks the runs of `vlmine run`, which are of its own process, with the place that it locks."""

CORES_POOL = "cores"
"""Steps that take every core."""

ACCELERATOR_POOL = "accelerator"
"""Steps that take the GPU where there is one, whatever they do with it."""

API_POOL = "api"
"""Steps that ask an endpoint."""


class StageConfig(dg.Config):
    """Launchpad settings that every stage takes."""

    allow_missing_shards: bool = Field(
        default=False, description="Go on with the shards that are there where a stage reads the whole pool."
    )


class ModelConfig(StageConfig):
    """Launchpad settings of a stage that asks models."""

    retry_failed: bool = Field(
        default=False, description="Ask again where the kept answer is a failure; answers that are ok stay."
    )


class MiningConfig(StageConfig):
    """Launchpad settings of an experiment."""

    budget: float = Field(
        default=0.0,
        description="Share of the pool (at most 1) or number of images (above 1) to select; 0 takes that in "
        "`vlmine.yaml`.",
    )


@dataclass(frozen=True)
class Reads:
    """A table that a stage reads, and the columns of it that matter to the result."""

    table: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Product:
    """What a stage computed.

    Attributes:
        rows: The rows to publish.
        metadata: Facts to show in the Dagster UI.
        record: Tells MLflow, once the rows are published; returns more facts. What fails here is a warning: the rows
            stay, nothing is computed again.
        companions: Rows of the stage's companion tables, by name.
        advice: What the stage's own checks found, by name.
    """

    rows: "pa.Table"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    record: Callable[[], Mapping[str, Any]] | None = None
    companions: "Mapping[str, pa.Table]" = field(default_factory=dict)
    advice: "Mapping[str, Advice]" = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline.

    Attributes:
        table: The table it publishes; the asset carries the same name.
        description: What a row is, what it reads: shown in the Dagster UI.
        companions: Tables that are published with it, cut alike.
        group: Dagster group.
        kinds: Dagster kinds, shown as icons.
        compute: Turns a `StageRun` into a `Product`.
        reads: Everything it may read; the edges of the asset graph.
        reads_of: The part of `reads` that one partition of one variant needs, where that depends on settings.
        settings: Settings that change the result, for one partition and variant.
        source: What the rows of a partition are read from, where more is joined to them; None where nothing is.
        joined: The columns that are joined: while `source` is as it was, only these change.
        skipped: Why the stage does not apply to an extraction variant of a project, or None.
        is_on_demand: Whether it is skipped only where nobody asks for it, which a run has no need to tell.
        version: Raised when the code changes what it writes.
        is_one_run: Whether a range of partitions is computed in one run (cheap stages).
        is_tracked: Whether it tells MLflow; the server is then asked for before any work.
        is_variant: Whether each extraction variant has its own.
        pool: Dagster concurrency pool of an extraction variant, None where any number may run at once.
        config: Launchpad settings.
        advice: What the stage's own checks look for, by name; a check without a finding passes.
    """

    table: str
    description: str
    group: str
    kinds: frozenset[str]
    compute: Callable[["StageRun"], Product]
    reads: tuple[Reads, ...] = ()
    reads_of: Callable[[Project, str, str], tuple[Reads, ...]] | None = None
    settings: Callable[[Workbench, str, str], list[Any]] = lambda _bench, _partition, _variant: []
    source: Callable[[Workbench, str], list[Any]] | None = None
    joined: tuple[str, ...] = ()
    skipped: Callable[[Project, str], str | None] = lambda _project, _variant: None
    is_on_demand: bool = False
    version: int = 1
    is_one_run: bool = False
    is_tracked: bool = False
    is_variant: bool = False
    pool: Callable[[Project, str], str | None] = lambda _project, _variant: None
    config: type[StageConfig] = StageConfig
    companions: tuple[str, ...] = ()
    advice: Mapping[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        """All tables that it publishes; the asset's own comes last, so that it is there only if all are."""
        return (*self.companions, self.table)

    @property
    def contract(self) -> Table:
        """The contract of the table."""
        return TABLES[self.table]

    def variants(self, project: Project) -> tuple[str, ...]:
        """Return the extraction variants that have their own: all, or the default alone."""
        return project.settings.variant_names if self.is_variant else (DEFAULT_VARIANT,)

    def needed(self, project: Project, partition: str, variant: str) -> tuple[Reads, ...]:
        """Return what one partition of one variant reads."""
        return self.reads if self.reads_of is None else self.reads_of(project, partition, variant)


@dataclass(frozen=True)
class Unit:
    """A stage of one extraction variant: what an asset is made of."""

    stage: Stage
    variant: str = DEFAULT_VARIANT

    @property
    def key(self) -> dg.AssetKey:
        """Its asset."""
        return asset_key(self.stage.table, self.variant)


class StageRun:
    """One partition of one stage at work, or several at once of a cheap stage: what `compute` gets.

    Attributes:
        stage: The stage.
        bench: Resources.
        partitions: Shards, experiments, or `WHOLE_POOL`; more than one only where the stage `is_one_run`.
        variant: Extraction variant.
        shards: All shards of the pool, in name order.
        config: Launchpad settings.
        log: Dagster's logger.
        run_id: Dagster's run id.
        inputs: Hash of all that goes into the partition; of several, into the first.
        source: Hash of what its rows are read from, apart from what is joined to them; empty where nothing is.
    """

    inputs: str
    source: str

    def __init__(
        self,
        stage: Stage,
        bench: Workbench,
        *,
        partitions: Sequence[str],
        variant: str,
        shards: Sequence[str],
        config: StageConfig,
        log: Any,
        run_id: str,
    ):
        self.stage = stage
        self.bench = bench
        self.partitions = tuple(partitions)
        self.variant = variant
        self.config = config
        self.log = log
        self.run_id = run_id
        self._all_shards = tuple(sorted(shards))

    @property
    def partition(self) -> str:
        """The partition; of several the first and the last, for people."""
        first, last = self.partitions[0], self.partitions[-1]
        return first if first == last else f"{first} to {last}"

    @property
    def project(self) -> Project:
        """The project."""
        return self.bench.project

    @property
    def lake(self) -> "Lake":
        """The lake."""
        return self.bench.lake

    @cached_property
    def shards(self) -> tuple[str, ...]:
        """The shards to read where a stage reads the whole pool: all, or those there if partial pools are allowed."""
        if not self.config.allow_missing_shards:
            return self._all_shards
        there = tuple(shard for shard in self._all_shards if self._is_there(shard))
        self.log.warning(f"{self.stage.table}: partial pool, {len(there)} of {len(self._all_shards)} shards used")
        return there

    def _is_there(self, shard: str) -> bool:
        tables = [r.table for r in self.needed if TABLES[r.table].partition == "shard"]
        return all(self.lake.path(t, shard, variant=self.variant_of(t)).exists() for t in tables)

    @property
    def needed(self) -> tuple[Reads, ...]:
        """What this partition reads; of several each the same."""
        return self.stage.needed(self.project, self.partitions[0], self.variant)

    def needs(self, table: str) -> bool:
        """Whether this partition reads a table."""
        return any(reads.table == table for reads in self.needed)

    @property
    def code_revision(self) -> str | None:
        """Git commit of the folder of `vlmine.yaml`, None where it is no repository."""
        return git_revision(self.project.folder)

    @property
    def is_failure_retried(self) -> bool:
        """Whether to ask again where the kept answer is a failure."""
        return isinstance(self.config, ModelConfig) and self.config.retry_failed

    def progress(self, total: int | None, unit: str = "images") -> Progress:
        """Return a counter whose steps show in the log and in the terminal."""
        return Progress(f"{self.stage.table}[{self.partition}]", log=self.log, total=total, unit=unit)

    def variant_of(self, table: str) -> str:
        """Return the variant under which a table is read here."""
        return self.variant if table in VARIANT_TABLES else DEFAULT_VARIANT

    def columns_of(self, table: str) -> list[str]:
        """Return the columns of a table that this partition may read: those that are declared."""
        return list(dict.fromkeys(name for reads in self.needed if reads.table == table for name in reads.columns))

    def read(
        self, table: str, columns: Sequence[str] | None = None, *, partitions: Sequence[str] | None = None
    ) -> "pa.Table":
        """Read a table: these partitions of it, or all of it where the two are cut differently."""
        read = self._partitions_of(table, partitions)
        return self.lake.read_all(table, read, columns=columns, variant=self.variant_of(table))

    @contextmanager
    def connect(self, *tables: str, partitions: Sequence[str] | None = None) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Open DuckDB with one view a table of its declared columns, over the partitions that `read` would read."""
        views = {
            table: self.lake.require(table, self._partitions_of(table, partitions), variant=self.variant_of(table))
            for table in tables
        }
        with self.lake.connect({table: self.columns_of(table) for table in tables}, **views) as connection:
            yield connection

    def batches(self, table: str) -> Iterator[list[str]]:
        """Cut the shards of the pool into lists of about a million rows of a table, to be worked on one by one."""
        batch: list[str] = []
        count = 0
        for shard in self.shards:
            batch.append(shard)
            stamp = self.lake.stamp(table, shard, variant=self.variant_of(table))
            count += 0 if stamp is None else stamp.row_count
            if count >= _ROWS_A_BATCH:
                yield batch
                batch, count = [], 0
        if batch:
            yield batch

    def _partitions_of(self, table: str, partitions: Sequence[str] | None) -> list[str]:
        read = TABLES[table]
        if partitions is not None:
            return list(partitions) if read.partition != "pool" else [WHOLE_POOL]
        cuts = (read_partitions(self.stage.contract, read, name, self.shards) for name in self.partitions)
        return list(dict.fromkeys(itertools.chain.from_iterable(cuts)))


@cache
def git_revision(folder: Path) -> str | None:
    """Return the commit that a folder is at, None where there is none."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command; the folder is one argument
            ["git", "-C", str(folder), "rev-parse", "HEAD"],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def read_partitions(reader: Table, read: Table, partition: str, shards: Sequence[str]) -> list[str]:
    """Return which partitions of a table a partition of another reads: the same one, or all."""
    if read.partition == reader.partition:
        return [partition]
    return list(shards) if read.partition == "shard" else [WHOLE_POOL]


def asset_key(table: str, variant: str = DEFAULT_VARIANT) -> dg.AssetKey:
    """Return the key of a table's asset; variants other than the default are a prefix."""
    return dg.AssetKey([table] if variant == DEFAULT_VARIANT else [variant, table])
