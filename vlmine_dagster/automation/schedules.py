"""Jobs, schedules and sensors."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import dagster as dg

from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.engine.catalog import IMAGES, VOCAB_COUNTS, applicable
from vlmine_dagster.engine.failures import standing_failures
from vlmine_dagster.engine.lineage import Lineage, State
from vlmine_dagster.engine.partitions import SHARDS
from vlmine_dagster.engine.stages import API_POOL, Stage, Unit
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project

SHARD_JOB = "shard_job"
SCORE_JOB = "score_job"
GLOBAL_JOB = "global_job"
MINING_JOB = "mining_job"
REFRESH_TAG = "vlmine/refresh"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

_CHAIN = (GLOBAL_JOB, SCORE_JOB, MINING_JOB)
"""The jobs of a refresh, each started by the success of the one before."""

_MOST_BYTES_A_TICK = 1_000_000_000  # of a disk that gives 20 MB/s, before Dagster gives a tick up after 60 s

_NOT_ASKED = (
    "none came or went; no run is asked for by itself, because an endpoint that may take money describes them and "
    "automation.is_on in vlmine.yaml is false"
)

_JOBS: dict[str, tuple[str, str]] = {
    SHARD_JOB: ("shard", "From a shard's files to its keywords: images, embeddings, descriptions, keywords."),
    GLOBAL_JOB: ("pool", "What needs every shard at once: the vocabulary's counts and the task model."),
    SCORE_JOB: ("shard", "Novelty and uncertainty of shards; takes a range of them in one run."),
    MINING_JOB: ("experiment", "An experiment: its ranking, what it is worth, its contact sheet."),
}


def is_of(job: str, stage: Stage) -> bool:
    """Whether a stage is made by a job."""
    partition, _ = _JOBS[job]
    return stage.contract.partition == partition and stage.is_one_run == (job == SCORE_JOB)


def units_of(job: str, project: Project) -> list[Unit]:
    """Return what a job makes of a project, in pipeline order: nothing that the project skips."""
    return [unit for unit in applicable(project) if is_of(job, unit.stage)]


def build_jobs(project: Project) -> dict[str, Any]:
    """Return the four jobs by name. One shard and the whole pool share none: that would compute the pool a shard."""
    return {
        name: dg.define_asset_job(
            name,
            selection=dg.AssetSelection.assets(*(unit.key for unit in units_of(name, project))),
            description=text,
        )
        for name, (_, text) in _JOBS.items()
    }


@dg.sensor(
    name="new_shards",
    job_name=SHARD_JOB,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers shards that came, forgets those that went, and asks for the runs of new and changed ones. "
    "A shard is changed when its bytes are, whatever its date. Where an endpoint describes or keywords, it asks only "
    "with automation.is_on: nothing is spent unasked.",
)
def new_shards(context: dg.SensorEvaluationContext, workbench: Workbench) -> dg.SensorResult | dg.SkipReason:
    """Compare the dataset with the registered shards, and each shard's content with what was made of it."""
    bench = _fresh(workbench)
    found = bench.source.shards()
    known = set(context.instance.get_dynamic_partitions(SHARDS))
    come = [shard for shard in found if shard not in known]
    gone = sorted(known - set(found))
    is_asking = bench.project.settings.automation.is_on or not _asks_endpoints(bench.project)
    wanted = _content_runs(bench, found) if is_asking else []
    if not come and not gone and not wanted:
        return dg.SkipReason(f"{len(found)} shards, {'none new or changed' if is_asking else _NOT_ASKED}")
    definition = dg.DynamicPartitionsDefinition(name=SHARDS)
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if come:
        requests.append(definition.build_add_request(come))
    if gone:
        requests.append(definition.build_delete_request(gone))
    return dg.SensorResult(run_requests=wanted, dynamic_partitions_requests=requests)


def _asks_endpoints(project: Project) -> bool:
    """Whether a shard's keywords need an endpoint, which may take money."""
    return any(unit.stage.pool(project, unit.variant) == API_POOL for unit in units_of(SHARD_JOB, project))


def _content_runs(bench: Workbench, found: Sequence[str]) -> list[dg.RunRequest]:
    """Return a run for each shard whose content nobody has looked at; its key holds the content, so it comes once.

    A tick must end within a minute. So a new shard is asked for by its files' sizes and dates, and of those that may
    have changed so much is read a tick; what is too large for that is left to the run, which has all the time.
    """
    lineage, runs, left = Lineage(bench, found), [], _MOST_BYTES_A_TICK
    for shard in found:
        stamp, glance = lineage.stamp(IMAGES.table, shard), bench.source.glance(shard)
        if stamp is None or glance.unread_bytes > _MOST_BYTES_A_TICK:
            keys = [unit.key for unit in units_of(SHARD_JOB, bench.project)]
            runs.append(dg.RunRequest(f"shard:{shard}:{glance.state}", partition_key=shard, asset_selection=keys))
        elif glance.unread_bytes <= left:
            left -= glance.unread_bytes
            source = lineage.source(IMAGES, shard)
            if stamp.source != source and lineage.state(IMAGES, shard) != "fresh":
                runs.append(_shard_run(bench, lineage, shard, key=f"shard:{shard}:{source}"))
    return runs


def _shard_run(bench: Workbench, lineage: Lineage, shard: str, *, key: str) -> dg.RunRequest:
    unfinished = lineage.unfinished(units_of(SHARD_JOB, bench.project), shard)
    return dg.RunRequest(run_key=key, partition_key=shard, asset_selection=[unit.key for unit in unfinished])


def build_schedules(project: Project) -> list[dg.ScheduleDefinition]:
    """Return the nightly backfill of shards and the refresh of pool and experiments."""
    settings = project.settings.automation
    status = dg.DefaultScheduleStatus.RUNNING if settings.is_on else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name="nightly_backfill",
        job_name=SHARD_JOB,
        cron_schedule=settings.nightly_cron,
        execution_timezone=settings.timezone,
        default_status=status,
        description="Makes shards that are missing, stale or failed, the oldest first, so many a night. Those that "
        "failed before come last: shards that always fail keep nobody waiting.",
    )
    def nightly_backfill(
        context: dg.ScheduleEvaluationContext, workbench: Workbench
    ) -> list[dg.RunRequest] | dg.SkipReason:
        shards = context.instance.get_dynamic_partitions(SHARDS)
        busy, bench = _shards_at_work(context.instance), _fresh(workbench)
        waiting = [shard for shard in unfinished_shards(bench, shards) if shard not in busy]
        if not waiting:
            return dg.SkipReason(f"{len(shards)} shards, all fresh or at work")
        tick = context.scheduled_execution_time.isoformat()
        failed = failing_shards(context.instance, bench, waiting)
        chosen = sorted(waiting, key=failed.__contains__)[: settings.max_shards_per_night]
        lineage = Lineage(bench, shards)
        return [_shard_run(bench, lineage, shard, key=f"nightly:{tick}:{shard}") for shard in chosen]

    @dg.schedule(
        name="refresh",
        job_name=GLOBAL_JOB,
        cron_schedule=settings.refresh_cron,
        execution_timezone=settings.timezone,
        default_status=status,
        description="Makes counts, scores and experiments again if a shard has changed since: global_job, then "
        "score_job, then mining_job, each started by the success of the one before.",
    )
    def refresh(context: dg.ScheduleEvaluationContext, workbench: Workbench) -> dg.RunRequest | dg.SkipReason:
        if any(REFRESH_TAG in run.tags for run in _runs_at_work(context.instance)):
            return dg.SkipReason("the last refresh is still at work")
        shards = context.instance.get_dynamic_partitions(SHARDS)
        bench = _fresh(workbench)
        lineage = Lineage(bench, shards)
        absent = _shards_in(bench, lineage, shards, {"missing", "blocked"})
        if absent:
            return dg.SkipReason(
                f"{len(absent)} of {len(shards)} shards are not there yet, such as {absent[0]}: nightly_backfill makes "
                f"them, `vlmine status` says what fails"
            )
        tick = context.scheduled_execution_time.isoformat()
        runs = refresh_runs(bench, shards, tick)
        if not runs:
            return dg.SkipReason("nothing has changed since the last refresh")
        if runs[0].job_name == GLOBAL_JOB:
            return runs[0]
        # A schedule starts one job only: counting again is the least that this one can do, and the rest stays fresh.
        counts = [unit.key for unit in units_of(GLOBAL_JOB, project) if unit.stage is VOCAB_COUNTS][:1]
        return _refresh_run(GLOBAL_JOB, tick, WHOLE_POOL, counts)

    return [nightly_backfill, refresh]


def build_chain(jobs: Mapping[str, Any]) -> dg.SensorDefinition:
    """Return the sensor that carries a refresh on: from counts to scores, from scores to experiments."""

    @dg.run_status_sensor(
        name="refresh_goes_on",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[jobs[GLOBAL_JOB], jobs[SCORE_JOB]],
        request_jobs=[jobs[SCORE_JOB], jobs[MINING_JOB]],
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="After the global_job of a refresh: scores that are not fresh, all shards in one run. After its "
        "score_job, or where all scores are fresh: experiments that are not.",
    )
    def refresh_goes_on(context: dg.RunStatusSensorContext, workbench: Workbench) -> dg.SensorResult | dg.SkipReason:
        tick = context.dagster_run.tags.get(REFRESH_TAG)
        if tick is None:
            return dg.SkipReason("no run of a refresh")
        shards = context.instance.get_dynamic_partitions(SHARDS)
        runs = refresh_runs(_fresh(workbench), shards, tick, after=context.dagster_run.job_name)
        return dg.SensorResult(run_requests=runs) if runs else dg.SkipReason("nothing more has changed")

    return refresh_goes_on


def refresh_runs(
    bench: Workbench, shards: Sequence[str], tick: str, *, after: str | None = None
) -> list[dg.RunRequest]:
    """Return the runs of the first job of a refresh in which anything is not fresh; empty if all is.

    Args:
        bench: The project's resources.
        shards: All shards, in the order of ranges.
        tick: Of which refresh the runs are.
        after: A job of the refresh that is done: only those after it are looked at.
    """
    lineage = Lineage(bench, shards)
    names = {GLOBAL_JOB: [WHOLE_POOL], SCORE_JOB: shards, MINING_JOB: [*bench.project.settings.experiments]}
    for job in _CHAIN[0 if after is None else _CHAIN.index(after) + 1 :]:
        units = units_of(job, bench.project)
        found = {name: unfinished for name in names[job] if (unfinished := lineage.unfinished(units, name))}
        if job == SCORE_JOB and found:
            keys = {unit.key for unfinished in found.values() for unit in unfinished}
            return [_refresh_run(job, tick, WHOLE_POOL, [*keys], span=[*found])]
        if found:
            return [_refresh_run(job, tick, name, [u.key for u in found[name]]) for name in found]
    return []


def _refresh_run(
    job: str, tick: str, partition: str, keys: Sequence[dg.AssetKey], *, span: Sequence[str] = ()
) -> dg.RunRequest:
    ends = dict(zip(RANGE_TAGS, (span[0], span[-1]), strict=True)) if span else {}
    return dg.RunRequest(
        run_key=f"{job}:{tick}:{partition}",
        job_name=job,
        partition_key=None if partition == WHOLE_POOL else partition,
        asset_selection=keys,
        tags={REFRESH_TAG: tick, **ends},
    )


def build_declarative(project: Project) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the assets' own conditions: each follows its inputs as soon as all are there.

    It never launches partitions that were missing when it first looked: backfill those once.
    """
    is_on = project.settings.automation.is_on
    return dg.AutomationConditionSensorDefinition(
        name="declarative",
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Declarative automation: every asset is made again when its inputs have changed.",
    )


def unfinished_shards(bench: Workbench, shards: Sequence[str]) -> list[str]:
    """Return the shards of which anything up to their keywords is not fresh, in the order given."""
    return _shards_in(bench, Lineage(bench, shards), shards, {"missing", "stale", "blocked"})


def failing_shards(instance: dg.DagsterInstance, bench: Workbench, shards: Sequence[str]) -> set[str]:
    """Return those of some shards that failed when they were last tried."""
    wanted = set(shards)
    return {
        shard
        for unit in units_of(SHARD_JOB, bench.project)
        for shard in standing_failures(instance, unit.key, is_unfinished=wanted.__contains__)
    }


def _shards_in(bench: Workbench, lineage: Lineage, shards: Sequence[str], states: Set[State]) -> list[str]:
    units = units_of(SHARD_JOB, bench.project)
    return [shard for shard in shards if any(lineage.state(u.stage, shard, u.variant) in states for u in units)]


def _fresh(workbench: Workbench) -> Workbench:
    """Return a workbench that has looked at nothing yet: settings, source and lake as they are now."""
    return Workbench(settings_file=workbench.settings_file)


def _shards_at_work(instance: dg.DagsterInstance) -> set[str | None]:
    return {run.tags.get("dagster/partition") for run in _runs_at_work(instance) if run.job_name == SHARD_JOB}


def _runs_at_work(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    waiting = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
    running = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    return instance.get_runs(dg.RunsFilter(statuses=[*waiting, *running]))
