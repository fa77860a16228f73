"""`vlmine init`: a project of a folder of images."""

from pathlib import Path

import click


@click.command()
@click.argument("dataset")
@click.option("--name", help="Name of the project; by default that of the folder.")
@click.option("--force", "is_forced", is_flag=True, help="Overwrite vlmine.yaml.")
def init(dataset: str, name: str | None, is_forced: bool) -> None:
    """Write vlmine.yaml for DATASET: a folder of images, of WebDataset tars, or of Parquet files; or an fsspec URL."""
    from vlmine_dagster.cli.doctor import advice_on_labels
    from vlmine_dagster.resources.sources import detect
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.settings.starter import settings_for, write_starter

    found = detect(dataset)
    file = write_starter(Path.cwd(), settings_for(found, name=_project_name(name, dataset)), is_forced=is_forced)
    labels = "labels found" if found.labels else "no labels: novelty alone can be mined"
    click.echo(f"{file}: {found.kind}, {labels}.")
    if found.labels:
        advice = advice_on_labels(Workbench(settings_file=str(file)))
        if advice.state != "ok":
            click.secho(f"{found.labels.file}: {advice.found} {advice.advice}", fg="yellow", err=True)
    click.echo("Next: vlmine run")


def _project_name(given: str | None, dataset: str) -> str:
    """Return a name of letters, digits, dots, dashes and underscores."""
    name = given or Path(dataset.rstrip("/")).name
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in name).strip("-._")
    return plain[:64] or "pool"
