"""Labels of mined images come back: whose images they are, which classes, and where they are kept."""

import io
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import JUDGES
from vlmine_dagster.resources.label_files.contract import composed
from vlmine_dagster.resources.label_match import images_of
from vlmine_dagster.resources.label_names import lookalikes
from vlmine_dagster.resources.label_reading import class_of
from vlmine_dagster.resources.rounds import Annotations, Round, check_annotations, read_annotations, write_round
from vlmine_dagster.resources.sources import shard_of
from vlmine_dagster.settings.project import SETTINGS_FILE, Project

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench


@dataclass(frozen=True)
class Imported:
    """A file of labels that was taken.

    Attributes:
        round: The round that it became.
        blank_count: Rows or tasks that lack a label or an image.
        gaps: What stood in place of a label, such as `nan`, and how often.
        shapes: What else the file held, such as boxes, and how often.
        class_counts: Labels by class, the commonest first.
        new_classes: Those of them that the project did not have.
        lookalikes: Groups of classes that differ in case, white space or a decimal point.
        matches: Image_id by what the file has in its place, where that is another way to name the image.
        is_first: Whether the project had no labels, so that its settings were changed.
    """

    round: Round
    blank_count: int
    gaps: Mapping[str, int]
    shapes: Mapping[str, int]
    class_counts: Mapping[str, int]
    new_classes: tuple[str, ...]
    lookalikes: tuple[tuple[str, ...], ...]
    matches: Mapping[str, str]
    is_first: bool


def import_labels(
    bench: "Workbench", file: Path, *, columns: Mapping[str, str] | None = None, encoding: str | None = None
) -> Imported:
    """Add a file of labels as the next round.

    A project without labels gets its first ones: `dataset.labels` appears in its settings file.

    Args:
        bench: The project's resources.
        file: The file, in any format that `label_files` reads.
        columns: Column name by role (`key`, `class_id`), where they have others.
        encoding: Encoding of text that is neither UTF-8 nor UTF-16.

    Raises:
        ConfigError: the settings file cannot be written.
        MissingInputError: the images are not read yet.
        SourceError: the file cannot be read, names images or classes that are not of the project, or says nothing new.
    """
    settings = bench.project.settings.dataset.labels
    known = () if bench.labels is None else bench.labels.class_names
    names = None if bench.labels is None else bench.labels.names_by_id
    given = read_annotations(
        file,
        columns=columns,
        encoding=encoding or (settings.encoding if settings else None),
        classes=known,
    )
    labels, matches = _resolved(given, bench, names)
    taken = write_round(bench.project, labels)
    if settings is None:
        start_labels(bench.project)
    counts = Counter(taken.labels.values())
    return Imported(
        taken,
        given.blank_count,
        given.gaps,
        given.shapes,
        dict(counts.most_common()),
        tuple(name for name in counts if name not in known),
        _told_apart(counts, known),
        matches,
        is_first=settings is None,
    )


def _resolved(
    given: Annotations, bench: "Workbench", names: Mapping[str, str] | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return class name by image_id, with the ids and names that the project has, and which ids were not whole."""
    shards = bench.lake.partitions(ITEMS)
    with bench.lake.connect(items=bench.lake.require(ITEMS, shards)) as connection:
        rows = connection.sql("SELECT image_id, split FROM items").fetchall()
    found = images_of(given.labels, _places(rows, frozenset(shards)))
    labels = {found.get(name, name): class_of(label, names) or label for name, label in given.labels.items()}
    check_annotations(
        labels,
        known_ids={row[0] for row in rows},
        test_ids={row[0] for row in rows if row[1] in JUDGES},
        class_names=() if names is None else tuple(names.values()),
    )
    return labels, {name: image for name, image in found.items() if composed(image) != name}


def _places(rows: Iterable[tuple[str, str]], shards: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield shard and key of each image."""
    for name, _ in rows:
        shard = shard_of(name, shards)
        yield shard, name[len(shard) + 1 :]


def _told_apart(counts: Iterable[str], known: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of names that look like one and hold a name of this file."""
    ours = set(counts)
    return tuple(group for group in lookalikes([*known, *ours]) if ours & set(group))


def start_labels(project: Project) -> None:
    """Write `dataset.labels` into the settings file of a project that has none; comments and order stay.

    Raises:
        ConfigError: the file cannot be written.
    """
    from ruamel.yaml import YAML

    file = project.file.resolve()
    editor = YAML()  # keeps comments; builds plain values alone
    editor.preserve_quotes = True
    editor.width = 10_000
    text = io.StringIO()
    try:
        content: dict[str, Any] = editor.load(file.read_text(encoding="utf-8"))
        dataset = content["dataset"]
        dataset.insert(len(dataset) - 1, "labels", {})  # what follows the last key, such as a comment, belongs to that
        editor.dump(content, text)
        write_whole(file, text.getvalue())
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror or error}. The labels are kept; add `labels: {{}}` below "
            f"`dataset` in {SETTINGS_FILE} yourself."
        ) from error
