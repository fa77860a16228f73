"""`vlmine labels`: import labels for mined images."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.resources.visible import visible_text

if TYPE_CHECKING:
    from vlmine_dagster.resources.label_import import Imported
    from vlmine_dagster.settings.project import Project

_SHOWN_CLASSES = 20

_FIRST = """\
These are the project's first labels: vlmine.yaml has `labels: {}` below `dataset` now. To mine by them, write these
under `experiments` in vlmine.yaml, in place of those of the same name:"""
_ADVISED = ("fused", "entropy")


@click.group()
def labels() -> None:
    """Import labels for mined images."""


@labels.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key-column", help="Column with the image, if not image_id.")
@click.option("--class-column", help="Column with the class, if not label.")
@click.option("--encoding", help="Encoding of text that is neither UTF-8 nor UTF-16, such as cp1252.")
def import_labels(file: Path, key_column: str | None, class_column: str | None, encoding: str | None) -> None:
    """Add FILE as a round of labels: a table (image_id, label), or an export of Label Studio, CVAT, COCO.

    Tables are CSV, with any separator, spreadsheets, Parquet or JSON. The images become part of the seed: the next run
    trains with them and never mines them again.
    """
    from vlmine_dagster.resources import label_import

    given = {"key": key_column, "class_id": class_column}
    columns = {role: name for role, name in given.items() if name is not None}
    bench = open_bench()
    taken = label_import.import_labels(bench, file, columns=columns, encoding=encoding)
    for line in imported_lines(taken):
        click.echo(line)
    click.echo(_next(bench.project))


def _next(project: "Project") -> str:
    from vlmine_dagster.automation.dead_runs import lock_of_run

    try:
        with lock_of_run(project):
            return "Next: vlmine run"
    except ConfigError:
        return "A `vlmine run` is at work, which may not use these labels. Next, when it has ended: vlmine run"


def imported_lines(taken: "Imported") -> Iterator[str]:
    """Yield what to tell about a file of labels that was taken."""
    counts = taken.class_counts
    classes = counted(len(counts), "class", "classes")
    yield f"Round {taken.round.number}: {counted(len(taken.round.labels), 'label')} of {classes}."
    if taken.blank_count:
        gaps = ", ".join(f"{count:,} x {visible_text(gap)}" for gap, count in taken.gaps.items())
        where = f" ({gaps})" if gaps else ""
        yield f"Left out: {counted(taken.blank_count, 'row')} without a label or an image_id{where}."
    if taken.shapes:
        kinds = ", ".join(f"{count:,} x {visible_text(kind)}" for kind, count in taken.shapes.items())
        yield f"Not read, because one class per image is needed: {kinds}."
    if taken.matches:
        name, image = next(iter(taken.matches.items()))
        yield visible_text(f"Matched by the end of the name: {len(taken.matches):,}, such as {name} to {image}.")
    yield "Classes: " + ", ".join(_class_words(taken)) + "."
    for group in taken.lookalikes:
        yield visible_text(f"Look alike, but count as {len(group)} classes: {', '.join(map(repr, group))}.")
    if taken.is_first:
        yield _FIRST
        yield from _advised_experiments()


def _advised_experiments() -> Iterator[str]:
    """Yield experiments of a labelled project as lines of `vlmine.yaml`."""
    import yaml

    from vlmine_dagster.settings.mining import default_experiments

    arms = default_experiments()
    for name in _ADVISED:
        content = arms[name].model_dump(mode="json", exclude_defaults=True)
        yield f"  {name}: {yaml.safe_dump(content, default_flow_style=True, sort_keys=False, width=1000).strip()}"


def _class_words(taken: "Imported") -> Iterator[str]:
    new = set(taken.new_classes)
    names = sorted(taken.class_counts, key=lambda name: (name not in new, -taken.class_counts[name], name))
    for name in names[:_SHOWN_CLASSES]:
        yield f"{visible_text(name)} {taken.class_counts[name]:,}{' (new)' if name in new else ''}"
    if len(names) > _SHOWN_CLASSES:
        yield f"and {len(names) - _SHOWN_CLASSES:,} more"
