"""Rounds of labels: what people said about mined images comes back, one file per round."""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from filelock import FileLock

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.domain.files import write_whole
from vlmine_dagster.domain.hints import nearest
from vlmine_dagster.resources.label_files import Columns, read_label_file
from vlmine_dagster.resources.label_files.contract import CLASS_NAMES, KEY_NAMES, composed
from vlmine_dagster.resources.label_names import is_gap
from vlmine_dagster.settings.project import Project

_COLUMNS_READ = {"key": ("object_id", *KEY_NAMES), "class_id": CLASS_NAMES}
_COLUMNS = ("image_id", "class_name")


@dataclass(frozen=True)
class Round:
    """Labels that came back at once.

    Attributes:
        number: 1 for the first.
        labels: Class name by image id.
    """

    number: int
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Annotations:
    """What a file of labels holds.

    Attributes:
        labels: Class by image id, as the file writes both (ids composed, NFC).
        blank_count: Rows or tasks that lack a label or an image id.
        gaps: What stood in place of a label, such as `nan`, and how often.
        shapes: What else the file holds, such as `rectanglelabels`, and how often.
    """

    labels: Mapping[str, str]
    blank_count: int = 0
    gaps: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, int] = field(default_factory=dict)


def load_rounds(project: Project) -> list[Round]:
    """Return all rounds, the first one first."""
    rounds = []
    for file in sorted(project.state_folder("labels").glob("round-*.csv")):
        with file.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream)
            labels = {row["image_id"]: row["class_name"] for row in rows}
        rounds.append(Round(int(file.stem.partition("-")[2]), labels))
    return rounds


def rounds_fingerprint(rounds: list[Round]) -> str:
    """Return a hash of all labels in all rounds."""
    return hashlib.sha256(json.dumps([dict(r.labels) for r in rounds], sort_keys=True).encode()).hexdigest()[:16]


def write_round(project: Project, labels: Mapping[str, str]) -> Round:
    """Write labels down as the next round; the file appears whole or not at all, and never in another's place.

    Raises:
        SourceError: the rounds say all of it already.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(sorted(labels.items()))
    with FileLock(project.state_folder("locks") / "labels.lock"):
        rounds = load_rounds(project)
        if labels.items() <= {name: label for earlier in rounds for name, label in earlier.labels.items()}.items():
            given = "this label was" if len(labels) == 1 else f"these {len(labels):,} labels were"
            last = rounds[-1].number
            where = "round 1" if last == 1 else f"rounds 1 to {last}"
            raise SourceError(f"nothing new: {given} imported in {where}. No round was made.")
        number = 1 + max((earlier.number for earlier in rounds), default=0)
        file = project.state_folder("labels") / f"round-{number:04d}.csv"
        write_whole(file, text.getvalue())
    return Round(number, dict(labels))


def read_annotations(
    file: Path, *, columns: Mapping[str, str] | None = None, encoding: str | None = None, classes: Collection[str] = ()
) -> Annotations:
    """Read a file of labels in any format of `label_files`: tables, exports of Label Studio, CVAT, COCO and others.

    A table has a column `image_id` and a column `label`, or others that `columns` names. A task of Label Studio has
    `image_id` in its data and one choice; cancelled annotations and tasks without one are left out.

    Args:
        file: The file.
        columns: Column name by role (`key`, `class_id`), where it is another.
        encoding: Encoding of text that is neither UTF-8 nor UTF-16.
        classes: Names that are classes even if they look like a gap, such as `NA`.

    Raises:
        SourceError: the file cannot be read, lacks a column, or labels an image in two ways.
    """
    wanted = Columns(
        wanted=_COLUMNS_READ, needed=("key", "class_id"), given=columns or {}, complaint=partial(_no_columns, columns)
    )
    found: dict[str, str] = {}
    blanks: Counter[str] = Counter()
    shapes: Counter[str] = Counter()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error}") from error
    for row in read_label_file(content, where=str(file), columns=wanted, encoding=encoding):
        name = composed(row.key)
        if row.shape:
            shapes[row.shape] += 1
        if not name or is_gap(row.label, classes):
            blanks[row.label if name else ""] += 1
        elif found.setdefault(name, row.label) != row.label:
            raise SourceError(
                f"{file}: {row.key!r} is labelled {found[name]!r} and {row.label!r}. Keep one of the two."
            )
    if not found:
        raise SourceError(f"{file}: no labels in it.{_about_shapes(shapes)}")
    return Annotations(found, blanks.total(), {gap: count for gap, count in blanks.items() if gap}, dict(shapes))


def _no_columns(given: Mapping[str, str] | None, missing: Sequence[str], names: Sequence[str]) -> str:
    usual = {"key": "image_id", "class_id": "label"}
    expected = " and ".join((given or {}).get(role, name) for role, name in usual.items())
    what = "" if len(names) > 1 else "expected a .csv, .parquet or .json file of labels, or another that is read; "
    return (
        f"{what}expected the columns {expected}; it has {', '.join(names) or 'none'}. If they have other names, pass "
        f"--key-column and --class-column."
    )


def _about_shapes(shapes: Mapping[str, int]) -> str:
    if not shapes:
        return ""
    kinds = ", ".join(f"{count:,} x {kind}" for kind, count in shapes.items())
    return (
        f" It contains {kinds}; one class per image is needed: Choices in Label Studio, a tag in CVAT. Label the "
        f"images so, or make a table with the columns image_id and label."
    )


def check_annotations(
    labels: Mapping[str, str], *, known_ids: set[str], test_ids: set[str], class_names: tuple[str, ...]
) -> None:
    """Refuse labels that cannot be meant.

    Raises:
        SourceError: an image is not of the pool or is a test image, or a class is unknown; the message names some.
    """
    strange = sorted(set(labels) - known_ids)
    if strange and not known_ids:
        raise SourceError("no image of this project was looked at yet. Run `vlmine run`, then import the labels again.")
    if strange:
        raise SourceError(
            f"not of this pool: {len(strange):,} of {counted(len(labels), 'image')}, such as {strange[0]!r}. An "
            f"image_id is shard/key, as `vlmine top --json` prints it."
        )
    tests = sorted(set(labels) & test_ids)
    if tests:
        raise SourceError(
            f"of the test or val split: {counted(len(tests), 'image')}, such as {tests[0]!r}. Test images only measure "
            f"results; leave them out."
        )
    unknown = sorted(set(labels.values()) - set(class_names)) if class_names else []
    if unknown:
        raise SourceError(no_such_class(unknown[0], class_names))


def no_such_class(name: str, class_names: Sequence[str]) -> str:
    """Return the message that a project's file of classes does not name a class, with the nearest that it names.

    Examples:
        >>> no_such_class("cot", ["cat", "dog"])
        "class 'cot' is not among the project's 2 classes. Did you mean 'cat'? If not, add it to the file of classes \
(dataset.labels.classes)."
    """
    near = nearest(name, class_names)
    hint = f"Did you mean {near!r}? If not, add" if near else "Correct it, or add"
    return (
        f"class {name!r} is not among the project's {len(class_names)} classes. {hint} it to the file of classes "
        f"(dataset.labels.classes)."
    )
