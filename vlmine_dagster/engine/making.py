"""Making partitions: compute, check, publish, tell MLflow; those of cheap stages many at a time."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from vlmine_dagster.domain.errors import ContractError, ExpectationError, MissingInputError, TrackingError, VlmineError
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine.catalog import STAGES
from vlmine_dagster.engine.lineage import Lineage, experiment_variant, pending_mark
from vlmine_dagster.engine.stages import Product, Stage, StageRun, read_partitions
from vlmine_dagster.resources.cuts import by_shard
from vlmine_dagster.resources.expectations import Finding, failed_critically, summarize_findings, validate
from vlmine_dagster.resources.ordered import core_count
from vlmine_dagster.settings import DEFAULT_VARIANT
from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.mining.advice import Advice

_MOST_VALUES = 16_000_000  # that partitions made at once read or write: 128 MB as numbers, a few times that as text


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
    """Return how many values a partition reads from tables that are cut like its own, or writes if that is more."""
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
        if table.key == stage.contract.key:
            width = max(width, len(stage.contract.columns))
        count += (0 if stamp is None else stamp.row_count) * width
    return count


def attempt(
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
            yield from attempt(runs, [name], lineage, variant)


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
    run.source = lineage.source(stage, run.partitions[0])
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
        for told in (stage.table, *_told_after(stage)):
            pending_mark(run.bench, told, run.partition).touch()
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
    cuts = {table: by_shard(rows, run.partitions) for table, rows in tables.items()}
    for table, rows in tables.items():
        if sum(part.num_rows for part in cuts[table].values()) != rows.num_rows:
            raise ContractError(f"{table}[{run.partition}]: rows of other shards came out, nothing is published.")
    return {name: {table: parts[name] for table, parts in cuts.items()} for name in run.partitions}


def _publish(
    run: StageRun, parts: "Mapping[str, Mapping[str, pa.Table]]", inputs: Mapping[str, str], variant: str
) -> dict[str, dg.MetadataValue[Any]]:
    stage, stored_under = run.stage, variant if run.stage.is_variant else DEFAULT_VARIANT

    def publish(name: str) -> dg.MetadataValue[Any]:
        for table in stage.tables:
            rows = parts[name][table]
            run.lake.publish(table, name, rows, inputs=inputs[name], source=run.source, variant=stored_under)
        return dg.MetadataValue.path(str(run.lake.path(stage.table, name, variant=stored_under)))

    with ThreadPoolExecutor(core_count()) as pool:
        return dict(zip(parts, pool.map(publish, parts), strict=True))


def _told_after(stage: Stage) -> list[str]:
    """Return the tables that tell a stage's MLflow run more: a new run wants to be told by them too."""
    return [one.table for one in STAGES if one.is_tracked and any(reads.table == stage.table for reads in one.reads)]


def _recorded(run: StageRun, product: Product) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = {}
    if product.record is not None:
        try:
            facts = product.record()
        except TrackingError as error:
            run.log.warning(
                f"{run.stage.table}[{run.partition}] is published, but MLflow does not know: {error} The next run "
                f"tells it."
            )
            return {"mlflow": f"not recorded: {error}"}
    pending_mark(run.bench, run.stage.table, run.partition).unlink(missing_ok=True)
    return facts
