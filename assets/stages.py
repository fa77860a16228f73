"""What all assets share: a stage says what it reads and how it computes; here it becomes a Dagster asset.

The body of every asset is the same four steps: read, compute, check, publish. So a stage is data, and both the asset
and the answer to "is this partition fresh?" are made from it.
"""

import inspect
import itertools
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from assets.failures import FAILURE_FACT, standing_failures
from resources.expectations import QUALITY, Finding, failed_critically, summarize_findings, validate
from resources.ordered import core_count
from resources.progress import Progress
from resources.workbench import Workbench
from vlmine_dagster.errors import (
    ContractError,
    ExpectationError,
    MissingInputError,
    MixedVariantsError,
    TooManyFailuresError,
    TrackingError,
    VlmineError,
)
from vlmine_dagster.partitions import SHARDS
from vlmine_dagster.project import DEFAULT_VARIANT, Project, settings_hash
from vlmine_dagster.tables import TABLES, WHOLE_POOL, Table

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from resources.lake import Lake, Stamp
    from vlmine_dagster.mining.advice import Advice

OWNER = "team:data-mining"
_ROWS_A_BATCH = 1_000_000
_MOST_VALUES = 16_000_000  # that partitions made at once read together: 128 MB as numbers, a few times that as text
State = Literal["missing", "stale", "fresh", "blocked"]


class StageConfig(dg.Config):
    """Launchpad settings that every stage takes."""

    allow_missing_shards: bool = False
    """Go on with the shards that are there where a stage reads the whole pool."""


class ModelConfig(StageConfig):
    """Launchpad settings of a stage that asks models."""

    retry_failed: bool = False
    """Ask again where the kept answer is a failure; answers that are ok stay."""


class MiningConfig(StageConfig):
    """Launchpad settings of an experiment."""

    budget: float = 0.0
    """Share of the pool (at most 1) or number of images (above 1) to select; 0 takes that in `vlmine.yaml`."""


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
        skipped: Why the stage does not apply to a project, or None.
        version: Raised when the code changes what it writes.
        is_one_run: Whether a range of partitions is computed in one run (cheap stages).
        is_tracked: Whether it tells MLflow; the server is then asked for before any work.
        is_variant: Whether each extraction variant has its own.
        pool: Dagster concurrency pool.
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
    skipped: Callable[[Project], str | None] = lambda _project: None
    version: int = 1
    is_one_run: bool = False
    is_tracked: bool = False
    is_variant: bool = False
    pool: str | None = None
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
    """

    inputs: str

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

    def read(self, table: str, columns: Sequence[str] | None = None) -> "pa.Table":
        """Read a table: these partitions of it, or all of it where the two are cut differently."""
        return self.lake.read_all(table, self._partitions_of(table), columns=columns, variant=self.variant_of(table))

    @contextmanager
    def connect(self, *tables: str, shards: Sequence[str] | None = None) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Open DuckDB with one view a table, over the same files that `read` reads, or over some shards of them."""
        views = {
            table: self.lake.require(table, self._partitions_of(table, shards), variant=self.variant_of(table))
            for table in tables
        }
        with self.lake.connect(**views) as connection:
            yield connection

    def shard_batches(self, table: str) -> Iterator[list[str]]:
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

    def _partitions_of(self, table: str, shards: Sequence[str] | None = None) -> list[str]:
        read, all_shards = TABLES[table], self.shards if shards is None else shards
        cuts = (read_partitions(self.stage.contract, read, name, all_shards) for name in self.partitions)
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


def read_partitions(reader: Table, read: Table, partition: str, shards: Sequence[str]) -> list[str]:
    """Return which partitions of a table a partition of another reads: the same one, or all."""
    if read.partition == reader.partition:
        return [partition]
    return list(shards) if read.partition == "shard" else [WHOLE_POOL]


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


def asset_key(table: str, variant: str = DEFAULT_VARIANT) -> dg.AssetKey:
    """Return the key of a table's asset; variants other than the default are a prefix."""
    return dg.AssetKey([table] if variant == DEFAULT_VARIANT else [variant, table])


def build_asset(
    stage: Stage,
    *,
    partitions_def: dg.PartitionsDefinition[str] | None,
    variants: Sequence[str] = (DEFAULT_VARIANT,),
    variant: str = DEFAULT_VARIANT,
    condition: dg.AutomationCondition[Any] | None = None,
) -> dg.AssetsDefinition:
    """Make the Dagster asset of a stage for one extraction variant.

    Args:
        stage: The stage.
        partitions_def: Shards, experiments, or None for a pool-wide asset.
        variants: All extraction variants; an experiment depends on every one.
        variant: The extraction variant of this asset.
        condition: When it is made by itself, None for never.
    """
    key = asset_key(stage.table, variant)

    def body(context, workbench, config):  # type: ignore[no-untyped-def]
        return _materialize(stage, variant, context, workbench, config)

    # Dagster reads annotations; the configuration class differs from stage to stage.
    body.__annotations__ = {
        "context": dg.AssetExecutionContext,
        "workbench": Workbench,
        "config": stage.config,
        "return": dg.MaterializeResult,
    }
    return dg.asset(
        key=key,
        partitions_def=partitions_def,
        deps=list(_edges(stage, variant, variants)),
        group_name=stage.group,
        kinds=set(stage.kinds),
        owners=[OWNER],
        description=inspect.cleandoc(stage.description),
        metadata={"dagster/column_schema": _column_schema(stage.contract), "one row is": stage.contract.row},
        code_version=str(stage.version),
        check_specs=_check_specs(stage, key),
        backfill_policy=dg.BackfillPolicy.single_run() if stage.is_one_run else None,
        pool=stage.pool,
        automation_condition=condition,
    )(body)


CONTRACT_CHECK = "contract"
VARIANT_CHECK = "one_variant"
CHECKS = {
    CONTRACT_CHECK: "Great Expectations on every column: nothing missing, no repeats, bounds and categories kept. "
    "A table that breaks it is not published.",
    QUALITY: "Advice that does not block: the share of images that could be used.",
}


def checks_of(stage: Stage) -> list[str]:
    """Return the names of a stage's checks: only one with outcomes has a quality, some have advice of their own."""
    has_outcomes = any(column.name == "outcome" for table in stage.tables for column in TABLES[table].columns)
    return [CONTRACT_CHECK, *([QUALITY] if has_outcomes else []), *stage.advice]


def _check_specs(stage: Stage, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    texts = {**CHECKS, **stage.advice}
    return [dg.AssetCheckSpec(name=name, asset=key, description=texts[name]) for name in checks_of(stage)]


def _edges(stage: Stage, variant: str, variants: Sequence[str]) -> Iterator[dg.AssetDep]:
    is_experiment = stage.contract.partition == "experiment"
    for reads in stage.reads:
        read = TABLES[reads.table]
        crosses = is_experiment and read.partition == "shard"
        mapping = dg.AllPartitionMapping() if crosses else None
        under = (variants if is_experiment else (variant,)) if read.name in VARIANT_TABLES else (DEFAULT_VARIANT,)
        for name in under:
            yield dg.AssetDep(asset_key(PUBLISHED_WITH.get(reads.table, reads.table), name), partition_mapping=mapping)


def _column_schema(contract: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                c.name,
                c.type_name,
                c.description,
                dg.TableColumnConstraints(nullable=c.nullable, unique=contract.key == (c.name,)),
            )
            for c in contract.columns
        ]
    )


def _materialize(
    stage: Stage, variant: str, context: Any, bench: Workbench, config: StageConfig
) -> dg.MaterializeResult[Any]:
    key = asset_key(stage.table, variant)
    partitions = list(context.partition_keys) if context.has_partition_key_range or context.has_partition_key else None
    shards = context.instance.get_dynamic_partitions(SHARDS)
    lineage = Lineage(bench, shards)
    findings: list[Finding] = []
    advice: list[tuple[str, str, Advice]] = []
    failures: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    for batch in batches(stage, lineage, bench.project, partitions or [WHOLE_POOL], variant):
        runs = partial(
            StageRun,
            stage,
            bench,
            variant=experiment_variant(bench.project, stage, batch[0], "keywords", variant),
            shards=shards,
            config=config,
            log=context.log,
            run_id=context.run.run_id,
        )
        for name, made in _attempt(runs, batch, lineage, variant):
            if isinstance(made, Made):
                findings += made.findings
                advice += [(check, name, one) for check, one in made.advice.items()]
                metadata = dict(made.metadata)
                if partitions:
                    context.add_asset_metadata(metadata, asset_key=key, partition_key=name)
                continue
            failures[name] = str(made)
            _show_failure(context, stage, key, name if partitions else None, made)
            if partitions is None or len(partitions) == 1:
                raise dg.Failure(description=str(made), allow_retries=False) from made
            context.log.error(f"{stage.table}[{name}]: {made}")
    if failures:
        names = "; ".join(f"{name}: {text}" for name, text in list(failures.items())[:3])
        raise dg.Failure(
            description=f"{stage.table}: {len(failures)} of {len(partitions or ())} partitions failed. {names}",
            allow_retries=False,
        )
    return dg.MaterializeResult(
        asset_key=key,
        metadata={} if partitions else metadata,
        check_results=[
            *_check_results(stage, key, findings, _others_failing(stage, variant, context, bench, partitions)),
            *_advice_results(stage, key, advice),
        ],
    )


def _show_failure(
    context: dg.AssetExecutionContext, stage: Stage, key: dg.AssetKey, partition: str | None, error: VlmineError
) -> None:
    """Show a failure where people look for the asset: as an observation of the partition, and as a broken check."""
    text = str(error)
    context.log_event(dg.AssetObservation(asset_key=key, partition=partition, metadata={FAILURE_FACT: text}))
    name = CONTRACT_CHECK
    if isinstance(error, TooManyFailuresError) and QUALITY in checks_of(stage):
        name = QUALITY
    elif isinstance(error, MixedVariantsError) and VARIANT_CHECK in stage.advice:
        name = VARIANT_CHECK
    context.log_event(
        dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=name,
            passed=False,
            metadata={FAILURE_FACT: dg.MetadataValue.text(text)},
            description=text,
            severity=dg.AssetCheckSeverity.ERROR,
        )
    )


@dataclass(frozen=True)
class Made:
    """What came of a partition beside its rows: facts, what its expectations found, what the stage's checks found."""

    metadata: Mapping[str, Any]
    findings: Sequence[Finding] = ()
    advice: "Mapping[str, Advice]" = field(default_factory=dict)


def batches(
    stage: Stage, lineage: Lineage, project: Project, partitions: Sequence[str], variant: str
) -> Iterator[list[str]]:
    """Put partitions together that are made at once: those of a cheap stage, as many as fit in memory."""
    batch: list[str] = []
    size = 0
    for name in partitions:
        more = _value_count(stage, lineage, project, name, variant) if stage.is_one_run else _MOST_VALUES
        if batch and size + more > _MOST_VALUES:
            yield batch
            batch, size = [], 0
        batch, size = [*batch, name], size + more
    if batch:
        yield batch


def _value_count(stage: Stage, lineage: Lineage, project: Project, partition: str, variant: str) -> int:
    """Return how many values a partition reads from tables that are cut like its own."""
    import pyarrow as pa

    count = 0
    for reads in stage.needed(project, partition, variant):
        table = TABLES[reads.table]
        if table.partition != stage.contract.partition:
            continue
        stamp = lineage.stamp(
            reads.table, partition, experiment_variant(project, stage, partition, table.name, variant)
        )
        types = [table.column(name).type for name in reads.columns]
        width = sum(kind.list_size if pa.types.is_fixed_size_list(kind) else 1 for kind in types)
        count += (0 if stamp is None else stamp.row_count) * width
    return count


def _attempt(
    runs: Callable[..., StageRun], batch: Sequence[str], lineage: Lineage, variant: str
) -> Iterator[tuple[str, Made | VlmineError]]:
    """Make partitions at once; if that fails, each alone, so that only those fail that have to."""
    try:
        yield from make(runs(partitions=batch), lineage, variant).items()
    except VlmineError as error:
        if len(batch) == 1:
            yield batch[0], error
            return
        for name in batch:
            yield from _attempt(runs, [name], lineage, variant)


def make(run: StageRun, lineage: Lineage, variant: str = DEFAULT_VARIANT) -> dict[str, Made]:
    """Compute partitions, check their rows and publish them.

    Returns:
        What came of each; findings and advice, which are about all of them, stand at the first.

    Raises:
        ExpectationError: rows break the table's contract; nothing is published.
        MissingInputError: something upstream is missing.
    """
    stage, started = run.stage, time.monotonic()
    inputs = {name: _inputs(run, lineage, name, variant) for name in run.partitions}
    run.inputs = inputs[run.partitions[0]]
    if stage.is_tracked:
        run.bench.tracking.connect()
    product = stage.compute(run)
    tables = {**product.companions, stage.table: product.rows}
    findings = [finding for table in stage.tables for finding in validate(table, tables[table])]
    broken = failed_critically(findings)
    if broken:
        raise ExpectationError(
            f"{stage.table}[{run.partition}] was not published, the old file stays: {summarize_findings(broken)}"
        )
    if product.record is not None:
        pending_mark(run.bench, stage, run.partition).touch()
    parts = _parts(run, tables)
    paths = _publish(run, parts, inputs, variant)
    seconds = round((time.monotonic() - started) / len(parts), 2)
    facts = {"seconds": seconds, **(product.metadata if len(parts) == 1 else {})}
    made = {
        name: Made({**facts, "path": paths[name], "dagster/row_count": part[stage.table].num_rows})
        for name, part in parts.items()
    }
    first = run.partitions[0]
    made[first] = Made({**made[first].metadata, **_recorded(run, product)}, findings, product.advice)
    return made


def _inputs(run: StageRun, lineage: Lineage, partition: str, variant: str) -> str:
    found = lineage.inputs(run.stage, partition, variant, shards=run.shards)
    if found is not None:
        return found
    for reads in run.needed:
        partitions = read_partitions(run.stage.contract, TABLES[reads.table], partition, run.shards)
        run.lake.require(reads.table, partitions, variant=run.variant_of(reads.table))
    raise MissingInputError(f"{run.stage.table}: something upstream disappeared while it was read. Run it again.")


def _parts(run: StageRun, tables: "Mapping[str, pa.Table]") -> "dict[str, dict[str, pa.Table]]":
    """Return the rows of each partition: of several shards those whose image ids start with its name."""
    if len(run.partitions) == 1:
        return {run.partition: dict(tables)}
    parts = {
        name: {table: rows.filter(_is_of(rows, name, run.partitions)) for table, rows in tables.items()}
        for name in run.partitions
    }
    for table, rows in tables.items():
        if sum(part[table].num_rows for part in parts.values()) != rows.num_rows:
            raise ContractError(f"{table}[{run.partition}]: rows of other shards came out, nothing is published.")
    return parts


def _is_of(rows: "pa.Table", shard: str, shards: Sequence[str]) -> "pa.ChunkedArray":
    import pyarrow.compute as pc

    ids = rows.column("image_id")
    is_mine = pc.starts_with(ids, pattern=f"{shard}/")
    for deeper in (other for other in shards if other.startswith(f"{shard}/")):
        is_mine = pc.and_not(is_mine, pc.starts_with(ids, pattern=f"{deeper}/"))
    return is_mine


def _publish(
    run: StageRun, parts: "Mapping[str, Mapping[str, pa.Table]]", inputs: Mapping[str, str], variant: str
) -> dict[str, dg.MetadataValue[Any]]:
    stage, stored_under = run.stage, variant if run.stage.is_variant else DEFAULT_VARIANT

    def publish(name: str) -> dg.MetadataValue[Any]:
        for table in stage.tables:
            run.lake.publish(table, name, parts[name][table], inputs=inputs[name], variant=stored_under)
        return dg.MetadataValue.path(str(run.lake.path(stage.table, name, variant=stored_under)))

    with ThreadPoolExecutor(core_count()) as pool:
        return dict(zip(parts, pool.map(publish, parts), strict=True))


def _recorded(run: StageRun, product: Product) -> Mapping[str, Any]:
    if product.record is None:
        return {}
    try:
        facts = product.record()
    except TrackingError as error:
        run.log.warning(
            f"{run.stage.table}[{run.partition}] is published, but MLflow does not know: {error} Materialize it "
            f"again to record it."
        )
        facts = {"mlflow": f"not recorded: {error}"}
    pending_mark(run.bench, run.stage, run.partition).unlink(missing_ok=True)
    return facts


def _others_failing(
    stage: Stage, variant: str, context: Any, bench: Workbench, partitions: Sequence[str] | None
) -> Mapping[str, str]:
    """Return why other partitions failed and still do: a check has one verdict, and theirs must not vanish from it."""
    if not partitions:
        return {}
    shards = context.instance.get_dynamic_partitions(SHARDS)
    names = shards if stage.contract.partition == "shard" else list(bench.project.settings.experiments)
    others, lineage = {*names} - {*partitions}, Lineage(bench, shards)
    return standing_failures(
        context.instance,
        asset_key(stage.table, variant),
        is_unfinished=lambda name: name in others and lineage.state(stage, name, variant) != "fresh",
    )


def _check_results(
    stage: Stage, key: dg.AssetKey, findings: Sequence[Finding], failing: Mapping[str, str]
) -> Iterator[dg.AssetCheckResult]:
    others = "".join(f"; [{name}] still fails: {text}" for name, text in list(failing.items())[:3])
    others += f"; and {len(failing) - 3} more" if len(failing) > 3 else ""
    for name in (name for name in checks_of(stage) if name in CHECKS):
        mine = [finding for finding in findings if (finding.check == QUALITY) == (name == QUALITY)]
        broken = [finding for finding in mine if not finding.is_met]
        yield dg.AssetCheckResult(
            passed=not broken and (name == QUALITY or not failing),
            check_name=name,
            asset_key=key,
            severity=dg.AssetCheckSeverity.WARN if name == QUALITY else dg.AssetCheckSeverity.ERROR,
            description=(summarize_findings(broken) if broken else f"{len(mine)} expectations hold")
            + ("" if name == QUALITY else others),
            metadata={
                "expectations": len(mine),
                "broken": len(broken),
                "partitions failing": len(failing),
                "rules": _rules_markdown(mine),
            },
        )


def _advice_results(
    stage: Stage, key: dg.AssetKey, advice: "Sequence[tuple[str, str, Advice]]"
) -> Iterator[dg.AssetCheckResult]:
    """Yield a result for each of the stage's own checks; one bad partition is enough."""
    for name in stage.advice:
        mine = [(partition, one) for check, partition, one in advice if check == name]
        bad = [(partition, one) for partition, one in mine if not one.is_met]
        shown = (bad or mine)[:3]
        more = f" (and {len(bad) - 3} more)" if len(bad) > 3 else ""
        yield dg.AssetCheckResult(
            passed=not bad,
            check_name=name,
            asset_key=key,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(one.text for _, one in shown) + more or "nothing to judge",
            metadata={} if not shown else dict(shown[0][1].facts),
        )


def _rules_markdown(findings: Sequence[Finding]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {'ok' if f.is_met else '**broken**'} {f.rule}" for f in findings))
