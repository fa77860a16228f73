"""`vlmine init`: a project of a folder of images."""

import re
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from vlmine_dagster.cli.terminal import console, print_problem
from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import VlmineError
from vlmine_dagster.resources.lines import shown_line

if TYPE_CHECKING:
    from vlmine_dagster.resources.boxes.files import BoxFiles
    from vlmine_dagster.resources.label_match import LabelMatch
    from vlmine_dagster.resources.labels import Labels
    from vlmine_dagster.resources.sources.detection import Survey
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.settings import DatasetSettings, LabelSettings
    from vlmine_dagster.settings.project import ProjectSettings

_SHOWN_CLASSES = 5


@click.command()
@click.argument("dataset")
@click.option("--name", help="Project name. Default: the folder's name.")
@click.option(
    "--boxes",
    multiple=True,
    type=click.Path(exists=True),
    help="Mine the objects in the images, by this box file or folder. Repeat for several.",
)
@click.option("--force", "is_forced", is_flag=True, help="Overwrite an existing vlmine.yaml.")
@click.option(
    "--accept/--no-accept",
    "is_accepted",
    default=None,
    help="Use the splits and labels that come with the data set. Default: ask, if in a terminal.",
)
def init(dataset: str, *, name: str | None, boxes: tuple[str, ...], is_forced: bool, is_accepted: bool | None) -> None:
    """Write vlmine.yaml for DATASET: a folder of images, tars, Parquet files or videos, or an fsspec URL."""
    from vlmine_dagster.resources.sources import survey
    from vlmine_dagster.settings.project import user_path
    from vlmine_dagster.settings.starter import settings_for, write_starter

    if dataset.startswith("~") and not Path(dataset).exists():  # in quotation marks, the shell leaves it to us
        dataset = str(user_path(dataset))
    files = _box_files(boxes)
    surveyed = survey(dataset, used=[] if files is None else files.uris)
    for note in surveyed.notes:
        click.echo(note)
    found = _with_offer(surveyed, is_accepted=is_accepted, is_forced=is_forced)
    settings = settings_for(found, name=_project_name(name, dataset), boxes=boxes)
    objects = "" if settings.objects is None else f", objects by {_places_of(files)}"
    file = write_starter(Path.cwd(), settings, is_forced=is_forced)
    click.echo(surveyed.contents)
    labels = "labels found" if found.labels else "no labels, so only novelty can be mined"
    click.echo(f"{file}: {found.kind}{objects}, {labels}.")
    if files is not None:
        _look_at_boxes(files)
    if found.labels:
        _look_at_labels(settings, found.labels)
    click.echo("Next: vlmine run")


def _look_at_boxes(files: "BoxFiles") -> None:
    """Read the box files, which are kept as `vlmine run` needs them; say what they hold, or what is wrong with them."""
    boxes = _project_here().boxes
    try:
        with console().status("reading the boxes", spinner="line"):  # a minute for 600 MB
            counts = {} if boxes is None else boxes.class_counts()
    except VlmineError as error:
        print_problem(str(error), colour="yellow")
        return
    commonest = ", ".join(f"{shown_line(name)} ({count:,})" for name, count in list(counts.items())[:_SHOWN_CLASSES])
    more = f" and {len(counts) - _SHOWN_CLASSES:,} more" if len(counts) > _SHOWN_CLASSES else ""
    boxes_of = f"{counted(sum(counts.values()), 'box', 'boxes')} with a class: {commonest}{more}"
    click.echo(f"{', '.join(files.places)}: {boxes_of if counts else 'no box with a class'}.")


def _look_at_labels(settings: "ProjectSettings", labels: "LabelSettings") -> None:
    """Say how the label file is read, complete its settings where that is simple, and tell what is wrong with it."""
    try:
        match = _matched()
        if match.key_format:
            labels = _rewritten(settings, labels, key_format=match.key_format)
            click.echo(f"keys of images are made of its names by dataset.labels.key_format: {match.key_format}")
            match = _matched()
    except VlmineError as error:
        print_problem(f"{labels.file}: {error} Correct dataset.labels in vlmine.yaml.", colour="yellow")
        return
    if labels.default_split is not None and match.matched_count < match.image_count:
        click.echo(f"{labels.file} has no splits: its rows with a class are the labelled set (default_split: seed).")
    elif labels.default_split is not None:
        _rewritten(settings, labels, default_split="pool", oracle=True)
        click.echo(
            f"{labels.file} has no splits and a row for every image: as on a benchmark, a fifth is drawn as the "
            f"labelled set, and the other labels are hidden until they are mined (oracle: true)."
        )
    if match.problem:
        print_problem(f"{labels.file}: {match.problem} {match.advice}", colour="yellow")


def _matched() -> "LabelMatch":
    """Return how the label file of the project here matches its images."""
    from vlmine_dagster.resources.label_match import look_at_labels

    bench = _project_here()
    return look_at_labels(cast("Labels", bench.labels), bench.source, bench.lake)


def _project_here() -> "Workbench":
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.settings.project import SETTINGS_FILE

    return Workbench(settings_file=str(Path.cwd() / SETTINGS_FILE))


def _rewritten(settings: "ProjectSettings", labels: "LabelSettings", **changes: Any) -> "LabelSettings":
    """Write the project again with other settings of its labels; return them."""
    from vlmine_dagster.settings.starter import write_starter

    labels = labels.model_copy(update=changes)
    dataset = settings.dataset.model_copy(update={"labels": labels})
    write_starter(Path.cwd(), settings.model_copy(update={"dataset": dataset}), is_forced=True)
    return labels


def _box_files(places: Sequence[str]) -> "BoxFiles | None":
    """Return the box files at some places, relative to this folder; None without any."""
    from vlmine_dagster.resources.boxes.files import BoxFiles
    from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
    from vlmine_dagster.settings.objects import ObjectSettings

    if not places:
        return None
    return BoxFiles(ObjectSettings(boxes=tuple(places)), lambda path: str(Path.cwd() / path), FingerprintCache())


def _places_of(files: "BoxFiles | None") -> str:
    """Return where objects come from, of box files each with its format.

    Raises:
        SourceError: a place holds no box file.
    """
    if files is None:
        return "the data set itself"
    return ", ".join(f"{place} ({name})" for place, name in zip(files.places, files.formats(), strict=True))


def _with_offer(surveyed: "Survey", *, is_accepted: bool | None, is_forced: bool) -> "DatasetSettings":
    """Return settings with or without what the data set says of itself, and tell which."""
    from vlmine_dagster.resources.sources.offer import accept_offer

    offer = surveyed.offer
    if offer is None:
        return surveyed.settings
    for line in offer.lines:
        click.echo(f"found {line}")
    if is_accepted is None and sys.stdin.isatty() and sys.stdout.isatty():
        is_accepted = click.confirm("Use these splits and labels?", default=True)
    if is_accepted:
        settings = accept_offer(offer, surveyed.settings, Path.cwd(), is_forced=is_forced)
        if settings.exclude:
            click.echo(f"left out: {', '.join(settings.exclude)} (dataset.exclude)")
        return settings
    if is_accepted is None:
        offer.refuse_unnamed_tests()
    elif offer.unnamed_test_count:
        click.echo(f"mined like all others: {counted(offer.unnamed_test_count, 'image')} of a test split")
    if offer.left_out:
        click.echo(f"left out, so that no test images are mined: {', '.join(offer.left_out)} (dataset.exclude)")
    click.echo("`vlmine init --accept` uses them: val and test then measure results, and labels train the task model.")
    return surveyed.settings


def _project_name(given: str | None, dataset: str) -> str:
    """Return a project name of ASCII letters, digits, dots, dashes and underscores; accents are dropped.

    Examples:
        >>> _project_name(None, "/data/odd photos \u00e9t\u00e9/"), _project_name(None, "/data/\u7167\u7247")
        ('odd-photos-ete', 'pool')
    """
    name = unicodedata.normalize("NFKD", given or Path(dataset.rstrip("/")).name).encode("ascii", "ignore").decode()
    return re.sub(r"[^\w.-]", "-", name).strip("-._")[:64] or "pool"
