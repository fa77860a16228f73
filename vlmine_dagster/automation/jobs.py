"""The jobs of a project, one per wave of its graph, and what is needed to run them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.automation.dead_runs import fail_dead_runs_of
from vlmine_dagster.engine.asset_factory import build_assets
from vlmine_dagster.engine.dagster_internals import make_waiting_polite
from vlmine_dagster.engine.stage import Unit
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project

SHARD_JOB, GLOBAL_JOB, SCORE_JOB, MINING_JOB = "shard_job", "global_job", "score_job", "mining_job"

_TEXTS = {
    SHARD_JOB: "From the files of a shard to its keywords: images, embeddings, descriptions, keywords.",
    GLOBAL_JOB: "Work that needs every shard at once: the counts of the vocabulary, the task model.",
    SCORE_JOB: "Novelty and uncertainty of shards; takes a range of them in one run.",
    MINING_JOB: "An experiment: its ranking, what it is worth, its contact sheet.",
    "duplicates_job": "Which images show the same picture: each picture is described once.",
    "shard_duplicates_job": "Finds images of shards that no model is asked about; takes a range of shards in one run.",
    "description_job": "From the images of a shard that are described to their keywords.",
}


def units_of(job: str, project: Project) -> list[Unit]:
    """Return what a job makes of a project, in topological order: nothing that the project skips."""
    return [unit for wave in GRAPH.waves(project) if wave.job == job for unit in GRAPH.units_of(wave, project)]


def jobs_of_pool(project: Project) -> list[str]:
    """Return the jobs that follow that of the shards, in the order in which they are made."""
    made = [wave.job for wave in GRAPH.waves(project) if GRAPH.units_of(wave, project)]
    return [name for name in dict.fromkeys(made) if name != SHARD_JOB]


def build_jobs(project: Project) -> dict[str, Any]:
    """Return the jobs by name. One shard and the whole pool share none: that would compute the pool once per shard."""
    jobs = {}
    for name in dict.fromkeys(wave.job for wave in GRAPH.waves(project)):
        keys = [unit.key for unit in units_of(name, project)]
        if keys:
            selection = dg.AssetSelection.assets(*keys)
            jobs[name] = dg.define_asset_job(name, selection=selection, description=_TEXTS.get(name))
    return jobs


def build_core(project: Project, *, settings_file: str = "", jobs: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Return the assets and jobs of a project with their resources: what `vlmine run` needs.

    Args:
        project: The project; its variants and experiments shape the asset graph.
        settings_file: Its `vlmine.yaml`; empty means `VLMINE_PROJECT`, else the one in the working folder.
        jobs: Its jobs, where sensors hold them too: Dagster wants the same objects.
    """
    make_waiting_polite(partial(fail_dead_runs_of, project))
    chosen = build_jobs(project) if jobs is None else jobs
    return dg.Definitions(
        assets=build_assets(GRAPH, project),
        jobs=list(chosen.values()),
        executor=dg.in_process_executor,  # a process for each step spends more on starting than our steps take
        resources={"workbench": Workbench(settings_file=settings_file)},
    )
