"""Dagster's home made ready for its web UI and daemon: `python -m vlmine_dagster.cli.dagster_home`."""

from vlmine_dagster.automation.dead_runs import fail_dead_runs_of
from vlmine_dagster.automation.history import open_instance
from vlmine_dagster.settings.project import Project


def main() -> None:
    """Make the home if it is not there, and end runs whose process is gone: the daemon would count them as at work."""
    project = Project.load()
    with open_instance(project) as instance:
        fail_dead_runs_of(project, instance)


if __name__ == "__main__":
    main()
