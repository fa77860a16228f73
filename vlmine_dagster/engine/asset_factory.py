"""The Dagster assets of a project, made from its graph of stages."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import dagster as dg

from vlmine_dagster.domain import secrets
from vlmine_dagster.domain.errors import VlmineError
from vlmine_dagster.domain.tables import WHOLE_POOL, Table
from vlmine_dagster.engine.checks import advice_results, check_results, check_specs, failed_check
from vlmine_dagster.engine.failures import FAILURE_FACT, standing_failures
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.graph import Graph
from vlmine_dagster.engine.making import Made, attempt, batches
from vlmine_dagster.engine.partitions import SHARDS, experiments, shards
from vlmine_dagster.engine.stage import COMMAND_TAG, Reads, Stage, StageConfig, Unit
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.engine.versions import EXPERIMENTS, code_versions, source_assets, sources_of
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project

_MOST_RETRIES = 3
_FIRST_WAIT_S = 15.0  # then 60 and 240: five minutes bridge a restart of a server

# Every process of every step would say it twice, into the log that operators read.
_BETA = "Parameter `backfill_policy`|Function `observable_source_asset`|Class `(LocalFileCode|CodeReferences)"
warnings.filterwarnings("ignore", message=_BETA, category=dg.BetaWarning)

AnyAsset = dg.AssetsDefinition | dg.SourceAsset


def build_assets(graph: Graph, project: Project, *, key_prefix: Sequence[str] = ()) -> list[AnyAsset]:
    """Return every asset that a project has: each stage once, those with extraction variants once per variant.

    Args:
        graph: All stages.
        project: The project.
        key_prefix: Put before every key, in a Dagster project of somebody else.
    """
    arms = experiments(list(project.settings.experiments))
    codes = code_versions(graph, project)
    more = {"experiments": arms, "key_prefix": tuple(key_prefix)}
    made = [build_asset(unit, graph, project, code_version=codes[unit], **more) for unit in codes]  # type: ignore[arg-type]
    return [*made, *source_assets(graph, shards=shards, **more)]  # type: ignore[arg-type]


def build_asset(
    unit: Unit,
    graph: Graph,
    project: Project,
    *,
    experiments: dg.PartitionsDefinition[str],
    code_version: str,
    key_prefix: tuple[str, ...] = (),
) -> dg.AssetsDefinition:
    """Make the Dagster asset of a stage for one extraction variant.

    Args:
        unit: The stage and the variant.
        graph: All stages, for what it depends on.
        project: The project.
        experiments: The partitions of an experiment's assets.
        code_version: What changes when the stage or a setting upstream does.
        key_prefix: Put before every key.
    """
    stage, key = unit.stage, unit.key.with_prefix(key_prefix)
    kinds = {"shard": shards, "experiment": experiments, "pool": None}
    needs = project.settings.needs([stage.table])

    def body(context, workbench, config):  # type: ignore[no-untyped-def]
        secrets.install()
        with secrets.masked_errors():  # Dagster writes down the whole chain of errors, other libraries' among them
            return _materialize(unit, graph, context, workbench, config)

    # Dagster reads annotations; the configuration class differs from stage to stage.
    body.__annotations__ = {
        "context": dg.AssetExecutionContext,
        "workbench": Workbench,
        "config": stage.config,
        "return": dg.MaterializeResult,
    }
    return dg.asset(
        key=key,
        partitions_def=kinds[stage.contract.partition],
        deps=[_prefixed(edge, key_prefix) for edge in _edges(unit, graph, project)],
        group_name=stage.group,
        kinds=set(stage.kinds),
        owners=list(project.settings.owners),
        description=stage.description,
        metadata={
            "dagster/column_schema": _column_schema(stage.contract),
            "one row is": stage.contract.row,
            **_code_reference(stage),
        },
        code_version=code_version,
        check_specs=check_specs(stage, key),
        backfill_policy=dg.BackfillPolicy.single_run() if stage.is_one_run else None,
        pool=stage.pool(unit.part(project)),
        op_tags=None if needs is None else needs.tags,
    )(body)


def _prefixed(edge: dg.AssetDep, key_prefix: tuple[str, ...]) -> dg.AssetDep:
    return dg.AssetDep(edge.asset_key.with_prefix(key_prefix), partition_mapping=edge.partition_mapping)


def _edges(unit: Unit, graph: Graph, project: Project) -> Iterator[dg.AssetDep]:
    """Yield an edge for each asset that the unit reads, and for the source asset that its settings or files are."""
    stage = unit.stage
    for parent, reads in graph.inputs(unit, project).items():
        yield dg.AssetDep(parent.key, partition_mapping=_mapping(stage, reads, project))
    sources = sources_of(graph, stage, project)
    yield from (dg.AssetDep(name) for name in sources if name != EXPERIMENTS)
    if EXPERIMENTS in sources:
        across = next((reads for reads in stage.reads if reads.partitions is not None), None)
        yield dg.AssetDep(EXPERIMENTS, partition_mapping=None if across is None else _mapping(stage, across, project))


def _mapping(stage: Stage, reads: Reads, project: Project) -> dg.PartitionMapping | None:
    """Return how partitions belong together, None where they are the same ones or Dagster's default is right."""
    if stage.contract.partition != "experiment":
        return None
    if reads.partition == "shard":
        return dg.AllPartitionMapping()
    if not any(one.partitions is not None and one.table == reads.table for one in stage.reads):
        return None
    readers: dict[str, set[str]] = {name: {name} for name in project.settings.experiments}
    for one in (one for one in stage.reads if one.partitions is not None and one.table == reads.table):
        for name in project.settings.experiments:
            for read in one.partitions(Unit(stage).part(project, name)) if one.partitions is not None else ():
                readers[read].add(name)
    return dg.StaticPartitionMapping({name: sorted(found) for name, found in readers.items()})


def _code_reference(stage: Stage) -> Mapping[str, dg.CodeReferencesMetadataValue]:
    """Return the link to the function of a stage; to where its file really is, not to a link to its folder."""
    import inspect
    from pathlib import Path

    code = inspect.unwrap(stage.compute).__code__
    file = str(Path(code.co_filename).resolve())
    reference = dg.LocalFileCodeReference(file_path=file, line_number=code.co_firstlineno, label=stage.table)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


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
    unit: Unit, graph: Graph, context: Any, bench: Workbench, config: StageConfig
) -> dg.MaterializeResult[Any]:
    stage, key = unit.stage, context.asset_key
    partitions = list(context.partition_keys) if context.has_partition_key_range or context.has_partition_key else None
    made: dict[str, Made] = {}
    failures: dict[str, VlmineError] = {}
    for name, what in _make_all(unit, graph, context, bench, config=config, partitions=partitions or [WHOLE_POOL]):
        if isinstance(what, VlmineError):
            failures[name] = what
            _show_failure(context, stage, key, name if partitions else None, what)
            continue
        made[name] = what
        if partitions:
            context.add_asset_metadata(dict(what.metadata), asset_key=key, partition_key=name)
    if failures:
        _try_again_later(context, failures)
        _fail(stage, failures, partition_count=len(made) + len(failures))
    findings = [finding for what in made.values() for finding in what.findings]
    advice = [(check, name, one) for name, what in made.items() for check, one in what.advice.items()]
    return dg.MaterializeResult(
        asset_key=key,
        metadata={} if partitions else dict(made[WHOLE_POOL].metadata),
        data_version=dg.DataVersion(_joined([what.version for what in made.values()])),
        check_results=[
            *check_results(stage, key, findings, _others_failing(unit, graph, context, bench, partitions)),
            *advice_results(stage, key, advice),
        ],
    )


def _joined(versions: Sequence[str]) -> str:
    """Return the data version of a run: that of its partition; of a range, which Dagster gives one, a hash of all."""
    from vlmine_dagster.settings import settings_hash

    return versions[0] if len(versions) == 1 else settings_hash(list(versions))


def _make_all(
    unit: Unit, graph: Graph, context: Any, bench: Workbench, *, config: StageConfig, partitions: Sequence[str]
) -> Iterator[tuple[str, Made | VlmineError]]:
    """Make partitions, batch by batch; a failure of one does not stop the others."""
    shards = context.instance.get_dynamic_partitions(SHARDS)
    freshness = Freshness(graph, bench, shards)
    for batch in batches(unit, freshness, partitions):
        runs = partial(
            StageRun,
            unit.stage,
            graph,
            bench,
            variant=unit.variant,
            shards=shards,
            config=config,
            log=context.log,
            run_id=context.run.run_id,
        )
        yield from attempt(runs, batch, freshness)


def _try_again_later(context: Any, failures: Mapping[str, VlmineError]) -> None:
    """Ask Dagster to run the step again if all that failed may pass by itself; nobody at a terminal waits for that."""
    is_passing = all(error.is_passing for error in failures.values())
    if is_passing and context.retry_number < _MOST_RETRIES and COMMAND_TAG not in context.run.tags:
        wait_s = _FIRST_WAIT_S * 4**context.retry_number
        raise dg.RetryRequested(max_retries=_MOST_RETRIES, seconds_to_wait=wait_s) from next(iter(failures.values()))


def _fail(stage: Stage, failures: Mapping[str, VlmineError], *, partition_count: int) -> NoReturn:
    """End the step for good."""
    if partition_count == 1:
        (error,) = failures.values()
        raise dg.Failure(description=str(error), allow_retries=False) from error
    names = "; ".join(f"{name}: {error}" for name, error in list(failures.items())[:3])
    raise dg.Failure(
        description=f"{stage.table}: {len(failures)} of {partition_count} partitions failed. {names}",
        allow_retries=False,
    )


def _show_failure(
    context: dg.AssetExecutionContext, stage: Stage, key: dg.AssetKey, partition: str | None, error: VlmineError
) -> None:
    """Show a failure where people look for it: in the log, as an observation of the partition, as a broken check."""
    context.log.error(f"{stage.table}[{partition or WHOLE_POOL}]: {error}")
    context.log_event(dg.AssetObservation(asset_key=key, partition=partition, metadata={FAILURE_FACT: str(error)}))
    context.log_event(failed_check(stage, key, error))


def _others_failing(
    unit: Unit, graph: Graph, context: Any, bench: Workbench, partitions: Sequence[str] | None
) -> Mapping[str, str]:
    """Return why other partitions failed and still do: a check has one verdict, and theirs must not vanish from it."""
    if not partitions:
        return {}
    shards = context.instance.get_dynamic_partitions(SHARDS)
    others = {*unit.stage.partitions(bench.project, shards)} - {*partitions}
    freshness = Freshness(graph, bench, shards)
    return standing_failures(
        context.instance,
        context.asset_key,
        is_unfinished=lambda name: name in others and not freshness.is_current(unit, name),
    )
