"""Recall of few-shot images by a project's experiments, over draws of the labelled seed, as Markdown.

    python -m benchmarks.recall --project vlmine.yaml --draws 30

Run `vlmine run` on the project first. It is the study `draws` (`vlmine study draws`), without MLflow: draws that were
done before are kept, here and there.
"""

import click

from resources.workbench import Workbench
from vlmine_dagster.studies import draws
from vlmine_dagster.studies.study import StudyRun, verdict_markdown


@click.command()
@click.option("--project", "file", default="vlmine.yaml", show_default=True, type=click.Path(exists=True))
@click.option("--draws", "count", default=10, show_default=True)
def main(file: str, count: int) -> None:
    """Print what the draws show, and tables of recall by experiment and budget."""
    run = StudyRun(draws.STUDY, Workbench(settings_file=file), draws=count)
    found = draws.conclude(run, run.rows())
    click.echo(verdict_markdown(found.words, found.tables))


if __name__ == "__main__":
    main()
