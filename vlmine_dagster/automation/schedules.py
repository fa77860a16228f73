"""Schedules and sensors: what runs by itself. All ask the planner what is left to make."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import dagster as dg

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.automation.jobs import SHARD_JOB, jobs_of_pool, units_of
from vlmine_dagster.automation.planner import Batch, Planner
from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.tables import IMAGES, WHOLE_POOL
from vlmine_dagster.engine.failures import standing_failures
from vlmine_dagster.engine.freshness import Freshness, State
from vlmine_dagster.engine.partitions import SHARDS
from vlmine_dagster.engine.stage import API_POOL, Unit
from vlmine_dagster.engine.versions import observe
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project

REFRESH_TAG = "vlmine/refresh"
KEEP_UP_TAG = "vlmine/keep_up"

_MOST_BYTES_PER_TICK = 1_000_000_000  # of a disk that gives 20 MB/s, before Dagster gives a tick up after 60 s

_NOT_ASKED = (
    "no shard came or went; no run is requested automatically, because an endpoint that may cost money describes them "
    "and automation.is_on in vlmine.yaml is false"
)

_IMAGES = Unit(GRAPH.stage_of(IMAGES.name))


@dg.sensor(
    name="new_shards",
    job_name=SHARD_JOB,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers new shards, forgets those that are gone, and requests runs of new and changed ones. "
    "A shard is changed when its bytes are, whatever its date. Where an endpoint describes or extracts keywords, it "
    "requests runs only with automation.is_on: nothing is spent unasked. Records the data versions of the dataset and "
    "of the experiments, so that the UI marks what has become stale.",
)
def new_shards(context: dg.SensorEvaluationContext, workbench: Workbench) -> dg.SensorResult | dg.SkipReason:
    """Compare the dataset with the registered shards, and each shard's content with what was made of it."""
    bench = _fresh(workbench)
    found = bench.source.shards()
    registered = set(context.instance.get_dynamic_partitions(SHARDS))
    come = [shard for shard in found if shard not in registered]
    gone = sorted(registered - set(found))
    seen = observe(context.instance, GRAPH, bench, found, is_quick=True, recorded=context.cursor)
    context.update_cursor(seen)
    is_asking = bench.project.settings.automation.is_on or not _asks_endpoints(bench.project)
    wanted = _content_runs(bench, found) if is_asking else []
    if not come and not gone and not wanted:
        return dg.SkipReason(f"{counted(len(found), 'shard')}, {'none new or changed' if is_asking else _NOT_ASKED}")
    definition = dg.DynamicPartitionsDefinition(name=SHARDS)
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if come:
        requests.append(definition.build_add_request(come))
    if gone:
        requests.append(definition.build_delete_request(gone))
    return dg.SensorResult(run_requests=wanted, dynamic_partitions_requests=requests)


def _asks_endpoints(project: Project) -> bool:
    """Whether a shard's keywords need an endpoint, which may cost money."""
    return any(unit.stage.pool(unit.part(project)) == API_POOL for unit in units_of(SHARD_JOB, project))


def _content_runs(bench: Workbench, found: Sequence[str]) -> list[dg.RunRequest]:
    """Return a run for each shard whose content nobody has looked at; its key holds the content, so it comes once.

    A tick must end within a minute. So a new shard is requested by its files' sizes and dates, and of those that may
    have changed a limited number of bytes is read per tick; what is too large for that is left to the run, which has
    all the time.
    """
    planner, runs, left = Planner(bench, found), [], _MOST_BYTES_PER_TICK
    for shard in found:
        stamp, glance = planner.freshness.stamp(IMAGES.name, shard), bench.source.glance(shard)
        if stamp is None or glance.unread_bytes > _MOST_BYTES_PER_TICK:
            batch = planner.batch(planner.waves[0][0], units_of(SHARD_JOB, bench.project), shard)
            runs.append(_shard_run(batch, f"shard:{shard}:{glance.state}"))
        elif glance.unread_bytes <= left:
            left -= glance.unread_bytes
            source = planner.freshness.source(_IMAGES.stage, shard)
            if stamp.source != source and not planner.freshness.is_current(_IMAGES, shard):
                runs += [_shard_run(batch, f"shard:{shard}:{source}") for batch in _shard_batches(planner, [shard])]
    return runs


def _shard_batches(planner: Planner, shards: Sequence[str]) -> list[Batch]:
    wave, _ = planner.waves[0]
    return list(planner.batches(wave, shards))


def _shard_run(batch: Batch, key: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=key, partition_key=batch.first, asset_selection=batch.keys, tags=batch.tags)


def build_schedules(project: Project) -> list[dg.ScheduleDefinition]:
    """Return the nightly backfill of shards and the refresh of pool and experiments."""
    is_on = project.settings.automation.is_on
    status = dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED
    return [_nightly_backfill(project, status), _refresh(project, status)]


def _nightly_backfill(project: Project, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    settings = project.settings.automation

    @dg.schedule(
        name="nightly_backfill",
        job_name=SHARD_JOB,
        cron_schedule=settings.nightly_cron,
        execution_timezone=settings.timezone,
        default_status=status,
        description="Makes shards that are missing, stale or failed, the oldest first, up to a number per night. Those "
        "that failed before come last: shards that always fail do not hold up the others.",
    )
    def nightly_backfill(
        context: dg.ScheduleEvaluationContext, workbench: Workbench
    ) -> list[dg.RunRequest] | dg.SkipReason:
        tick = context.scheduled_execution_time.isoformat()
        bench, shards = _fresh(workbench), context.instance.get_dynamic_partitions(SHARDS)
        batches = _waiting_shards(context.instance, bench, shards, at_most=settings.max_shards_per_night)
        if not batches:
            return dg.SkipReason(f"{counted(len(shards), 'shard')}, all fresh or at work")
        return [_shard_run(batch, f"nightly:{tick}:{batch.first}") for batch in batches]

    return nightly_backfill


def _refresh(project: Project, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    settings = project.settings.automation
    first, *later = jobs_of_pool(project)

    @dg.schedule(
        name="refresh",
        job_name=first,
        cron_schedule=settings.refresh_cron,
        execution_timezone=settings.timezone,
        default_status=status,
        description=f"Makes counts, scores and experiments again if a shard has changed since: {first}, then "
        f"{', then '.join(later)}, each started by the success of the one before.",
    )
    def refresh(context: dg.ScheduleEvaluationContext, workbench: Workbench) -> dg.RunRequest | dg.SkipReason:
        if any(REFRESH_TAG in run.tags for run in _runs_at_work(context.instance)):
            return dg.SkipReason("the last refresh is still at work")
        shards = context.instance.get_dynamic_partitions(SHARDS)
        bench = _fresh(workbench)
        absent = _shards_in(bench, shards, {"missing", "blocked"})
        if absent:
            return dg.SkipReason(
                f"{len(absent)} of {len(shards)} shards are not there yet, such as {absent[0]}: nightly_backfill makes "
                f"them, `vlmine status` says what fails"
            )
        tick = context.scheduled_execution_time.isoformat()
        runs = refresh_runs(bench, shards, tick)
        if not runs:
            return dg.SkipReason("nothing has changed since the last refresh")
        return runs[0] if runs[0].job_name == first else _count_again(project, first, tick)

    return refresh


def _count_again(project: Project, job: str, tick: str) -> dg.RunRequest:
    """Return the least that the job of the schedule can do: a schedule starts one job only, the rest stays fresh."""
    return dg.RunRequest(
        run_key=f"{job}:{tick}:{WHOLE_POOL}",
        job_name=job,
        asset_selection=[unit.key for unit in units_of(job, project)][:1],
        tags={REFRESH_TAG: tick},
    )


def _waiting_shards(
    instance: dg.DagsterInstance, bench: Workbench, shards: Sequence[str], *, at_most: int
) -> list[Batch]:
    """Return what is left to make of shards that nobody is at work on, those that failed before last."""
    busy = {run.tags.get("dagster/partition") for run in _runs_at_work(instance) if run.job_name == SHARD_JOB}
    batches = [one for one in _shard_batches(Planner(bench, shards), shards) if one.first not in busy]
    failed = failing_shards(instance, bench, [one.first for one in batches])
    return sorted(batches, key=lambda one: one.first in failed)[:at_most]


def build_chain(jobs: Mapping[str, Any]) -> dg.SensorDefinition:
    """Return the sensor that carries a refresh on: from counts to scores, from scores to experiments, to reports."""
    later = [job for name, job in jobs.items() if name != SHARD_JOB]

    @dg.run_status_sensor(
        name="refresh_goes_on",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=later,
        request_jobs=later[1:],
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="After the global_job of a refresh: scores that are not fresh, all shards in one run. After its "
        "score_job, or where all scores are fresh: experiments that are not. After all of these: their reports.",
    )
    def refresh_goes_on(context: dg.RunStatusSensorContext, workbench: Workbench) -> dg.SensorResult | dg.SkipReason:
        tick = context.dagster_run.tags.get(REFRESH_TAG)
        if tick is None:
            return dg.SkipReason("not a run of a refresh")
        if any(run.tags.get(REFRESH_TAG) == tick for run in _runs_at_work(context.instance)):
            return dg.SkipReason("other runs of this refresh are still at work")
        shards = context.instance.get_dynamic_partitions(SHARDS)
        runs = refresh_runs(_fresh(workbench), shards, tick, after=context.dagster_run.job_name)
        return dg.SensorResult(run_requests=runs) if runs else dg.SkipReason("nothing more has changed")

    return refresh_goes_on


def refresh_runs(
    bench: Workbench, shards: Sequence[str], tick: str, *, after: str | None = None
) -> list[dg.RunRequest]:
    """Return the runs of the first wave after the shards' own in which anything has to be made; empty if nothing has.

    Args:
        bench: The project's resources.
        shards: All shards, in the order of ranges.
        tick: Of which refresh the runs are.
        after: A job of the refresh that is done: earlier ones are not looked at again.
    """
    batches = Planner(bench, shards).next_batches(first=1, after=after)
    return [_request(batch, key=f"{batch.wave.job}:{tick}", tags={REFRESH_TAG: tick}) for batch in batches]


def _request(batch: Batch, *, key: str, tags: Mapping[str, str]) -> dg.RunRequest:
    name = batch.partition_key or WHOLE_POOL
    return dg.RunRequest(
        run_key=f"{key}:{name}" if batch.wave.stages[0].table != "mining_report" else f"{key}:{name}:report",
        job_name=batch.wave.job,
        partition_key=batch.partition_key,
        asset_selection=batch.keys,
        tags={**tags, **batch.tags},
    )


def build_continuous(jobs: Mapping[str, Any], *, is_on: bool) -> dg.SensorDefinition:
    """Return the sensor that makes everything again as soon as what it is made of has changed, wave by wave.

    Args:
        jobs: The jobs by name.
        is_on: Whether it starts by itself.
    """

    @dg.sensor(
        name="keep_up",
        jobs=list(jobs.values()),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Asks the planner that `vlmine run` asks, and requests the runs of the first wave in which "
        "anything is missing or stale. Each state of the inputs is tried once: failed work waits until its inputs "
        "change, or for a backfill.",
    )
    def keep_up(context: dg.SensorEvaluationContext, workbench: Workbench) -> dg.SensorResult | dg.SkipReason:
        if _runs_at_work(context.instance):
            return dg.SkipReason("runs are still at work")
        bench, shards = _fresh(workbench), context.instance.get_dynamic_partitions(SHARDS)
        planner = Planner(bench, shards)
        for wave, _ in planner.waves:
            batches = planner.batches(wave, planner.partitions(wave))
            keyed = {planner.digest(one): one for one in batches if not planner.why_waiting(one.units[0], one.first)}
            asked = {key: one for key, one in keyed.items() if not _is_tried(context.instance, key)}
            if asked:
                requests = [_request(one, key=key, tags={KEEP_UP_TAG: key}) for key, one in asked.items()]
                return dg.SensorResult(run_requests=requests)
        return dg.SkipReason(f"{counted(len(shards), 'shard')}, everything is fresh, or failed when it was tried")

    return keep_up


def _is_tried(instance: dg.DagsterInstance, key: str) -> bool:
    return bool(instance.get_runs(dg.RunsFilter(tags={KEEP_UP_TAG: key}), limit=1))


def failing_shards(instance: dg.DagsterInstance, bench: Workbench, shards: Sequence[str]) -> set[str]:
    """Return those of some shards that failed when they were last tried."""
    wanted = set(shards)
    return {
        shard
        for unit in units_of(SHARD_JOB, bench.project)
        for shard in standing_failures(instance, unit.key, is_unfinished=wanted.__contains__)
    }


def _shards_in(bench: Workbench, shards: Sequence[str], states: Set[State]) -> list[str]:
    units, freshness = units_of(SHARD_JOB, bench.project), Freshness(GRAPH, bench, shards)
    return [shard for shard in shards if any(freshness.state(unit, shard) in states for unit in units)]


def _fresh(workbench: Workbench) -> Workbench:
    """Return a workbench that has looked at nothing yet: settings, source and lake as they are now."""
    return Workbench(settings_file=workbench.settings_file)


def _runs_at_work(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    waiting = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
    running = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    return instance.get_runs(dg.RunsFilter(statuses=[*waiting, *running]))
