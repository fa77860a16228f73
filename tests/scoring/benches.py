"""A bench whose tables a test writes, for functions that read what a project has published."""

from types import SimpleNamespace

from vlmine_dagster.resources.merged_keywords import MergedLake
from vlmine_dagster.settings import DEFAULT_VARIANT
from vlmine_dagster.settings.project import Project, parse_settings


def bench_of(folder, tables, *, labels=None, **settings):
    """Return project, lake and labels.

    Args:
        folder: Where they are.
        tables: Rows by table and partition, and by variant where it is not the default.
        labels: The labels.
        settings: Those of the project beside its name and dataset.
    """
    project = Project(
        parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}, **settings}),
        folder,
        str(folder / "home"),
    )
    lake = MergedLake(str(folder / "lake"), scratch=folder, kind=project.settings.items)
    lake.is_merged = project.has_vocabulary
    for (table, partition, *variant), rows in tables.items():
        lake.publish(table, partition, rows, inputs="", variant=variant[0] if variant else DEFAULT_VARIANT)
    return SimpleNamespace(project=project, lake=lake, labels=labels)
