"""The one place where all parts meet: what `vlmine ui` and `vlmine run` load."""

import dagster as dg

from vlmine_dagster.automation.schedules import build_chain, build_declarative, build_jobs, build_schedules, new_shards
from vlmine_dagster.engine.pipeline import build_assets
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project
from vlmine_dagster.studies.jobs import build_study_jobs


def build_definitions(project: Project, *, settings_file: str = "") -> dg.Definitions:
    """Return assets, jobs, sensors and resources of a project.

    Args:
        project: The project; its variants and experiments shape the asset graph.
        settings_file: Its `vlmine.yaml`; empty means `VLMINE_PROJECT`, else the one in the working folder.
    """
    jobs = build_jobs(project)
    is_declarative = project.settings.automation.mode == "declarative"
    return dg.Definitions(
        assets=build_assets(project),
        jobs=[*jobs.values(), *build_study_jobs()],
        schedules=[] if is_declarative else build_schedules(project),
        sensors=[new_shards, build_declarative(project) if is_declarative else build_chain(jobs)],
        executor=dg.in_process_executor,  # a process for each step spends more on starting than our steps take
        resources={"workbench": Workbench(settings_file=settings_file)},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Load the project that `VLMINE_PROJECT` or the working folder names."""
    return build_definitions(Project.load())
