"""The Dagster assets of a project, made from the catalog of stages."""

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import dagster as dg

from vlmine_dagster.domain import secrets
from vlmine_dagster.domain.errors import VlmineError
from vlmine_dagster.domain.tables import TABLES, WHOLE_POOL, Table
from vlmine_dagster.engine.catalog import applicable
from vlmine_dagster.engine.checks import advice_results, check_results, check_specs, failed_check, unjudged_checks
from vlmine_dagster.engine.failures import FAILURE_FACT, standing_failures
from vlmine_dagster.engine.lineage import Lineage, experiment_variant
from vlmine_dagster.engine.making import Made, attempt, batches
from vlmine_dagster.engine.partitions import SHARDS, experiments, shards
from vlmine_dagster.engine.stages import COMMAND_TAG, Stage, StageConfig, StageRun, Unit, asset_key
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT
from vlmine_dagster.settings.project import Project

OWNER = "team:data-mining"

_MOST_RETRIES = 3
_FIRST_WAIT_S = 15.0  # then 60 and 240: five minutes bridge a restart of a server

# Every process of every step would say it twice, into the log that operators read.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy` of function `asset`", category=dg.BetaWarning)


def build_assets(project: Project) -> list[dg.AssetsDefinition]:
    """Return every asset that a project has: each stage once, and the variant stages once a variant."""
    arms = experiments(list(project.settings.experiments))
    partitions = {"shard": shards, "experiment": arms, "pool": None}
    is_declarative = project.settings.automation.mode == "declarative"
    condition = dg.AutomationCondition.eager() if is_declarative else None
    units = applicable(project)
    return [
        build_asset(
            unit.stage,
            partitions_def=partitions[unit.stage.contract.partition],
            units=units,
            variant=unit.variant,
            condition=condition,
            pool=unit.stage.pool(project, unit.variant),
        )
        for unit in units
    ]


def build_asset(
    stage: Stage,
    *,
    partitions_def: dg.PartitionsDefinition[str] | None,
    units: Sequence[Unit] = (),
    variant: str = DEFAULT_VARIANT,
    condition: dg.AutomationCondition[Any] | None = None,
    pool: str | None = None,
) -> dg.AssetsDefinition:
    """Make the Dagster asset of a stage for one extraction variant.

    Args:
        stage: The stage.
        partitions_def: Shards, experiments, or None for a pool-wide asset.
        units: All that the project has; it depends on those that it reads, an experiment on every variant of them.
        variant: The extraction variant of this asset.
        condition: When it is made by itself, None for never.
        pool: Dagster concurrency pool, None for none.
    """
    key = asset_key(stage.table, variant)

    def body(context, workbench, config):  # type: ignore[no-untyped-def]
        secrets.install()
        with secrets.masked_errors():  # Dagster writes down the whole chain of errors, other libraries' among them
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
        deps=list(_edges(stage, variant, units)),
        group_name=stage.group,
        kinds=set(stage.kinds),
        owners=[OWNER],
        description=inspect.cleandoc(stage.description),
        metadata={"dagster/column_schema": _column_schema(stage.contract), "one row is": stage.contract.row},
        code_version=str(stage.version),
        check_specs=check_specs(stage, key),
        backfill_policy=dg.BackfillPolicy.single_run() if stage.is_one_run else None,
        pool=pool,
        automation_condition=condition,
    )(body)


def _edges(stage: Stage, variant: str, units: Sequence[Unit]) -> Iterator[dg.AssetDep]:
    is_experiment = stage.contract.partition == "experiment"
    for reads in stage.reads:
        crosses = is_experiment and TABLES[reads.table].partition == "shard"
        mapping = dg.AllPartitionMapping() if crosses else None
        for unit in (unit for unit in units if reads.table in unit.stage.tables):
            if is_experiment or not unit.stage.is_variant or unit.variant == variant:
                yield dg.AssetDep(unit.key, partition_mapping=mapping)


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
    made: dict[str, Made] = {}
    failures: dict[str, VlmineError] = {}
    for name, what in _make_all(stage, variant, context, bench, config=config, partitions=partitions or [WHOLE_POOL]):
        if isinstance(what, VlmineError):
            failures[name] = what
            _show_failure(context, stage, key, name if partitions else None, what)
            continue
        made[name] = what
        if partitions:
            context.add_asset_metadata(dict(what.metadata), asset_key=key, partition_key=name)
    if failures:
        _try_again_later(context, failures)
        for unjudged in unjudged_checks(stage, key, failures):
            context.log_event(unjudged)
        _fail(stage, failures, partition_count=len(made) + len(failures))
    findings = [finding for what in made.values() for finding in what.findings]
    advice = [(check, name, one) for name, what in made.items() for check, one in what.advice.items()]
    return dg.MaterializeResult(
        asset_key=key,
        metadata={} if partitions else dict(made[WHOLE_POOL].metadata),
        check_results=[
            *check_results(stage, key, findings, _others_failing(stage, variant, context, bench, partitions)),
            *advice_results(stage, key, advice),
        ],
    )


def _make_all(
    stage: Stage, variant: str, context: Any, bench: Workbench, *, config: StageConfig, partitions: Sequence[str]
) -> Iterator[tuple[str, Made | VlmineError]]:
    """Make partitions, batch by batch; a failure of one does not stop the others."""
    shards = context.instance.get_dynamic_partitions(SHARDS)
    lineage = Lineage(bench, shards)
    for batch in batches(stage, lineage, bench.project, partitions, variant):
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
        yield from attempt(runs, batch, lineage, variant)


def _try_again_later(context: Any, failures: Mapping[str, VlmineError]) -> None:
    """Ask Dagster to run the step again, where all that failed may pass by itself; who waits at a terminal is told."""
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
