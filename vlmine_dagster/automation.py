"""Jobs, schedules and sensors."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.pipeline import STAGES
from assets.stages import Stage, asset_key
from resources.lake import DEFAULT_VARIANT
from resources.workbench import Workbench
from vlmine_dagster.partitions import SHARDS
from vlmine_dagster.project import Project

SHARD_JOB = "shard_job"
SCORE_JOB = "score_job"
GLOBAL_JOB = "global_job"
MINING_JOB = "mining_job"

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


def selection(job: str, variants: Sequence[str]) -> list[dg.AssetKey]:
    """Return the keys of a job's assets, those of every variant too."""
    return [
        asset_key(stage.table, variant)
        for stage in stages_of(job)
        for variant in ((DEFAULT_VARIANT, *variants) if stage.is_variant else (DEFAULT_VARIANT,))
    ]


def build_jobs(project: Project) -> list[Any]:
    """Return the four jobs. One shard and the whole pool are never in one: that would compute the pool a shard."""
    variants = list(project.settings.variants)
    return [
        dg.define_asset_job(name, selection=dg.AssetSelection.assets(*selection(name, variants)), description=text)
        for name, (_, text) in _JOBS.items()
    ]


@dg.sensor(
    name="new_shards",
    job_name=SHARD_JOB,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers shards that came, forgets those that went, and asks for the runs of new ones.",
)
def new_shards(context: dg.SensorEvaluationContext, workbench: Workbench) -> dg.SensorResult | dg.SkipReason:
    """Compare the dataset with the registered shards."""
    from resources.sources import open_source

    found = open_source(workbench.project).shards()  # a source is a snapshot: each tick takes a new one
    known = set(context.instance.get_dynamic_partitions(SHARDS))
    come = [shard for shard in found if shard not in known]
    gone = sorted(known - set(found))
    if not come and not gone:
        return dg.SkipReason(f"{len(found)} shards, none new")
    definition = dg.DynamicPartitionsDefinition(name=SHARDS)
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if come:
        requests.append(definition.build_add_request(come))
    if gone:
        requests.append(definition.build_delete_request(gone))
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"new:{shard}", partition_key=shard) for shard in come],
        dynamic_partitions_requests=requests,
    )
