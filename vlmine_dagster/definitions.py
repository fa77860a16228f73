"""The one place where all parts meet: what `vlmine ui` loads."""

import dagster as dg

from vlmine_dagster.automation.jobs import build_core, build_jobs
from vlmine_dagster.automation.schedules import build_chain, build_continuous, build_schedules, new_shards
from vlmine_dagster.settings.project import Project
from vlmine_dagster.studies.jobs import build_study_jobs


def build_definitions(project: Project, *, settings_file: str = "") -> dg.Definitions:
    """Return assets, jobs, schedules, sensors and resources of a project.

    Args:
        project: The project; its variants and experiments shape the asset graph.
        settings_file: Its `vlmine.yaml`; empty means `VLMINE_PROJECT`, else the one in the working folder.
    """
    jobs, settings = build_jobs(project), project.settings.automation
    is_continuous = settings.mode == "continuous"
    follows = build_continuous(jobs, is_on=settings.is_on) if is_continuous else build_chain(jobs)
    automatic = dg.Definitions(
        jobs=build_study_jobs(),
        schedules=[] if is_continuous else build_schedules(project),
        sensors=[new_shards, follows],
    )
    return dg.Definitions.merge(build_core(project, settings_file=settings_file, jobs=jobs), automatic)


@dg.definitions
def defs() -> dg.Definitions:
    """Load the project that `VLMINE_PROJECT` or the working folder names."""
    return build_definitions(Project.load())
