"""`vlmine labels`: labels of mined images come back."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.tables import JUDGES

if TYPE_CHECKING:
    from vlmine_dagster.resources.rounds import Round
    from vlmine_dagster.resources.workbench import Workbench


@click.group()
def labels() -> None:
    """Take labels of mined images back."""


@labels.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_labels(file: Path) -> None:
    """Add FILE as a round of labels: CSV or Parquet (image_id, label), or a JSON export of Label Studio.

    The images become part of the seed: the next run trains with them and never mines them again.
    """
    taken, blank_count = import_round(open_bench(), file)
    click.echo(f"Round {taken.number}: {len(taken.labels):,} labels of {len(set(taken.labels.values())):,} classes.")
    if blank_count:
        click.echo(f"Left out: {blank_count:,} that have no label or no image_id.")
    click.echo("Next: vlmine run")


def import_round(bench: "Workbench", file: Path) -> "tuple[Round, int]":
    """Add a file of labels as the next round; return it and how many rows of the file lack a label or an image id.

    Raises:
        ConfigError: the project has no label file yet.
        SourceError: the file cannot be read, names images or classes that are not of the project, or says nothing new.
    """
    from vlmine_dagster.resources.rounds import check_annotations, read_annotations, write_round

    if bench.labels is None:
        raise ConfigError(
            "this project has no labels yet. Set dataset.labels.file in vlmine.yaml (a CSV with the columns key, "
            "split, class_id; it may hold nothing but test rows, or only its header) and import again."
        )
    given = read_annotations(file)
    images = bench.lake.require("images", bench.lake.partitions("images"))
    with bench.lake.connect(images=images) as connection:
        rows = connection.sql("SELECT image_id, split FROM images").fetchall()
    check_annotations(
        given.labels,
        known_ids={row[0] for row in rows},
        test_ids={row[0] for row in rows if row[1] in JUDGES},
        class_names=bench.labels.class_names if bench.project.settings.dataset.labels.classes else (),  # type: ignore[union-attr]
    )
    return write_round(bench.project, given.labels), given.blank_count
