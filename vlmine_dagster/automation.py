"""Jobs, schedules and sensors."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import dagster as dg

from assets.catalog import STAGES
from assets.failures import standing_failures
from assets.lineage import Lineage, State
from assets.stages import Stage, asset_key
from resources.workbench import Workbench
from vlmine_dagster.partitions import SHARDS
from vlmine_dagster.project import Project
from vlmine_dagster.tables import WHOLE_POOL

SHARD_JOB = "shard_job"
SCORE_JOB = "score_job"
GLOBAL_JOB = "global_job"
MINING_JOB = "mining_job"
REFRESH_TAG = "vlmine/refresh"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

_JOBS: dict[str, tuple[str, str]] = {
    SHARD_JOB: ("shard", "From a shard's files to its keywords: images, embeddings, descriptions, keywords."),
    GLOBAL_JOB: ("pool", "What needs every shard at once: the vocabulary's counts and the task model."),
    SCORE_JOB: ("shard", "Novelty and uncertainty of shards; takes a range of them in one run."),
    MINING_JOB: ("experiment", "An experiment: its ranking, what it is worth, its contact sheet."),
}


def stages_of(job: str) -> list[Stage]:
    """Return the stages of a job, in pipeline order."""
    partition, _ = _JOBS[job]
    return [
        stage for stage in STAGES if stage.contract.partition == partition and stage.is_one_run == (job == SCORE_JOB)
    ]


def selection(job: str, project: Project) -> list[dg.AssetKey]:
    """Return the keys of a job's assets, those of every variant too."""
    return [asset_key(stage.table, variant) for stage in stages_of(job) for variant in stage.variants(project)]


def build_jobs(project: Project) -> dict[str, Any]:
    """Return the four jobs by name. One shard and the whole pool share none: that would compute the pool a shard."""
    return {
        name: dg.define_asset_job(name, selection=dg.AssetSelection.assets(*selection(name, project)), description=text)
        for name, (_, text) in _JOBS.items()
    }


@dg.sensor(
    name="new_shards",
    job_name=SHARD_JOB,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers shards that came, forgets those that went, and asks for the runs of new and changed ones. "
    "A shard is changed when its bytes are, whatever its date.",
)
def new_shards(context: dg.SensorEvaluationContext, workbench: Workbench) -> dg.SensorResult | dg.SkipReason:
    """Compare the dataset with the registered shards, and each shard's content with what was made of it."""
    bench = _fresh(workbench)
    found = bench.source.shards()
    known = set(context.instance.get_dynamic_partitions(SHARDS))
    come = [shard for shard in found if shard not in known]
    gone = sorted(known - set(found))
    wanted = _content_runs(bench, found)
    if not come and not gone and not wanted:
        return dg.SkipReason(f"{len(found)} shards, none new or changed")
    definition = dg.DynamicPartitionsDefinition(name=SHARDS)
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if come:
        requests.append(definition.build_add_request(come))
    if gone:
        requests.append(definition.build_delete_request(gone))
    return dg.SensorResult(run_requests=wanted, dynamic_partitions_requests=requests)


def _content_runs(bench: Workbench, found: Sequence[str]) -> list[dg.RunRequest]:
    """Return a run for each shard whose content nobody has looked at; its key holds the content, so it comes once."""
    lineage = Lineage(bench, found)
    images = next(stage for stage in STAGES if stage.table == "images")
    return [
        dg.RunRequest(run_key=f"shard:{shard}:{lineage.inputs(images, shard)}", partition_key=shard)
        for shard in found
        if lineage.state(images, shard) != "fresh"
    ]


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
        return [dg.RunRequest(run_key=f"nightly:{tick}:{shard}", partition_key=shard) for shard in chosen]

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
        if set(_states_beyond_shards(bench, lineage, shards)) <= {"fresh"}:
            return dg.SkipReason("nothing has changed since the last refresh")
        tick = context.scheduled_execution_time.isoformat()
        return dg.RunRequest(run_key=f"refresh:{tick}", tags={REFRESH_TAG: tick})

    return [nightly_backfill, refresh]


def build_chain(project: Project, jobs: Mapping[str, Any]) -> list[Any]:
    """Return the sensors that carry a refresh on: from counts to scores, from scores to experiments."""

    @dg.run_status_sensor(
        name="refresh_scores",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[jobs[GLOBAL_JOB]],
        request_job=jobs[SCORE_JOB],
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="After the global_job of a refresh: scores of all shards in one run.",
    )
    def refresh_scores(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        tick = context.dagster_run.tags.get(REFRESH_TAG)
        shards = context.instance.get_dynamic_partitions(SHARDS)
        if tick is None or not shards:
            return dg.SkipReason("no run of a refresh")
        span = dict(zip(RANGE_TAGS, (shards[0], shards[-1]), strict=True))
        return dg.RunRequest(run_key=f"scores:{tick}", tags={REFRESH_TAG: tick, **span})

    @dg.run_status_sensor(
        name="refresh_experiments",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[jobs[SCORE_JOB]],
        request_job=jobs[MINING_JOB],
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="After the score_job of a refresh: every experiment.",
    )
    def refresh_experiments(context: dg.RunStatusSensorContext) -> dg.SensorResult | dg.SkipReason:
        tick = context.dagster_run.tags.get(REFRESH_TAG)
        if tick is None:
            return dg.SkipReason("no run of a refresh")
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"mining:{tick}:{arm}", partition_key=arm, tags={REFRESH_TAG: tick})
                for arm in project.settings.experiments
            ]
        )

    return [refresh_scores, refresh_experiments]


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
        for stage, variant in _units(bench, SHARD_JOB)
        for shard in standing_failures(instance, asset_key(stage.table, variant), is_unfinished=wanted.__contains__)
    }


def _shards_in(bench: Workbench, lineage: Lineage, shards: Sequence[str], states: Set[State]) -> list[str]:
    units = [*_units(bench, SHARD_JOB)]
    return [shard for shard in shards if any(lineage.state(stage, shard, v) in states for stage, v in units)]


def _states_beyond_shards(bench: Workbench, lineage: Lineage, shards: Sequence[str]) -> list[str]:
    """Return the states of everything that needs the whole pool."""
    names = {GLOBAL_JOB: [WHOLE_POOL], SCORE_JOB: list(shards), MINING_JOB: list(bench.project.settings.experiments)}
    return [
        lineage.state(stage, partition, variant)
        for job, partitions in names.items()
        for stage, variant in _units(bench, job)
        for partition in partitions
    ]


def _units(bench: Workbench, job: str) -> Iterator[tuple[Stage, str]]:
    for stage in stages_of(job):
        if stage.skipped(bench.project) is None:
            for variant in stage.variants(bench.project):
                yield stage, variant


def _fresh(workbench: Workbench) -> Workbench:
    """Return a workbench that has looked at nothing yet: settings, source and lake as they are now."""
    return Workbench(settings_file=workbench.settings_file)


def _shards_at_work(instance: dg.DagsterInstance) -> set[str | None]:
    return {run.tags.get("dagster/partition") for run in _runs_at_work(instance) if run.job_name == SHARD_JOB}


def _runs_at_work(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    waiting = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
    running = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    return instance.get_runs(dg.RunsFilter(statuses=[*waiting, *running]))
