"""The one place where all parts meet: what `vlmine ui` loads."""

import logging
import os
from collections.abc import Sequence

import dagster as dg

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.automation.jobs import build_core, build_jobs
from vlmine_dagster.automation.schedules import build_chain, build_continuous, build_schedules, new_shards
from vlmine_dagster.automation.stopping import when_to_stop
from vlmine_dagster.engine.asset_factory import build_assets
from vlmine_dagster.engine.versions import observe_experiments
from vlmine_dagster.resources.sqlite_files import keep_open
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings.project import Project
from vlmine_dagster.studies.jobs import build_study_jobs

_logger = logging.getLogger(__name__)


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
        sensors=[new_shards, when_to_stop, follows],
    )
    return dg.Definitions.merge(build_core(project, settings_file=settings_file, jobs=jobs), automatic)


def guest_definitions(settings_file: str, *, key_prefix: Sequence[str] = ()) -> dg.Definitions:
    """Return the assets of a project for the Dagster project of somebody else, who merges them with its own.

    Jobs, schedules, sensors and the executor are the host's; partitions are those of the project.

    Args:
        settings_file: `vlmine.yaml`.
        key_prefix: Put before every asset key, such as `["mining"]`.

    Examples:
        >>> defs = dg.Definitions.merge(my_definitions, guest_definitions("vlmine.yaml"))  # doctest: +SKIP
    """
    assets = build_assets(GRAPH, Project.load(settings_file), key_prefix=key_prefix)
    return dg.Definitions(assets=assets, resources={"workbench": Workbench(settings_file=settings_file)})


@dg.definitions
def defs() -> dg.Definitions:
    """Load the project that `VLMINE_PROJECT` or the working folder names.

    Settings of experiments are recorded, so that "Reload definitions" marks at once whose list has become stale.
    """
    project = Project.load()
    keep_open(project.dagster_home)
    if os.environ.get("DAGSTER_HOME"):
        _record_experiments(project)
    return build_definitions(project)


def _record_experiments(project: Project) -> None:
    try:
        with dg.DagsterInstance.get() as instance:
            observe_experiments(instance, GRAPH, project)
    except Exception as error:  # any storage may hold the history; the sensor records them later
        _logger.warning("Settings of experiments were not recorded (%s); the UI's marks may lag.", error)
