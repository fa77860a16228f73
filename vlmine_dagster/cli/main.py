"""The `vlmine` command."""

import os
from pathlib import Path

import click

from vlmine_dagster import __version__
from vlmine_dagster.cli.cache import cache
from vlmine_dagster.cli.compare import compare
from vlmine_dagster.cli.demo import demo
from vlmine_dagster.cli.detections import detections
from vlmine_dagster.cli.doctor import doctor
from vlmine_dagster.cli.explain import explain
from vlmine_dagster.cli.export import export
from vlmine_dagster.cli.forecast import forecast
from vlmine_dagster.cli.group import ErrorReportingGroup
from vlmine_dagster.cli.init import init
from vlmine_dagster.cli.labels import labels
from vlmine_dagster.cli.like import like
from vlmine_dagster.cli.protocol import protocol
from vlmine_dagster.cli.review import review
from vlmine_dagster.cli.run import run
from vlmine_dagster.cli.settings import settings
from vlmine_dagster.cli.status import status
from vlmine_dagster.cli.study import study
from vlmine_dagster.cli.top import top
from vlmine_dagster.cli.ui import ui
from vlmine_dagster.cli.verdicts import verdicts
from vlmine_dagster.cli.vocabulary import vocabulary


@click.group(
    cls=ErrorReportingGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="vlmine")
@click.option("--project", "project_file", type=click.Path(path_type=Path), help="Settings file of another project.")
def main(project_file: Path | None) -> None:
    """Find the rare images in a pool of unlabelled ones.

    First steps: `vlmine demo`, or `vlmine init FOLDER` and then `vlmine run`.
    """
    if project_file is not None:
        os.environ["VLMINE_PROJECT"] = str(project_file.resolve())


for command in (
    init,
    protocol,
    run,
    status,
    forecast,
    labels,
    cache,
    top,
    like,
    review,
    verdicts,
    vocabulary,
    export,
    explain,
    compare,
    study,
    detections,
    ui,
    doctor,
    settings,
    demo,
):
    main.add_command(command)
