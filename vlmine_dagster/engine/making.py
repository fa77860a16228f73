"""Making partitions: compute, check, publish, tell MLflow; those of cheap stages many at a time."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from vlmine_dagster.domain.errors import (
    ContractError,
    ExpectationError,
    MissingInputError,
    ReplacedError,
    TrackingError,
    VlmineError,
)
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine.freshness import Freshness, pending_mark
from vlmine_dagster.engine.stage import Part, Product, Unit
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.cuts import by_shard
from vlmine_dagster.resources.data_docs import Archive
from vlmine_dagster.resources.expectations import Finding, failed_critically, summarize_findings, validate
from vlmine_dagster.resources.ordered import core_count
from vlmine_dagster.settings import settings_hash

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.mining.advice import Advice
    from vlmine_dagster.resources.lake import Lake

_MOST_REPLACED = 3  # times that a batch is made again since other machines replaced what it read
_MOST_VALUES = 16_000_000  # that partitions made at once read or write: 128 MB as numbers, a few times that as text


@dataclass(frozen=True)
class Made:
    """What came of a partition beside its rows.

    Attributes:
        metadata: Facts.
        version: Hash of what was published; the data version that Dagster records.
        findings: What its expectations found.
        advice: What the stage's own checks found.
    """

    metadata: Mapping[str, Any]
    version: str
    findings: Sequence[Finding] = ()
    advice: "Mapping[str, Advice]" = field(default_factory=dict)


def batches(unit: Unit, freshness: Freshness, partitions: Sequence[str]) -> Iterator[list[str]]:
    """Put partitions together that are made at once: those of a cheap stage, as many as fit in memory."""
    batch: list[str] = []
    size = 0
    for name in partitions:
        more = (
            _value_count(unit, freshness, unit.part(freshness.bench.project, name))
            if unit.stage.is_one_run
            else _MOST_VALUES
        )
        if batch and size + more > _MOST_VALUES:
            yield batch
            batch, size = [], 0
        batch, size = [*batch, name], size + more
    if batch:
        yield batch


def _value_count(unit: Unit, freshness: Freshness, part: Part) -> int:
    """Return how many values a partition reads from tables that are cut like its own, or writes if that is more."""
    import pyarrow as pa

    stage, count = unit.stage, 0
    for source in freshness.graph.sources(stage, part, freshness.shards):
        table = TABLES[source.table]
        if table.partition != stage.contract.partition:
            continue
        stamp = freshness.stamp(source.table, part.partition, source.variant)
        types = [table.column(name).type for name in source.stored]
        width = sum(kind.list_size if pa.types.is_fixed_size_list(kind) else 1 for kind in types)
        if table.key == stage.contract.key:
            width = max(width, len(stage.contract.columns))
        count += (0 if stamp is None else stamp.row_count) * width
    return count


def attempt(
    runs: Callable[..., StageRun], batch: Sequence[str], freshness: Freshness
) -> Iterator[tuple[str, Made | VlmineError]]:
    """Make partitions at once; if that fails, each alone, so that only those fail that have to."""
    try:
        yield from _make_again(runs, batch, freshness).items()
    except VlmineError as error:
        if len(batch) == 1:
            yield batch[0], error
            return
        for name in batch:
            yield from attempt(runs, [name], freshness)


def _make_again(runs: Callable[..., StageRun], batch: Sequence[str], freshness: Freshness) -> dict[str, Made]:
    """Make partitions, and once more as long as other machines replace what is being read."""
    for _ in range(_MOST_REPLACED):
        with suppress(ReplacedError):
            return make(runs(partitions=batch), freshness)
    return make(runs(partitions=batch), freshness)


def make(run: StageRun, freshness: Freshness) -> dict[str, Made]:
    """Compute partitions, check their rows and publish them.

    Returns:
        What came of each; findings and advice, which are about all of them, stand at the first.

    Raises:
        ExpectationError: rows break the table's contract; nothing is published.
        MissingInputError: something upstream is missing.
    """
    stage, started = run.stage, time.monotonic()
    inputs = {name: _inputs(run, freshness, name) for name in run.partitions}
    run.inputs = inputs[run.partitions[0]]
    run.origin = freshness.source(stage, run.partitions[0])
    if stage.is_tracked:
        freshness.bench.tracking.connect()
    product = stage.compute(run)
    tables = {**product.companions, stage.table: product.rows}
    archive = Archive(run.project.state_folder("gx").parent, run.partition, variant=run.variant, run_id=run.run_id)
    findings = [finding for table in stage.tables for finding in validate(table, tables[table], archive=archive)]
    broken = failed_critically(findings)
    if broken:
        raise ExpectationError(
            f"{stage.table}[{run.partition}] was not published, the old file stays: {summarize_findings(broken)}. "
            f"Great Expectations' page: {broken[0].page_path}"
        )
    if product.record is not None:
        for table in (stage.table, *_reported_after(run)):
            pending_mark(freshness.bench, table, run.partition).touch()
    parts = _parts(run, tables)
    published = _publish(run, freshness.bench.lake, parts, inputs)
    seconds = round((time.monotonic() - started) / len(parts), 2)
    facts = {"seconds": seconds, **(product.metadata if len(parts) == 1 else {})}
    made = {}
    for name, part in parts.items():
        path, version = published[name]
        made[name] = Made({**facts, "path": path, "dagster/row_count": part[stage.table].num_rows}, version)
    first = run.partitions[0]
    facts = {**made[first].metadata, **_recorded(run, freshness, product)}
    made[first] = Made(facts, made[first].version, findings, product.advice)
    return made


def _inputs(run: StageRun, freshness: Freshness, partition: str) -> str:
    part = run.unit.part(run.project, partition)
    found = freshness.inputs(run.stage, part, shards=run.shards)
    if found is not None:
        return found
    for source in freshness.graph.sources(run.stage, part, run.shards):
        if not source.is_optional:
            freshness.bench.lake.require(source.table, source.partitions, variant=source.variant)
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
    run: StageRun, lake: "Lake", parts: "Mapping[str, Mapping[str, pa.Table]]", inputs: Mapping[str, str]
) -> dict[str, tuple[dg.MetadataValue[Any], str]]:
    """Write all tables of each partition; return where the stage's own is, and the hash of what was written."""
    stage, variant = run.stage, run.unit.variant

    def publish(name: str) -> tuple[dg.MetadataValue[Any], str]:
        stamps = [
            lake.publish(table, name, parts[name][table], inputs=inputs[name], source=run.origin, variant=variant)
            for table in stage.tables
        ]
        path = dg.MetadataValue.path(str(lake.path(stage.table, name, variant=variant)))
        return path, settings_hash([stamp.version() for stamp in stamps])

    with ThreadPoolExecutor(core_count()) as pool:
        return dict(zip(parts, pool.map(publish, parts), strict=True))


def _reported_after(run: StageRun) -> list[str]:
    """Return the tables that add to a stage's MLflow run: a new run needs what they report too."""
    table = run.stage.table
    later = (
        one for one in run.graph.stages if one.is_tracked and one.contract.partition == run.stage.contract.partition
    )
    return [one.table for one in later if any(reads.table == table for reads in one.reads)]


def _recorded(run: StageRun, freshness: Freshness, product: Product) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = {}
    if product.record is not None:
        try:
            facts = product.record()
        except TrackingError as error:
            run.log.warning(
                f"{run.stage.table}[{run.partition}] is published, but MLflow does not know of it: {error} The next "
                f"run reports it."
            )
            return {"mlflow": f"not recorded: {error}"}
    pending_mark(freshness.bench, run.stage.table, run.partition).unlink(missing_ok=True)
    return facts
